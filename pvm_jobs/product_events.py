"""A change of a product as others send it: the founding wire shape, and bodies of REST. Pure functions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from pvm_core.errors import InputError
from pvm_core.money import parse_price
from pvm_core.product_changes import FIELDS, Change, Kind, Version
from pvm_core.product_facts import (
    AVAILABILITIES,
    clean_attributes,
    parse_availability,
    parse_moment,
    plain_text,
)

#: Spellings of the founding wire shape, and names of the events.
_KINDS: Final[Mapping[str, Kind]] = {
    "create": "create", "update": "update", "delete": "delete", "product.created": "create",
    "product.updated": "update", "product.deleted": "delete",
}  # fmt: skip
_ALIASES: Final = {"name": "title", "images": "pictures", "image": "pictures", "stock": "availability"}
#: Names that a producer may repeat in its data.
_IDENTITY: Final = ("id", "product_id")
_TEXT_MAX: Final = 1_000
_ID_MAX: Final = 500
_PICTURES_MAX: Final = 250
#: Versions fit PostgreSQL's bigint with room.
_NUMBER_MAX: Final = 1 << 61
#: A change of tomorrow would hold off all of today's.
_AHEAD: Final = timedelta(days=1)
_UNFIT: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class SentChange:
    """A change before its product is looked up.

    Attributes:
        product: the product's id here (a uuid), or the id as its shop gives it.
        industry: slug or name of the industry that `product` is an id of; "" for none.
        undated: its maker gave neither version nor timestamp.
    """

    product: str
    industry: str
    change: Change
    undated: bool = False


def parse_event(event: Mapping[str, Any], now: datetime) -> SentChange:
    """The change of ``{event_type, product_id, timestamp, data}``, with ``version``, ``event_id`` and
    ``industry`` where given; `data` may be a JSON text, as streams carry it.

    Args:
        now: the time of a change that names none.

    Raises:
        InputError: ``change.*``.
    """
    product = parse_id(event.get("product_id"))
    kind = _KINDS.get(str(event.get("event_type")))
    if kind is None:
        raise _wrong("change.type", product, f"{str(event.get('event_type'))[:80]!r} is no type of a change",
                     "Use create, update or delete")  # fmt: skip
    data = {} if kind == "delete" else parse_data(product, _object(product, event.get("data")))
    undated = event.get("version") is None and event.get("timestamp") in (None, "")
    change = Change(kind, _version(product, event, now), data)
    return SentChange(product, str(event.get("industry") or ""), change, undated)


def parse_id(given: Any) -> str:
    """The id of a product.

    Raises:
        InputError: ``change.product_id``.
    """
    text = str(given).strip() if isinstance(given, (str, int)) and not isinstance(given, bool) else ""
    if not text or len(text) > _ID_MAX or _UNFIT.search(text):
        reason = f"it names no product by 1 to {_ID_MAX} printable characters"
        raise InputError("change.product_id", "product_id", reason, "Give the product's id")
    return text


def parse_data(product: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a product by their names here; null empties one.

    Raises:
        InputError: ``change.field``, ``change.price``, ``change.availability``, ``change.pictures``, ...
    """
    found: dict[str, Any] = {}
    for given, value in data.items():
        name = _ALIASES.get(given, given)
        if given in _IDENTITY:
            continue
        if name not in FIELDS:
            raise _wrong(
                "change.field", product, f"it has no field {given[:80]!r}", f"Use {', '.join(FIELDS)}"
            )
        found[name] = FIELDS[name] if value is None else _value(product, name, value)
    if found.get("price"):
        price = parse_price(found["price"], found.get("currency", ""))
        if not price.amount:
            raise _wrong("change.price", product, f"{found['price'][:80]!r} is no price", "Write 19.99")
        found["price"] = price.amount
        if price.currency:
            found["currency"] = price.currency
    if found.get("currency") and not re.fullmatch("[A-Z]{3}", found["currency"]):
        raise _wrong("change.currency", product, f"{found['currency'][:80]!r} is no currency", "Write USD")
    return found


def _value(product: str, name: str, value: Any) -> Any:
    if name == "attributes":
        if not isinstance(value, Mapping):
            raise _wrong(
                "change.attributes", product, "its attributes are no object", 'Write {"color": "blue"}'
            )
        return clean_attributes({key: _plain(one) for key, one in value.items()})
    if name == "pictures":
        return _pictures(product, value)
    text = _plain(value).strip()
    if name == "description":
        return plain_text(text)
    if name == "availability":
        return _availability(product, text)
    if len(text) > _TEXT_MAX:
        raise _wrong(
            "change.field", product, f"its {name} has {len(text):,} characters", f"At most {_TEXT_MAX:,}"
        )
    if name == "url" and text and not _is_web(text):
        raise _wrong("change.url", product, "its url is no http(s) address", "Copy the page's address")
    return text.upper() if name == "currency" and len(text) == 3 else text


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else ""


def _availability(product: str, text: str) -> str:
    found = parse_availability(text)
    if text and not found:
        reason = f"{text[:80]!r} is no availability"
        raise _wrong("change.availability", product, reason, f"Use {', '.join(AVAILABILITIES)}")
    return found


def _pictures(product: str, value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    good = isinstance(listed, (list, tuple)) and len(listed) <= _PICTURES_MAX
    if not good or not all(isinstance(one, str) and _is_web(one) and len(one) <= 4_096 for one in listed):
        reason = f"its pictures are no list of at most {_PICTURES_MAX} http(s) addresses"
        raise _wrong("change.pictures", product, reason, "Give addresses of pictures")
    return tuple(dict.fromkeys(listed))


def _is_web(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not _UNFIT.search(text)


def _object(product: str, data: Any) -> Mapping[str, Any]:
    if isinstance(data, str):
        try:
            data = json.loads(data) if data.strip() else {}
        except (ValueError, RecursionError):
            data = data[:0]
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise _wrong("change.data", product, "its data is no JSON object", 'Send {"price": 19.99}')
    return data


def _version(product: str, event: Mapping[str, Any], now: datetime) -> Version:
    """The version given, else the timestamp, else now; between equals the change's id decides, and where it
    has none what it says."""
    number, timestamp = event.get("version"), event.get("timestamp")
    said = json.dumps(event, sort_keys=True, default=str).encode("utf-8", "surrogatepass")
    entry = str(event.get("event_id") or hashlib.sha256(said).hexdigest()[:32])[:100]
    if number is not None:
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < _NUMBER_MAX:
            raise _wrong("change.version", product, "its version is no whole number", "Give one that grows")
        return Version(number, entry)
    if timestamp in (None, ""):
        return Version.at(now, entry)
    moment = parse_moment(str(timestamp))
    if moment is None:
        reason = f"{str(timestamp)[:80]!r} is no time"
        raise _wrong("change.timestamp", product, reason, "Write 2026-01-02T03:04:05Z")
    if moment > now + _AHEAD:
        reason = f"its timestamp {moment.isoformat()} lies in the future"
        raise _wrong("change.timestamp", product, reason, "Correct the clock of what sends it")
    return Version.at(moment, entry)


def _wrong(code: str, product: str, reason: str, remedy: str) -> InputError:
    return InputError(code, f"product {product[:80]}", reason, remedy)
