"""One feature of a job's pictures: computed once for each content and method, announced to every job.

A feature is one module with a `FeatureStep` and its `Extractor`; `pvm_assets.steps.features` lists them.
Worker processes import those modules: no Dagster here.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby, islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeAlias, TypeVar

from pvm_assets.report import Column, Report
from pvm_assets.work.decoded import Decoded, decode
from pvm_core.errors import PvmError
from pvm_resources.media.store import MediaStore
from pvm_resources.process_pool import Done
from pvm_resources.store.records import Embedding, Item, KeypointSet, Kind, Mask

if TYPE_CHECKING:
    from pvm_assets.stage import Stage
    from pvm_resources.store.features import Feature

#: Rows of one picture.
Rows: TypeAlias = Sequence[Mask | Embedding | KeypointSet]
T = TypeVar("T")
#: Pictures decoded ahead of an extractor that computes in this process, in batches.
_AHEAD: Final = 2


class Extractor(Protocol):
    """Computes one feature; made once in each process that computes."""

    def compute(self, pictures: Sequence[Decoded]) -> list[Rows]:
        """The store's rows of each picture, in their order; files they name are stored. All pictures are of
        one kind."""
        ...


class FeatureStep(ABC):
    """One feature for one job. A subclass declares the asset; its docstring is the asset's description.

    Attributes:
        name: the asset, and the feature in the store.
        table, columns, kinds, code_version, placement: as in `pvm_assets.stage.job_asset`.
        key: names the method with its parameters; a picture that has the feature under it is not computed.
        mask_key: masks that the extractor is given, None for none.
        batch: pictures given to the extractor at once; their number bounds what a worker holds.
        timeout_s: seconds a batch may take; None for no limit.
        in_process: the extractor spreads its work itself, over GPU or cores: one copy, in this process.
    """

    name: ClassVar[Feature]
    table: ClassVar[str]
    columns: ClassVar[Sequence[Column]]
    kinds: ClassVar[frozenset[str]]
    code_version: ClassVar[str]
    placement: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    key: str
    mask_key: str | None = None
    batch: int = 1
    timeout_s: float | None = None
    in_process: bool = False

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.features = stage.services.store.features

    @abstractmethod
    def extractor(self) -> Callable[[], Extractor]:
        """Makes the extractor in the process that computes; picklable unless `in_process`."""

    @abstractmethod
    def report(self, totals: Mapping[Kind, int]) -> Report:
        """What the asset reports; `totals` are the job's pictures by kind."""

    def prepare(self) -> None:
        """What must be stored before the first picture is."""
        return

    def without(self, item: Item, error: PvmError) -> Rows | None:
        """Rows that stand for a picture that failed; None where the failure is a problem of the picture."""
        return None

    @property
    def job_keys(self) -> dict[str, str]:
        """What the job remembers of its parameters."""
        return {self.name: self.key}

    def run(self) -> Report:
        """Computes what is missing, and announces all that the job has.

        Raises:
            PvmError: a failure that is not a picture's own.
        """
        todo, totals = self._begin()
        self.stage.settle(self._each(self._batches(todo)), self._write)
        return self.report(totals)

    def begin(self) -> list[uuid.UUID]:
        """States how many pictures there are; ids of those to compute."""
        return [item.item_id for item in self._begin()[0]]

    def compute(self) -> None:
        """Computes the pictures of the stage's shard.

        Raises:
            PvmError: a failure that is not a picture's own.
        """
        self.stage.settle(self._each(self._batches(self._todo())), self._write)

    def _begin(self) -> tuple[list[Item], dict[Kind, int]]:
        stage = self.stage
        self.prepare()
        stage.services.store.jobs.set_keys(stage.job_id, **self.job_keys)
        todo = self._todo()
        covered = self.features.covered(stage.job_id, self.name, self.key)
        totals = {kind: total for kind, (_, total) in covered.items()}
        stage.begin(sum(totals.values()), reused=sum(totals.values()) - len(todo))
        self.features.announce(stage.job_id, self.name, self.key)
        return todo, totals

    def _todo(self) -> list[Item]:
        job_id, lost = self.stage.job_id, self._lost_files()
        missing = self.features.missing(job_id, self.name, self.key, mask_key=self.mask_key, again=lost)
        return [item for item in missing if self.stage.mine(item.item_id, str(item))]

    def _lost_files(self) -> list[Any]:
        """Pictures whose feature's file is gone, to be computed again; only a local store is looked at."""
        path = self.stage.services.media.path
        files = self.features.files(self.stage.job_id, self.name, self.key)
        return [item_id for item_id, key in files if (file := path(key)) and not file.is_file()]

    def _batches(self, items: Sequence[Item]) -> Iterator[tuple[Item, ...]]:
        for _, of_kind in groupby(items, key=lambda item: item.kind):
            while batch := tuple(islice(of_kind, self.batch)):
                yield batch

    def _each(self, batches: Iterator[tuple[Item, ...]]) -> Iterator[Done[Item, Rows]]:
        """What became of each picture; the pictures of a batch that failed are computed one by one, so that
        one picture's failure is not reported for the others."""
        single: list[tuple[Item]] = []
        for answer in self._computed(batches):
            if answer.error is None:
                for item, rows in zip(answer.item, answer.unwrap(), strict=True):
                    yield Done(item, rows, None, answer.seconds)
            elif len(answer.item) > 1:
                single += [(item,) for item in answer.item]
            else:
                stand_in = self.without(answer.item[0], answer.error)
                error = None if stand_in else answer.error
                yield Done(answer.item[0], stand_in, error, answer.seconds)
        if single:
            yield from self._each(iter(single))

    def _computed(self, batches: Iterator[tuple[Item, ...]]) -> Iterator[Done[tuple[Item, ...], list[Rows]]]:
        services, make = self.stage.services, self.extractor()
        if not self.in_process:
            setup = partial(_Worker, services.media, make)
            yield from services.pool.map(_Worker.compute, batches, setup, self.timeout_s)
            return
        extractor = make()
        for pictures in ahead(batches, partial(_decode_all, services.media)):
            yield Done(tuple(p.item for p in pictures), extractor.compute(pictures), None, 0.0)

    def _write(self, done: list[Rows]) -> None:
        rows = [row for rows in done for row in rows]
        self.features.write(self.name, rows, job_id=self.stage.job_id)


class _Worker:
    """A worker process of one feature."""

    def __init__(self, media: MediaStore, make: Callable[[], Extractor]) -> None:
        self._media = media
        self._extractor = make()

    def compute(self, items: tuple[Item, ...]) -> list[Rows]:
        return self._extractor.compute(_decode_all(self._media, items))


def _decode_all(media: MediaStore, items: Sequence[Item]) -> list[Decoded]:
    return [decode(media, item) for item in items]


def ahead(items: Iterable[Any], load: Callable[[Any], T]) -> Iterator[T]:
    """`load` of each item in order, the next ones loaded by threads while one is worked on."""
    waiting = iter(items)
    with ThreadPoolExecutor(_AHEAD, thread_name_prefix="decode") as threads:
        loading = [threads.submit(load, item) for item in islice(waiting, _AHEAD)]
        while loading:
            loaded = loading.pop(0).result()
            yield loaded
            loading += [threads.submit(load, item) for item in islice(waiting, 1)]
