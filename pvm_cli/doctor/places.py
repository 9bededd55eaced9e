"""The home: permissions, space, files that hold secrets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pvm_cli.doctor.finding import Finding
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.private import open_place
from pvm_resources.settings import Settings, env_file

#: The demo takes 0.6 GB with its database; a job of a thousand videos takes ten times that.
_SCARCE_GB: Final = 5.0
_FULL_GB: Final = 1.0


def home(settings: Settings) -> Iterator[Finding]:
    """Where the home is, who may read it, how much room is left."""
    section, place = "home", settings.home
    there = _nearest(place)
    if not os.access(there, os.W_OK | os.X_OK):
        remedy = "Set PVM_HOME to a folder you may write"
        yield Finding(section, "PVM_HOME", f"{place}: not writable by this account", "failed", remedy)
    elif place.is_dir():
        yield Finding(section, "PVM_HOME", str(place))
    else:
        yield Finding(section, "PVM_HOME", f"{place}, not there yet: the first pvm run makes it")
    yield from _privacy(settings)
    yield _space(section, "space", there)
    if settings.media_url:
        remote = "://" in settings.media_url
        scheme = settings.media_url.partition("://")[0]
        yield Finding(section, "media", f"a store of the scheme {scheme}" if remote else settings.media_url)
        if not remote:
            yield _space(section, "space for media", _nearest(Path(settings.media_url).expanduser()))


def _privacy(settings: Settings) -> Iterator[Finding]:
    sockets = EmbeddedServer(settings.home).status().socket_dir if settings.needs_server else None
    media = settings.media_url if settings.media_url and "://" not in settings.media_url else None
    looked = {
        "permissions": settings.home,
        "database password": settings.home / "pg" / "password",
        "database socket": sockets,
        "media": Path(media).expanduser() if media else None,
        ".env": env_file(),
        "cookies": settings.ytdlp_cookies.expanduser() if settings.ytdlp_cookies else None,
    }
    for name, path in looked.items():
        if path is None or not path.exists():
            continue
        found = open_place(path)
        if found is None:
            mode = path.stat().st_mode & 0o7777
            yield Finding("home", name, f"{path}: {mode:04o}, its owner's alone")
        elif path == settings.home and not (path / "pg").exists():
            said = f"{path}: {found.mode:04o}, and nothing of a job in it yet"
            yield Finding("home", name, said, "note", "The first pvm run closes it")
        else:
            said = f"{path}: others may look into it; {found.reason}"
            yield Finding("home", name, said, "failed", found.remedy)


def _space(section: str, name: str, place: Path) -> Finding:
    free = shutil.disk_usage(place).free / 1e9
    shown = f"{free:.1f} GB free"
    if free >= _SCARCE_GB:
        return Finding(section, name, shown)
    remedy = "Free some, or set PVM_HOME to a larger disk; pvm purge --orphans deletes files without a row"
    return Finding(section, name, shown, "failed" if free < _FULL_GB else "warning", remedy)


def _nearest(path: Path) -> Path:
    """The path, or the first of its parents that is there."""
    return next(one for one in (path, *path.parents) if one.exists())
