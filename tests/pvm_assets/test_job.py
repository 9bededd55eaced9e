"""Whole jobs on the small case, through Dagster and real databases."""

from __future__ import annotations

import base64
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import dagster as dg
import numpy as np
import pytest
from stand import Stand

from pvm_assets.graph import NODES
from pvm_assets.partitions import PARTITIONS_NAME
from pvm_assets.work.pictures import store_picture_and_views
from pvm_core.images import decode_stored
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import load_calibration
from pvm_core.text import load_reader
from pvm_evaluation.industry_calibration import install, propose
from pvm_jobs.events import ATTENTION, PER_JOB
from pvm_jobs.source_policy import parse_policies
from pvm_resources.media.store import MediaStore
from pvm_resources.store.galleries import GalleryPicture
from pvm_resources.store.records import Image, Job
from tests.outbox import Outbox
from tests.pvm_core.drawn import placeholder


def _materialisations(instance: dg.DagsterInstance, partition: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in NODES:
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[partition]), limit=1
        ).records
        if records:
            found[name] = records[0].asset_materialization
    return found


def _tag(materialisation: Any, name: str) -> str | None:
    return (materialisation.tags or {}).get(name)


def _install_own_calibration(stand: Stand, known: Job, judged: int) -> None:
    """The industry has a calibration of its own, of the shipped coefficients, after one fitted to verdicts on
    a real job's measurements."""
    repos, industry = stand.repos, stand.repos.industries.get(known.industry)
    found = propose(repos, parse_policies(""), Path("none"), Rules(), industry)
    assert (found.comparison.labels, found.gone) == (judged, 0)
    shipped = load_calibration(None, "classic")
    assert found.calibration.edge != shipped.edge
    install(repos, found, "Lan")
    repos.calibrations.install(industry.slug, 2, replace(shipped, name="own"), {}, "Lan")


def _judge_all_wrong_and_run_once_more(stand: Stand, instance: dg.DagsterInstance, known: Job) -> None:
    """A new job of an industry where people judged everything says so from its first event on."""
    repos = stand.repos
    rows = list(repos.matching.results(known.job_id))
    labels = repos.labels(parse_policies(""))
    for row in rows:
        labels.give(row.match_id, "accept" if row.status == "rejected" else "reject", "Lan")
    _install_own_calibration(stand, known, len(rows))
    job = stand.job()
    outcome = stand.run(job)
    assert outcome.status == "completed", outcome.error
    assert {m.calibration for m in repos.matching.matches(job.job_id)} == {"own"}
    told = [e for e in Outbox(repos.database).events(job.job_id, limit=10_000) if e.name == "match.result"]
    flipped = [row for row in rows if row.status == "rejected"]
    assert len(told) == len(flipped)
    for event in told:
        payload = event.payload
        shown = (payload["status"], payload["scored_status"], payload["verdict"])
        assert shown == ("accepted", "rejected", "accept")
    metadata = _materialisations(instance, job.partition_key)["matches"].metadata
    figures = {name: one.value for name, one in metadata.items()}
    wrong = len(rows) - len(flipped)
    assert (figures["accepted"], figures["rejected"], figures["review"]) == (len(flipped), wrong, 0)
    assert (figures["judged_right"], figures["judged_wrong"]) == (len(flipped), wrong)
    assert figures["scored_rejected"] == len(flipped)
    proven = [r for r in repos.matching.results(job.job_id) if r.evidence_path is not None]
    assert len(proven) == len(rows), "what a person overruled is proven like what the score says"
    for row in rows:
        labels.undo(row.match_id, "Lan")
    for _ in range(2):
        repos.calibrations.revert(known.industry, "classic")


