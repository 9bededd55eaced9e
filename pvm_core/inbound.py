"""Requests that come over the bus (founding document 1, section 4), and the job they ask for together.

`products.collect.request` and `videos.search.request` of one job id are two halves of one job. They come in
any order and more than once; what they ask for together does not depend on either.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from pvm_core import contracts, ids
from pvm_core.errors import InputError
from pvm_core.events import REQUESTS, canonical
from pvm_core.phases import BARRIERS
from pvm_core.requests import JobRequest, parse_queries

COLLECT, SEARCH, MATCH = REQUESTS
#: The founding fields that say how many products of which source are wanted.
_TOPS: Final = {"top_amz": "amazon", "top_ebay": "ebay"}
_COLLECTED: Final = frozenset(BARRIERS[0][1])

Action = Literal["start", "wait", "rematch", "nothing"]


@dataclass(frozen=True)
class Asked:
    """One request of the bus.

    Attributes:
        event_id: its identity: two with one id are one request.
        topic: one of `COLLECT`, `SEARCH`, `MATCH`.
        industry: name as typed; None where a `MATCH` names none.
        part: what this half asks for; empty for a `MATCH`.
        payload: as it came.
    """

    event_id: uuid.UUID
    topic: str
    job_id: str
    industry: str | None
    part: JobRequest
    payload: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), compare=False)


@dataclass(frozen=True)
class Plan:
    """What the requests of one job id ask for together.

    Attributes:
        action: ``start`` the job; ``wait`` for what is `missing`; ``rematch`` a job that has its collections
            (all assets after them); ``nothing``, because the job is under way and matches by itself.
        request, industry: of a job to start, else None.
        missing: topics that have not come.
    """

    action: Action
    request: JobRequest | None = None
    industry: str | None = None
    missing: tuple[str, ...] = ()


def read(topic: str, payload: Any, message_id: str | None = None) -> Asked:
    """A request as it came over the bus.

    Args:
        message_id: of the message, where it has one. The payload's own ``event_id`` wins; where there is
            neither, the content is the identity, so that the same request sent twice counts once.

    Raises:
        InputError: ``contract.unknown``, ``contract.invalid``, ``request.*``.
    """
    name = canonical(topic)
    if name not in REQUESTS:
        raise InputError("contract.unknown", topic[:200], "it is no request", f"Send {', '.join(REQUESTS)}")
    contracts.validate(name, payload)
    part = {COLLECT: _products, SEARCH: _videos}.get(name, _nothing)(payload)
    event_id = _identity(name, payload, message_id)
    return Asked(event_id, name, payload["job_id"], payload.get("industry"), part, payload)


def merge(asked: Iterable[Asked]) -> tuple[str, JobRequest]:
    """The industry and the request of the job that the halves in `asked` stand for; a half that is not there
    leaves its place to the industry's standing sources.

    Raises:
        InputError: ``request.conflict``: two different requests of one topic, or two industries;
            ``request.industry``: nobody names one.
    """
    once = {one.event_id: one for one in asked}.values()
    halves = {topic: _one([a.part for a in once if a.topic == topic], topic) for topic in (COLLECT, SEARCH)}
    industry = _one([a.industry for a in once if a.industry is not None], "industry")
    if industry is None:
        raise InputError("request.industry", "industry", "no request names one", "Name the industry")
    products, videos = halves[COLLECT] or JobRequest(), halves[SEARCH] or JobRequest()
    request = JobRequest(
        products=products.products,
        videos=videos.videos,
        tops=products.tops,
        queries=videos.queries,
        recency_days=videos.recency_days,
    )
    return industry, request


def plan(asked: Iterable[Asked], *, exists: bool = False, events: Collection[str] = ()) -> Plan:
    """What to do about all requests of one job id; their order and their doubles make no difference.

    Args:
        exists: there is a job of that id already.
        events: names of the job's phase events so far.

    Raises:
        InputError: as `merge`.
    """
    once = {one.event_id: one for one in asked}
    topics = {one.topic for one in once.values()}
    if exists:
        return Plan("rematch" if MATCH in topics and set(events) >= _COLLECTED else "nothing")
    missing = tuple(topic for topic in (COLLECT, SEARCH) if topic not in topics)
    if missing:
        return Plan("wait", missing=missing)
    industry, request = merge(once.values())
    return Plan("start", request, industry)


def _products(payload: Mapping[str, Any]) -> JobRequest:
    asked = {source: payload[name] for name, source in _TOPS.items() if name in payload}
    tops = {source: top for source, top in asked.items() if top}
    if asked and not tops:
        raise InputError(
            "request.top", COLLECT, "no product is asked for", "Give top_amz or top_ebay a number above 0"
        )
    return JobRequest(products=tuple(tops), tops=tops)


def _videos(payload: Mapping[str, Any]) -> JobRequest:
    return JobRequest(
        videos=tuple(dict.fromkeys(payload.get("platforms", ()))),
        queries=parse_queries(payload.get("queries")),
        recency_days=payload.get("recency_days"),
    )


def _nothing(_payload: Mapping[str, Any]) -> JobRequest:
    return JobRequest()


def _identity(topic: str, payload: Mapping[str, Any], message_id: str | None) -> uuid.UUID:
    if "event_id" in payload:
        return uuid.UUID(payload["event_id"])
    try:
        return uuid.UUID(message_id or "")
    except ValueError:
        # A message id in another form is an identity all the same.
        parts = [message_id] if message_id else [json.dumps(payload, sort_keys=True, ensure_ascii=False)]
        return uuid.uuid5(ids.ROOT, "|".join(["request", topic, *parts]))


def _one(given: list[Any], what: str) -> Any:
    distinct = [value for n, value in enumerate(given) if value not in given[:n]]
    if len(distinct) > 1:
        raise InputError(
            "request.conflict", what, "two requests of one job differ", "Use a job id of its own for each job"
        )
    return distinct[0] if distinct else None
