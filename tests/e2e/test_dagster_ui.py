"""What a person sees in the Dagster UI, in a real Chromium against a real web server and daemon."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tiny
from harness import Pvm, Started
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from pvm_assets.run_tags import PARTITION_TAG
from pvm_jobs.job_ids import partition_key
from tests.fixtures_browser import Chromium

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ASSETS = (
    "products", "product_images", "videos", "keyframes", "masks", "embeddings", "keypoints",
    "candidate_pairs", "matches", "evidence",
)  # fmt: skip
INDUSTRY = "Gối công thái học"
JOB = "seen-in-the-ui"
PATIENCE_MS = 60_000
SIZE = {"width": 1500, "height": 860}
#: Size of the letters of elements inside the graph as they are shown, zoomed; 0 for those elsewhere.
RENDERED_PX = """found => [0, ...found.filter(one => one.closest("foreignObject")).map(one =>
    parseFloat(getComputedStyle(one).fontSize) * one.getBoundingClientRect().height / one.offsetHeight)]"""
PARTITION = """mutation ($key: String!) {{{act}(repositorySelector: {{repositoryName: "__repository__",
    repositoryLocationName: "pvm"}}, partitionsDefName: "pvm_job", {key}) {{__typename}}}}"""


@dataclass(frozen=True)
class Ui:
    """A running platform with one finished job, and a browser page on it."""

    pvm: Pvm
    url: str
    partition: str
    page: Any
    pictures: Path

    def open(self, path: str, wait_for: str) -> None:
        """Opens a page of the UI and waits for a text on it."""
        self.page.goto(self.url + path)
        self.see(wait_for)

    def see(self, text: str) -> Any:
        """The first visible element with that text, waited for."""
        found = self.page.get_by_text(text).filter(visible=True).first
        found.wait_for(timeout=PATIENCE_MS)
        return found

    def shoot(self, name: str) -> None:
        """Saves a screenshot; PVM_SCREENSHOTS names the folder where they are kept."""
        self.page.wait_for_timeout(1_500)
        self.page.screenshot(path=self.pictures / f"{name}.png")

    def ask(self, query: str, **variables: object) -> Any:
        """The answer of the GraphQL interface."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.loads(response.read())
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def latest_run(self) -> dict[str, Any]:
        """The newest run, with the state of its steps."""
        query = "{runsOrError(limit: 1) {... on Runs {results {runId status stepStats {stepKey status}}}}}"
        return self.ask(query)["runsOrError"]["results"][0]  # type: ignore[no-any-return]

    def failures(self, run: str) -> list[str]:
        """What a run's failed steps say."""
        query = """query ($run: ID!) {logsForRun(runId: $run, limit: 1000) {... on EventConnection {events {
            ... on ExecutionStepFailureEvent {stepKey error {message}}
            ... on RunFailureEvent {message error {message}}}}}}"""
        return [str(event) for event in self.ask(query, run=run)["logsForRun"]["events"] if event]

    def launch(self, path: str, button: str, partition: str = "") -> dict[str, Any]:
        """Materialises a partition through the dialog of the page and waits for the run's end; that of the
        finished job where none is named."""
        before = self.latest_run()["runId"]
        for left in (2, 1, 0):
            try:
                self._pick_partition(path, button, partition or self.partition)
                break
            except PlaywrightTimeout:
                # On a loaded machine the list of partitions can come after the drop-down, which stays empty.
                if not left:
                    raise
        return self.confirm(before)

    def confirm(self, before: str) -> dict[str, Any]:
        """Launches what the dialog shows and waits for the end of the run that comes after run `before`."""
        self.page.get_by_role("dialog").get_by_role("button", name="Launch 1 run").click(timeout=PATIENCE_MS)
        deadline = time.monotonic() + 150
        while time.monotonic() < deadline:
            run = self.latest_run()
            if run["runId"] != before and run["status"] in {"SUCCESS", "FAILURE", "CANCELED"}:
                return run
            time.sleep(0.5)
        raise AssertionError(f"no run ended: {self.latest_run()}")

    def _pick_partition(self, path: str, button: str, partition: str) -> None:
        self.open(path, button)
        self.page.get_by_role("button", name=button).first.click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_text("Select a partition or create one").click(timeout=PATIENCE_MS)
        self.page.get_by_text(partition).filter(visible=True).last.click(timeout=PATIENCE_MS / 2)
        self.page.keyboard.press("Escape")