def test_a_job_runs_from_files_to_proven_matches_and_again_for_nothing(
    stand: Stand, instance: dg.DagsterInstance
) -> None:
    job = stand.job()
    outcome = stand.run(job)
    assert outcome.status == "completed", outcome.error
    repos = stand.repos
    done = repos.jobs.get(job.job_id)
    assert (done.status, done.phase, done.error) == ("completed", "completed", None)
    assert {"keyframes", "masks", "embeddings", "keypoints", "verify", "rules"} <= set(done.keys)

    results = list(repos.matching.results(job.job_id))
    right = {(f"p{n}", f"clip{n}") for n in range(2)}
    best = {(r.product, r.video) for r in results if r.status in ("accepted", "review")}
    assert right & best, results
    for result in results:
        if result.status != "rejected":
            assert result.evidence_path is not None
            assert decode_stored((Path(stand.settings.media) / result.evidence_path).read_bytes()).ndim == 3

    events = Outbox(repos.database).counts(job.job_id)
    assert all(
        events[name] == 1 for name in PER_JOB if name not in ("job.failed", "job.cancelled", *ATTENTION)
    )
    counts = repos.jobs.counts(job.job_id)
    assert events["products.image.ready"] == events["image.keypoint.ready"] == counts.images
    assert events["video.keyframes.masked"] == events["video.embedding.ready"] == counts.frames

    made = _materialisations(instance, job.partition_key)
    assert set(made) == set(NODES)
    for name, one in made.items():
        assert one.metadata["dagster/partition_row_count"].value == repos.state.asset(job.job_id, name).rows
        assert _tag(one, "dagster/data_version") == repos.state.asset(job.job_id, name).data_version
    table = made["matches"].metadata["results"].value
    accepted = list(repos.matching.results(job.job_id, statuses=["accepted"]))
    assert table.count("data:image/jpeg;base64,") == table.count("/review/match/") == len(accepted) > 0
    assert decode_stored(base64.b64decode(re.findall(r"base64,([^)]*)", table)[0])).shape == (90, 180, 3)
    assert len(table) < 100_000
    for verdict in repos.state.verdicts(job.job_id):
        figures = [v for v in verdict.metadata.values() if isinstance(v, int | float)]
        assert figures, f"{verdict.check_name} has nothing to plot"
    for name in ("product_images", "keyframes"):
        uri = re.search(r"base64,([^)]*)", made[name].metadata["preview"].value)
        assert uri is not None
        assert len(uri[1]) <= 100_000
        assert decode_stored(base64.b64decode(uri[1])).ndim == 3
    assert {v.passed for v in repos.state.verdicts(job.job_id) if v.blocking and v.severity == "ERROR"} == {
        True
    }
    assert stand.pool_slots() == 0

    again = stand.run(job)
    assert again.status == "completed", again.error
    progress = {p.stage: p for p in repos.state.progress(job.job_id)}
    for stage in (
        "videos",
        "product_images",
        "keyframes",
        "masks",
        "embeddings",
        "keypoints",
        "matches",
        "evidence",
    ):
        assert progress[stage].reused == progress[stage].total, stage
    assert Outbox(repos.database).counts(job.job_id) == events
    later = _materialisations(instance, job.partition_key)
    assert {n: _tag(m, "dagster/data_version") for n, m in later.items()} == {
        n: _tag(m, "dagster/data_version") for n, m in made.items()
    }

    second = stand.job()
    assert stand.run(second).status == "completed"
    progress = {p.stage: p for p in repos.state.progress(second.job_id)}
    for stage in ("keyframes", "masks", "embeddings", "keypoints", "matches"):
        assert progress[stage].reused == progress[stage].total, stage
    assert Outbox(repos.database).counts(second.job_id) == events
    scores = [(r.product, r.video, r.score, r.status, r.ts) for r in results]
    _judge_all_wrong_and_run_once_more(stand, instance, second)
    assert [
        (r.product, r.video, r.score, r.status, r.ts) for r in repos.matching.results(second.job_id)
    ] == scores


