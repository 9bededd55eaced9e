"""Product pictures looked at for what they hold, and compared with each other."""

from __future__ import annotations

from pvm_assets.work.pairs import PairWorkerState
from pvm_core.images import decode_stored
from pvm_core.picture_content import PictureContent, read_content
from pvm_core.same_picture import is_same_picture
from pvm_resources.media.store import MediaStore
from pvm_resources.store.records import Item


def look_at(media: MediaStore, item: Item) -> PictureContent:
    """What a stored picture holds."""
    return read_content(decode_stored(media.get(item.local_path)))


def compare_pictures(state: PairWorkerState, pair: tuple[Item, Item]) -> bool:
    """Whether two stored pictures are one; False where one has no keypoints."""
    if any(item.kp_path is None for item in pair):
        return False
    return is_same_picture(state.view(pair[0]), state.view(pair[1]))
