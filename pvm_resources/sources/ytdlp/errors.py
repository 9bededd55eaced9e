"""What yt-dlp's faults mean: one code each, whether later may be better, and what the user can do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from typing import Final

from yt_dlp.cookies import CookieLoadError
from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, RequestError, TransportError
from yt_dlp.utils import (
    DownloadCancelled,
    ExtractorError,
    GeoRestrictedError,
    UnsupportedError,
    UserNotLive,
    YoutubeDLError,
)

from pvm_core.errors import MediaError
from pvm_resources.sources.ytdlp.network import AddressRefusedError

#: What yt-dlp raises. An extractor reads pages that change at any time, so whatever it raises while it reads
#: one concerns that video and not the job.
FAULTS: Final = (
    YoutubeDLError,
    HTTPException,
    OSError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)

_COOKIES: Final = "Give a browser's cookies in PVM_YTDLP_COOKIES (Netscape format)"
_LATER: Final = "Wait an hour, raise PVM_YTDLP_SLEEP, or give a browser's cookies in PVM_YTDLP_COOKIES"
_UPDATE: Final = "Update yt-dlp: pip install -U yt-dlp"
_OTHER: Final = "Take another video"


@dataclass(frozen=True)
class _Meaning:
    code: str
    reason: str
    remedy: str
    retryable: bool = False


_LIMITED: Final = _Meaning("video.rate_limited", "the site limits requests from here", _LATER, True)
_LIVE: Final = _Meaning("video.live", "it is live or has not begun", "Ask again when it is over", True)
_GONE: Final = _Meaning("video.unavailable", "it is not there any more", _OTHER)
_LOGIN: Final = _Meaning("video.login", "the site shows it to logged-in users only", _COOKIES)
_GEO: Final = _Meaning(
    "video.geo", "it is not shown in this country", "Set PVM_YTDLP_PROXY to a proxy in a country that has it"
)
_UNSUPPORTED: Final = _Meaning("video.unsupported", "yt-dlp has no way to it", _OTHER)
_NETWORK: Final = _Meaning("video.network", "the connection failed", "Try again later", True)
_BROKEN: Final = _Meaning("video.extractor", "yt-dlp could not read the site's answer", _UPDATE)

#: What sites say, as yt-dlp 2026.10.26 passes it on; the first match counts. "Sign in to confirm" comes
#: before all talk of logging in: to a bot's suspicion a pause helps, too.
_SAID: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), meaning)
    for pattern, meaning in (
        (r"not a (ro)?bot|captcha|too many requests|rate.?limit|v_voucher", _LIMITED),
        (r"blocked by server|rejected by server|request was banned|ip .{0,30}block", _LIMITED),
        (r"private (video|playlist)|video is private|is_private", _Meaning(
            "video.private", "its maker keeps it private", _OTHER)),
        (r"live event|premieres? in|is live\b|livestream|not (currently )?live|will begin in", _LIVE),
        (r"(in|from) your (country|region|location)|geo.?restrict", _GEO),
        (r"no longer available|terminated|has been (removed|deleted)", _GONE),
        (r"confirm your age|age.restricted|inappropriate", _LOGIN),
        (r"members.only|channel.s members|join this channel|supporter.only|premium|purchase", _Meaning(
            "video.login", "only paying members see it", _COOKIES)),
        (r"log.?in|logged.in|sign in|account|fresh cookies|cookies .{0,20}(needed|required)", _LOGIN),
        (r"\bdrm\b", _Meaning("video.unsupported", "it is protected against copying (DRM)", _OTHER)),
        (r"did not get any data|giving up after|timed out|connection (reset|refused|aborted)", _NETWORK),
        (r"no suitable extractor|unsupported url|not a valid url", _UNSUPPORTED),
        (r"requested format is not available|only images are|no video formats|no formats", _Meaning(
            "video.no_format", "no format of it can be fetched here",
            'Update yt-dlp with a JavaScript runtime: pip install -U yt-dlp deno yt-dlp-ejs')),
        (r"unavailable|not available|removed|deleted|does ?n.t exist", _GONE),
    )
)  # fmt: skip
_GONE_STATUS: Final = frozenset((404, 410))
#: RFC 9110; 429 RFC 6585; 412 is Bilibili's answer to what it takes for a bot.
_LIMITED_STATUS: Final = frozenset((412, 429))
_LATER_STATUS: Final = frozenset((408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524))
_NOISE: Final = re.compile(
    r"\x1b\[[0-9;]*m|^ERROR:\s*|please report this issue on .*|\(caused by .*|Use --\S+ .*|See\s+https?://.*",
    re.IGNORECASE | re.DOTALL,
)
_PLACE: Final = re.compile(r"^\[[^\]]+\]\s*(?:\S{1,80}: )?")
_SAID_MAX: Final = 200


def explain(error: BaseException, subject: str) -> MediaError:
    """The error a user meets for what yt-dlp raised about `subject`."""
    meaning = _meaning(error)
    return MediaError(meaning.code, subject, meaning.reason, meaning.remedy, retryable=meaning.retryable)


def _meaning(error: BaseException) -> _Meaning:
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, AddressRefusedError):
            refusal = one.refusal
            return _Meaning("video.address", refusal.reason, refusal.remedy)
        if isinstance(one, CookieLoadError):
            return _Meaning("video.cookies", "the cookies cannot be read", "Correct PVM_YTDLP_COOKIES")
    said = next((text for one in chain if (text := _clean(str(one)))), "")
    for one in chain:
        found = _by_type(one, said)
        if found:
            return found
    if status := re.search(r"HTTP Error (\d{3})", said):
        # After its last retry yt-dlp keeps the words and drops the error.
        return _by_status(int(status[1]))
    for one in chain:
        for pattern, meaning in _SAID:
            if isinstance(one, YoutubeDLError) and pattern.search(str(one)):
                return _with(meaning, said)
    if any(isinstance(one, OSError) for one in chain):
        return _with(_NETWORK, said)
    if any(isinstance(one, ExtractorError) and one.expected for one in chain):
        return _with(_Meaning("video.refused", "the site refuses it", _OTHER), said)
    return _with(_BROKEN, said)


def _by_type(one: BaseException, said: str) -> _Meaning | None:
    if isinstance(one, HTTPError):
        return _by_status(one.status)
    if isinstance(one, GeoRestrictedError):
        return _GEO
    if isinstance(one, UserNotLive):
        return _LIVE
    if isinstance(one, UnsupportedError):
        return _UNSUPPORTED
    if isinstance(one, CertificateVerifyError):
        return _Meaning("video.network", "the server's certificate is not valid", "Check the address")
    if isinstance(one, TransportError):
        return _with(_NETWORK, said)
    if isinstance(one, RequestError) and not isinstance(one, DownloadCancelled):
        return _with(_UNSUPPORTED, said)
    return None


def _by_status(status: int) -> _Meaning:
    answer = f"the server answers {status}"
    if status in _GONE_STATUS:
        return _Meaning("video.unavailable", f"{answer}: it is not there", _OTHER)
    if status in _LIMITED_STATUS:
        return _Meaning("video.rate_limited", f"{answer}: it limits requests from here", _LATER, True)
    if status == 401:
        return _Meaning("video.login", f"{answer}: it needs a login", _COOKIES)
    if status in _LATER_STATUS:
        return _Meaning("video.network", answer, "Try again later", True)
    return _Meaning("video.refused", f"{answer}: it refuses", f"{_UPDATE}; or g{_COOKIES[1:]}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, outermost first."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        info = getattr(one, "exc_info", None) or (None, None)
        waiting += [info[1], getattr(one, "cause", None), one.__cause__, getattr(one, "reason", None)]


def _clean(text: str) -> str:
    """What the site or the library said, without its ornaments, at most two hundred characters."""
    short = " ".join(_PLACE.sub("", _NOISE.sub("", text.strip())).split()).rstrip(" .;,")
    return short if len(short) <= _SAID_MAX else f"{short[: _SAID_MAX - 1]}…"


def _with(meaning: _Meaning, said: str) -> _Meaning:
    if not said:
        return meaning
    return _Meaning(meaning.code, f"{meaning.reason} ({said})", meaning.remedy, meaning.retryable)
