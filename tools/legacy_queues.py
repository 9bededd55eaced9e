"""Removes queues and bindings of the events that were dropped for good from a RabbitMQ.

Prints its plan; --apply executes it. A queue that only dropped events lead to, or that is named after one, is
legacy and is deleted; a queue with other bindings loses the legacy binding alone. A queue with consumers is
kept, and so is one with messages, unless --purge is given.

    python -m tools.legacy_queues --management http://guest:guest@localhost:15672
    python -m tools.legacy_queues --management ... --apply --purge

Needs the management plug-in: rabbitmq-plugins enable rabbitmq_management.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx

from tools.dropped_names import dropped

#: Between an event's name and what services add to it in a queue's: ``q.matcher.<event>``, ``<event>_queue``.
_SEPARATORS: Final = "._-:/"


@dataclass(frozen=True)
class Step:
    """One step of the clean-up.

    Attributes:
        kind: ``unbind`` a queue from an exchange, ``delete`` a queue, ``leave`` a legacy queue in use.
        queue, exchange, key: its objects; exchange and key are "" where it is a whole queue.
        path: of the object in the management API.
        reason: why, for people.
        messages: in the queue.
    """

    kind: str
    queue: str
    path: str
    reason: str
    exchange: str = ""
    key: str = ""
    messages: int = 0


def plan(queues: Sequence[Any], bindings: Sequence[Any], names: Sequence[str], purge: bool) -> list[Step]:
    """What is to be done, from the broker's lists of one virtual host.

    Args:
        names: of the dropped events.
        purge: queues with messages are deleted as well.
    """
    steps: list[Step] = []
    for queue in queues:
        name, vhost = queue["name"], quote(queue["vhost"], safe="")
        own = [
            b
            for b in bindings
            if b["destination"] == name and b["destination_type"] == "queue" and b["source"]
        ]
        old = [b for b in own if b["routing_key"] in names]
        if (own and len(old) == len(own)) or (len(old) == len(own) and _named_after(name, names)):
            steps.append(_whole(queue, f"/api/queues/{vhost}/{quote(name, safe='')}", purge))
            continue
        steps += [
            Step(
                "unbind",
                name,
                f"/api/bindings/{vhost}/e/{quote(b['source'], safe='')}/q/{quote(name, safe='')}/"
                f"{quote(b['properties_key'], safe='')}",
                "the queue serves other events too",
                b["source"],
                b["routing_key"],
            )
            for b in old
        ]
    return steps


def _whole(queue: Any, path: str, purge: bool) -> Step:
    consumers, messages = int(queue.get("consumers") or 0), int(queue.get("messages") or 0)
    if consumers:
        return Step("leave", queue["name"], path, f"{consumers} consumers use it: stop them first")
    if messages and not purge:
        return Step("leave", queue["name"], path, f"it holds {messages} messages: --purge deletes them")
    return Step("delete", queue["name"], path, "only dropped events lead to it", messages=messages)


def _named_after(queue: str, names: Sequence[str]) -> bool:
    for name in names:
        before, found, after = queue.partition(name)
        if found and (not before or before[-1] in _SEPARATORS) and (not after or after[0] in _SEPARATORS):
            return True
    return False


def run(management: str, vhost: str, *, apply: bool, purge: bool) -> list[Step]:
    """Plans, and with `apply` does it; returns the plan.

    Raises:
        httpx.HTTPError: the broker is out of reach, or refused a step.
    """
    # Reading the environment's proxies would carry the broker's password to them.
    with httpx.Client(base_url=management, timeout=30, trust_env=False) as client:
        at = quote(vhost, safe="")
        queues = client.get(f"/api/queues/{at}").raise_for_status().json()
        bindings = client.get(f"/api/bindings/{at}").raise_for_status().json()
        steps = plan(queues, bindings, dropped(), purge)
        for step in steps if apply else ():
            _do(client, step, purge)
    return steps


def _do(client: httpx.Client, step: Step, purge: bool) -> None:
    if step.kind == "unbind":
        client.delete(step.path).raise_for_status()
    elif step.kind == "delete":
        if purge:
            client.delete(f"{step.path}/contents").raise_for_status()
        # Checked again by the broker: it may be in use since it was listed.
        conditions = {"if-unused": "true"} if purge else {"if-unused": "true", "if-empty": "true"}
        client.delete(step.path, params=conditions).raise_for_status()


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the steps; exit code 0, or 1 where a legacy queue was left or the broker refused."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--management",
        default=os.environ.get("RABBITMQ_MANAGEMENT_URL", "http://guest:guest@localhost:15672"),
        help="address of the management API with user and password",
    )
    parser.add_argument("--vhost", default="/")
    parser.add_argument(
        "--apply", action="store_true", help="carry out the plan; without it the plan is only printed"
    )
    parser.add_argument("--purge", action="store_true", help="delete the messages of legacy queues")
    given = parser.parse_args(arguments)
    try:
        steps = run(given.management, given.vhost, apply=given.apply, purge=given.purge)
    except httpx.HTTPError as error:
        print(f"the broker's management API: {_without_password(error)}", file=sys.stderr)
        return 1
    for step in steps:
        what = f"{step.exchange} -> {step.queue} ({step.key})" if step.kind == "unbind" else step.queue
        lost = f", {step.messages} messages" if step.messages else ""
        print(f"{step.kind:7} {what}: {step.reason}{lost}")
    done = "done" if given.apply else "nothing was changed; add --apply"
    print(f"{len(steps)} legacy queues and bindings; {done}")
    return int(any(step.kind == "leave" for step in steps))


def _without_password(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"{error.request.method} {error.request.url.path} answered {error.response.status_code}"
    return str(error) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
