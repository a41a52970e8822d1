"""A first, coarse look through a very large gallery: the vectors in 8 bits, one integer product in ONNX Runtime.

A quarter of the bytes of the float32 matrix: memory is what a search of 100,000 people waits for. An 8-bit cosine is
within 0.02 of the exact one, so the 64 coarsely nearest hold the exactly nearest fifteen; those are then compared
exactly (gallery.py).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.arrays import Floats
from models.embed import session

CANDIDATES: Final = 64
_LIMIT: Final = 127
_ZERO: Final = 128


class CoarseIndex:
    """Made once of the matrix as it is; the gallery remembers which rows have changed since."""

    def __init__(self, rows: Floats) -> None:
        """`rows` float32[N, dim], unit length. Takes about a second for 100,000."""
        self._scale = float(np.abs(rows).max()) / _LIMIT
        turned = np.empty((rows.shape[1], len(rows)), np.int8)
        for start in range(0, len(rows), 4096):
            part = rows[start : start + 4096] / self._scale
            turned[:, start : start + 4096] = np.rint(part).astype(np.int8).T
        graph = helper.make_graph(
            [helper.make_node("MatMulInteger", ["probe", "people", "zero"], ["products"])],
            "gallery",
            [helper.make_tensor_value_info("probe", TensorProto.UINT8, [1, rows.shape[1]])],
            [helper.make_tensor_value_info("products", TensorProto.INT32, [1, len(rows)])],
            [numpy_helper.from_array(turned, "people"), numpy_helper.from_array(np.array(_ZERO, np.uint8), "zero")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model)
        self._session = session(model.SerializeToString())

    def candidates(self, vector: Floats) -> NDArray[np.intp]:
        """Row numbers of the coarsely nearest CANDIDATES to a unit vector, in no order."""
        probe = np.clip(np.rint(vector / self._scale) + _ZERO, 0, 255).astype(np.uint8)[None]
        products = np.asarray(self._session.run(None, {"probe": probe})[0], np.int32)[0]
        if len(products) <= CANDIDATES:
            return np.arange(len(products))
        return np.argpartition(products, len(products) - CANDIDATES)[-CANDIDATES:]
