"""Learning from verdicts: what is learnt from, what is compared, what is in force, the way back."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from pvm_core.errors import InputError
from pvm_core.verification import evidence_to_row
from pvm_evaluation.industry_calibration import Proposal, install, propose, revert
from pvm_evaluation.label_fit import Fares
from pvm_jobs.source_policy import parse_policies
from pvm_resources.models.calibrations import calibration_for
from pvm_resources.store.assembly import Store
from pvm_resources.store.labels import Labels
from pvm_resources.store.records import Candidate, PairEvidenceRow
from tests.pvm_evaluation.judged import (
    CLASSIC,
    INDUSTRY,
    RULES,
    Pair,
    clear_cut,
    contrary,
    judge,
    write_job,
)

PAIRS = clear_cut(36, products=9)


@pytest.fixture
def judged(repos: Store) -> list[uuid.UUID]:
    """A job of 36 matches of 9 products, each judged."""
    matches = write_job(repos, PAIRS)
    judge(repos, matches, PAIRS)
    return matches


def _propose(repos: Store, tmp_path: Path, policies: str = "") -> Proposal:
    industry = repos.industries.get(INDUSTRY)
    return propose(repos, parse_policies(policies), tmp_path, RULES, industry)


def _in_force(repos: Store, tmp_path: Path, industry: str = "goi-cong-thai-hoc") -> str:
    return calibration_for(repos.calibrations, tmp_path, industry, "classic").name


def test_verdicts_are_learnt_from_and_the_fit_fares_better_on_products_it_never_saw(
    repos: Store, judged: list[uuid.UUID], tmp_path: Path
) -> None:
    found = _propose(repos, tmp_path)
    compared = found.comparison
    assert (compared.labels, compared.right, compared.products) == (36, 18, 9)
    assert compared.current.wrong == 14, "the shipped calibration takes most wrong ones for right"
    assert compared.fitted.wrong < compared.current.wrong
    assert compared.fitted.log_loss < compared.current.log_loss
    low, mean, high = compared.gain
    assert 0 < low < mean < high
    assert mean == pytest.approx(compared.current.log_loss - compared.fitted.log_loss)
    assert compared.doubts == ()
    assert compared.fitted.wrong <= 2
    assert compared.accepted_after < compared.accepted_before == compared.current.accepted
    assert (found.verdicts, found.forbidden, found.gone, found.news) == (36, {}, 0, True)
    assert _in_force(repos, tmp_path) == CLASSIC.name, "a proposal changes nothing"


def test_what_is_installed_counts_for_its_industry_alone_until_it_is_taken_back(
    repos: Store, judged: list[uuid.UUID], tmp_path: Path
) -> None:
    industry = repos.industries.get(INDUSTRY)
    first = _propose(repos, tmp_path)
    done = install(repos, first, "Lan")
    assert (done.version, done.who, done.previous, done.in_force) == (1, "Lan", None, True)
    assert done.calibration == first.calibration
    assert done.figures["fitted"]["log_loss"] == first.comparison.fitted.log_loss
    assert _in_force(repos, tmp_path) == "classic-1+goi-cong-thai-hoc.1"
    other = repos.industries.ensure("Máy xay")
    assert _in_force(repos, tmp_path, other.slug) == CLASSIC.name
    Labels(repos.database, parse_policies("")).give(judged[0], "reject", "Minh")
    second = _propose(repos, tmp_path)
    assert second.current == first.calibration
    install(repos, second, "Lan")
    gone, now = revert(repos, industry)
    assert (gone.version, now.version if now else None) == (2, 1)
    assert _in_force(repos, tmp_path) == first.calibration.name
    gone, now = revert(repos, industry)
    assert (gone.version, now) == (1, None)
    assert _in_force(repos, tmp_path) == CLASSIC.name
    with pytest.raises(InputError) as caught:
        revert(repos, industry)
    assert caught.value.code == "calibration.none"
    assert [one.version for one in repos.calibrations.history(industry.slug)] == [2, 1]
    third = _propose(repos, tmp_path)
    assert third.version == 3, "a name stands for one calibration, whatever was taken back"


def test_the_fit_starts_from_the_shipped_calibration_and_not_from_an_earlier_fit(
    repos: Store, judged: list[uuid.UUID], tmp_path: Path
) -> None:
    first = _propose(repos, tmp_path)
    install(repos, first, "Lan")
    again = _propose(repos, tmp_path)
    assert again.calibration.edge == first.calibration.edge, "no verdict counts twice"
    assert not again.news
    # What is in force has learnt from all these verdicts; it is judged as the fit is, without the product.
    assert again.comparison.current == again.comparison.fitted == first.comparison.fitted
    assert again.comparison.doubts == ()


def test_a_fit_that_fares_worse_says_so(repos: Store, tmp_path: Path) -> None:
    pairs = contrary()
    judge(repos, write_job(repos, pairs), pairs)
    found = _propose(repos, tmp_path).comparison
    assert found.fitted.log_loss > found.current.log_loss
    assert "log_loss" in found.doubts
    assert found.gain[1] < 0


@pytest.mark.parametrize(
    ("pairs", "doubt"),
    [
        (PAIRS[:11], "few"),
        ([replace(pair, product=0) for pair in PAIRS], "one_product"),
        ([replace(pair, right=True) for pair in PAIRS], "one_sided"),
        ([replace(pair, right=False) for pair in PAIRS], "one_sided"),
    ],
)
def test_verdicts_that_compare_nothing_are_doubted(
    repos: Store, tmp_path: Path, pairs: list[Pair], doubt: str
) -> None:
    judge(repos, write_job(repos, pairs), pairs)
    assert doubt in _propose(repos, tmp_path).comparison.doubts


def test_a_wrong_match_weighs_as_many_right_ones_as_the_threshold_says() -> None:
    bold, careful = Fares(0.5, accepted=40, wrong=2, right=50), Fares(0.5, accepted=31, wrong=1, right=50)
    assert bold.net_benefit(0.8) == pytest.approx(30)
    assert careful.net_benefit(0.8) == pytest.approx(26)
    assert careful.precision > bold.precision  # type: ignore[operator]
    assert careful.net_benefit(0.95) > bold.net_benefit(0.95)


def test_verdicts_that_may_not_or_cannot_be_learnt_from_are_counted(
    repos: Store, judged: list[uuid.UUID], tmp_path: Path
) -> None:
    with repos.database.transaction() as cursor:
        cursor.execute("UPDATE labels SET may_train = false WHERE seq <= 2")
        cursor.execute("UPDATE labels SET platform = 'youtube' WHERE seq = 3")
        # The frames of two further ones are purged, and with them what was measured.
        cursor.execute(
            "DELETE FROM stored_frames WHERE frame_id IN (SELECT frame_id FROM labels WHERE seq IN (4, 5))"
        )
    labels = Labels(repos.database, parse_policies(""))
    labels.give(judged[5], "unsure", "Lan")
    labels.undo(judged[6], "Lan")
    found = _propose(repos, tmp_path)
    assert found.verdicts == 34
    assert found.forbidden == {"file": 2, "youtube": 1}
    assert found.gone == 2
    assert found.comparison.labels == 29
    never = '{"file": {"may_train": false}}'
    with pytest.raises(InputError, match="the terms of file forbid learning from") as caught:
        _propose(repos, tmp_path, never)
    assert caught.value.code == "calibration.labels"


def test_an_industry_without_verdicts_or_jobs_is_told_what_to_do(repos: Store, tmp_path: Path) -> None:
    repos.industries.ensure(INDUSTRY)
    with pytest.raises(InputError) as caught:
        _propose(repos, tmp_path)
    assert caught.value.code == "job.none"
    write_job(repos, PAIRS)
    with pytest.raises(InputError) as caught:
        _propose(repos, tmp_path)
    assert caught.value.code == "calibration.labels"
    assert "/review" in caught.value.remedy


def test_measurements_of_another_kind_are_not_mixed_in(
    repos: Store, judged: list[uuid.UUID], tmp_path: Path
) -> None:
    # A later job was verified otherwise and holds two of the matches; the other verdicts wait for theirs.
    write_job(repos, PAIRS[:2], job_id="job-2", verify="v2")
    found = _propose(repos, tmp_path)
    assert (found.job_id, found.comparison.labels, found.gone) == ("job-2", 2, 34)


def test_a_later_job_of_the_same_kind_lends_its_measurements(
    repos: Store, judged: list[uuid.UUID], tmp_path: Path
) -> None:
    write_job(repos, PAIRS, job_id="job-2")
    repos.inbox.delete("job-1", "test", force=True)
    assert _propose(repos, tmp_path).comparison.labels == 36


def test_of_two_at_the_same_moment_one_is_installed(
    repos: Store, judged: list[uuid.UUID], tmp_path: Path
) -> None:
    first, second = _propose(repos, tmp_path), _propose(repos, tmp_path)
    install(repos, first, "Lan")
    with pytest.raises(InputError) as caught:
        install(repos, second, "Minh")
    assert caught.value.code == "calibration.changed"
    assert [one.who for one in repos.calibrations.history("goi-cong-thai-hoc")] == ["Lan"]


def test_a_calibration_of_other_measurements_counts_no_more(
    repos: Store, judged: list[uuid.UUID], tmp_path: Path
) -> None:
    install(repos, _propose(repos, tmp_path), "Lan")
    with repos.database.transaction() as cursor:
        cursor.execute("UPDATE calibrations SET verification = 'earlier release'")
    assert _in_force(repos, tmp_path) == CLASSIC.name
    assert [one.usable for one in repos.calibrations.history("goi-cong-thai-hoc")] == [False]


def test_a_rival_in_the_video_counts_when_matches_are_decided(repos: Store, tmp_path: Path) -> None:
    matches = write_job(repos, PAIRS)
    judge(repos, matches, PAIRS)
    before = _propose(repos, tmp_path).comparison.current.accepted
    _add_rival(repos, PAIRS[0])
    assert _propose(repos, tmp_path).comparison.current.accepted == before - 1


def _add_rival(repos: Store, shown: Pair) -> None:
    """The first frame shows, at the same place, another product that looks the better."""
    place = (0.0, 0.0, 5.0, 0.0, 5.0, 5.0, 0.0, 5.0)
    frame, own, rival = repos.database.tuples(
        "SELECT c.frame_id, c.img_id, (SELECT img_id FROM stored_images WHERE source_ref = 'P1.jpg') "
        "FROM candidate_pairs c JOIN stored_images i USING (img_id) JOIN stored_frames f USING (frame_id) "
        "JOIN job_videos v USING (video_id) WHERE v.given_name = 'clip0' AND i.source_ref = 'P0.jpg'"
    )[0]
    better = replace(shown.evidence, print_mid=0.95, colour_corr=0.95, lab_corr=0.95, footprint=place)
    repos.matching.write_candidates(
        "job-1", [frame], [Candidate(frame, one, n + 1, 0.5, None, 0.5) for n, one in enumerate((own, rival))]
    )
    with repos.database.transaction() as cursor:
        cursor.execute("DELETE FROM pair_evidence WHERE frame_id = %s", [frame])
    repos.matching.write_evidence(
        PairEvidenceRow(frame, one, "v1", evidence_to_row(raw))
        for one, raw in ((own, replace(shown.evidence, footprint=place)), (rival, better))
    )
