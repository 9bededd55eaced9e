"""What each error code means: whom it concerns, its HTTP status and exit code, whether a retry may help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Literal

#: What an error ends: one picture, video or row; the job; whatever runs on this machine.
Scope = Literal["item", "job", "machine"]


class Exit(IntEnum):
    """Exit codes of `pvm`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOTHING = 3
    UNAVAILABLE = 4
    CANCELLED = 130


@dataclass(frozen=True)
class ErrorTraits:
    """What follows from an error code.

    Attributes:
        scope: what the error ends.
        http: HTTP status of the API's answer.
        exit: exit code of a command that it stops.
        retryable: the same call may succeed later without a change by the user.
    """

    scope: Scope
    http: int
    exit: Exit
    retryable: bool = False


INPUT: Final = ErrorTraits("job", 422, Exit.USAGE)
ITEM: Final = ErrorTraits("item", 422, Exit.USAGE)
MODEL: Final = ErrorTraits("job", 409, Exit.USAGE)
MACHINE: Final = ErrorTraits("machine", 500, Exit.FAILED)
FAILURE: Final = ErrorTraits("job", 500, Exit.FAILED)


def _status(http: int) -> ErrorTraits:
    return replace(INPUT, http=http)


#: Traits and the codes that have them; a word without a dot stands for every code ``<word>.*`` that is not
#: named itself.
_DECLARED: Final[tuple[tuple[ErrorTraits, str], ...]] = (
    (
        INPUT,
        "api attention backup bus.none calibration.labels calibration.options calibration.samples catalogue "
        "change contract cursor demo endpoint evaluate events executor fetch home.empty idempotency inbox "
        "industry job key label labels links notify output purge.source queries request restore results "
        "review rules run.options run.source search settings source sources table translator "
        "upload vectors videos webhook",
    ),
    (
        ITEM,
        "picture video links.repeated links.short links.url catalogue.bad_id catalogue.bad_image "
        "catalogue.conflict catalogue.encoding catalogue.near_ids catalogue.no_id catalogue.no_image "
        "catalogue.outside catalogue.row",
    ),
    (replace(ITEM, http=500, exit=Exit.FAILED), "amazon ebay worker"),
    (replace(INPUT, exit=Exit.NOTHING), "pictures.none products.none videos.none"),
    (replace(INPUT, exit=Exit.FAILED), "embeddings.none keyframes.none partition upstream"),
    (MODEL, "calibration evidence.faces model"),
    (replace(MODEL, exit=Exit.FAILED), "calibration.worse"),
    (FAILURE, "endpoint.test internal notify.test run step"),
    (
        MACHINE,
        "backup.database backup.write bus dagster demo.write evidence home keypoints media models "
        "output.write purge restore.write run.locked server service store stream up vectors.refused "
        "vectors.search vectors.unreachable",
    ),
    (replace(MACHINE, http=404), "media.missing"),
    (replace(MACHINE, http=409), "store.refused"),
    (replace(MACHINE, http=422), "store.text"),
    (_status(400), "ui.request"),
    (_status(401), "auth ui.signed_out"),
    (_status(403), "auth.host auth.origin auth.scope review.foreign ui.foreign ui.read_only"),
    (
        _status(404),
        "evidence.unknown frame.unknown image.unknown industry.unknown job.unknown key.unknown "
        "match.unknown product.unknown review.address video.not_kept video.unknown",
    ),
    (_status(409), "change.busy industry.in_use job.ended job.open label.none"),
    (replace(ITEM, http=413), "picture.too_large"),
    (_status(405), "ui.method"),
    (_status(413), "request.large ui.large upload.large upload.quota"),
    (_status(415), "request.type ui.type"),
    (_status(416), "range.outside"),
    (_status(421), "ui.host"),
    (_status(429), "rate.limited"),
    (_status(503), "estimate.busy live.busy search.busy upload.busy"),
    (_status(507), "upload.full"),
)
_RETRYABLE: Final = (
    "attention.away attention.nonsense "
    "amazon.too_many amazon.unreachable amazon.unreadable change.busy bus.refused bus.unreachable "
    "dagster.unreachable demo.write ebay.server ebay.timeout ebay.too_many ebay.unreachable ebay.unreadable "
    "endpoint.test notify.test "
    "media.read media.write model.download models.write rate.limited run.broken run.died run.failed "
    "estimate.busy executor.unserved live.busy run.locked search.busy server.connect source.failed "
    "source.rate_limited store.busy store.conflict "
    "store.disk_full store.locked store.unreachable stream.unreachable upload.busy video.cancelled "
    "vectors.unreachable video.changed video.live "
    "video.network video.rate_limited worker.died"
)


def _registry() -> Mapping[str, ErrorTraits]:
    found = {code: traits for traits, codes in _DECLARED for code in codes.split()}
    for code in _RETRYABLE.split():
        found[code] = replace(found.get(code) or found[code.partition(".")[0]], retryable=True)
    return MappingProxyType(found)


#: Code, or first part of codes, -> what follows from it.
REGISTRY: Final = _registry()


def traits_of(code: str) -> ErrorTraits | None:
    """What follows from `code`: its own entry, else that of its first part; None where there is neither."""
    return REGISTRY.get(code) or REGISTRY.get(code.partition(".")[0])


def exit_of(traits: ErrorTraits, retryable: bool) -> Exit:
    """The exit code of an error with these traits; `retryable` as the error itself states."""
    return Exit.UNAVAILABLE if retryable else traits.exit
