"""OpenVINO IR (version 10 and 11, .xml + .bin) to ONNX, for plain convolutional networks. No compiler, no OpenVINO.

Every layer becomes the ONNX operator of the same meaning, so the result is the same function up to the order of float
additions. One rewrite is made on purpose: a PReLU with a single slope becomes LeakyRelu, which is the same formula and
which ONNX Runtime fuses into the convolution (measured: models/README.md). Anything not known here is refused by name.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.errors import ModelFileError

_TYPES: Final = {"f32": np.float32, "f16": np.float16, "i64": np.int64, "i32": np.int32}
_OPSET: Final = 13


def convert(xml: bytes, weights: bytes) -> bytes:
    """A serialised ONNX model: "input" float32[N, C, H, W] to "output" float32[N, dim]. Raises ModelFileError."""
    try:
        return _Builder(weights).build(ET.fromstring(xml))  # noqa: S314  the file's checksum is pinned in the manifest
    except (ET.ParseError, KeyError, ValueError) as error:
        raise ModelFileError(f"the OpenVINO network cannot be converted: {error!r}") from error


class _Builder:
    def __init__(self, weights: bytes) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[np.generic]] = {}
        self._source: dict[str, dict[str, str]] = {}  # layer id -> its input ports' producers, in order of the ports
        self._shape: list[int] = []
        self._result = ""
        self._layers: dict[str, Callable[[str, ET.Element, list[str]], None]] = {
            "Parameter": self._parameter,
            "Const": self._const,
            "Convert": self._convert,
            "Convolution": self._convolution,
            "GroupConvolution": self._convolution,
            "PReLU": self._prelu,
            "AvgPool": self._average,
            "Result": self._finish,
        }

    def build(self, root: ET.Element) -> bytes:
        for edge in root.iter("edge"):
            self._source.setdefault(edge.attrib["to-layer"], {})[edge.attrib["to-port"]] = edge.attrib["from-layer"]
        for layer in root.iter("layer"):  # a layer stands after the ones it reads
            name, kind = layer.attrib["id"], layer.attrib["type"]
            inputs = [source for _, source in sorted(self._source.get(name, {}).items(), key=lambda one: int(one[0]))]
            if kind in ("Add", "Multiply", "Sigmoid"):
                self._emit({"Multiply": "Mul"}.get(kind, kind), name, inputs)
            elif kind in self._layers:
                self._layers[kind](name, layer, inputs)
            else:
                raise ModelFileError(f"the OpenVINO network has a layer of a kind that is not known here: {kind}")
        return self._serialised()

    def _emit(self, op: str, output: str, inputs: list[str], **attributes: Any) -> None:  # noqa: ANN401  onnx takes many kinds
        self._nodes.append(helper.make_node(op, inputs, [output], **attributes))

    def _parameter(self, name: str, layer: ET.Element, _inputs: list[str]) -> None:
        self._shape = _numbers(layer, "shape")
        self._emit("Identity", name, ["input"])

    def _const(self, name: str, layer: ET.Element, _inputs: list[str]) -> None:
        data = _data(layer)
        offset, size = int(data["offset"]), int(data["size"])
        values = np.frombuffer(self._weights[offset : offset + size], _TYPES[data["element_type"]])
        self._constants[name] = values.reshape(_numbers(layer, "shape"))

    def _convert(self, name: str, layer: ET.Element, inputs: list[str]) -> None:
        self._constants[name] = self._constants.pop(inputs[0]).astype(_TYPES[_data(layer)["destination_type"]])

    def _convolution(self, name: str, layer: ET.Element, inputs: list[str]) -> None:
        kernel = self._constants[inputs[1]]
        group = 1
        if layer.attrib["type"] == "GroupConvolution":  # [group, out, in, h, w] -> [group * out, in, h, w]
            group = kernel.shape[0]
            self._constants[inputs[1]] = kernel = kernel.reshape(-1, *kernel.shape[2:])
        self._emit(
            "Conv",
            name,
            inputs,
            group=group,
            kernel_shape=list(kernel.shape[2:]),
            strides=_numbers(layer, "strides"),
            dilations=_numbers(layer, "dilations"),
            pads=_numbers(layer, "pads_begin") + _numbers(layer, "pads_end"),
        )

    def _prelu(self, name: str, _layer: ET.Element, inputs: list[str]) -> None:
        slope = self._constants[inputs[1]]
        if np.unique(slope).size == 1:
            del self._constants[inputs[1]]
            self._emit("LeakyRelu", name, inputs[:1], alpha=float(slope.flat[0]))
        else:
            self._constants[inputs[1]] = slope.reshape(-1, 1, 1)
            self._emit("PRelu", name, inputs)

    def _average(self, name: str, layer: ET.Element, inputs: list[str]) -> None:
        ports = layer.findall("input/port/dim")
        if [int(dim.text or 0) for dim in ports[2:]] != _numbers(layer, "kernel"):
            raise ModelFileError("the OpenVINO network has an average over part of a plane, which is not known here")
        self._emit("GlobalAveragePool", name, inputs)

    def _finish(self, _name: str, _layer: ET.Element, inputs: list[str]) -> None:
        self._emit("Flatten", "output", inputs, axis=1)

    def _serialised(self) -> bytes:
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self._nodes,
            "converted",
            [value("input", TensorProto.FLOAT, ["N", *self._shape[1:]])],
            [value("output", TensorProto.FLOAT, ["N", "dim"])],
            [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in self._constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def _data(layer: ET.Element) -> dict[str, str]:
    data = layer.find("data")
    return {} if data is None else data.attrib


def _numbers(layer: ET.Element, key: str) -> list[int]:
    return [int(number) for number in _data(layer)[key].split(",")]
