"""Learned local features: detectors and matchers by name."""

from pvm_core.local_features.base import Detector, LocalFeatures, Matcher
from pvm_core.local_features.loading import NONE, LocalMethod, choose_local, load_local

__all__ = ["NONE", "Detector", "LocalFeatures", "LocalMethod", "Matcher", "choose_local", "load_local"]
