"""What dashboards and alerts ask Prometheus for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
#: Words of PromQL, and the metric that Prometheus itself keeps of each target.
_WORDS = frozenset(["max", "min", "sum", "rate", "time", "histogram_quantile", "and", "absent", "up", "or"])


def expressions() -> list[str]:
    """Every expression, once."""
    found = []
    for file in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            found += [target["expr"] for target in panel.get("targets", ())]
    alerts = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))
    found += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    return sorted(set(found))


def metric_names() -> set[str]:
    """Every metric that they name."""
    names: set[str] = set()
    for one in expressions():
        bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|on) \([^)]*\)", " ", one)
        names |= set(re.findall(r"[a-z_]+", bare)) - _WORDS
    return names
