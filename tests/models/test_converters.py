"""The converters: the same function as the original, or a refusal that names what is not known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dlib
import numpy as np
import pytest

from models import convert_dlib, convert_openvino, rewrite
from models.arrays import Image
from models.embed import reference_chip, session
from models.errors import ModelFileError
from models.loaders import exact_dlib
from models.manifest import entry
from models.pipeline import Pipeline
from models.scale import unit
from models.store import Store

_DIM = "<dim>{}</dim>"


class _Ir:
    """Writes a small OpenVINO network, layer by layer."""

    def __init__(self) -> None:
        self.layers: list[str] = []
        self.edges: list[str] = []
        self.weights = b""

    def layer(self, kind: str, data: str = "", inputs: tuple[int, ...] = (), ports: str = "") -> int:
        number = len(self.layers)
        given = f"<input>{ports}</input>" if ports else ""
        self.layers.append(f'<layer id="{number}" type="{kind}"><data {data}/>{given}</layer>')
        for port, source in enumerate(inputs):
            self.edges.append(f'<edge from-layer="{source}" from-port="9" to-layer="{number}" to-port="{port}"/>')
        return number

    def const(self, values: np.ndarray) -> int:
        half = values.astype(np.float16).tobytes()
        shape = ", ".join(map(str, values.shape))
        data = f'element_type="f16" shape="{shape}" offset="{len(self.weights)}" size="{len(half)}"'
        self.weights += half
        return self.layer("Convert", 'destination_type="f32"', (self.layer("Const", data),))

    def xml(self) -> bytes:
        return f"<net><layers>{''.join(self.layers)}</layers><edges>{''.join(self.edges)}</edges></net>".encode()


_WINDOW = 'strides="1, 1" dilations="1, 1" pads_begin="0, 0" pads_end="0, 0" auto_pad="explicit"'


def _small(slope: np.ndarray, pool_kernel: str = "4, 4") -> _Ir:
    """Input 2x4x4, 1x1 convolution to 2 planes, one slope or two, mean over the plane."""
    ir = _Ir()
    given = ir.layer("Parameter", 'shape="1,2,4,4" element_type="f32"')
    kernel = ir.const(np.array([[1, -2], [0.5, 0.25]]).reshape(2, 2, 1, 1))
    folded = ir.layer("Convolution", _WINDOW, (given, kernel))
    rectified = ir.layer("PReLU", "", (folded, ir.const(slope)))
    ports = f"<port>{''.join(_DIM.format(n) for n in (1, 2, 4, 4))}</port>"
    mean = ir.layer("AvgPool", f'kernel="{pool_kernel}"', (rectified,), ports)
    ir.layer("Result", "", (mean,))
    return ir


@pytest.mark.parametrize("slope", [np.array([0.25]), np.array([0.25, -0.5])], ids=["one slope", "one a plane"])
def test_an_openvino_network_computes_what_its_layers_say(slope: np.ndarray) -> None:
    ir = _small(slope)
    runner = session(convert_openvino.convert(ir.xml(), ir.weights))
    given = np.random.default_rng(1).normal(size=(3, 2, 4, 4)).astype(np.float32)
    mixed = np.einsum("oi,nihw->nohw", [[1, -2], [0.5, 0.25]], given)
    expected = np.where(mixed > 0, mixed, mixed * slope.reshape(1, -1, 1, 1)).mean(axis=(2, 3))
    assert np.allclose(runner.run(None, {"input": given})[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        (_small(np.array([0.1]), "2, 2").xml(), "part of a plane"),
        (b'<net><layers><layer id="0" type="Tanh"><data/></layer></layers><edges/></net>', "Tanh"),
        (b"<net><layers>", "cannot be converted"),
    ],
)
def test_what_the_openvino_converter_does_not_know_is_refused_by_name(xml: bytes, words: str) -> None:
    with pytest.raises(ModelFileError, match=words):
        convert_openvino.convert(xml, _small(np.array([0.1])).weights)


def test_reid0095_equals_another_converters_network(better: Pipeline, shared: Path) -> None:
    """Two independent conversions of the publisher's file give one vector."""
    other = session((shared / "weights" / "face-reidentification-retail-0095.onnx").read_bytes())
    chip = reference_chip(128)
    blob = chip.transpose(2, 0, 1)[None].astype(np.float32)
    theirs = unit(other.run(None, {other.get_inputs()[0].name: blob})[0].reshape(1, -1))
    assert np.abs(unit(better.embedder.embed(chip[None])) - theirs).max() < 1e-5


def test_dlibs_network_equals_dlib_to_five_places(cache: Path, picture: Callable[[str], Image]) -> None:
    store = Store(cache_folder=cache)
    runner = session(exact_dlib(store))
    original = dlib.face_recognition_model_v1(str(store.path(entry("dlib-resnet"), entry("dlib-resnet").files[0])))
    rng = np.random.default_rng(2)
    face = np.ascontiguousarray(picture("hopper")[70:220, 380:530, ::-1])
    chips = [face, face[:, ::-1], reference_chip(150), rng.integers(0, 256, (150, 150, 3)).astype(np.uint8)]
    chips += [np.zeros((150, 150, 3), np.uint8), np.full((150, 150, 3), 255, np.uint8)]
    for chip in chips:
        theirs = np.array(original.compute_face_descriptor(np.ascontiguousarray(chip)))
        ours = runner.run(None, {"input": chip.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        assert np.abs(ours - theirs).max() < 1e-5


def test_a_cut_dlib_file_is_refused(cache: Path) -> None:
    store = Store(cache_folder=cache)
    (data,) = store.read(entry("dlib-resnet"))
    for length in (10, 5_000, len(data) // 2):
        with pytest.raises(ModelFileError):
            convert_dlib.convert(data[:length])


def test_faster_prelu_and_free_picture_size_change_no_answer(better: Pipeline) -> None:
    store = Store()
    rng = np.random.default_rng(3)
    for data in store.read(entry("minifasnet")):
        blob = rng.integers(0, 256, (1, 3, 80, 80)).astype(np.float32)
        before, after = (session(one).run(None, {"input": blob})[0] for one in (data, rewrite.with_fast_prelu(data)))
        assert np.array_equal(before, after)
    (data,) = store.read(entry("yunet"))
    blob = rng.integers(0, 256, (1, 3, 640, 640)).astype(np.float32)
    fixed, free = session(data), session(rewrite.with_free_size(data))
    for before, after in zip(fixed.run(None, {"input": blob}), free.run(None, {"input": blob}), strict=True):
        assert np.array_equal(before, after)


def test_eight_bits_stay_near_thirty_two(fallback: Pipeline, cache: Path, picture: Callable[[str], Image]) -> None:
    """Of a real face the 8-bit vector has a cosine above 0.99 to the exact one."""
    frame = picture("hopper")
    chips = fallback.chips(frame, fallback.detector.detect(frame)[:1])
    runner = session(exact_dlib(Store(cache_folder=cache)))
    blobs = [one[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) for one in (chips[0], chips[0][:, ::-1])]
    exact = unit(sum(unit(runner.run(None, {"input": blob})[0]) for blob in blobs))
    assert float(fallback.embedder.embed(chips)[0] @ exact[0]) > 0.99
