"""From a manifest entry and the files of this machine to a part that works. Converters load when they are needed."""

from __future__ import annotations

import json
from importlib import resources
from typing import Final

import numpy as np

from models import manifest
from models.align import ALIGNMENTS
from models.cache import converted
from models.detect import Detector, YuNet
from models.embed import Embedder, OnnxEmbedder, reference_chip
from models.errors import ModelFileError
from models.liveness import Liveness, MiniFasNet
from models.manifest import ModelEntry
from models.scale import Scale, unit
from models.store import Store

VERSION: Final = 1  # of everything that converts: raise it when an output changes, and every cache is made anew
_DLIB_RANGES: Final = "dlib-resnet.ranges.json"
_HOG_WIDTHS: Final = 3  # HOG's smallest face is 80 px: at 960 px and 60 degrees somebody 1 m away


def load_detector(store: Store, entry: ModelEntry, *, width_px: int) -> Detector:
    """YuNet or HOG. Raises ModelFileError, like all of these, where a file is missing or not the right one."""
    if entry.loader == "hog":
        from models.detect_hog import Hog  # dlib takes its time to load

        store.read(entry)  # for the checksum: dlib opens the file itself
        return Hog(store.path(entry, entry.files[0]), width_px=_HOG_WIDTHS * width_px)
    return YuNet(converted(store, entry, _free_size, version=VERSION), width_px=width_px)


def model_id(entry: ModelEntry) -> str:
    """Manifest name of an embedder, with what else changes the vector."""
    return entry.name + ("+mirror" if entry.mirror else "")


def load_embedder(store: Store, entry: ModelEntry) -> Embedder:
    """Any network of the manifest whose loader is openvino, dlib, dlib-8bit or onnx."""
    match entry.loader:
        case "openvino":
            data = converted(store, entry, _from_openvino, version=VERSION)
        case "dlib":
            data = converted(store, entry, _from_dlib, version=VERSION)
        case "dlib-8bit":
            data = converted(store, entry, _from_dlib_in_8_bits, version=VERSION)
        case "onnx":
            (data,) = store.read(entry)
        case other:
            raise ModelFileError(f"the manifest names an unknown loader for {entry.name}: {other}")
    embedder = OnnxEmbedder(
        data,
        model_id=model_id(entry),
        alignment=ALIGNMENTS[entry.alignment],
        mirror=entry.mirror,
        same_person_similarity=entry.same_person,
        scale=Scale(entry.baseline, entry.clarity_weight),
        usual_length=entry.usual_length,
        rgb=entry.colour == "rgb",
        published_sha256=max(entry.files, key=lambda file: file.bytes).sha256,
    )
    vector = unit(embedder.embed(reference_chip(embedder.alignment.side_px)[None])[0])
    expected = np.array(entry.reference, np.float32)
    if np.abs(vector[: len(expected)] - expected).max(initial=0.0) > entry.reference_tolerance:
        raise ModelFileError(f"{entry.name} does not answer as it should on this processor; it is not used")
    return embedder


def exact_dlib(store: Store) -> bytes:
    """The network of dlib in 32 bits as ONNX bytes, for measuring."""
    return converted(store, manifest.entry("dlib-resnet"), _from_dlib, version=VERSION)


def load_liveness(store: Store, entry: ModelEntry) -> Liveness:
    """MiniFASNet, both networks."""
    v2, v1se = (converted(store, entry, _fast_prelu, version=VERSION, only=file.name) for file in entry.files)
    return MiniFasNet(v2, v1se)


def _from_openvino(xml: bytes, weights: bytes) -> bytes:
    from models.convert_openvino import convert

    return convert(xml, weights)


def _from_dlib(data: bytes) -> bytes:
    from models.convert_dlib import convert

    return convert(data)


def _from_dlib_in_8_bits(data: bytes) -> bytes:
    from models.quantise import quantised

    ranges = json.loads(resources.files("models").joinpath(_DLIB_RANGES).read_text(encoding="utf-8"))
    return quantised(_from_dlib(data), ranges)


def _free_size(data: bytes) -> bytes:
    from models.rewrite import with_free_size

    return with_free_size(data)


def _fast_prelu(data: bytes) -> bytes:
    from models.rewrite import with_fast_prelu

    return with_fast_prelu(data)
