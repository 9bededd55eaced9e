"""Chromium for tests: one Playwright in a process, which is all that its synchronous interface allows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Playwright

_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Chromium:
    """Debian's Chromium, headless."""

    def __init__(self, playwright: Playwright, program: str) -> None:
        self._type = playwright.chromium
        self._program = program

    def launch(self) -> Browser:
        """A browser whose contexts keep nothing."""
        return self._type.launch(executable_path=self._program, headless=True, args=_FLAGS)

    def launch_profile(self, folder: Path, width: int, height: int) -> BrowserContext:
        """A browser with a profile of its own and windows of that size, in pixels."""
        return self._type.launch_persistent_context(
            folder,
            executable_path=self._program,
            headless=True,
            args=_FLAGS,
            viewport={"width": width, "height": height},
        )


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """Where browsers come from; skips where there is none."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield Chromium(playwright, program)


@pytest.fixture(scope="session")
def browser(chromium: Chromium) -> Iterator[Browser]:
    """A browser that tests share; each opens a context of its own."""
    found = chromium.launch()
    yield found
    found.close()