@pytest.fixture(scope="module")
def ui(started: Started, chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """The started platform with one finished job of its own, and Chromium."""
    folder = tmp_path_factory.mktemp("ui")
    pvm = started.pvm
    case = tiny.write_case(folder / "case", products=4, clips=3)
    ran = pvm.run(case.products, case.videos, INDUSTRY, "--job", JOB)
    assert ran.returncode == 0, ran.stderr
    job = _job(pvm)
    pictures = Path(os.environ.get("PVM_SCREENSHOTS", folder))
    url = f"http://127.0.0.1:{started.ui_port}"
    context = chromium.launch_profile(folder / "profile", SIZE["width"], SIZE["height"])
    yield Ui(pvm, url, partition_key(job["industry"], job["job"]), context.new_page(), pictures)
    context.close()


def _job(pvm: Pvm) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pvm("status", "--job", JOB, "--json").stdout)["jobs"][0]
    return found


@pytest.mark.parametrize(
    ("path", "wide", "high", "px", "groups"),
    [
        ("/asset-groups", 1440, 900, 12, ("collection", "features", "matching")),
        ("/asset-groups", 1280, 800, 12, ("collection", "features", "matching")),
        # Dagster gives the graph of a job less than half of the window, and opens it at the first or at all.
        ("/locations/pvm/jobs/pvm_job_run", 1440, 900, 10, ("collection",)),
        ("/locations/pvm/jobs/pvm_job_run", 1280, 800, 8, ("collection",)),
    ],
)
def test_the_lineage_opens_with_names_one_can_read(
    ui: Ui, path: str, wide: int, high: int, px: int, groups: tuple[str, ...]
) -> None:
    ui.page.set_viewport_size({"width": wide, "height": high})
    try:
        ui.open(path, groups[-1])
        ui.shoot(f"lineage-{path.count('/')}-{wide}")
        for group in groups:
            heights = ui.page.get_by_text(group, exact=True).evaluate_all(RENDERED_PX)
            assert max(heights) >= px, (group, heights)
    finally:
        ui.page.set_viewport_size(SIZE)


def test_the_lineage_of_the_ten_assets(ui: Ui) -> None:
    ui.open("/asset-groups", "features")
    ui.page.keyboard.press("Alt+e")
    for asset in ASSETS:
        ui.see(asset)

    ui.shoot("dagster-lineage")


def test_the_finished_job_is_a_materialised_partition_with_its_checks(ui: Ui) -> None:
    ui.open(f"/assets/matches?view=partitions&partition={ui.partition}", "Materialized")
    ui.see(ui.partition)
    ui.shoot("dagster-partition")

    ui.open("/assets/keyframes?view=checks&checkDetail=enough_frames", "This is a")
    ui.see("Passed")
    ui.see(ui.partition)
    ui.shoot("dagster-checks")


def test_evidence_is_shown_inline(ui: Ui) -> None:
    ui.open(f"/assets/evidence?view=partitions&partition={ui.partition}", "[Show Markdown]")
    ui.see("[Show Markdown]").click()
    picture = ui.page.locator("img[src^='data:image/jpeg']").first
    picture.wait_for(timeout=PATIENCE_MS)

    assert picture.evaluate("element => element.naturalWidth") > 100
    ui.shoot("dagster-evidence")


def test_the_best_matches_are_shown_with_thumbnails_and_links_to_the_review_page(ui: Ui) -> None:
    ui.open(f"/assets/matches?view=partitions&partition={ui.partition}", "[Show Markdown]")
    ui.see("[Show Markdown]").click()
    table = ui.page.locator("table", has=ui.page.locator("img[src^='data:image/jpeg']")).first
    table.wait_for(timeout=PATIENCE_MS)

    assert table.locator("img").first.evaluate("one => one.naturalWidth") > 40
    assert table.locator("a[href*='/review/match/']").count() >= 1


def test_every_check_has_a_figure_to_plot(ui: Ui) -> None:
    query = """{assetNodes {assetKey {path} assetChecksOrError {... on AssetChecks {checks {name
        executionForLatestMaterialization {evaluation {metadataEntries {__typename}}}}}}}}"""
    found = {
        check["name"]: {entry["__typename"] for entry in execution["evaluation"]["metadataEntries"]}
        for node in ui.ask(query)["assetNodes"]
        for check in node["assetChecksOrError"].get("checks", [])
        if (execution := check["executionForLatestMaterialization"]) is not None and execution["evaluation"]
    }
    assert len(found) >= len(ASSETS)
    bare = [name for name, kinds in found.items() if not kinds & {"IntMetadataEntry", "FloatMetadataEntry"}]
    assert bare == []


