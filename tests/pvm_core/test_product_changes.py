"""Changes of a product end in one state: in any order, however often, partial ones, deletes, re-creates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvm_core.product_changes import FIELDS, Change, ProductState, Version, apply

_FIELDS = ("title", "price", "category")
_DATA = st.dictionaries(st.sampled_from(_FIELDS), st.sampled_from(("", "a", "b", "c")))


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    """Changes of one product, each with a version of its own; numbers repeat, entries do not."""
    made = []
    for entry in range(draw(st.integers(0, 7))):
        kind = draw(st.sampled_from(("create", "update", "update", "delete")))
        data = {} if kind == "delete" else draw(_DATA)
        made.append(Change(kind, Version(draw(st.integers(0, 4)), f"e{entry}"), data))
    return made


def after(changes: Sequence[Change], state: ProductState | None = None) -> ProductState:
    """The state after all of these."""
    state = state or ProductState()
    for change in changes:
        state = apply(state, change).state
    return state


def seen(state: ProductState) -> dict[str, Any] | None:
    """What everybody sees of a product; None where there is none."""
    return {name: state.value(name) for name in FIELDS} if state.exists else None


@settings(max_examples=500, deadline=None)
@given(history=histories(), data=st.data())
def test_any_order_and_any_repetition_ends_in_one_state(history: list[Change], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(history), max_size=6)) if history else []
    order = data.draw(st.permutations([*history, *again]))
    assert after(order) == after(history)


@settings(max_examples=300, deadline=None)
@given(history=histories())
def test_a_field_has_what_its_newest_change_says(history: list[Change]) -> None:
    """The same by another road: per field the newest write that is newer than the newest delete."""
    deletes = [change.version for change in history if change.kind == "delete"]
    alive = [c for c in history if c.kind != "delete" and (not deletes or c.version > max(deletes))]
    writes = [(change.version, name, value) for change in alive for name, value in change.sets.items()]
    expected = {name: value for _, name, value in sorted(writes, key=lambda one: one[0])}
    found = after(history)
    assert found.values == expected
    assert found.deleted == max(deletes, default=None)


@settings(max_examples=300, deadline=None)
@given(history=histories())
def test_effects_tell_the_whole_story(history: list[Change]) -> None:
    """Who hears of effects alone, with the fields that changed, knows the product."""
    state, heard = ProductState(), None
    for change in history:
        done = apply(state, change)
        before, state = seen(state), done.state
        if done.effect == "deleted":
            heard = None
        elif done.effect is not None:
            heard = {**(heard or dict(FIELDS)), **{name: state.value(name) for name in done.changed}}
        else:
            assert before == seen(state)
        assert heard == seen(state)
        assert apply(state, change).effect is None, "a duplicate is absorbed"


@settings(max_examples=100, deadline=None)
@given(history=histories())
def test_what_was_read_from_a_source_gives_way_to_any_change(history: list[Change]) -> None:
    read = ProductState(dict.fromkeys(_FIELDS, "read"))
    found, alone = after(history, read), after(history)
    assert found.versions == alone.versions
    kept = {name for name in _FIELDS if name not in alone.versions and found.deleted is None}
    assert found.values == {**alone.values, **dict.fromkeys(kept, "read")}


def test_an_older_change_applies_to_what_nothing_newer_has_set() -> None:
    state = after([
        Change("create", Version(1, "a"), {"title": "Pillow", "price": "1"}),
        Change("update", Version(3, "c"), {"price": "3"}),
    ])  # fmt: skip
    late = apply(state, Change("update", Version(2, "b"), {"price": "2", "brand": "Soft"}))
    assert (late.state.value("price"), late.state.value("brand")) == ("3", "Soft")
    assert (late.changed, late.effect) == (frozenset({"brand"}), "updated")


def test_a_delete_leaves_its_version_and_nothing_else() -> None:
    state = after([Change("create", Version(1), {"title": "Pillow"}), Change("delete", Version(2))])
    assert state == ProductState(deleted=Version(2))
    assert apply(state, Change("update", Version(2), {"title": "late"})).state == state
    again = apply(state, Change("create", Version(3), {"title": "New"}))
    assert (again.effect, again.state.value("title")) == ("created", "New")


def test_versions_of_times_and_ties() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert Version.at(at, "a") < Version.at(at, "b") < Version.at(at + timedelta(microseconds=1), "a")
    assert Version.at(at.replace(tzinfo=None).astimezone(UTC), "a").number > 0


def test_what_is_no_change_is_refused() -> None:
    with pytest.raises(ValueError, match="colour"):
        Change("update", Version(1), {"colour": "red"})
    with pytest.raises(ValueError, match="delete"):
        Change("delete", Version(1), {"title": "x"})
