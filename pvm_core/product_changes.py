"""Changes of products, and what a product is after them, in whatever order and however often they come.

A product's fields are registers of which the newest write stands (last-writer-wins registers: Shapiro,
Preguiça, Baquero and Zawirski, "A comprehensive study of convergent and commutative replicated data types",
2011): each field keeps the version it was set by, a delete keeps its own and takes every field not newer than
it. So the state depends on the set of changes alone, not on their order, and a change that comes twice
changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal

Kind = Literal["create", "update", "delete"]
Effect = Literal["created", "updated", "deleted"]

#: Fields of a product that changes set, and what each is where nothing is said of it.
FIELDS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "title": "", "description": "", "category": "", "brand": "", "price": "", "currency": "",
        "availability": "", "url": "", "attributes": MappingProxyType({}), "pictures": (),
    }
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Version:
    """When a change was made, as its maker counts; the greater one is newer.

    Attributes:
        number: the maker's version, or the change's time in microseconds since 1970.
        entry: id of the change, which decides between equal numbers.
    """

    number: int
    entry: str = ""

    @classmethod
    def at(cls, moment: datetime, entry: str) -> Version:
        """The version of a change that has a time alone."""
        return cls(round((moment - _EPOCH).total_seconds() * 1_000_000), entry)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Older than any change.
NEVER: Final = Version(-(1 << 62))


@dataclass(frozen=True)
class Change:
    """One change of one product.

    Attributes:
        data: changed fields by name, of `FIELDS`. A create sets the others to what they are where nothing is
            said; a delete has none.

    Raises:
        ValueError: a field is unknown, or a delete names one.
    """

    kind: Kind
    version: Version
    data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := self.data.keys() - FIELDS.keys():
            raise ValueError(f"no fields of a product: {sorted(unknown)}")
        if self.kind == "delete" and self.data:
            raise ValueError("a delete changes no field")

    @property
    def sets(self) -> dict[str, Any]:
        """Every field that the change sets."""
        return {**FIELDS, **self.data} if self.kind == "create" else dict(self.data)


@dataclass(frozen=True)
class ProductState:
    """What is known of a product.

    Attributes:
        values: of the fields that were set since the last delete.
        versions: of those fields; one that no change has set, since it was read from a source, has none and
            gives way to any change.
        deleted: the version of the newest delete; None for none.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Version] = field(default_factory=dict)
    deleted: Version | None = None

    @property
    def exists(self) -> bool:
        """Whether anything is said of it that is newer than its delete."""
        return bool(self.values)

    def value(self, name: str) -> Any:
        """A field's value."""
        return self.values.get(name, FIELDS[name])

    def version(self, name: str) -> Version:
        """What a change of this field must be newer than."""
        known = self.versions.get(name, NEVER)
        return known if self.deleted is None else max(known, self.deleted)


@dataclass(frozen=True)
class Applied:
    """What a change did.

    Attributes:
        state: the product after it.
        changed: fields whose value is another one now.
        effect: None where nobody could tell that it was applied.
    """

    state: ProductState
    changed: frozenset[str] = frozenset()
    effect: Effect | None = None


def apply(state: ProductState, change: Change) -> Applied:
    """The product after one more change, which may be older than others, or come a second time."""
    if change.kind == "delete":
        return _deleted(state, change.version)
    newer = {name: value for name, value in change.sets.items() if change.version > state.version(name)}
    if not newer:
        return Applied(state)
    changed = frozenset(name for name, value in newer.items() if value != state.value(name))
    after = ProductState(
        {**state.values, **newer},
        {**state.versions, **dict.fromkeys(newer, change.version)},
        state.deleted,
    )
    if not state.exists:
        return Applied(after, changed, "created")
    return Applied(after, changed, "updated" if changed else None)


def _deleted(state: ProductState, version: Version) -> Applied:
    if state.deleted is not None and version <= state.deleted:
        return Applied(state)
    left = {name: value for name, value in state.values.items() if state.version(name) > version}
    versions = {name: state.version(name) for name in left}
    after = ProductState(left, versions, version)
    if left:
        # It was made again, or changed, after what deletes it late.
        changed = frozenset(name for name in state.values if after.value(name) != state.value(name))
        return Applied(after, changed, "updated" if changed else None)
    return Applied(after, frozenset(state.values), "deleted" if state.exists else None)
