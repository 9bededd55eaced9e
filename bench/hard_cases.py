"""Hard inputs through the product as a user would run them: each case, what is right, what came.

    python bench/hard_cases.py [--folder ../shared/cases/hard] [--only clips sets] [--pvm PATH]

The folder holds `clips/` with `products.csv` and `expected.csv`, `sets/<name>/` with `expected.json` and
`catalogues/<name>/` with `expected.json`; by default `cases/hard` in $PVM_SHARED, or in `shared` beside
the checkout. Jobs run by the command `pvm` in a home of their own. Clips and sets are judged; what a
catalogue has to give stands in words, and is printed beside what came of it. Pictures by address come from a
server of this script.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
#: What the addresses of the catalogues name.
PORT = 8765
#: A second named may be off by half a sampling step of keyframes.
SLACK_S = 0.5
_COUNTED = re.compile(r"\d+ products? \(\d+ pictures?\)")
_CODE = re.compile(r"\[([a-z_]+\.[a-z_]+)\]")


@dataclass(frozen=True)
class Row:
    """One case.

    Attributes:
        kind: `clips`, `sets/<name>` or `catalogues`.
        expected, got: in words.
        verdict: `right`, `wrong`, or empty where a reader judges.
    """

    kind: str
    case: str
    expected: str
    got: str
    verdict: str


@dataclass(frozen=True)
class Ran:
    """A finished `pvm run`: what it wrote, its pairs by (video, product)."""

    text: str
    pairs: Mapping[tuple[str, str], Mapping[str, Any]]

    def accepted(self, video: str) -> dict[str, float]:
        """Products accepted in a video, with the second named."""
        found = {
            p: float(row["ts"]) for (v, p), row in self.pairs.items() if v == video and row["score"] >= 0.80
        }
        return dict(sorted(found.items()))


class Pvm:
    """The command line on a home of its own."""

    def __init__(self, command: Path, home: Path) -> None:
        self._command = command
        self._environment = {
            **os.environ, "PVM_HOME": str(home), "PVM_FETCH_ALLOW": f"localhost:{PORT}", "COLUMNS": "200",
        }  # fmt: skip

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [str(self._command), *map(str, arguments)]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)

    def run(self, industry: str, products: Path, videos: Path) -> Ran:
        """One job, and everything that it scored."""
        done = self("run", "-i", industry, "--products", products, "--videos", videos)
        shown = self("results", "-i", industry, "--min-score", "0", "-f", "json").stdout
        pairs = {} if done.returncode else {(row["video"], row["product"]): row for row in json.loads(shown)}
        return Ran(done.stdout + done.stderr, pairs)


def problems(text: str) -> str:
    """The problems that a run lists, each with its items, in one line."""
    kept = [line.strip() for line in text.splitlines() if _CODE.search(line) or line.startswith("      ")]
    return " ".join(kept)


def clips(pvm: Pvm, folder: Path) -> Iterator[Row]:
    """Each clip with the product that must be accepted in it."""
    ran = pvm.run("hard clips", folder / "products.csv", folder / "clips")
    with (folder / "expected.csv").open(newline="", encoding="utf-8") as file:
        for case in csv.DictReader(file):
            video, product = Path(case["clip"]).stem, case["product"]
            row = ran.pairs.get((video, product), {"score": 0.0, "ts": 0, "status": "not scored"})
            named = any(line.strip() == video for line in ran.text.splitlines())
            inside = float(case["start_s"]) - SLACK_S <= float(row["ts"]) <= float(case["end_s"]) + SLACK_S
            found = row["score"] >= 0.80 and inside
            right = {
                "found": found,
                "found+message": found and named,
                "found or review": row["status"] in ("accepted", "review"),
                "message": named,
            }[case["expect"]]
            got = f"{row['status']} {row['score']:.3f} at {row['ts']} s" + (", named" if named else "")
            yield Row("clips", case["clip"], case["expect"], got, "right" if right else "wrong")


def wanted(expected: Mapping[str, Any]) -> dict[str, dict[str, list[float] | None]]:
    """What each video of a set must accept, with the seconds where they are stated."""
    by_video: dict[str, dict[str, list[float] | None]] = {}
    for name, case in expected.items():
        if "accept" in case:
            one = isinstance(case["accept"], dict)
            by_video[name] = dict(case["accept"]) if one else {p: case.get("seconds") for p in case["accept"]}
            continue
        products = by_video.setdefault(Path(case["clip"]).stem, {})
        if case["expect"] == "found":
            products[name] = case.get("seconds")
    return by_video


def judged_set(pvm: Pvm, folder: Path) -> Iterator[Row]:
    """Each clip of a set: the products that must be accepted at their seconds, and no others."""
    ran = pvm.run(f"hard {folder.name}", folder / "products.csv", folder / "clips")
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    for video, products in sorted(wanted(expected).items()):
        got = ran.accepted(video)
        late = [
            product
            for product, seconds in products.items()
            if product in got and seconds and not seconds[0] - SLACK_S <= got[product] <= seconds[1] + SLACK_S
        ]
        right = set(got) == set(products) and not late
        said = ", ".join(f"{product} at {ts}" for product, ts in got.items()) or "none"
        near = [
            f"{product} {row['score']:.3f}" for product in sorted(set(products) - set(got))
            if (row := ran.pairs.get((video, product)))
        ]  # fmt: skip
        said += f"; missed {', '.join(near)}" if near else ""
        yield Row(
            f"sets/{folder.name}", video, ", ".join(products) or "none", said, "right" if right else "wrong"
        )


def catalogue(pvm: Pvm, folder: Path, usual: Path) -> Row:
    """One catalogue against its own clips or the usual ones."""
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    own = folder / "clips"
    videos = own if own.is_dir() else usual
    ran = pvm.run(f"hard {folder.name}", folder / expected["catalogue"], videos)
    counted = _COUNTED.search(ran.text)
    said = "refused" if counted is None else counted.group()
    found = sorted({product for (_, product), row in ran.pairs.items() if row["score"] >= 0.80})
    said += f"; found: {', '.join(found) or 'none'}; {problems(ran.text)}"
    return Row("catalogues", folder.name, expected["expect"], said.rstrip("; "), "")


class Pictures(BaseHTTPRequestHandler):
    """The two products' pictures under names that begin with their letter, each with bytes of its own."""

    folder: Path

    def do_GET(self) -> None:
        """Answers 404 to names that say that the picture is missing."""
        name = Path(unquote(urlsplit(self.path).path)).name
        file = self.folder / ("a.jpg" if name.startswith("a") else "b.jpg")
        if "missing" in name:
            self.send_error(404)
            return
        body = file.read_bytes() + name.encode()
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def catalogues(pvm: Pvm, folder: Path) -> Iterator[Row]:
    """Every catalogue, its pictures behind the addresses that it names."""
    cases = sorted(path.parent for path in folder.glob("catalogues/*/expected.json"))
    with_both = next(case for case in cases if (case / "images" / "b.jpg").is_file())
    handler = type("Served", (Pictures,), {"folder": with_both / "images"})
    server = ThreadingHTTPServer(("127.0.0.1", PORT), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("base.mp4", "transpose_matrix.mp4"):
            shutil.copyfile(folder / "clips" / name, Path(scratch) / name)
        for case in cases:
            yield catalogue(pvm, case, Path(scratch))
    server.shutdown()


def rows(pvm: Pvm, folder: Path, only: list[str]) -> Iterator[Row]:
    """All cases of the chosen kinds."""
    if "clips" in only:
        yield from clips(pvm, folder)
    for path in sorted(folder.glob("sets/*/expected.json")) if "sets" in only else []:
        yield from judged_set(pvm, path.parent)
    if "catalogues" in only:
        yield from catalogues(pvm, folder)


def shown(row: Row) -> Row:
    """The row, printed."""
    print(f"{row.verdict or 'read:':6} {row.kind} {row.case}")
    print(f"       right: {row.expected}\n       got:   {row.got}", flush=True)
    return row


def main() -> None:
    """Runs, prints, and ends with 1 where a case that can be judged is wrong."""
    shared = Path(os.environ.get("PVM_SHARED", ROOT.parent / "shared"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=shared / "cases" / "hard")
    parser.add_argument("--only", nargs="+", default=["clips", "sets", "catalogues"])
    parser.add_argument("--pvm", type=Path, default=Path(sys.executable).with_name("pvm"))
    parser.add_argument("--home", type=Path, help="kept; by default a folder that is deleted")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        pvm = Pvm(options.pvm, options.home or Path(scratch) / "home")
        found = list(map(shown, rows(pvm, options.folder, options.only)))
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([[f.name for f in fields(Row)], *map(astuple, found)])
    counted = Counter(row.verdict or "to read" for row in found)
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counted.items())))
    raise SystemExit(counted["wrong"] > 0)


if __name__ == "__main__":
    main()
