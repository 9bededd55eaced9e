"""Memory of the attention analysis over a long video, minute by minute.

    python bench/bench_attention_memory.py CLIP [--minutes 30]

A video of that length is made of CLIP's own packets, again and again, without coding them anew; then the
product looks at it as an asset does, with its files in a media store of its own. Resident memory is read ten
times a second; the table has the peak within each minute of the video.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import psutil

from pvm_attention import analysis
from pvm_attention.analysis import FaceNetworks, look_at
from pvm_attention.rules import AttentionRules
from pvm_resources.media.store import MediaStore
from pvm_resources.settings import load_settings

_EVERY_S = 0.1


def loop(clip: Path, target: Path, minutes: float) -> None:
    """Writes the video stream of the clip again and again until the minutes are full."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as made:
        given = source.streams.video[0]
        stream = made.add_stream_from_template(given)
        packets = [p for p in source.demux(given) if p.dts is not None]
        base, rate = given.time_base or Fraction(1, 1000), given.average_rate or Fraction(30)
        first = min(p.dts for p in packets)
        span = max(p.pts for p in packets) - min(p.pts for p in packets) + round(1 / (rate * base))
        times = [(p, p.pts, p.dts) for p in packets]
        for lap in range(round(minutes * 60 / float(span * base))):
            for packet, pts, dts in times:
                packet.stream, packet.time_base = stream, base
                packet.pts, packet.dts = pts - first + lap * span, dts - first + lap * span
                made.mux(packet)


@dataclass
class Peaks:
    """Peak of resident memory within each minute of the video, MB."""

    process: psutil.Process = field(default_factory=psutil.Process)
    by_minute: dict[int, float] = field(default_factory=dict)
    _read: float = 0.0

    def see(self, ts: float) -> None:
        """A frame at that second was looked at."""
        now = time.monotonic()
        if now - self._read < _EVERY_S:
            return
        self._read = now
        minute, used = int(ts // 60), self.process.memory_info().rss / 2**20
        if minute not in self.by_minute and self.by_minute:
            self.tell()
        self.by_minute[minute] = max(used, self.by_minute.get(minute, 0.0))

    def tell(self) -> None:
        """Prints the latest minute."""
        minute, used = max(self.by_minute.items())
        print(f"minute {minute + 1:3d}: {used:.0f} MB", flush=True)


def watched(peaks: Peaks) -> Any:
    """`follow_faces` that tells the time of each frame."""
    plain = analysis.follow_faces

    def follow(*given: Any) -> Any:
        for found in plain(*given):
            peaks.see(found.ts)
            yield found

    return follow


def main() -> int:
    """Makes the video, looks at it, prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    peaks = Peaks()
    analysis.follow_faces = watched(peaks)
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / f"long{given.clip.suffix}"
        loop(given.clip, video, given.minutes)
        networks = FaceNetworks.load("blazeface", load_settings().models)
        media = MediaStore(str(Path(folder) / "media"))
        found, tracks = look_at(video, uuid.uuid4(), "bench", networks, AttentionRules(), media)
    peaks.tell()
    print(f"{found.looked} frames, {found.with_face} with a face, {len(tracks)} tracks, "
          f"{found.looked / found.seconds_cpu:.1f} frames/s a core")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
