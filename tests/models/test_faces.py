"""Detector, alignment, quality and the whole pipeline on real portraits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest

from models import store as store_module
from models.align import ALIGNMENTS, CUTS, chip, similarity
from models.arrays import Image
from models.detect import Detection, follow, overlap, reduced
from models.embed import OnnxEmbedder
from models.enrol import enrol
from models.errors import ModelError, ModelFileError
from models.liveness import surroundings
from models.manifest import entry
from models.pipeline import Pipeline, PipelineSettings, load_pipeline
from models.quality import assess, pose
from models.scale import LEAST_CLARITY, clarity, is_a_face, unit
from models.store import Store

pytestmark = pytest.mark.slow

Place = Callable[[str], Image]


def _only(pipeline: Pipeline, frame: Image) -> Detection:
    (found,) = pipeline.detector.detect(frame)
    return found


def test_both_detectors_agree_where_the_face_and_its_points_are(
    better: Pipeline, fallback: Pipeline, picture: Place
) -> None:
    frame = picture("collins")
    one, other = _only(better, frame), _only(fallback, frame)
    assert overlap(one.box_px, other.box_px) > 0.7
    assert np.abs(one.landmarks_px - other.landmarks_px).max() < 0.12 * one.width_px
    assert one.landmarks_px[0, 0] < one.landmarks_px[1, 0]  # the right eye is on the left of the picture


def test_yunet_finds_what_opencvs_own_runner_finds(better: Pipeline, picture: Place) -> None:
    frame = reduced(picture("collins"), 320)
    (weights,) = Store().read(entry("yunet"))
    size = (frame.shape[1], frame.shape[0])
    net = cv2.FaceDetectorYN.create("onnx", np.frombuffer(weights, np.uint8), np.zeros(0, np.uint8), size, 0.7, 0.3)
    (row,) = net.detect(frame)[1]
    found = _only(better, frame)
    assert np.allclose(found.box_px, row[:4], atol=0.05)
    # Ours are the mean of what every cell said that saw the face, OpenCV's are one cell's.
    assert np.abs(found.landmarks_px - row[4:14].reshape(5, 2)).max() < 0.08 * found.width_px


def test_a_followed_face_is_found_again_and_a_gone_one_is_not(pipeline: Pipeline, picture: Place) -> None:
    frame = picture("collins")
    found = _only(pipeline, frame)
    again = follow(pipeline.detector, np.roll(frame, (8, 12), axis=(0, 1)), found)
    assert again is not None
    moved = again.landmarks_px[:2].mean(axis=0) - found.landmarks_px[:2].mean(axis=0)
    assert np.abs(moved - (12, 8)).max() < 0.1 * found.width_px
    assert follow(pipeline.detector, np.full_like(frame, 120), found) is None


def test_a_blank_frame_holds_nobody(pipeline: Pipeline) -> None:
    assert pipeline.detector.detect(np.zeros((480, 640, 3), np.uint8)) == []


def test_a_face_turned_shifted_and_scaled_gives_the_same_chip() -> None:
    points = ALIGNMENTS["reid-128"].points * 128
    angle = np.exp(0.4j) * 2.5
    turned = (points[:, 0] + 1j * points[:, 1]) * angle + (30 + 70j)
    matrix = similarity(np.stack([turned.real, turned.imag], axis=1).astype(np.float32), points)
    back = np.stack([turned.real, turned.imag], axis=1) @ matrix[:, :2].T + matrix[:, 2]
    assert np.allclose(back, points, atol=1e-3)
    with pytest.raises(ModelError, match="fall together"):
        similarity(np.ones((5, 2), np.float32), points)


def test_our_dlib_chip_is_dlibs_own_chip(fallback: Pipeline, picture: Place) -> None:
    """Same place and size as dlib cuts it: the pictures differ by resampling only."""
    frame = picture("hopper")
    predictor = dlib.shape_predictor(str(Store().path(entry("hog"), entry("hog").files[0])))
    gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    shape = predictor(gray, dlib.get_frontal_face_detector()(gray, 0)[0])
    theirs = dlib.get_face_chip(np.ascontiguousarray(frame[..., ::-1]), shape, 150, 0.25)[..., ::-1]
    ours = chip(frame, _only(fallback, frame).landmarks_px, ALIGNMENTS["dlib-150"])
    shift, _ = cv2.phaseCorrelate(
        *(cv2.cvtColor(np.ascontiguousarray(one), cv2.COLOR_BGR2GRAY).astype(np.float32) for one in (theirs, ours))
    )
    assert np.hypot(*shift) < 3.0


def test_one_person_is_near_and_two_are_apart(pipeline: Pipeline, picture: Place) -> None:
    one = enrol(pipeline, [("a", picture("collins")), ("b", _darker(picture("collins")))])
    other = enrol(pipeline, [("c", picture("hopper"))])
    near = pipeline.embedder.same_person_similarity
    assert float(unit(one[0].vector) @ unit(one[1].vector)) > near
    assert float(unit(one[0].vector) @ unit(other[0].vector)) < near
    assert {template.model_id for template in (*one, *other)} == {pipeline.embedder.model_id}


def _darker(frame: Image) -> Image:
    return np.asarray(frame * 0.6, np.uint8)


def test_points_that_are_a_little_off_move_a_carefully_read_picture_less(pipeline: Pipeline, picture: Place) -> None:
    """Five cuts of one picture average out what the detector is unsure of; the first of them is the plain cut."""
    frame = picture("collins")
    face = _only(pipeline, frame)
    away = np.random.default_rng(0).normal(0, 0.04 * face.width_px, (6, 2)).astype(np.float32)
    off = [Detection(face.box_px, face.landmarks_px + one, face.confidence) for one in away]
    plain = unit(pipeline.embed(frame, [face])[0])
    careful = unit(pipeline.embed_carefully(frame, face))
    kept = np.mean([unit(pipeline.embed(frame, [one])[0]) @ plain for one in off])
    assert np.mean([unit(pipeline.embed_carefully(frame, one)) @ careful for one in off]) > kept
    alignment = pipeline.embedder.alignment
    assert np.array_equal(chip(frame, face.landmarks_px, alignment, CUTS[0]), chip(frame, face.landmarks_px, alignment))


def test_a_cut_is_scaled_about_its_middle_and_moved_by_shares_of_its_side() -> None:
    """A white square in the middle of a black picture is 6 % smaller, or 3 % further to the right or down."""
    layout = ALIGNMENTS["reid-128"]
    image = np.zeros((128, 128, 3), np.uint8)
    image[32:96, 32:96] = 255
    rows = {}
    for cut in CUTS:
        light = chip(image, layout.points * 128, layout, cut)[..., 0].astype(np.float64)
        y, x = np.mgrid[0:128, 0:128]
        rows[cut] = (np.sqrt(light.sum() / 255), (x * light).sum() / light.sum(), (y * light).sum() / light.sum())
    size, x, y = rows[CUTS[0]]
    assert (size, x, y) == pytest.approx((64, 63.5, 63.5), abs=0.2)
    for scale, right, down in CUTS:
        # The middle of the chip is at 64, that of the square at 63.5.
        wanted = (64 * scale, 64 - 0.5 * scale + 128 * right, 64 - 0.5 * scale + 128 * down)
        assert rows[scale, right, down] == pytest.approx(wanted, abs=0.2)


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        (lambda frame: frame, None),
        (lambda frame: cv2.GaussianBlur(frame, (0, 0), 9), "blurred"),
        (lambda frame: np.asarray(frame * 0.08, np.uint8), "dark"),
        (lambda frame: np.asarray(np.clip(frame * 6.0, 0, 255), np.uint8), "glaring"),
        (lambda frame: cv2.resize(frame, None, fx=0.33, fy=0.33, interpolation=cv2.INTER_AREA), "small"),
    ],
)
def test_spoilt_frames_are_named_by_their_flaw(
    better: Pipeline, picture: Place, change: Callable[[Image], Image], flaw: str | None
) -> None:
    frame = picture("collins")
    found, spoilt = _only(better, frame), change(frame)
    scale = spoilt.shape[1] / frame.shape[1]
    x, y, width, height = (side * scale for side in found.box_px)
    moved = Detection((x, y, width, height), found.landmarks_px * np.float32(scale), found.confidence)
    quality = assess(spoilt, moved)
    assert quality.flaw == flaw
    assert (quality.value > 0.3) == (flaw is None)


def test_a_dark_face_before_bright_surroundings_is_told_from_a_dark_hall(better: Pipeline, picture: Place) -> None:
    """Switching on a lamp does not help against a window behind; turning around does."""
    frame = picture("collins")
    found = _only(better, frame)
    x, y, width, height = (int(side) for side in found.box_px)
    against = np.full_like(frame, 230)
    against[y : y + height, x : x + width] = frame[y : y + height, x : x + width] * 0.08
    assert assess(against, found).flaw == "backlit"
    assert assess(np.asarray(frame * 0.08, np.uint8), found).flaw == "dark"


def test_pose_is_zero_for_the_mean_face_and_grows_as_the_nose_wanders() -> None:
    points = ALIGNMENTS["reid-128"].points * 128
    yaw, nose_height, roll = pose(points)
    assert (abs(yaw) < 0.01, 0.4 < nose_height < 0.6, abs(roll) < 0.01) == (True, True, True)
    turned = points.copy()
    turned[2, 0] += 20
    assert pose(turned)[0] == pytest.approx(20 / (points[1, 0] - points[0, 0]), abs=0.01)


@pytest.mark.parametrize(
    "box",
    [(0.0, 0.0, 50.0, 60.0), (600.0, 440.0, 60.0, 60.0), (300.0, 200.0, 400.0, 500.0), (-20.0, -30.0, 90.0, 90.0)],
)
@pytest.mark.parametrize("scale", [2.7, 4.0])
def test_the_surroundings_of_any_face_lie_inside_the_frame(
    box: tuple[float, float, float, float], scale: float
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    assert surroundings(frame, box, scale).shape == (80, 80, 3)


def test_prints_and_faces_are_told_apart(better: Pipeline, shared: Path) -> None:
    """Ten frames of each, one a person where there are as many: no print above 0.5, and eight faces."""
    scores = {}
    for kind in ("ClientRaw", "ImposterRaw"):
        folders = sorted((shared / "nuaa" / kind).iterdir())
        files = [sorted(folders[number % len(folders)].iterdir())[7 + number] for number in range(10)]
        frames = [cv2.imread(str(path)) for path in files]
        assert better.liveness is not None
        scores[kind] = [better.liveness.score(frame, better.detector.detect(frame)[0]) for frame in frames]
    assert max(scores["ImposterRaw"]) < 0.5
    assert sum(score > 0.5 for score in scores["ClientRaw"]) >= 8


def test_without_weight_files_the_fallback_works_and_says_what_is_missing(
    tmp_path: Path, picture: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PROJECT", tmp_path / "a" / "b")
    monkeypatch.setattr(store_module, "_SYSTEM_WEIGHTS", tmp_path / "none")
    monkeypatch.delenv("DOOR_AGENT_WEIGHTS", raising=False)
    pipeline = load_pipeline(PipelineSettings(cache_folder=tmp_path / "cache"))
    assert pipeline.engine.startswith("hog + dlib-resnet-8bit+mirror;")
    assert pipeline.liveness is None
    assert pipeline.missing is not None
    for words in ("yunet is missing", "reid0095 is missing", "minifasnet is missing", "door-agent models pull"):
        assert words in pipeline.missing
    assert len(pipeline.detector.detect(picture("hopper"))) == 1
    with pytest.raises(ModelFileError, match=r"no embedder.*models pull reid0095"):
        load_pipeline(PipelineSettings(cache_folder=tmp_path / "cache", embedder="reid0095"))
    with pytest.raises(ModelFileError, match="known are"):
        load_pipeline(PipelineSettings(cache_folder=tmp_path / "cache", embedder="facenet"))


def test_a_face_cut_beside_its_points_is_less_clear_and_bounded(better: Pipeline, picture: Place) -> None:
    frame = picture("collins")
    found, alignment = _only(better, frame), better.embedder.alignment
    chips = [chip(frame, found.landmarks_px, alignment, cut) for cut in (CUTS[0], (1.0, 0.1, 0.1))]
    seen = better.embedder.embed(np.stack([*chips, np.zeros_like(chips[0])]))
    assert all(is_a_face(vector) for vector in seen)
    face, beside, nothing = clarity(seen)
    assert face > beside
    assert nothing == pytest.approx(LEAST_CLARITY)


def test_a_network_whose_lengths_say_nothing_gives_unit_vectors(fallback: Pipeline, picture: Place) -> None:
    frame = picture("hopper")
    assert clarity(fallback.embed(frame, fallback.detector.detect(frame)[:1])) == pytest.approx(1.0, abs=1e-5)


def test_any_other_onnx_network_serves_as_an_embedder(better: Pipeline, shared: Path, picture: Place) -> None:
    """The loader that SFace's manifest entry uses, with a network of another origin in its place."""
    data = (shared / "weights" / "face-reidentification-retail-0095.onnx").read_bytes()
    other = OnnxEmbedder(
        data, model_id="other", alignment=ALIGNMENTS["reid-128"], mirror=False, same_person_similarity=0.3
    )
    frame = picture("collins")
    chips = better.chips(frame, better.detector.detect(frame))
    assert other.dim == 256
    assert np.allclose(other.embed(chips), unit(better.embedder.embed(chips)), atol=1e-5)


def test_a_judged_face_is_cut_once_and_gives_the_vector_of_a_cut_of_its_own(
    pipeline: Pipeline, picture: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = picture("collins")
    found = _only(pipeline, frame)
    (own,) = pipeline.embed(frame, [found])
    quality, cuts = assess(frame, found), []
    monkeypatch.setattr("models.pipeline.chip", lambda *args: cuts.append(args) or chip(*args))
    assert np.array_equal(pipeline.embed_judged(frame, found, quality), own)
    assert len(cuts) == (pipeline.embedder.alignment_id != "reid-128")
