"""The dashboards as code: ``python deploy/grafana/build.py`` writes dashboards/*.json.

Metrics that come from the databases are the same in every API process, so `max` is taken over them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef

_FOLDER: Final = Path(__file__).resolve().parent / "dashboards"
_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="prometheus")
_LEGEND: Final = (
    common.VizLegendOptions()
    .show_legend(True)
    .display_mode(LegendDisplayMode.LIST)
    .placement(LegendPlacement.BOTTOM)
)
_TOOLTIP: Final = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI)
#: Title, unit, and pairs of expression and legend.
Panel = tuple[str, str, tuple[tuple[str, str], ...]]

PLATFORM: Final[tuple[tuple[str, tuple[Panel, ...]], ...]] = (
    (
        "Jobs",
        (
            ("Jobs by phase", "short", (("max by (phase) (phase_state)", "{{phase}}"),)),
            ("Failed partitions", "short", (("max by (code) (partitions_failed)", "{{code}}"),)),
            ("Items a second", "ops", (("max by (asset) (asset_items_per_second)", "{{asset}}"),)),
            (
                "Seconds of an asset, mean of the day's jobs",
                "s",
                (
                    (
                        "max by (stage) (stage_latency_seconds_sum / stage_latency_seconds_count)",
                        "{{stage}}",
                    ),
                ),
            ),
        ),
    ),
    (
        "Dagster",
        (
            (
                "Open runs",
                "short",
                (('max by (status) (dagster_runs{status!~"SUCCESS|FAILURE|CANCELED"})', "{{status}}"),),
            ),
            (
                "Open runs by age",
                "short",
                (("max by (age) (sum by (instance, age) (dagster_open_runs))", "up to {{age}}"),),
            ),
            (
                "Ended runs",
                "short",
                (('max by (status) (dagster_runs{status=~"FAILURE|CANCELED"})', "{{status}}"),),
            ),
            (
                "Wait in the queue",
                "s",
                (
                    ("max by (quantile) (dagster_queue_wait_seconds)", "q{{quantile}} of the day"),
                    ('max(dagster_oldest_open_run_seconds{status="QUEUED"})', "oldest now"),
                    ("time() - max(dagster_last_dequeue_timestamp_seconds)", "since the last left"),
                ),
            ),
            (
                "Slots of pools",
                "short",
                (("max by (pool, state) (dagster_pool_slots)", "{{pool}} {{state}}"),),
            ),
            (
                "Request to start, mean of the day",
                "s",
                (("max(start_latency_seconds_sum / start_latency_seconds_count)", "seconds"),),
            ),
        ),
    ),
    (
        "Events and streams",
        (
            ("Events a second", "ops", (("max by (event_name) (rate(events_total[5m]))", "{{event_name}}"),)),
            (
                "Lag",
                "s",
                (
                    ("max(outbox_lag_seconds)", "outbox"),
                    ("max(delivery_lag_seconds)", "oldest delivery"),
                ),
            ),
            (
                "What waits, and dead letters",
                "short",
                (("max by (queue, state) (queue_depth)", "{{queue}} {{state}}"),),
            ),
            (
                "Streams of products' changes",
                "short",
                (("max by (stream, state) (product_stream_entries)", "{{stream}} {{state}}"),),
            ),
            (
                "Changes a second",
                "ops",
                (
                    (
                        "max by (stream, outcome) (rate(product_stream_changes_total[5m]))",
                        "{{stream}} {{outcome}}",
                    ),
                ),
            ),
            (
                "Consumers",
                "short",
                (("max by (stream, state) (product_stream_consumers)", "{{stream}} {{state}}"),),
            ),
        ),
    ),
)
SERVICE: Final[tuple[tuple[str, tuple[Panel, ...]], ...]] = (
    (
        "REST API",
        (
            (
                "Requests a second",
                "reqps",
                (("sum by (route) (rate(http_requests_total[5m]))", "{{route}}"),),
            ),
            (
                "Errors a second",
                "reqps",
                (
                    (
                        'sum by (route, status) (rate(http_requests_total{status=~"5.."}[5m]))',
                        "{{route}} {{status}}",
                    ),
                ),
            ),
            (
                "Latency",
                "s",
                tuple(
                    (
                        f"histogram_quantile({q}, "
                        "sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
                        f"p{100 * q:g}",
                    )
                    for q in (0.5, 0.95, 0.99)
                ),
            ),
            (
                "p95 by route",
                "s",
                (
                    (
                        "histogram_quantile(0.95, sum by (le, route) "
                        "(rate(http_request_duration_seconds_bucket[5m])))",
                        "{{route}}",
                    ),
                ),
            ),
        ),
    ),
    (
        "Databases",
        (
            ("Answers", "short", (("max by (server) (database_up)", "{{server}}"),)),
            (
                "Connections of the budget",
                "percentunit",
                (
                    (
                        "max by (server) (sum by (instance, server) (database_connections) "
                        "/ on (instance, server) database_connections_limit)",
                        "{{server}}",
                    ),
                ),
            ),
            (
                "Connections by database",
                "short",
                (("max by (server, database) (database_connections)", "{{server}} {{database}}"),),
            ),
        ),
    ),
    (
        "Quality",
        (
            (
                "Precision of what is accepted, by verdicts",
                "percentunit",
                (
                    ("max by (industry) (accepted_precision)", "{{industry}}"),
                    ("max by (industry) (accepted_precision_lower_bound)", "{{industry}} at least"),
                ),
            ),
            ("Accepted with a verdict", "short", (("max by (industry) (accepted_judged)", "{{industry}}"),)),
            (
                "Recall of the vectors' index",
                "percentunit",
                (("min by (model) (vector_recall)", "{{model}}"),),
            ),
            ("Purges late", "s", (("max by (source) (purge_overdue_seconds)", "{{source}}"),)),
        ),
    ),
)
DASHBOARDS: Final = {
    "platform": ("Product and video matching: platform", PLATFORM),
    "service": ("Product and video matching: service", SERVICE),
}


def built(name: str) -> str:
    """The dashboard of that name, as JSON."""
    title, rows = DASHBOARDS[name]
    found = (
        dashboard.Dashboard(title).uid(f"pvm-{name}").tags(["pvm"]).refresh("30s").time("now-6h", "now")
    ).readonly()
    for row, panels in rows:
        found = found.with_row(dashboard.Row(row))
        for panel in panels:
            found = found.with_panel(_panel(*panel))
    return JSONEncoder(sort_keys=True, indent=1).encode(found.build()) + "\n"


def _panel(title: str, unit: str, targets: tuple[tuple[str, str], ...]) -> timeseries.Panel:
    made = (
        timeseries.Panel().title(title).unit(unit).min(0).datasource(_SOURCE).span(8).height(7)
        .fill_opacity(10).legend(_LEGEND).tooltip(_TOOLTIP)
    )  # fmt: skip
    for number, (expression, legend) in enumerate(targets):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id("ABCDEFGH"[number])
        made = made.with_target(query)
    return made


if __name__ == "__main__":
    for name in DASHBOARDS:
        (_FOLDER / f"{name}.json").write_text(built(name), encoding="utf-8")
