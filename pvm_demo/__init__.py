"""Generated catalogues, scenes and clips whose truth is known; pure and the same for the same seed."""

from pvm_demo.names import Family
from pvm_demo.pairs import SyntheticPair, make_pairs
from pvm_demo.products import SyntheticProduct, make_products, siblings
from pvm_demo.scenes import Scene, render_scene

__all__ = [
    "Family",
    "Scene",
    "SyntheticPair",
    "SyntheticProduct",
    "make_pairs",
    "make_products",
    "render_scene",
    "siblings",
]
