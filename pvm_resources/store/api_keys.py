"""API keys and the secrets that the API signs with."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args

from pvm_core.errors import InputError
from pvm_resources.store.base import Repository, insert, listed

Scope = Literal["read", "run", "review", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
#: Scopes that a scope includes: who starts or judges jobs may read them.
IMPLIED: Final[dict[Scope, frozenset[Scope]]] = {
    "read": frozenset({"read"}),
    "run": frozenset({"run", "read"}),
    "review": frozenset({"review", "read"}),
    "admin": frozenset(SCOPES),
}

_ALPHABET: Final = string.ascii_lowercase + string.digits
_ID: Final = 8
#: 37 characters of 36 kinds are 191 random bits.
_SECRET: Final = 37
_TOKEN: Final = re.compile(rf"pvm_([a-z0-9]{{{_ID}}})_[a-z0-9]{{{_SECRET}}}")
_NAME_MAX: Final = 100


@dataclass(frozen=True)
class ApiKey:
    """A key without its secret."""

    key_id: str
    name: str
    scopes: Sequence[Scope]
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def allows(self) -> frozenset[Scope]:
        """Every scope its holder has."""
        return frozenset(scope for given in self.scopes for scope in IMPLIED[given])


_SELECT: Final = f"SELECT {listed(ApiKey)} FROM api_keys"


class Keys(Repository):
    """Tables `api_keys` and `api_secrets`."""

    def create(self, name: str, scopes: Collection[str]) -> tuple[ApiKey, str]:
        """A new key and its token ``pvm_<id>_<secret>``, which is not stored.

        Raises:
            InputError: ``key.name``, ``key.scope``.
        """
        name = " ".join(name.split())
        if not 1 <= len(name) <= _NAME_MAX:
            raise InputError("key.name", "name", f"it has not 1 to {_NAME_MAX} characters", "Name its user")
        known = [scope for scope in SCOPES if scope in scopes]
        if not known or len(known) != len(set(scopes)):
            given = ", ".join(sorted(scopes)) or "none"
            raise InputError("key.scope", given, "no such scope", f"Choose from {', '.join(SCOPES)}")
        key_id = _random(_ID)
        token = f"pvm_{key_id}_{_random(_SECRET)}"
        self._db.commit(
            insert("api_keys", {"key_id": key_id, "name": name, "hash": _hash(token), "scopes": known})
        )
        found = self.active(key_id)
        assert found is not None
        return found, token

    def find(self, token: str) -> ApiKey | None:
        """The key of that token; None where there is none, or where it is revoked. Stores its time of use,
        to the minute."""
        if _TOKEN.fullmatch(token) is None:
            return None
        found = self._db.one(ApiKey, f"{_SELECT} WHERE hash = %s AND revoked_at IS NULL", [_hash(token)])
        if found is not None:
            self._execute(
                "UPDATE api_keys SET last_used_at = now() WHERE key_id = %s "
                "AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')",
                found.key_id,
            )
        return found

    def active(self, key_id: str) -> ApiKey | None:
        """The key of that id; None where there is none, or where it is revoked."""
        return self._db.one(ApiKey, f"{_SELECT} WHERE key_id = %s AND revoked_at IS NULL", [key_id])

    def list(self) -> list[ApiKey]:
        """All keys, revoked ones too, oldest first."""
        return self._db.all(ApiKey, f"{_SELECT} ORDER BY created_at, key_id")

    def any_active(self) -> bool:
        """True where at least one key is valid."""
        return bool(self._db.value("SELECT EXISTS (SELECT 1 FROM api_keys WHERE revoked_at IS NULL)"))

    def revoke(self, key_id: str) -> bool:
        """Revokes a key; False where it was revoked already.

        Raises:
            InputError: ``key.unknown``.
        """
        query = "UPDATE api_keys SET revoked_at = now() WHERE key_id = %s AND revoked_at IS NULL"
        if self._execute(query, key_id):
            return True
        if not self._db.value("SELECT EXISTS (SELECT 1 FROM api_keys WHERE key_id = %s)", [key_id]):
            raise InputError("key.unknown", key_id, "no such key", "See pvm keys list")
        return False

    def secret(self, name: str) -> bytes:
        """The 32 random bytes under that name, the same for every process; made at the first call."""
        self._db.commit(
            insert("api_secrets", {"name": name, "secret": os.urandom(32)}, "ON CONFLICT (name) DO NOTHING")
        )
        return bytes(self._db.value("SELECT secret FROM api_secrets WHERE name = %s", [name]))


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