def test_one_partition_is_materialised_from_the_ui(ui: Ui) -> None:
    run = ui.launch("/assets/keyframes?view=overview", "Materialize…")

    assert run["status"] == "SUCCESS", ui.failures(run["runId"])
    steps = {step["stepKey"] for step in run["stepStats"]}
    assert "keyframes" in steps
    assert "masks" not in steps


def test_the_partitions_tab_fills_in_the_whole_key(ui: Ui) -> None:
    before = ui.latest_run()["runId"]
    ui.open(f"/assets/keyframes?view=partitions&partition={ui.partition}", "Materialized")
    ui.page.get_by_role("button", name="Materialize…").first.click()
    dialog = ui.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Launch 1 run").wait_for(timeout=PATIENCE_MS)
    ui.shoot("dagster-partitions-tab")
    filled = [field.input_value() for field in dialog.locator("input[type=text]").all()]

    assert ui.partition in [*filled, *dialog.inner_text().split()]
    run = ui.confirm(before)
    assert run["status"] == "SUCCESS", ui.failures(run["runId"])
    tags = ui.ask(
        "query ($run: ID!) {runOrError(runId: $run) {... on Run {tags {key value}}}}", run=run["runId"]
    )
    assert {"key": PARTITION_TAG, "value": ui.partition} in tags["runOrError"]["tags"]


def test_a_partition_added_by_hand_that_cannot_run_leaves_no_red_trail(ui: Ui) -> None:
    mistyped = ui.partition.replace("thai-hoc", "tai-hoc").replace(JOB, "spring-1")
    ui.ask(PARTITION.format(act="addDynamicPartition", key="partitionKey: $key"), key=mistyped)
    run = ui.launch("/locations/pvm/jobs/pvm_job_run", "Materialize all…", mistyped)

    assert run["status"] == "CANCELED"
    assert {step["status"] for step in run["stepStats"]} <= {"SKIPPED"}
    ui.open(f"/runs/{run['runId']}", "Not run:")
    ui.see(f"Take {ui.partition.replace(JOB, 'spring-1')}")
    ui.shoot("dagster-not-run")
    ui.open("/assets/matches?view=partitions", "Failed (0)")
    found = ui.ask("""{assetNodes {assetPartitionStatuses {... on DefaultPartitionStatuses {
        failedPartitions unmaterializedPartitions}}}}""")["assetNodes"]
    states = [one["assetPartitionStatuses"] for one in found]
    assert not any(state["failedPartitions"] for state in states)
    assert sum(mistyped in state["unmaterializedPartitions"] for state in states) == len(ASSETS)
    # Later tests pick the one partition that there is.
    ui.ask(PARTITION.format(act="deleteDynamicPartitions", key="partitionKeys: [$key]"), key=mistyped)


def test_a_failing_threshold_check_blocks_its_downstream(ui: Ui) -> None:
    assert ui.pvm("rules", "set", "-i", INDUSTRY, "min_frames_per_video=1000").returncode == 0
    run = ui.launch("/locations/pvm/jobs/pvm_job_run", "Materialize all…")

    assert run["status"] == "FAILURE"
    states = {step["stepKey"]: step["status"] for step in run["stepStats"]}
    assert states["keyframes"] == "SUCCESS"
    assert states["keyframes_enough_frames"] == "FAILURE"
    assert all(states.get(asset, "SKIPPED") == "SKIPPED" for asset in ASSETS[4:])
    ui.open("/assets/keyframes?view=checks&checkDetail=enough_frames", "This is a")
    ui.see("Failed")
    ui.shoot("dagster-failed-check")


def test_the_downstream_launched_alone_refuses(ui: Ui) -> None:
    run = ui.launch("/assets/masks?view=overview", "Materialize…")

    assert run["status"] == "FAILURE"
    ui.open(f"/runs/{run['runId']}", "masks")
    ui.see("the blocking check enough_frames of keyframes failed")
    ui.shoot("dagster-refused")


def test_with_the_rule_taken_back_the_job_goes_through_again(ui: Ui) -> None:
    assert ui.pvm("rules", "unset", "-i", INDUSTRY).returncode == 0
    run = ui.launch("/locations/pvm/jobs/pvm_job_run", "Materialize all…")

    assert run["status"] == "SUCCESS", ui.failures(run["runId"])
    assert _job(ui.pvm)["status"] == "completed"
