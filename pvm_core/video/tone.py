"""HDR pictures as a screen of standard range shows them."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from av import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

#: Transfer characteristics of ITU-T H.273: PQ (SMPTE ST 2084) and HLG (ARIB STD-B67).
_PQ: Final = 16
_HLG: Final = 18
_BT2020: Final = 9
#: Longest side, in pixels, that is tone-mapped: kept frames are smaller.
_SIDE: Final = 1_280
#: Light of a page's white, and the peak of an HLG screen, cd/m2 (ITU-R BT.2408, table 1; BT.2100, table 5).
_WHITE: Final = 203.0
_HLG_PEAK: Final = 1_000.0
#: Linear light of BT.2020 primaries in those of BT.709 (ITU-R BT.2087, annex 2).
_TO_709: Final = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
#: Up to here the curve of `tonemap` is a line, from here it bends towards white (FFmpeg's mobius, 0.3).
_KNEE: Final = 0.3
_STEPS: Final = 1_023


def is_hdr(frame: Any) -> bool:
    """Whether the frame (`av.VideoFrame`) says that it is PQ or HLG."""
    return int(frame.color_trc) in (_PQ, _HLG)


def tone_mapped(frame: Any) -> Any:
    """The frame in standard range: `av.VideoFrame`, ``rgb24``, its longest side at most 1280 pixels.

    FFmpeg's `tonemap` filter wants linear light, and its `scale` takes seconds to come to it in each graph;
    the tables here take a few hundredths.
    """
    scale = min(1.0, _SIDE / max(frame.width, frame.height))
    width, height = (max(2, round(side * scale)) for side in (frame.width, frame.height))
    # With whole chroma besides, swscale writes wrong colours at 16 bits.
    how = Interpolation.AREA
    deep = VideoReformatter().reformat(frame, width, height, "rgb48le", interpolation=how, threads=1)
    signal = np.asarray(deep.to_ndarray(), dtype=np.uint16) >> 6
    light = _hlg()[signal] if int(frame.color_trc) == _HLG else _pq()[signal]
    if int(frame.color_trc) == _HLG:
        # The screen's own gamma, over the brightness of the pixel (BT.2100, table 5).
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light = light * np.power(luminance, 0.2, where=luminance > 0, out=luminance)[..., None]
        light *= _HLG_PEAK / _WHITE
    if int(frame.color_primaries) == _BT2020:
        light = light @ _TO_709.T
    shown = _screen()[(_compressed(light.clip(0, None)) * 4 * _STEPS).astype(np.uint16)]
    return VideoFrame.from_ndarray(np.ascontiguousarray(shown), format="rgb24")


def _compressed(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Light, white = 1 and any above it, within 0..1: what is brighter is bent, not clipped."""
    peak = max(1.0, float(light.max()))
    if peak == 1.0:
        return light
    a = -_KNEE * _KNEE * (peak - 1) / (_KNEE * _KNEE - 2 * _KNEE + peak)
    b = (_KNEE * _KNEE - 2 * _KNEE * peak + peak) / max(peak - 1, 1e-6)
    bent = (b * b + 2 * b * _KNEE + _KNEE * _KNEE) / (b - a) * (light + a) / (light + b)
    return np.where(light <= _KNEE, light, bent).clip(0, 1)


@cache
def _pq() -> NDArray[np.float32]:
    """Light over page white of each signal of 10 bits (ITU-R BT.2100, table 4)."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = np.linspace(0, 1, _STEPS + 1) ** (1 / m2)
    light = 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return (light / _WHITE).astype(np.float32)


@cache
def _hlg() -> NDArray[np.float32]:
    """Light of the scene, 0..1, of each signal of 10 bits (ITU-R BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    signal = np.linspace(0, 1, _STEPS + 1)
    light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return light.astype(np.float32)


@cache
def _screen() -> NDArray[np.uint8]:
    """sRGB, 0..255, of light in steps of 12 bits (IEC 61966-2-1)."""
    light = np.linspace(0, 1, 4 * _STEPS + 1)
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray((255 * signal).round(), np.uint8)
