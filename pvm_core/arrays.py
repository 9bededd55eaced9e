"""Types of arrays, by their element."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]
