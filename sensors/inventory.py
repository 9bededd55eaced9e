"""What needs attention: requests without a run, failed partitions, undelivered events.

No run fails because of them, so nothing else reports them. The findings are checks of the external asset
`platform`: the sensor writes their results, and they can be run by hand.
"""

# Dagster reads the annotations of decorated functions: they are not postponed here.

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from pvm_core.errors import StoreError
from pvm_resources.store.assembly import Store
from sensors.open_store import open_store

#: Seconds after which a request without a run is stuck: runs start within seconds where the daemon works.
STUCK_S: Final = 300.0
#: Seconds after which an undelivered event is late.
LATE_S: Final = 900.0
_SHOWN: Final = 20

PLATFORM: Final = dg.AssetSpec(
    "platform",
    group_name="platform",
    description="Requests, jobs and deliveries as a whole; its checks say what needs attention.",
    owners=["team:platform"],
    kinds={"postgres"},
)


@dataclass(frozen=True)
class Finding:
    """What one check found: a line each; none means that all is well."""

    check: str
    lines: Sequence[str]

    @property
    def metadata(self) -> Mapping[str, Any]:
        """For the UI."""
        return {"count": len(self.lines), "summary": "\n".join(self.lines[:_SHOWN]) or "nothing waits"}

    @property
    def result(self) -> dict[str, Any]:
        """The check's result."""
        severity = dg.AssetCheckSeverity.WARN
        return {"passed": not self.lines, "severity": severity, "metadata": dict(self.metadata)}


def requests_started(store: Store) -> Finding:
    """Every request became a run within five minutes."""
    rows = store.inbox.stuck(STUCK_S)
    lines = [f"{r.topic} of {r.received_at:%Y-%m-%d %H:%M} is {r.status} ({r.event_id})" for r in rows]
    return Finding("requests_started", lines)


def partitions_healthy(store: Store) -> Finding:
    """No failed job waits for a retry, an archive or a deletion."""
    jobs = store.schedules.failed()
    return Finding("partitions_healthy", [f"{j.partition_key}: {j.code or 'failed'}" for j in jobs])


def events_delivered(store: Store) -> Finding:
    """Every endpoint got its events within fifteen minutes."""
    found = store.schedules.undelivered(LATE_S)
    lines = [f"{u.endpoint}: {u.dead} given up, {u.late} late" for u in found]
    backlog = store.deliveries.backlog()
    if backlog.unseen_s is not None and backlog.unseen_s > LATE_S:
        lines.append(f"{backlog.unseen} events that no relay has processed: pvm up, or pvm events relay")
    return Finding("events_delivered", lines)


INVENTORY: Final[tuple[Callable[[Store], Finding], ...]] = (
    requests_started,
    partitions_healthy,
    events_delivered,
)


def _check(examine: Callable[[Store], Finding]) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=PLATFORM.key, name=examine.__name__, description=examine.__doc__)
    def check() -> dg.AssetCheckResult:
        with open_store() as store:
            found = examine(store)
        return dg.AssetCheckResult(**found.result)

    return check


INVENTORY_CHECKS: Final = tuple(_check(examine) for examine in INVENTORY)


@dg.sensor(
    name="inventory",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports what needs attention: stuck requests, failed partitions, undelivered events.",
)
def inventory(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """One tick; check results are written where they changed."""
    with open_store() as store:
        try:
            found = [examine(store) for examine in INVENTORY]
        except StoreError as error:
            return dg.SkipReason(str(error))
    # A result a minute would bury the history of the checks.
    state = hashlib.sha256(
        "\n".join(line for f in found for line in (f.check, *f.lines)).encode()
    ).hexdigest()
    if state == context.cursor:
        return dg.SkipReason("as before")
    for finding in found:
        if finding.lines:
            context.log.warning(f"{finding.check}: {finding.metadata['summary']}")
    return dg.SensorResult(cursor=state, asset_events=[_evaluation(finding) for finding in found])


def _evaluation(finding: Finding) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(asset_key=PLATFORM.key, check_name=finding.check, **finding.result)
