"""Interlaced video made of whole pictures."""

from __future__ import annotations

from typing import Any, Final

import av
from av.filter import Graph

#: Bob Weaver: one picture a frame, of frames that say that they are interlaced (ffmpeg-filters, "bwdif").
_FILTER: Final = ("bwdif", "mode=send_frame:deint=interlaced")


class Deinterlacer:
    """Weaves the fields of interlaced frames into whole pictures; frames come out one later than they go in.

    Nothing is changed of a video until a frame says that it is interlaced.
    """

    def __init__(self, time_base: Any) -> None:
        self._time_base = time_base
        self._graph: Graph | None = None
        self._form: tuple[int, int, str] | None = None

    @property
    def working(self) -> bool:
        """Whether an interlaced frame has been met."""
        return self._graph is not None

    def through(self, frames: list[Any], *, last: bool = False) -> list[Any]:
        """The frames that come out as these go in; `last`: with those still inside."""
        done: list[Any] = []
        for frame in frames:
            if self._graph is None and not frame.interlaced_frame:
                done.append(frame)
                continue
            form = (frame.width, frame.height, frame.format.name)
            if form != self._form:
                done += self._rest()
                self._graph, self._form = self._built(form), form
            assert self._graph is not None
            frame.time_base = self._time_base
            self._graph.push(frame)
            done += self._pulled()
        return done + (self._rest() if last else [])

    def _built(self, form: tuple[int, int, str]) -> Graph:
        graph = Graph()
        width, height, pixels = form
        source = graph.add_buffer(
            width=width, height=height, format=av.VideoFormat(pixels), time_base=self._time_base
        )
        weave = graph.add(*_FILTER)
        sink = graph.add("buffersink")
        source.link_to(weave)
        weave.link_to(sink)
        graph.configure()
        return graph

    def _rest(self) -> list[Any]:
        if self._graph is None:
            return []
        self._graph.push(None)
        rest = self._pulled()
        self._graph = self._form = None
        return rest

    def _pulled(self) -> list[Any]:
        assert self._graph is not None
        found: list[Any] = []
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return found
            if frame.pts is not None and frame.time_base is not None:
                frame.pts = round(frame.pts * frame.time_base / self._time_base)
                frame.time_base = self._time_base
            found.append(frame)
