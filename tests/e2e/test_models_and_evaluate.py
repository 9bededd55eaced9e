"""Models and their calibration at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from harness import Pvm


def test_the_list_says_what_is_here_and_under_which_licence(shared_pvm: Pvm) -> None:
    lines = {line.split()[0]: line for line in shared_pvm("models", "list").stdout.splitlines()[2:]}

    assert "builtin" in lines["classic"]
    assert "yes" in lines["classic"]
    assert "builtin" in lines["efficientnet-lite0"]
    assert "yes" in lines["efficientnet-lite0"]
    assert "absent" in lines["dinov2-small"]
    assert "--accept-licence" in lines["bria-rmbg"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["pull", "nobody"], "model.unknown"),
        (["pull", "bria-rmbg"], "model.licence"),
        (["pull", "clip-vit-b32", "--file", "no-such-file"], "model.file"),
        (["verify", "clip-vit-b32"], "model.missing"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_remedy(
    shared_pvm: Pvm, arguments: list[str], code: str
) -> None:
    done = shared_pvm("models", *arguments)

    assert done.returncode in {1, 2}
    assert f"[{code}]" in done.stderr
    assert "Traceback" not in done.stderr


def test_weights_brought_by_hand_are_verified_and_a_changed_file_is_found(
    shared_pvm: Pvm, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"not really weights")
    taken = shared_pvm("models", "pull", "clip-vit-b32", "--file", weights)
    assert taken.returncode == 0, taken.stderr
    assert shared_pvm("models", "verify", "clip-vit-b32").returncode == 0

    kept = next(path for path in (shared_pvm.home / "models").rglob("weights.bin"))
    kept.chmod(0o644)
    kept.write_bytes(b"something else")
    changed = shared_pvm("models", "verify", "clip-vit-b32")
    assert changed.returncode == 1
    assert "differs" in changed.stdout
    assert shared_pvm("models", "rm", "clip-vit-b32").returncode == 0


def test_auto_takes_the_learned_embedder_of_the_base_install_and_rows_say_so(
    pvm: Pvm, tmp_path: Path
) -> None:
    case = tiny.write_case(tmp_path / "case", products=2, clips=1)
    given = ("--industry", "Hộp", "--products", case.products, "--videos", case.videos)
    done = pvm("run", *given, EMBED_MODEL="auto")
    assert done.returncode == 0, done.stderr
    rows = json.loads(pvm("results", "-i", "Hộp", "--min-score", "0", "--format", "json").stdout)
    assert {row["embed_model"] for row in rows} == {"efficientnet-lite0"}
    assert {row["calibration"] for row in rows} == {"efficientnet-lite0-1"}
    accepted = {row["video"]: row["product"] for row in rows if row["status"] == "accepted"}
    assert accepted == case.shown


def _labels(folder: Path) -> Path:
    """A photo set: each box beside a photo of it, its false pairs all others."""
    rows = ["reference,scene"]
    for seed in range(10):
        tiny.write_picture(folder / "reference" / f"{seed}.jpg", tiny.catalogue_picture(seed))
        scene = tiny.place(tiny.room(1_000 + seed), tiny.box(seed), turn=3 * seed)
        tiny.write_picture(folder / "scene" / f"{seed}.jpg", scene)
        rows.append(f"{seed}.jpg,{seed}.jpg")
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_evaluate_prints_ranking_acceptance_and_ablations_and_fits(pvm: Pvm, tmp_path: Path) -> None:
    folder, target = _labels(tmp_path / "labels"), tmp_path / "mine.json"
    done = pvm("evaluate", folder, "--fit", target)

    assert done.returncode == 0, done.stderr
    assert "labels: 10 true pairs; retrieval recall" in done.stdout
    for row in ("sim_deep alone", "sim_kp alone", "sim_edge alone", "without masks", "product out"):
        assert row in done.stdout
    assert "judged without their product" in done.stdout
    assert json.loads(target.read_text())["embedder"] == "classic"


def test_a_folder_that_is_neither_kind_is_named(shared_pvm: Pvm, tmp_path: Path) -> None:
    done = shared_pvm("evaluate", tmp_path)

    assert done.returncode == 2
    assert "[evaluate.folder]" in done.stderr
