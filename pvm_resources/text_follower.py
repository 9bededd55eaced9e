"""Vectors of words that keep up with changes, in a thread of their own: who sends a change does not wait."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from pvm_core.errors import PvmError
from pvm_resources.store.product_changes import Outcome
from pvm_resources.text_index import TextIndex
from pvm_resources.tracing import Span, Tracing

#: Fields that a vector is of.
_WORDS: Final = frozenset({"title", "description", "category"})
#: Seconds that `close` waits for what is not embedded yet; the sensor `catalogue` finds what is left.
_CLOSE_S: Final = 5.0
_log: Final = logging.getLogger("pvm.catalogue")


class TextFollower:
    """Embeds the new words of changes soon after they were applied, all that came meanwhile together.

    What fails, or is lost with the process, is embedded by the next materialisation of the industry.

    Args:
        index: where vectors are kept.
        tracing: gets a span for each traced change, from when it was applied until its words are found.
    """

    def __init__(self, index: TextIndex, tracing: Tracing | None = None) -> None:
        self._index = index
        self._tracing = tracing or Tracing()
        self._spans: list[Span] = []
        self._news = threading.Condition()
        self._waiting: set[uuid.UUID] = set()
        self._working = self._closed = False
        self._thread: threading.Thread | None = None

    def __call__(self, outcomes: Sequence[Outcome], traceparents: Sequence[str | None] = ()) -> None:
        """Takes note of changes that were applied; returns at once.

        Args:
            traceparents: the span that each came in.
        """
        found: dict[uuid.UUID, str | None] = {
            one.product_id: parent
            for one, parent in zip_longest(outcomes, traceparents[: len(outcomes)])
            if one.effect in ("created", "updated") and not _WORDS.isdisjoint(one.changed)
        }
        if not found:
            return
        with self._news:
            if self._closed:
                return
            self._waiting |= found.keys()
            self._spans += [self._begun(*one) for one in found.items() if one[1] is not None]
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="text-follower", daemon=True)
                self._thread.start()
            self._news.notify_all()

    def wait(self, seconds: float) -> bool:
        """Waits until nothing is left to embed; False where something is after `seconds`."""
        with self._news:
            return self._news.wait_for(lambda: not self._waiting and not self._working, seconds)

    def close(self) -> None:
        """Ends the thread once what waits is embedded, or after 5 s."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def _begun(self, product: uuid.UUID, parent: str | None) -> Span:
        attributes = {"pvm.product_id": str(product)}
        return self._tracing.begin("product searchable", parent=parent, attributes=attributes)

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                taken, self._waiting, self._working = sorted(self._waiting), set(), True
                spans, self._spans = self._spans, []
            try:
                self._index.embed_only(taken)
            except PvmError as error:
                _log.warning("vectors do not keep up with changes: %s", error)
                for span in spans:
                    span.fail(error.code)
            finally:
                for span in spans:
                    span.end()
                with self._news:
                    self._working = False
                    self._news.notify_all()
