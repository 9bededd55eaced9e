"""The shape of the graph: the assets of a job and of an industry, their order, groups and phases."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

#: Owners of the assets in the Dagster UI.
OWNERS: Final = ("team:matching",)


@dataclass(frozen=True)
class Node:
    """One asset.

    Attributes:
        group: its group in the UI.
        phase: the job's phase while it runs; segmentation is a step inside feature extraction.
        upstream: assets it reads.
    """

    group: str
    phase: str
    upstream: tuple[str, ...] = ()


NODES: Final[Mapping[str, Node]] = {
    "products": Node("collection", "collection"),
    "product_images": Node("collection", "collection", ("products",)),
    "videos": Node("collection", "collection"),
    "keyframes": Node("collection", "collection", ("videos",)),
    "masks": Node("features", "feature_extraction", ("product_images", "keyframes")),
    "embeddings": Node("features", "feature_extraction", ("masks",)),
    "keypoints": Node("features", "feature_extraction", ("masks",)),
    "candidate_pairs": Node("matching", "matching", ("embeddings",)),
    "matches": Node("matching", "matching", ("candidate_pairs", "keypoints")),
    "evidence": Node("matching", "evidence", ("matches",)),
}
#: What an industry has as a whole: a partition is an industry, and no run of a job holds these.
INDUSTRY_NODES: Final[Mapping[str, Node]] = {
    "product_text_embeddings": Node("catalogue", ""),
    "similarity_index": Node("catalogue", "", ("product_text_embeddings",)),
    "recommendations": Node("catalogue", "", ("similarity_index",)),
    "industry_report": Node("catalogue", ""),
}
#: The last asset: a run that holds it is a run of the whole job.
FINAL: Final = "evidence"


def asset_of(step: str) -> str:
    """The asset of a step, or the step itself where it is a check's: steps of an asset in shards are named
    ``<asset>_shards.<step>`` (`pvm_assets.shards`)."""
    graph, dot, _ = step.partition(".")
    return graph.removesuffix("_shards") if dot else step


def of_industry(steps: Collection[str]) -> bool:
    """Whether these steps, of which a check's is ``<asset>_<check>``, are of an industry and of no job."""
    return bool(steps) and all(any(step.startswith(name) for name in INDUSTRY_NODES) for step in steps)


def ancestors(asset: str) -> tuple[str, ...]:
    """All assets upstream of `asset`, nearest first."""
    found: list[str] = []
    waiting = list(NODES[asset].upstream)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting.extend(NODES[name].upstream)
    return tuple(found)
