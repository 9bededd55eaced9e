"""Connection strings: any form libpq understands, for libpq itself and for SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pvm_core.errors import InputError

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]*")


def parse(dsn: str) -> dict[str, str]:
    """The parameters of a connection string: a URL or ``key=value`` pairs.

    SQLAlchemy's ``postgresql+driver://`` is accepted too.

    Raises:
        InputError: code ``settings.dsn``; the string itself is never repeated, it may hold a password.
    """
    scheme, sep, rest = dsn.strip().partition("://")
    if sep and "+" in scheme:
        dsn = f"{scheme.partition('+')[0]}://{rest}"
    try:
        return {key: str(value) for key, value in conninfo_to_dict(dsn.strip()).items()}
    except ProgrammingError as error:
        # libpq's message may quote the part it could not read.
        reason = "it is not a connection string libpq understands"
        if "invalid connection option" in str(error):
            reason = str(error).strip().splitlines()[0]
        raise InputError(
            "settings.dsn",
            "database URL",
            reason,
            "Write postgresql://user:password@host:5432/name or key=value pairs",
        ) from None


def to_libpq(dsn: str) -> str:
    """`dsn` as libpq's ``key=value`` pairs."""
    return make_conninfo("", **parse(dsn))


def to_url(dsn: str, driver: str = "") -> str:
    """`dsn` as a URL that libpq and SQLAlchemy read alike.

    Args:
        dsn: any libpq form.
        driver: SQLAlchemy's driver, e.g. ``psycopg``; "" for a plain ``postgresql://`` URL.
    """
    params = parse(dsn)
    user, password = params.pop("user", ""), params.pop("password", "")
    host, port, name = params.pop("host", ""), params.pop("port", ""), params.pop("dbname", "")
    if host and ("/" in host or "," in host or host.startswith("@")):
        # A socket folder or several hosts have no place in the authority that both readers accept.
        params = {"host": host, **({"port": port} if port else {}), **params}
        host = port = ""
    elif port and not host:
        params, port = {"port": port, **params}, ""
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    if not _PLAIN.fullmatch(name):
        # SQLAlchemy takes the path as it stands, libpq decodes it.
        params, name = {"dbname": name, **params}, ""
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in params.items())
    scheme = f"postgresql+{driver}" if driver else "postgresql"
    authority = f"{login}@{place}" if login else place
    return f"{scheme}://{authority}/{name}{'?' + query if query else ''}"


def describe(dsn: str) -> str:
    """`dsn` without its secrets, for messages: ``user@host:port/name``."""
    params = parse(dsn)
    place = params.get("host", "localhost") + (f":{params['port']}" if "port" in params else "")
    user = f"{params['user']}@" if "user" in params else ""
    return f"{user}{place}/{params.get('dbname', '')}"


def with_params(dsn: str, extra: Mapping[str, str]) -> str:
    """`dsn` as ``key=value`` pairs, with `extra` where it does not say itself."""
    return make_conninfo("", **{**extra, **parse(dsn)})