def test_pairs_in_doubt_are_put_to_the_second_verifier_once(
    stand: Stand, instance: dg.DagsterInstance
) -> None:
    job = stand.job()
    # No pair has so many points of print: every one is left in doubt.
    stand.repos.industries.set_rules(job.industry, "default", {"min_inliers": 500})
    assert stand.run(job).status == "completed"
    key = stand.repos.jobs.get(job.job_id).keys["verify"]
    asked = [p for p, raw in stand.repos.matching.evidence(job.job_id, key) if raw and "learned" in raw]
    assert asked
    figures = _materialisations(instance, job.partition_key)["matches"].metadata
    assert figures["pairs_second_verifier"].value == len(asked)
    accepted = {m.reason.code: m for m in stand.repos.matching.matches(job.job_id) if m.status == "accepted"}
    assert set(accepted) == {"accepted.learned"}
    page = accepted["accepted.learned"].evidence_path
    assert page is not None
    assert decode_stored((Path(stand.settings.media) / page).read_bytes()).ndim == 3

    assert stand.run(job).status == "completed"
    progress = {p.stage: p for p in stand.repos.state.progress(job.job_id)}
    assert progress["matches"].reused == progress["matches"].total
    # Without it the pairs are measured as where it is not installed.
    stand.repos.industries.set_rules(job.industry, "default", {"min_inliers": 500, "learned_term": False})
    assert stand.run(job).status == "completed"
    plain = stand.repos.jobs.get(job.job_id).keys["verify"]
    assert plain != key
    assert not any("learned" in (raw or {}) for _, raw in stand.repos.matching.evidence(job.job_id, plain))
    assert all(m.status != "accepted" for m in stand.repos.matching.matches(job.job_id))


@pytest.mark.models
def test_words_of_the_pairs_that_carry_a_match_are_read_once(
    stand: Stand, instance: dg.DagsterInstance
) -> None:
    pytest.importorskip("rapidocr")
    job = stand.job()
    # Another detector, so that no other test has read these pairs.
    stand.repos.industries.set_rules(job.industry, "default", {"max_keypoints": 777})
    assert stand.run(job).status == "completed"
    key = stand.repos.jobs.get(job.job_id).keys["verify"]
    read = [
        raw["words"] for _, raw in stand.repos.matching.evidence(job.job_id, key) if raw and "words" in raw
    ]
    figures = _materialisations(instance, job.partition_key)["matches"].metadata
    assert figures["text_reader"].value == "rapidocr"
    assert figures["pairs_words_read"].value == len(read) > 0
    assert len(read) < figures["pairs_scored"].value / 2
    assert any(set(one.get("seen", ())) <= set(one.get("carried", ())) for one in read if one.get("seen"))
    assert any(m.status == "accepted" for m in stand.repos.matching.matches(job.job_id))
    reader = load_reader("auto")
    assert reader is not None
    kept = stand.repos.catalogue.lines(
        reader.key, [i.img_id for i in stand.repos.catalogue.images(job.job_id)]
    )
    assert any(line.score > 0.9 for lines in kept.values() for line in lines)

    assert stand.run(job).status == "completed"
    progress = {p.stage: p for p in stand.repos.state.progress(job.job_id)}
    assert progress["matches"].reused == progress["matches"].total
    # Without it the pairs are measured as where no reader is installed.
    stand.repos.industries.set_rules(job.industry, "default", {"max_keypoints": 777, "word_term": False})
    assert stand.run(job).status == "completed"
    plain = stand.repos.jobs.get(job.job_id).keys["verify"]
    assert plain != key
    assert not any("words" in (raw or {}) for _, raw in stand.repos.matching.evidence(job.job_id, plain))


def test_a_lost_file_is_made_again(stand: Stand) -> None:
    job = stand.job()
    assert stand.run(job).status == "completed"
    media = Path(stand.settings.media)
    for folder in ("products", "videos", "kp", "evidence"):
        shutil.rmtree(media / folder, ignore_errors=True)
    assert stand.run(job).status == "completed"
    for item in stand.repos.features.items(
        job.job_id, "frame", keypoint_key=stand.repos.jobs.get(job.job_id).keys["keypoints"]
    ):
        assert (media / item.local_path).is_file()
        assert item.kp_path is None or (media / item.kp_path).is_file()


