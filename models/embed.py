"""An aligned face as a vector: ONNX Runtime on one thread that sleeps when it has nothing to do.

The direction of a vector is the face, its length how clearly the network sees one (models/scale.py).
"""

from __future__ import annotations

import hashlib
from typing import Protocol

import numpy as np
import onnxruntime

from models.align import Alignment
from models.arrays import Chips, Floats
from models.fusion import mean_vector
from models.scale import PLAIN, Scale, with_clarity


class Embedder(Protocol):
    """Vectors of one network on one alignment; only vectors with equal ids can be compared."""

    @property
    def model_id(self) -> str:
        """Manifest name of the network, with what else changes the vector."""

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the network's weights as they are published, in hex."""

    @property
    def alignment(self) -> Alignment:
        """How chips for it are cut."""

    @property
    def alignment_id(self) -> str:
        """Name of the alignment."""

    @property
    def same_person_similarity(self) -> float:
        """Two good pictures of one person are at least this near (cosine); two people mostly are not."""

    @property
    def scale(self) -> Scale:
        """What its numbers mean."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def embed(self, chips_bgr: Chips) -> Floats:
        """float32[N, dim], each of the length of its clarity, for uint8[N, side, side, 3]."""


onnxruntime.disable_telemetry_events()  # nothing at a door reports to anybody but its own server


def session(weights: bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime on one thread, without spinning: the camera and the rest of the machine need the cores too."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])


class OnnxEmbedder:
    """Any network that takes float32[1, 3, side, side] and answers with one vector."""

    def __init__(
        self,
        weights: bytes,
        *,
        model_id: str,
        alignment: Alignment,
        mirror: bool,
        same_person_similarity: float,
        scale: Scale = PLAIN,
        usual_length: float | None = None,
        rgb: bool = False,
        published_sha256: str | None = None,
    ) -> None:
        """`mirror`: the vector is the mean of the face and its mirror image (model_id must say so).

        `usual_length`: of the network's answers, if their length says anything.
        `published_sha256`: of the file that `weights` were converted from, if they were.
        """
        self._session = session(weights)
        self._input = self._session.get_inputs()[0].name
        self._mirror = mirror
        self._rgb = rgb
        self.model_id = model_id
        self.weights_sha256 = published_sha256 or hashlib.sha256(weights).hexdigest()
        self.alignment = alignment
        self.same_person_similarity = same_person_similarity
        self.scale = scale
        self._usual_length = usual_length
        self.alignment_id = alignment.alignment_id
        self.dim = self._vector(reference_chip(alignment.side_px)).size

    def embed(self, chips_bgr: Chips) -> Floats:
        """See Embedder."""
        vectors = np.zeros((len(chips_bgr), self.dim), np.float32)
        for row, one in enumerate(chips_bgr):
            vectors[row] = self._vector(one)
            if self._mirror:
                vectors[row] = mean_vector(np.stack([vectors[row], self._vector(one[:, ::-1])]))
        return vectors

    def _vector(self, chip_bgr: Chips) -> Floats:
        ordered = chip_bgr[..., ::-1] if self._rgb else chip_bgr
        blob = np.ascontiguousarray(ordered.transpose(2, 0, 1)[None], np.float32)
        answer: Floats = np.asarray(self._session.run(None, {self._input: blob})[0], np.float32)
        return np.asarray(with_clarity(answer.reshape(1, -1), self._usual_length)[0], np.float32)


def reference_chip(side_px: int) -> Chips:
    """uint8[side, side, 3]: a made-up picture, the same everywhere, to see whether a network answers as it should."""
    row, column = np.mgrid[0:side_px, 0:side_px] / side_px
    waves = [np.sin(9 * row + 4 * column * (1 + colour)) * np.cos(7 * column - 3 * colour * row) for colour in range(3)]
    return np.asarray(np.stack([127.5 + 100 * wave for wave in waves], axis=2), np.uint8)
