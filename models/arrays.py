"""Array types shared by the package, and which rows of an array stand for all."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]  # [height, width, 3], blue-green-red, 0..255
Chips: TypeAlias = NDArray[np.uint8]  # [count, side, side, 3], blue-green-red, aligned faces
Floats: TypeAlias = NDArray[np.float32]


def sample(people: int, most: int) -> NDArray[np.intp]:
    """At most so many row numbers: all, in their order, or some, the same ones each time."""
    return np.arange(people) if people <= most else np.random.default_rng(0).permutation(people)[:most]
