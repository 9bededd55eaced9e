"""A newcomer's whole day: from a shop's export and clips to a page to send, as README types it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import tiny
from harness import Pvm

from tests.standins.serving import Answer, Request, StandIn

_README = Path(__file__).resolve().parents[2] / "README.md"
_HEADER = (
    "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,"
    "Variant Price,Image Src,Image Position,Image Alt Text,Gift Card,Variant Image,Status"
)


class Shop(StandIn):
    """Serves the pictures of a case."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def answer(self, request: Request) -> Answer:
        return Answer(200, (self._folder / request.path.lstrip("/")).read_bytes(), "image/jpeg")


def typed() -> list[list[str]]:
    """The commands of README's section for newcomers, as a shell would split them."""
    section = _README.read_text(encoding="utf-8").partition("## From a shop's export to a page to send")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [shlex.split(line, comments=True) for line in block.group(1).splitlines() if line.strip()]


def export(folder: Path, shop: str, count: int) -> None:
    """A file as Shopify exports it: rows of variants below each product's first."""
    rows = [_HEADER]
    for n in range(count):
        first = f'p{n},Hộp số {n},"<p>A box,\nprinted</p>",Giấy,,,true,Size,S,P{n}-S,9.99'
        rows += [f"{first},{shop}/images/p{n}.jpg,1,,false,,active", f"p{n},,,,,,,,M,P{n}-M,9.99,,,,,,"]
    (folder / "products_export.csv").write_text("\n".join(rows), encoding="utf-8")


def test_three_commands_lead_from_a_shops_export_to_a_page_to_send(
    shared_pvm: Pvm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = tiny.write_case(tmp_path, products=3, clips=3)
    case.videos.rename(tmp_path / "clips")
    monkeypatch.chdir(tmp_path)
    setup, *commands = typed()
    assert setup == ["make", "base"]
    assert [command[:2] for command in commands] == [[".venv/bin/pvm", "run"], [".venv/bin/pvm", "report"]]

    with Shop(tmp_path) as shop:
        export(tmp_path, shop.url, 3)
        for _, *arguments in commands:
            done = shared_pvm(*arguments, PVM_FETCH_ALLOW="127.0.0.1")
            assert done.returncode == 0, done.stderr

    (page,) = tmp_path.glob("*.html")
    text = page.read_text(encoding="utf-8")
    for clip, product in case.shown.items():
        assert clip in text
        assert f"Hộp số {product[1:]}" in text
