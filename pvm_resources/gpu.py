"""The GPU constant: the pool and the tags by which each executor places a step on a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict

GPU_POOL: Final = "gpu"


class StepPlacement(TypedDict):
    """Keyword arguments of `@asset` and `@asset_check` that place a step."""

    pool: str
    op_tags: Mapping[str, Any]


#: ``@asset(**GPU)``. The pool bounds how many such steps run at once on the whole instance; each tag is read
#: by one executor and ignored by the others. ``dagster-docker/config`` is this project's own tag, read by
#: `pvm_assets.execution.docker`; the other two are Dagster's.
GPU: Final[StepPlacement] = {
    "pool": GPU_POOL,
    "op_tags": {
        "dagster-k8s/config": {
            "container_config": {"resources": {"limits": {"nvidia.com/gpu": "1"}}},
            "pod_spec_config": {
                "node_selector": {"pvm/gpu": "true"},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            },
        },
        "dagster-celery/queue": "gpu",
        "dagster-docker/config": {
            "container_kwargs": {
                "device_requests": [{"driver": "nvidia", "count": 1, "capabilities": [["gpu"]]}]
            }
        },
    },
}
