"""Log lines in both forms."""

from __future__ import annotations

import io
import json
import logging

from pvm_core.errors import MediaError
from pvm_resources.logs import setup

_ERROR = MediaError("picture.truncated", "a.jpg", "it ends early", "Replace it", retryable=False)


def _lines(form: str) -> list[str]:
    stream = io.StringIO()
    handler = setup(form, "info", stream)  # type: ignore[arg-type]
    log = logging.getLogger("pvm.test")
    try:
        log.debug("hidden")
        log.info("gối %d", 7, extra={"job": "j1"})
        try:
            raise _ERROR
        except MediaError:
            log.exception("left out")
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            log.exception("broke")
    finally:
        logging.getLogger("pvm").removeHandler(handler)
    return stream.getvalue().splitlines()


def test_json_carries_stable_codes() -> None:
    info, ours, other = map(json.loads, _lines("json"))
    assert (info["level"], info["message"], info["job"]) == ("info", "gối 7", "j1")
    assert ours["error"] == {
        "code": "picture.truncated", "subject": "a.jpg", "reason": "it ends early", "remedy": "Replace it",
        "retryable": False,
    }  # fmt: skip
    assert "trace" not in ours
    assert other["error"]["code"] == "internal"
    assert "ZeroDivisionError" in other["trace"]


def test_plain_is_one_line_for_what_the_user_can_mend() -> None:
    lines = _lines("plain")
    assert lines[0].endswith("INFO    gối 7 job=j1")
    assert "left out: a.jpg: it ends early. Replace it [picture.truncated]" in lines[1]
    assert lines[-1].startswith("ZeroDivisionError")


def test_foreign_text_forges_no_line_and_commands_no_terminal() -> None:
    for form in ("plain", "json"):
        stream = io.StringIO()
        handler = setup(form, "info", stream)  # type: ignore[arg-type]
        logging.getLogger("pvm.test").info(
            "a\x1b]0;owned\x07\n12:00:00 ERROR forged", extra={"title": "\x9b2J"}
        )
        logging.getLogger("pvm").removeHandler(handler)
        (line,) = stream.getvalue().splitlines()
        assert not {"\x1b", "\x07", "\x9b"} & set(line)
        assert "forged" in line


def test_a_second_setup_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    setup("plain", "info", first)
    handler = setup("plain", "warning", second)
    logging.getLogger("pvm").warning("once")
    logging.getLogger("pvm").removeHandler(handler)
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1
