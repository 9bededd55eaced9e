"""Video files: what they hold, and their frames at the sampled moments."""

from pvm_core.video.animation import is_animation
from pvm_core.video.frame import SampledFrame
from pvm_core.video.plan import SamplingPlan, VideoInfo
from pvm_core.video.reading import iter_frames, iter_sampled_frames, probe

__all__ = [
    "SampledFrame",
    "SamplingPlan",
    "VideoInfo",
    "is_animation",
    "iter_frames",
    "iter_sampled_frames",
    "probe",
]
