"""dlib's face network (its own .dat format) to ONNX. No compiler, no dlib.

The file holds the layers from the picture inwards to the vector, each a name, its numbers and some empty training
state. Read here: whole numbers as a length byte (top bit: negative) and little-endian bytes, fractions as mantissa and
binary exponent, tensors as a version, four sizes and float32. Residual additions follow dlib's rule that the smaller
tensor is padded with zeros at the far end. The affine layers and the input's mean and scale are folded into the
convolutions beside them, in double precision; the result is within 1e-5 of dlib (tests/models/test_convert_dlib.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.errors import ModelFileError

SIDE_PX: Final = 150
_SCALE: Final = 256.0  # what dlib's input layer divides by
_OPSET: Final = 13
_RECORD: Final = re.compile(rb"\x01[\x03-\x20](con_4|affine_|relu_|max_pool_2|avg_pool_2|add_prev_|fc_2)")
_INPUT: Final = b"input_rgb_image_sized"
_NEGATIVE: Final = 0x80


def convert(data: bytes) -> bytes:
    """A serialised ONNX model: "input" float32[N, 3, 150, 150] (RGB, 0..255) to "output" float32[N, 128].

    Raises ModelFileError where the file is not the network that is known here.
    """
    try:
        return _Builder(_Reader(data)).build()
    except (IndexError, ValueError, AttributeError) as error:
        raise ModelFileError(f"dlib's network cannot be converted: {error!r}") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = data.index(_INPUT) + len(_INPUT)

    def next_record(self) -> str:
        """Name of the next layer; "" at the end. Weights were read before, so nothing in them can look like a name."""
        found = _RECORD.search(self._data, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found[1].decode()

    def integer(self) -> int:
        head = self._data[self._at]
        size = head & 0x0F
        value = int.from_bytes(self._data[self._at + 1 : self._at + 1 + size], "little")
        self._at += 1 + size
        return -value if head & _NEGATIVE else value

    def fraction(self) -> float:
        mantissa = self.integer()
        return float(mantissa * 2.0 ** self.integer())

    def tensor(self) -> NDArray[np.float64]:
        _version, *sizes = (self.integer() for _ in range(5))
        count = int(np.prod(sizes))
        values = np.frombuffer(self._data, "<f4", count, self._at)
        self._at += 4 * count
        return values.reshape(sizes).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Plane:
    """The tensor `name`, float32[N, channels, side, side]."""

    name: str
    channels: int
    side: int


class _Builder:
    def __init__(self, reader: _Reader) -> None:
        self._reader = reader
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._now = _Plane("input", 3, SIDE_PX)
        self._shortcut = self._now  # what the next residual addition adds

    def build(self) -> bytes:
        mean: NDArray[np.float64] | None = np.array([self._reader.fraction() for _ in range(3)])
        added = False
        while name := self._reader.next_record():
            match name:
                case "con_4":
                    self._convolution(mean)
                    mean = None
                case "relu_":
                    self._emit("Relu", [self._now.name], self._now.channels, self._now.side)
                    self._shortcut = self._now if added else self._shortcut
                case "max_pool_2":
                    self._pool("MaxPool")
                case "avg_pool_2":
                    self._pool("AveragePool")
                case "add_prev_":
                    self._add(self._now, self._shortcut)
                case "fc_2":
                    self._product()
            added = name == "add_prev_"
        return self._serialised()

    def _emit(self, op: str, inputs: list[str], channels: int, side: int, **more: Any) -> None:  # noqa: ANN401  many kinds
        self._now = _Plane(f"t{len(self._nodes)}", channels, side)
        self._nodes.append(helper.make_node(op, inputs, [self._now.name], **more))

    def _constant(self, values: NDArray[Any]) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _convolution(self, mean: NDArray[np.float64] | None) -> None:
        """A convolution and the affine layer that always follows it; `mean` for the first one, which takes pixels."""
        params = self._reader.tensor().ravel()
        filters, rows, columns, stride, _, pad, _ = (self._reader.integer() for _ in range(7))
        kernel = params[:-filters].reshape(filters, self._now.channels, rows, columns)
        bias = params[-filters:]
        if mean is not None:
            bias = bias - (kernel * mean[:, None, None]).sum(axis=(1, 2, 3)) / _SCALE
            kernel = kernel / _SCALE
        if self._reader.next_record() != "affine_":
            raise ValueError("a convolution without its affine layer")
        gamma, beta = self._reader.tensor().ravel().reshape(2, filters)
        inputs = [
            self._now.name,
            self._constant((kernel * gamma[:, None, None, None]).astype(np.float32)),
            self._constant((bias * gamma + beta).astype(np.float32)),
        ]
        side = (self._now.side + 2 * pad - rows) // stride + 1
        self._emit("Conv", inputs, filters, side, kernel_shape=[rows, columns], strides=[stride] * 2, pads=[pad] * 4)

    def _pool(self, op: str) -> None:
        """On the way itself at the front and where the whole plane is taken; else on the short way round a block."""
        rows, columns, stride, _, pad, _ = (self._reader.integer() for _ in range(6))
        if rows == 0:
            self._emit("GlobalAveragePool", [self._now.name], self._now.channels, 1)
            return
        before, plane = self._now, self._shortcut if op == "AveragePool" else self._now
        side = (plane.side + 2 * pad - rows) // stride + 1
        self._emit(op, [plane.name], plane.channels, side, kernel_shape=[rows, columns], strides=[stride] * 2)
        self._shortcut = self._now
        self._now = before if op == "AveragePool" else self._now

    def _add(self, one: _Plane, other: _Plane) -> None:
        channels, side = max(one.channels, other.channels), max(one.side, other.side)
        names = [self._padded(plane, channels, side) for plane in (one, other)]
        self._emit("Add", names, channels, side)

    def _padded(self, plane: _Plane, channels: int, side: int) -> str:
        if (plane.channels, plane.side) == (channels, side):
            return plane.name
        ends = np.array([0, 0, 0, 0, 0, channels - plane.channels, side - plane.side, side - plane.side], np.int64)
        self._emit("Pad", [plane.name, self._constant(ends)], channels, side)
        return self._now.name

    def _product(self) -> None:
        outputs, inputs = self._reader.integer(), self._reader.integer()
        weights = self._reader.tensor().reshape(inputs, outputs).astype(np.float32)
        self._emit("Flatten", [self._now.name], inputs, 1, axis=1)
        self._emit("MatMul", [self._now.name, self._constant(weights)], outputs, 1)

    def _serialised(self) -> bytes:
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self._nodes,
            "converted",
            [value("input", TensorProto.FLOAT, ["N", 3, SIDE_PX, SIDE_PX])],
            [value(self._now.name, TensorProto.FLOAT, ["N", self._now.channels])],
            self._weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())
