"""What a catalogue's references to pictures mean: addresses on the net, files beside the catalogue."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Final

from pvm_core.errors import InputError
from pvm_core.shown_url import shown_url
from pvm_core.wording import shortened
from pvm_resources.sources.base import PictureRef
from pvm_resources.sources.catalogue import cells, limits, schema
from pvm_resources.sources.confined import Bounds, Confinement
from pvm_resources.sources.urls import is_web_url

#: The longest path Linux opens; anything longer is no file name.
_MAX_PATH: Final = 4_096
#: Folders whose links were followed, and whose names were listed, that are kept in memory.
_FOLDERS_KNOWN: Final = 10_000
#: Names of one folder among which a near one is looked for.
_NAMES_KNOWN: Final = 200_000
_GIVE: Final = "Give a path or an http(s) URL"


def is_address(image: str) -> bool:
    """True for an http(s) address, False for what may be a path."""
    return schema.scheme_of(image) in ("http", "https")


def web_picture(subject: str, image: str) -> PictureRef:
    """The picture at an http(s) address.

    Raises:
        InputError: ``catalogue.bad_image``: it is no usable one.
    """
    if not is_web_url(image):
        reason = f"its image is no usable URL ({shortened(shown_url(image))})"
        raise InputError("catalogue.bad_image", subject, reason, "Copy the picture's address again")
    return PictureRef(image)


class CatalogueFolder:
    """A catalogue file's folder: its pictures lie in it, or on the net.

    A file that is not there under the name given is found under one that differs in Unicode form or in case
    only, as it does where a catalogue was written on another system than its pictures.

    Args:
        catalogue: the file.
        confinement: which files it may lead to.
    """

    def __init__(self, catalogue: Path, confinement: Confinement) -> None:
        self.label = catalogue.name
        self.scheme = "https"
        self._folder = catalogue.parent.resolve()
        self._bounds = Bounds(None) if confinement.anywhere else Bounds((self._folder,))
        self._real: dict[str, tuple[str, bool]] = {}
        self._names: dict[str, dict[str, list[str]]] = {}

    def picture(self, subject: str, image: str) -> PictureRef:
        """The picture that a row names.

        Raises:
            InputError: ``catalogue.bad_image``, ``catalogue.outside``.
        """
        if is_address(image):
            return web_picture(subject, image)
        try:
            target, inside = self._resolved(image)
            if not inside or not os.path.lexists(target):
                target, inside = self._otherwise(image) or (target, inside)
        except (OSError, ValueError, RuntimeError) as error:
            reason = f"its image is no usable path ({error})"
            raise InputError("catalogue.bad_image", subject, reason, _GIVE) from error
        if os.path.lexists(target) and inside:
            return PictureRef(image, Path(target))
        if schema.is_windows_path(image):
            raise self._foreign(subject, image)
        if inside and (address := cells.schemeless(image)) is not None:
            return web_picture(subject, address)
        if not inside:
            raise self._outside(subject, image)
        return PictureRef(image, Path(target))

    def _resolved(self, image: str) -> tuple[str, bool]:
        """The file that `image` names, with links followed, and whether it lies inside the bounds.

        Raises:
            ValueError: no file has such a name.
        """
        if len(image) > _MAX_PATH or "\x00" in image:
            raise ValueError("no file has such a name")
        if len(image.replace("\\", "/").split("/")) > limits.MAX_FOLDERS:
            raise ValueError(f"more than {limits.MAX_FOLDERS} folders")
        # Spreadsheets on Windows write backslashes; a file here may hold one in its name.
        given = os.path.join(self._folder, image)  # noqa: PTH118 - pathlib takes ten times as long
        if "\\" in image and not os.path.lexists(given):
            given = os.path.join(self._folder, image.replace("\\", "/"))  # noqa: PTH118
        folder, name = os.path.split(given)
        if name in ("", ".", ".."):
            return self._judged(os.path.realpath(given))
        # A gallery's pictures share their folder: its links are followed once.
        if folder not in self._real:
            if len(self._real) >= _FOLDERS_KNOWN:
                self._real.clear()
            self._real[folder] = self._judged(os.path.realpath(folder))
        real, inside = self._real[folder]
        target = f"{real.rstrip('/')}/{name}"
        return self._judged(os.path.realpath(target)) if os.path.islink(target) else (target, inside)  # noqa: PTH114

    def _judged(self, resolved: str) -> tuple[str, bool]:
        return resolved, self._bounds.admits(Path(resolved))

    def _otherwise(self, image: str) -> tuple[str, bool] | None:
        """The one file whose path differs from `image` in Unicode form or case only; None where there is
        none, or more."""
        parts = image.replace("\\", "/").split("/")
        if parts[0] == "" or ".." in parts or schema.is_windows_path(image):
            return None
        at = str(self._folder)
        for part in parts:
            if part in ("", "."):
                continue
            names = self._listed(at).get(_folded(part), [])
            same = [
                name
                for name in names
                if unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", part)
            ]
            chosen = same or names
            if len(chosen) != 1:
                return None
            at = f"{at}/{chosen[0]}"
        return self._judged(os.path.realpath(at))

    def _listed(self, folder: str) -> dict[str, list[str]]:
        """The names in a folder by what they have in common with near ones; read once."""
        if folder not in self._names:
            if len(self._names) >= _FOLDERS_KNOWN:
                self._names.clear()
            found: dict[str, list[str]] = {}
            if self._bounds.admits(Path(os.path.realpath(folder))):
                try:
                    with os.scandir(folder) as entries:
                        for _, entry in zip(range(_NAMES_KNOWN), entries, strict=False):
                            found.setdefault(_folded(entry.name), []).append(entry.name)
                except OSError:
                    # Not there, or not to be read: nothing near is offered.
                    pass
            self._names[folder] = found
        return self._names[folder]

    def _foreign(self, subject: str, image: str) -> InputError:
        reason = f"its image {shortened(image)!r} is a path of a Windows machine{self._hint(image)}"
        remedy = "Write the path from the catalogue's folder, such as images/a.jpg"
        return InputError("catalogue.outside", subject, reason, remedy)

    def _outside(self, subject: str, image: str) -> InputError:
        reason = (
            f"its image {shortened(image)!r} lies outside the catalogue's folder, or a link leads there"
            f"{self._hint(image)}"
        )
        remedy = "Put the pictures beside the catalogue file, or run it with --allow-outside"
        return InputError("catalogue.outside", subject, reason, remedy)

    def _hint(self, image: str) -> str:
        """The end of a path that does lie in the folder."""
        parts = [part for part in image.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        for start in range(1, len(parts)):
            end = "/".join(parts[start:])
            if (found := self._otherwise(end)) is not None and found[1] and os.path.lexists(found[0]):
                return f"; did you mean {os.path.relpath(found[0], self._folder)!r}?"
        return ""


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
