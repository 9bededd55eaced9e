"""Generated catalogues, scenes and clips whose truth is known; pure and the same for the same seed."""

from pvm_core.synthetic.names import Family
from pvm_core.synthetic.pairs import SyntheticPair, make_pairs
from pvm_core.synthetic.products import SyntheticProduct, make_products, siblings
from pvm_core.synthetic.scenes import Scene, render_scene

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
