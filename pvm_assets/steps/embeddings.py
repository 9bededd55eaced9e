"""Embeddings: vectors of each picture, on the GPU where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pvm_assets.data_version import version_of
from pvm_assets.feature_step import Extractor, FeatureStep, Rows
from pvm_assets.keys import key_of
from pvm_assets.report import Column, Report
from pvm_assets.work.decoded import Decoded
from pvm_core.embedders import EmbedInput, choose_embedder, embed_views, load_embedder
from pvm_core.ids import content_key
from pvm_core.model_registry import MODELS
from pvm_resources.gpu import GPU
from pvm_resources.store.records import Embedding, Kind, Model

if TYPE_CHECKING:
    from pvm_assets.stage import Stage
    from pvm_core.embedders import Embedder

#: Pictures a worker decodes and embeds at once.
_BATCH: Final = 8


class Embeddings(FeatureStep):
    """Vectors of each picture: emb_rgb, and emb_gray of the grey picture with evened contrast.

    The embedder is the one requested, or the best on this machine that is calibrated; every row says which.
    """

    name = "embeddings"
    table = "embeddings"
    columns = (
        Column("item_id", "uuid", "product picture or frame"),
        Column("kind", "text", "product or frame"),
        Column("model_key", "text", "embedder, masks and flags it was computed under"),
        Column("model", "text", "the embedder's name"),
        Column("view", "int2", "0 is the whole picture, the rest are parts"),
        Column("emb_rgb", "vector", "unit length"),
        Column("emb_gray", "vector", "of the grey picture with evened contrast, unit length"),
    )
    kinds = frozenset({"python", "postgres", "pytorch"})
    code_version = "1"
    placement = GPU

    def __init__(self, stage: Stage) -> None:
        from pvm_resources.models.calibrations import calibrated

        super().__init__(stage)
        settings, self.gray = stage.services.settings, stage.rules.grey_clahe
        wanted = str(stage.job.request.get("embed_model") or settings.embed_model)
        name = choose_embedder(wanted, settings.models, calibrated(settings.models))
        self.embedder, self.mask_key = load_embedder(name, settings.models), key_of(stage, "masks")
        self.model = _model(self.embedder, self.mask_key, self.gray)
        self.key = self.model.model_key
        self.in_process = not MODELS[name].installed
        self.batch = max(_BATCH, self.embedder.batch_size) if self.in_process else _BATCH

    @property
    def job_keys(self) -> dict[str, str]:
        return {**super().job_keys, "embed_model": self.model.name}

    def extractor(self) -> Callable[[], Extractor]:
        if self.in_process:
            return partial(EmbeddingExtractor, self.embedder, self.key, self.gray)
        models = self.stage.services.settings.models
        return partial(EmbeddingExtractor.load, self.embedder.name, models, self.key, self.gray)

    def prepare(self) -> None:
        self.features.register_model(self.model)
        embedder = self.embedder
        self.stage.log.info(f"{embedder.name} on {embedder.device}, {embedder.dim} numbers a vector")

    def report(self, totals: Mapping[Kind, int]) -> Report:
        ids = self.features.item_ids(self.stage.job_id, self.name, self.key)
        facts = {
            "model": self.model.name,
            "device": self.embedder.device,
            "learned": MODELS[self.embedder.name].library != "builtin",
            "without_gpu": self.in_process and self.embedder.device == "cpu",
            "dimensions": self.embedder.dim,
        }
        completed = ("image.embeddings.completed", "video.embeddings.completed")
        events = [self.stage.event(name) for name in completed]
        return Report(len(ids), version_of([self.key, *ids]), facts, facts, events)


def _model(embedder: Embedder, mask_key: str, gray: bool) -> Model:
    key = content_key("embeddings", embedder.key, mask_key, f"gray={gray}")
    library = MODELS[embedder.name].library
    spec = {"embedder": embedder.key, "masks": mask_key, "gray": gray, "library": library}
    return Model(key, embedder.name, "embedder", embedder.dim, spec, active=True)


@dataclass(frozen=True)
class EmbeddingExtractor:
    """Embeds pictures; `model_key` names embedder, masks and flags; `gray` asks for grey vectors too."""

    embedder: Embedder
    model_key: str
    gray: bool

    @classmethod
    def load(cls, embedder: str, models_dir: Path, model_key: str, gray: bool) -> EmbeddingExtractor:
        """The extractor with the embedder of that name, on the CPU."""
        return cls(load_embedder(embedder, models_dir, "cpu"), model_key, gray)

    def compute(self, pictures: Sequence[Decoded]) -> list[Rows]:
        """A row for each view of each picture."""
        inputs = [EmbedInput(picture.rgb, picture.mask) for picture in pictures]
        found = embed_views(self.embedder, inputs, pictures[0].item.kind, self.gray)
        return [
            [
                Embedding(
                    picture.item.item_id,
                    picture.item.kind,
                    self.model_key,
                    self.embedder.name,
                    view,
                    rgb,
                    None if views.gray is None else views.gray[view],
                )
                for view, rgb in enumerate(views.rgb)
            ]
            for picture, views in zip(pictures, found, strict=True)
        ]
