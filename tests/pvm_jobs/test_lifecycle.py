"""Phases follow from the events that have come, whatever their order."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from pvm_jobs.events import PER_JOB
from pvm_jobs.lifecycle import BARRIERS, derive_phase

_PHASES = tuple(name for _, names in BARRIERS for name in names)
_ORDER = ("collection", "feature_extraction", "matching", "evidence", "completed")
_EVENTS = tuple((uuid.uuid4(), name) for name in PER_JOB)


class Follower:
    """A consumer as the founding documents have it: doubles dropped by event_id, barriers over names."""

    def __init__(self) -> None:
        self._seen: dict[uuid.UUID, str] = {}

    def hear(self, event: tuple[uuid.UUID, str]) -> str:
        """The phase after this event."""
        self._seen.setdefault(*event)
        return derive_phase(set(self._seen.values()))


@given(st.permutations(_EVENTS), st.lists(st.sampled_from(_EVENTS), max_size=30), st.randoms())
def test_any_order_with_any_doubles_ends_in_the_same_phase(
    events: list[tuple[uuid.UUID, str]], doubles: list[tuple[uuid.UUID, str]], random: object
) -> None:
    follower = Follower()
    heard = [*events, *doubles]
    random.shuffle(heard)  # type: ignore[attr-defined]
    phases = [follower.hear(event) for event in heard]
    assert phases[-1] == "completed"
    places = [_ORDER.index(phase) for phase in phases]
    assert places == sorted(places), "a phase is never taken back"


@given(st.lists(st.sampled_from(_EVENTS), max_size=40), st.data())
def test_what_is_lost_and_comes_again_changes_nothing(
    events: list[tuple[uuid.UUID, str]], data: st.DataObject
) -> None:
    lost = [event for event in events if data.draw(st.booleans())]
    follower = Follower()
    for event in (*(e for e in events if e not in lost), *lost):
        follower.hear(event)
    expected = derive_phase({name for _, name in events})
    assert follower.hear(events[0]) == expected if events else expected == "collection"


@given(st.sets(st.sampled_from(_PHASES)))
def test_a_phase_ends_only_with_its_whole_barrier(names: set[str]) -> None:
    phase = derive_phase(names)
    for ended in _ORDER[: _ORDER.index(phase)]:
        assert set(dict(BARRIERS)[ended]) <= names
    if phase != "completed":
        assert not set(dict(BARRIERS)[phase]) <= names
