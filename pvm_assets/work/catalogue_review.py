"""The review of a job's catalogue: made once for its pictures and titles, kept with the job."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from pvm_assets.keys import key_of
from pvm_assets.work import given
from pvm_assets.work.catalogue import compare_pictures, look_at
from pvm_assets.work.pairs import PairWorkerState
from pvm_core.arrays import F32
from pvm_core.catalogue_review import CatalogueReview, Looked, packed, review_catalogue, review_key, unpacked
from pvm_core.errors import MediaError, Problem
from pvm_core.ids import content_key
from pvm_core.picture_content import Role
from pvm_core.shared_material import Material
from pvm_core.verification import VerifyParams
from pvm_resources.store.catalogue import ReviewedPicture
from pvm_resources.store.records import Item

if TYPE_CHECKING:
    from pvm_assets.stage import Stage

Review = CatalogueReview[uuid.UUID]
#: What is said of a picture that is not matched.
_SAID: Final[Mapping[Role, str]] = {
    "chart": "it shows text and lines, not the product",
    "placeholder": "it says that there is no picture",
    "shared": "it stands in the galleries of different products",
}


def reviewed_catalogue(stage: Stage, params: VerifyParams, pictures: Mapping[uuid.UUID, Item]) -> Review:
    """The review of the job's catalogue; the one it has where pictures and titles are the same.

    Args:
        pictures: the job's product pictures and frames, with their keypoint files.
    """
    store = stage.services.store
    titles = {p.product_id: p.title for p in store.catalogue.products(stage.job_id)}
    order = {product: n for n, product in enumerate(titles)}
    found = [i for i in pictures.values() if i.kind == "product"]
    positions = {image.img_id: image.position for image in store.catalogue.images(stage.job_id)}
    found.sort(key=lambda i: (order[i.parent_id], positions[i.item_id], str(i.item_id)))
    embeddings = key_of(stage, "embeddings")
    named = [f"{i.item_id.hex}{i.kp_path}{titles[i.parent_id]}" for i in found]
    key = content_key("catalogue", review_key(), embeddings, *named)
    if store.jobs.get(stage.job_id).keys.get("catalogue") == key:
        review = _stored(stage)
    else:
        review = _review(stage, params, found, titles, positions)
        rows = [ReviewedPicture(i, m.role, packed(m.marked)) for i, m in review.material.items()]
        store.catalogue.write_review(stage.job_id, rows, review.groups)
        store.jobs.set_keys(stage.job_id, catalogue=key)
    # Once a run: of an asset in shards the step that splits has said it.
    if stage.shard is None and not stage.after_shards:
        _note(stage, review, pictures)
    return review


def _review(
    stage: Stage,
    params: VerifyParams,
    found: list[Item],
    titles: Mapping[uuid.UUID, str],
    positions: Mapping[uuid.UUID, int],
) -> Review:
    services, vectors = stage.services, _vectors(stage)
    known = [item for item in found if item.item_id in vectors]
    answers = services.pool.map(look_at, known, partial(given, services.media))
    looked = [
        Looked(
            item.item_id, item.parent_id, titles[item.parent_id], positions[item.item_id], answer.unwrap(),
            vectors[item.item_id],
        )
        for item, answer in zip(known, answers, strict=True)
    ]  # fmt: skip
    items = {item.item_id: item for item in known}

    def compare(pairs: list[tuple[Looked[uuid.UUID], Looked[uuid.UUID]]]) -> Iterator[bool]:
        tasks = [(items[one.img_id], items[two.img_id]) for one, two in pairs]
        setup = partial(PairWorkerState, services.media, params)
        return (done.unwrap() for done in services.pool.map(compare_pictures, tasks, setup))

    return review_catalogue(looked, compare)


def _vectors(stage: Stage) -> dict[uuid.UUID, F32]:
    found: dict[uuid.UUID, F32] = {}
    key = key_of(stage, "embeddings")
    for batch in stage.services.store.features.iter_embeddings(stage.job_id, "product", key):
        found.update(
            (item, v) for item, n, v in zip(batch.ids, batch.views, batch.rgb, strict=True) if n == 0
        )
    return found


def _stored(stage: Stage) -> Review:
    catalogue = stage.services.store.catalogue
    rows = catalogue.reviewed(stage.job_id)
    material = {row.img_id: Material(row.role, unpacked(row.marked)) for row in rows}
    return CatalogueReview(material, catalogue.listing_groups(stage.job_id))


def _note(stage: Stage, review: Review, pictures: Mapping[uuid.UUID, Item]) -> None:
    stage.note(
        [
            Problem.of(
                stage.name,
                MediaError(
                    f"picture.{material.role}", f"{pictures[img_id].label}, picture {img_id}",
                    f"not matched: {_SAID[material.role]}", "Give a picture of the product itself",
                ),
            )
            for img_id, material in review.material.items()
            if not material.matched and img_id in pictures
        ]
    )  # fmt: skip