def _case(stand: Stand, tmp_path: Path) -> Stand:
    folder = tmp_path / "case"
    shutil.copytree(stand.case, folder)
    return replace(stand, case=folder)


def test_broken_items_are_problems_and_the_rest_is_done(stand: Stand, tmp_path: Path) -> None:
    own = _case(stand, tmp_path)
    whole = (own.case / "images" / "p3.jpg").read_bytes()
    (own.case / "images" / "p3.jpg").write_bytes(whole[: len(whole) // 3])
    (own.case / "videos" / "empty.mp4").write_bytes(b"")
    (own.case / "videos" / "text.mp4").write_text("this is no video", encoding="utf-8")
    clip = (own.case / "videos" / "clip1.mp4").read_bytes()
    (own.case / "videos" / "cut.mp4").write_bytes(clip[: len(clip) * 2 // 3])
    job = own.job()
    outcome = own.run(job)
    assert outcome.status == "completed", outcome.error
    problems = own.repos.state.problems(job.job_id)
    assert {"product_images", "videos"} <= {p.stage for p in problems}
    assert any("p3.jpg" in p.item for p in problems)
    assert all(p.message and p.code for p in problems)
    assert own.repos.jobs.counts(job.job_id).images == 3


def test_two_listings_of_a_product_are_both_found_and_a_placeholder_never(
    stand: Stand, tmp_path: Path
) -> None:
    own = _case(stand, tmp_path)
    images = own.case / "images"
    again = cv2.resize(cv2.imread(str(images / "p0.jpg")), (280, 280), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(images / "again.jpg"), again, [cv2.IMWRITE_JPEG_QUALITY, 80])
    cv2.imwrite(str(images / "none.jpg"), placeholder())
    with (own.case / "products.csv").open("a", encoding="utf-8") as table:
        table.write("again,Gối,images/again.jpg\nnone,Gối,images/none.jpg\n")
    job = own.job()
    outcome = own.run(job)
    assert outcome.status == "completed", outcome.error
    rows = [r for r in own.repos.matching.results(job.job_id) if r.effective_status == "accepted"]
    listed = {(r.product, r.listed_as) for r in rows if r.video == "clip0"}
    assert listed == {("p0", "p0"), ("again", "p0")}
    assert len({(r.score, r.ts, r.best.img_id) for r in rows if r.video == "clip0"}) == 1
    assert all(r.evidence_path for r in rows)
    assert {r.listed_as for r in rows if r.video != "clip0"} == {""}
    assert "none" not in {r.product for r in own.repos.matching.results(job.job_id)}
    (problem,) = own.repos.state.problems(job.job_id, "matches")
    assert problem.code == "picture.placeholder"
    assert "product none" in problem.item


def _strip(path: Path, *views: Path) -> None:
    """A detail strip nine times as long as wide: lines of text, and each of the given pictures."""
    strip = np.full((3_600, 400, 3), 255, np.uint8)
    for number in range(0, 900, 240):
        cv2.putText(
            strip, f"line {number}", (30, number + 30), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (40, 40, 40), 2
        )
    for number, view in enumerate(views):
        shown = cv2.imread(str(view))
        top, (height, width) = 1_000 + 720 * number, shown.shape[:2]
        strip[top - 20 : top + height + 20] = 255
        strip[top : top + height, 40 : 40 + width] = shown
    cv2.imwrite(str(path), strip, [cv2.IMWRITE_JPEG_QUALITY, 92])


def _views_of(own: Stand, job: Job) -> set[str]:
    """Places of the views among the job's product pictures."""
    refs = [image.source_ref for image in own.repos.catalogue.images(job.job_id)]
    return {ref.partition("#")[2] for ref in refs if "#xywh=" in ref}


def test_a_strip_gives_its_views_which_are_found_reused_and_replaced(stand: Stand, tmp_path: Path) -> None:
    own = _case(stand, tmp_path)
    images = own.case / "images"
    _strip(images / "strip.jpg", images / "p0.jpg", images / "p0.jpg")
    with (own.case / "products.csv").open("a", encoding="utf-8") as table:
        table.write("strip,Gối,images/strip.jpg\n")
    job = own.job()
    outcome = own.run(job)
    assert outcome.status == "completed", outcome.error
    assert not own.repos.state.problems(job.job_id)
    views = _views_of(own, job)
    assert len(views) == 1, "the second is a near-duplicate"
    rows = own.repos.matching.results(job.job_id)
    found = {r.video for r in rows if r.product == "strip" and r.effective_status == "accepted"}
    assert found == {"clip0"}

    again = own.job()
    assert own.run(again).status == "completed"
    progress = {p.stage: p for p in own.repos.state.progress(again.job_id)}
    assert progress["product_images"].reused == progress["product_images"].total
    assert _views_of(own, again) == views

    _strip(images / "strip.jpg", images / "p1.jpg")
    changed = own.job()
    assert own.run(changed).status == "completed"
    renewed = _views_of(own, changed)
    assert len(renewed) == 1
    rows = own.repos.matching.results(changed.job_id)
    found = {r.video for r in rows if r.product == "strip" and r.effective_status == "accepted"}
    assert found == {"clip1"}


def _slow_for_one(media: MediaStore, task: GalleryPicture) -> tuple[Image, ...]:
    if "p3.jpg" in task.source_ref:
        time.sleep(120)
    return store_picture_and_views(media, task)


def test_a_picture_over_its_time_limit_costs_that_picture(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pvm_assets.steps.product_images.store_picture_and_views", _slow_for_one)
    own = _case(stand, tmp_path)
    job = own.job()
    own.repos.industries.set_rules(job.industry, "default", {"picture_timeout_s": 5})
    outcome = own.run(job)
    assert outcome.status == "completed", outcome.error
    late = [p for p in own.repos.state.problems(job.job_id) if p.stage == "product_images"]
    assert [(p.code, p.item) for p in late] == [("worker.timeout", "images/p3.jpg")]
    assert "longer than 5 s" in late[0].message
    assert own.repos.jobs.counts(job.job_id).images == 3


def test_ids_and_file_names_may_hold_any_character(stand: Stand, tmp_path: Path) -> None:
    own = _case(stand, tmp_path)
    odd = r"a\b\x6g 100%s 'q' gối"
    (own.case / "images" / "p0.jpg").rename(own.case / "images" / f"{odd}.jpg")
    (own.case / "videos" / "clip0.mp4").rename(own.case / "videos" / f"{odd}.mp4")
    (own.case / "videos" / f"{odd} empty\\.mp4").write_bytes(b"")
    table = own.case / "products.csv"
    table.write_text(
        table.read_text(encoding="utf-8").replace("p0.jpg", f"{odd}.jpg").replace("p0,", f"{odd},"),
        encoding="utf-8",
    )
    job = own.job()
    outcome = own.run(job)
    assert outcome.status == "completed", outcome.error
    assert odd in {p.asin_or_itemid for p in own.repos.catalogue.products(job.job_id)}
    assert len(list(own.repos.catalogue.images(job.job_id))) == 4
    assert (odd, odd) in {(r.product, r.video) for r in own.repos.matching.results(job.job_id)}
    assert [p.item for p in own.repos.state.problems(job.job_id)] == [f"{odd} empty\\"]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda case: [p.write_bytes(b"") for p in (case / "videos").iterdir()], "videos"),
        (lambda case: [p.write_bytes(b"no picture") for p in (case / "images").iterdir()], "picture"),
        (
            lambda case: (case / "products.csv").write_text("product_id,title,image\n", encoding="utf-8"),
            "catalogue",
        ),
        (lambda case: shutil.rmtree(case / "videos"), "videos"),
    ],
    ids=["no usable video", "all pictures broken", "no rows", "no folder"],
)
def test_a_job_without_input_fails_clearly(stand: Stand, tmp_path: Path, spoil: Any, code: str) -> None:
    own = _case(stand, tmp_path)
    spoil(own.case)
    job = own.job()
    outcome = own.run(job)
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert code in outcome.error["code"]
    assert outcome.error["reason"]
    assert outcome.error["remedy"]
    assert own.repos.jobs.get(job.job_id).status == "failed"

    if code == "picture":
        shutil.rmtree(own.case)
        shutil.copytree(stand.case, own.case)
        assert own.run(job).status == "completed"


def _materialise_alone(stand: Stand, instance: dg.DagsterInstance, asset: str, partition: str) -> Any:
    from definitions import defs

    instance.add_dynamic_partitions(PARTITIONS_NAME, [partition])
    job = dg.define_asset_job("alone", selection=dg.AssetSelection.assets(asset).without_checks())
    resolved = dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("alone")
    return resolved.execute_in_process(partition_key=partition, instance=instance, raise_on_error=False)


def _reason(result: Any) -> str:
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    return str(failure.step_failure_data.error.message)


def test_a_failing_threshold_check_blocks_its_downstream_and_the_downstream_refuses_alone(
    stand: Stand, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    own = _case(stand, tmp_path)
    (own.case / "images" / "p0.jpg").write_bytes(b"")
    job = own.job()
    own.repos.industries.set_rules(job.industry, "default", {"min_decodable_ratio": 0.9})
    seen: list[tuple[str, str]] = []
    outcome = own.run(job, lambda news: seen.append((news.step, news.kind)))
    assert outcome.status == "failed"
    assert ("product_images_pictures_decodable", "STEP_FAILURE") in seen
    assert ("product_images", "STEP_SUCCESS") in seen
    assert ("masks", "STEP_START") not in seen
    assert outcome.error is not None
    assert "pictures_decodable" in str(outcome.error)

    alone = _materialise_alone(own, instance, "masks", job.partition_key)
    assert not alone.success
    assert "pictures_decodable of product_images failed" in _reason(alone)
    assert "3 of 4" in _reason(alone)

    # The rule is read by the next step: no restart, the same data, a new verdict.
    own.repos.industries.set_rules(job.industry, "default", {"min_decodable_ratio": 0.5})
    assert own.run(job).status == "completed"
    assert _materialise_alone(own, instance, "masks", job.partition_key).success


def test_an_asset_alone_on_a_fresh_job_names_what_is_missing(
    stand: Stand, instance: dg.DagsterInstance
) -> None:
    result = _materialise_alone(stand, instance, "keyframes", stand.job().partition_key)
    assert not result.success
    assert "videos has not been materialised" in _reason(result)


def test_a_partition_added_by_hand_runs_the_standing_sources(
    stand: Stand, instance: dg.DagsterInstance
) -> None:
    industry = stand.repos.industries.ensure("Gối công thái học")
    key = f"{industry.slug}@byhand"
    result = _materialise_alone(stand, instance, "products", key)
    assert not result.success
    assert f"pvm industries sources {industry.slug}" in _reason(result)

    sources = {"products": str(stand.case / "products.csv"), "videos": str(stand.case / "videos")}
    stand.repos.industries.set_sources(industry.slug, sources)
    assert _materialise_alone(stand, instance, "products", key).success
    assert stand.repos.jobs.get("byhand").industry == industry.slug


@pytest.mark.parametrize("key", ["nobody@x", "only-a-slug", "@x"])
def test_a_partition_of_no_industry_says_so(stand: Stand, instance: dg.DagsterInstance, key: str) -> None:
    result = _materialise_alone(stand, instance, "products", key)
    assert not result.success
    assert "pvm industries add" in _reason(result)
