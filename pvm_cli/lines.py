"""Results as table, CSV, JSON or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, TextIO

from pvm_cli.console import shorten
from pvm_cli.tables import Cell, print_table
from pvm_core.figures import cut, score_text
from pvm_core.printable import printable_json
from pvm_core.spreadsheet import guarded

if TYPE_CHECKING:
    from rich.console import Console

#: Colours of the statuses on a terminal.
STYLES: Final = {"accepted": "green", "review": "yellow", "rejected": "dim"}
_TITLE_WIDTH: Final = 34
_CELL_WIDTH: Final = 26
#: Score, time and status with the padding of all columns.
_FIXED_WIDTH: Final = 32


@dataclass(frozen=True)
class ResultLine:
    """One product-video pair with its score.

    The fields up to `mirrored` are the columns, in order. A new one goes to the end: sheets count columns.

    Attributes:
        product: the product's id at its source.
        video: the video's name within the job.
        score: [0, 1]; accepted if and only if at least the rules' accept.
        ts: second of the video at which the product is seen best.
        status: accepted, review or rejected; a verdict stands over the score.
        evidence: path or URL of the picture that proves it, "" where none was drawn or it was purged.
        sim_deep, sim_kp, sim_edge, score_pair: calibrated terms of the best pair, [0, 1]; None: no evidence.
        mirrored: the frame shows the product left for right: its clip, or the catalogue picture, is mirrored.
        consistency: independent shots that show it; coverage: product pictures that do.
        calibration, embed_model: the calibration of the terms, and the embedder that retrieved the pair.
        reason: why the score is what it is.
        verdict: people's: accept, reject or unsure; None: nobody judged it.
        scored_status: the status that the score alone gives.
        title, brand, price, currency, product_url: of the product as its source has them; the price is a
            plain decimal, the currency an ISO 4217 code; "" where unknown.
        video_title, platform, channel, published: of the video; `published` is ISO 8601.
        video_url: the video's address at the match's second; of a folder's clip that of its file.
        listed_as: the product's first listing, where it is listed more than once: the same evidence counts
            for each.
        evidence_url, review_url: of the picture over REST, and of the match on the review page.
        purged: its pictures were deleted by their source's terms; not a column.
        label: the same as `verdict`; not a column.
    """

    product: str
    video: str
    score: float
    ts: float
    status: str
    evidence: str
    sim_deep: float | None
    sim_kp: float | None
    sim_edge: float | None
    score_pair: float | None
    consistency: int
    coverage: int
    calibration: str
    embed_model: str
    reason: str
    verdict: str | None = None
    scored_status: str = ""
    title: str = ""
    brand: str = ""
    price: str = ""
    currency: str = ""
    product_url: str = ""
    video_title: str = ""
    video_url: str = ""
    platform: str = ""
    channel: str = ""
    published: str = ""
    evidence_url: str = ""
    review_url: str = ""
    listed_as: str = ""
    mirrored: bool = False
    purged: bool = False
    label: str | None = None


COLUMNS: Final = tuple(f.name for f in fields(ResultLine) if f.name not in ("purged", "label"))


#: Scores and terms, cut after three decimals; seconds after two.
_DECIMALS: Final = {"score": 3, "sim_deep": 3, "sim_kp": 3, "sim_edge": 3, "score_pair": 3, "ts": 2}


def rounded(line: ResultLine) -> ResultLine:
    """The line with its numbers as they are shown everywhere: cut, so that none reads as a threshold that it
    did not reach."""
    values: dict[str, Any] = {name: getattr(line, name) for name in _DECIMALS}
    shown: dict[str, Any] = {n: None if v is None else cut(v, _DECIMALS[n]) for n, v in values.items()}
    return replace(line, **shown)


def write_csv(lines: Iterable[ResultLine], stream: TextIO) -> None:
    """Header and one row a line; numbers `rounded`, missing terms empty, texts `guarded`."""
    stream.write(_csv_row(COLUMNS))
    for line in map(rounded, lines):
        stream.write(_csv_row([getattr(line, column) for column in COLUMNS]))


def _csv_row(values: Sequence[object]) -> str:
    # The writer quotes only the characters of its own line end, so a lone carriage return needs this one.
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow(
        "" if value is None else guarded(value) for value in values
    )
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def write_jsonl(lines: Iterable[ResultLine], stream: TextIO) -> None:
    """One JSON object a line of text."""
    for line in map(rounded, lines):
        stream.write(printable_json(json.dumps(asdict(line), ensure_ascii=False)) + "\n")


def write_json(lines: Iterable[ResultLine], stream: TextIO) -> None:
    """One JSON array."""
    text = json.dumps([asdict(line) for line in map(rounded, lines)], ensure_ascii=False, indent=2)
    stream.write(printable_json(text) + "\n")


def show(
    console: Console,
    lines: Sequence[ResultLine],
    title: str,
    *,
    with_status: bool = True,
    paths: int | None = None,
) -> None:
    """Prints a table: product, title, video, score, time, status; each evidence path whole, to be copied.

    Args:
        paths: how many are listed below where the table is too narrow for them; default all.
    """
    widest = max((len(line.evidence) for line in lines), default=0)
    beside = console.width >= widest + _FIXED_WIDTH + 2 * _TITLE_WIDTH
    names = ("product", "title", "video")
    judged = any(line.verdict for line in lines)
    columns = (
        *names, "score", "at", *(["status"] * with_status), *(["verdict"] * judged), *(["evidence"] * beside)
    )  # fmt: skip
    print_table(
        columns,
        ([_cell(line, column) for column in columns] for line in lines),
        title=title,
        cut=names,
        numbers=("score", "at"),
        whole=("status", "verdict", "evidence"),
        console=console,
    )
    proven = [line for line in lines if line.evidence]
    if beside or not proven:
        return
    console.print("evidence" if paths is None or paths >= len(proven) else "evidence, e.g.")
    for line in proven[:paths]:
        what = f"{shorten(line.product, _CELL_WIDTH)} in {shorten(line.video, _CELL_WIDTH)}"
        console.print(f"  {what}: {line.evidence}", soft_wrap=True)


def _cell(line: ResultLine, column: str) -> Cell:
    style = STYLES.get(line.status, "")
    match column:
        case "score":
            return score_text(line.score), style
        case "status":
            return line.status, style
        case "at":
            return clock_text(line.ts)
        case "verdict":
            return line.verdict or ""
        case "evidence":
            return line.evidence
        case _:
            return shorten(getattr(line, column), _TITLE_WIDTH)


def clock_text(seconds: float) -> str:
    """Seconds as ``mm:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
