"""Assets whose items are spread over steps, which executors place on containers, workers and machines.

The asset keeps its name, its checks and its own step. In front of that step come one that counts the items
to do and one for each shard; the asset's own step then finds them done, takes what is left, and reports::

    masks_shards.masks_split -> masks_shards.masks_shard[3_of_8] (mapped) -> masks_shards.masks

An item belongs to the shard that its id falls into, so nothing but two numbers passes between steps, and a
run that goes on after a killed one may split what is left otherwise. Items that failed in a shard are
problems of the job, and are set aside: the asset's step does not try them again.
"""

# Dagster reads the annotations of ops: they are not postponed here.

import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.dependency import DynamicCollectDependencyDefinition, IDependencyDefinition

from pvm_assets.partitions import JOB_PARTITIONS
from pvm_assets.services import JobServicesResource
from pvm_assets.stage import Shard, Stage, clear_failure, stage_of
from pvm_assets.upstream_check import require_upstream

_START: Final = "start"


@dataclass(frozen=True)
class Sharding:
    """The two parts of an asset's work that its shards need.

    Attributes:
        begin: states how many items there are (`Stage.begin`), and returns of each that is to do the id by
            which it falls into a shard: its own, or that of what is not split.
        compute: computes and stores those of the stage's shard (`Stage.mine`).
        placement: `GPU` for shards that want the GPU.
    """

    begin: Callable[[Stage], Sequence[uuid.UUID]]
    compute: Callable[[Stage], None]
    placement: Mapping[str, Any]


def shard_count(todo: Sequence[uuid.UUID], size: int) -> int:
    """Shards of the items to do, of about `size` each: none where one step takes them all."""
    items = len(todo)
    return min(math.ceil(items / size), len(set(todo))) if items > size else 0


def in_shards(asset: dg.AssetsDefinition, sharding: Sharding) -> dg.AssetsDefinition:
    """`asset` with steps for shards in front of its own.

    Args:
        asset: one made by `job_asset`.
    """
    (spec,) = asset.specs
    name, own = asset.key.to_user_string(), asset.node_def
    inputs = [one.name for one in own.input_defs]
    split, shard = _split_op(name, sharding, inputs), _shard_op(name, sharding)
    wiring: dict[str, Mapping[str, IDependencyDefinition]] = {
        shard.name: {_START: dg.DependencyDefinition(split.name)},
        own.name: {one: DynamicCollectDependencyDefinition(shard.name, "result") for one in inputs},
    }
    graph = dg.GraphDefinition(
        name=f"{name}_shards",
        node_defs=[split, shard, own],
        dependencies=wiring,
        input_mappings=[_into(split.name, one) for one in inputs],
        output_mappings=[_out_of(own.name)],
    )
    return dg.AssetsDefinition.from_graph(
        graph,
        keys_by_input_name=dict(asset.keys_by_input_name),
        keys_by_output_name={"result": spec.key},
        partitions_def=JOB_PARTITIONS,
        group_name=spec.group_name,
        descriptions_by_output_name={"result": spec.description or ""},
        metadata_by_output_name={"result": spec.metadata},
        tags_by_output_name={"result": spec.tags},
        owners_by_output_name={"result": spec.owners},
        code_versions_by_output_name={"result": spec.code_version},
    )


def _into(node: str, name: str) -> dg.InputMapping:
    return dg.InputMapping(graph_input_name=name, mapped_node_name=node, mapped_node_input_name=name)


def _out_of(node: str) -> dg.OutputMapping:
    name = "result"
    return dg.OutputMapping(graph_output_name=name, mapped_node_name=node, mapped_node_output_name=name)


def _split_op(name: str, sharding: Sharding, inputs: Sequence[str]) -> dg.OpDefinition:
    def split(context: dg.OpExecutionContext) -> Iterator[dg.DynamicOutput[None]]:
        services: JobServicesResource = context.resources.job_services
        with clear_failure():
            stage = stage_of(name, context.partition_key, services.services, context.log)
            require_upstream(stage.services.store.state, stage.job_id, name)
            stage.services.store.state.start_stage(stage.job_id, name)
            todo = sharding.begin(stage)
        count = shard_count(todo, stage.rules.shard_items)
        context.log.info(f"{name}: {len(todo)} items to do in {count} shards")
        for number in range(count):
            yield dg.DynamicOutput(None, mapping_key=f"{number}_of_{count}")

    return dg.op(
        name=f"{name}_split",
        ins={one: dg.In(dg.Nothing) for one in inputs},
        out=dg.DynamicOut(dg.Nothing),
        required_resource_keys={"job_services"},
        description=f"Counts the items of {name} that are to do, and splits them.",
    )(split)


def _shard_op(name: str, sharding: Sharding) -> dg.OpDefinition:
    def shard(context: dg.OpExecutionContext) -> None:
        services: JobServicesResource = context.resources.job_services
        number, _, count = (context.get_mapping_key() or "").partition("_of_")
        with clear_failure():
            stage = stage_of(name, context.partition_key, services.services, context.log)
            stage.shard = Shard(int(number), int(count))
            sharding.compute(stage)

    return dg.op(
        name=f"{name}_shard",
        ins={_START: dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        required_resource_keys={"job_services"},
        description=f"Computes one shard of {name}.",
        pool=sharding.placement.get("pool"),
        tags=sharding.placement.get("op_tags"),
    )(shard)
