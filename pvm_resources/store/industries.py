"""Industries: names, slugs, standing sources, rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pvm_core.errors import InputError
from pvm_core.wording import near_names
from pvm_jobs.job_ids import slugify
from pvm_resources.store.base import Repository, clean, json, listed
from pvm_resources.store.records import Industry

_COLUMNS = listed(Industry)
#: Characters; names are in a unique index, whose entries hold a third of a page.
NAME_MAX = 200
#: Under this transaction lock slugs are chosen, so that two new industries cannot choose the same.
_SLUGS = "SELECT pg_advisory_xact_lock(hashtextextended('pvm.industries', 0))"


class Industries(Repository):
    """Table `industries`."""

    def ensure(self, name: str) -> Industry:
        """The industry of that name or slug, made where it is new, under a slug of its own.

        Raises:
            InputError: ``industry.name``: empty, too long, or no text that a database holds.
        """
        name = _named(name)
        found = self.find(name)
        if found is not None:
            return found
        with self._db.transaction() as cursor:
            cursor.execute(_SLUGS)
            taken = {row[0] for row in cursor.execute("SELECT slug FROM industries WHERE name <> %s", [name])}
            cursor.execute(
                "INSERT INTO industries (slug, name) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING",
                [slugify(name, taken), name],
            )
        made = self._by("name", name)
        assert made is not None
        return made

    def get(self, name_or_slug: str) -> Industry:
        """The industry of that name or slug.

        Raises:
            InputError: ``industry.unknown``.
        """
        found = self.find(name_or_slug)
        if found is None:
            known = [industry.name for industry in self.list()]
            near = " or ".join(f'"{name}"' for name in near_names(name_or_slug, known))
            raise InputError(
                "industry.unknown",
                name_or_slug,
                f"no such industry (known: {', '.join(known[:10]) or 'none yet'})",
                f"Did you mean {near}? See pvm industries list" if near else "See pvm industries list",
            )
        return found

    def find(self, name_or_slug: str) -> Industry | None:
        """The same; None where there is none."""
        name = " ".join(name_or_slug.split())
        # No industry has a name that no database holds.
        return (self._by("name", name) or self._by("slug", name)) if clean(name) == name else None

    def draft(self, name: str) -> Industry:
        """The industry of that name or slug, or one as `ensure` would make it; stores nothing.

        Raises:
            InputError: ``industry.name``, as `ensure`.
        """
        now = datetime.now(UTC)
        given = _named(name)
        return self.find(given) or Industry(slugify(given), given, {}, {}, "default", {}, now, now)

    def list(self) -> list[Industry]:
        """All, by name."""
        return self._db.all(Industry, f"SELECT {_COLUMNS} FROM industries ORDER BY name")

    def set_rules(self, slug: str, rule_set: str, overrides: Mapping[str, Any]) -> None:
        """Stores the rule set's name and the overridden fields; the caller has validated them."""
        self._set(slug, "rule_set = %s, rules = %s", [rule_set, json(dict(overrides))])

    def set_queries(self, slug: str, queries: Any) -> None:
        """Stores search queries (JSON-able)."""
        self._set(slug, "queries = %s", [json(queries)])

    def set_sources(self, slug: str, sources: Mapping[str, Any]) -> None:
        """Stores the standing sources ``{"products": ..., "videos": ...}``."""
        self._set(slug, "sources = %s", [json(dict(sources))])

    def delete(self, slug: str) -> bool:
        """Removes an industry that has no jobs; False where it does not exist.

        Raises:
            InputError: ``industry.in_use``.
        """
        if self._db.value("SELECT EXISTS (SELECT 1 FROM jobs WHERE industry = %s)", [slug]):
            raise InputError("industry.in_use", slug, "it has jobs", "Delete its jobs first")
        return self._execute("DELETE FROM industries WHERE slug = %s", slug) == 1

    def _set(self, slug: str, columns: str, values: Sequence[Any]) -> None:
        query = f"UPDATE industries SET {columns}, updated_at = now() WHERE slug = %s"
        if not self._execute(query, *values, slug):
            raise InputError("industry.unknown", slug, "no such industry", "See pvm industries list")

    def _by(self, column: str, value: str) -> Industry | None:
        return self._db.one(Industry, f"SELECT {_COLUMNS} FROM industries WHERE {column} = %s", [value])


def _named(name: str) -> str:
    one_line = " ".join(name.split())
    if not one_line:
        raise InputError("industry.name", "industry", "its name is empty", "Give it a name")
    if len(one_line) > NAME_MAX:
        reason = f"its name has {len(one_line):,} characters, over {NAME_MAX}"
        raise InputError("industry.name", one_line[:80], reason, "Give it a shorter name")
    if clean(one_line) != one_line:
        reason = "its name holds a zero byte or half a character"
        raise InputError("industry.name", ascii(one_line)[:80], reason, "Write it in Unicode text")
    return one_line
