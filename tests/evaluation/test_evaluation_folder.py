"""Folders of the same layout that are smaller, larger or untidy: everything usable is used, the rest is counted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.evaluation.open_set import open_set, possible_sizes
from agent.evaluation.pictures import DataFolder, NoPicturesError, read_folder
from agent.evaluation.verification import verification
from models.errors import ModelFileError
from models.pipeline import PipelineSettings, load_pipeline

Command = Callable[..., tuple[int, Any]]


def _draw(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((40, 40), 128, np.uint8))
    return path


def _lfw(folder: Path, *names: str, pictures: int = 2) -> None:
    for name in names:
        for number in range(1, pictures + 1):
            _draw(folder / "lfw" / name / f"{name}_{number:04d}.jpg")


def _why(data: DataFolder) -> dict[str, int]:
    return {row["why"]: row["count"] for row in data.skipped.rows()}


def test_files_that_are_no_pictures_are_counted_and_cost_nobody_else(tmp_path: Path) -> None:
    """A text, an empty file, a broken link, a pipe and a picture in nobody's folder: five fewer, the rest as before."""
    _lfw(tmp_path, "Ann_Ng", "Bo_Ek")
    here = tmp_path / "lfw" / "Ann_Ng"
    (here / "Ann_Ng_0003.jpg").write_text("not a picture")
    (here / "Ann_Ng_0004.jpg").touch()
    (here / "Ann_Ng_0005.jpg").symlink_to(here / "nowhere.jpg")
    os.mkfifo(here / "Ann_Ng_0006.jpg")
    _draw(tmp_path / "lfw" / "stray.jpg")
    data = read_folder(tmp_path, quick=False)
    assert {name: len(paths) for name, paths in data.people.items()} == {"Ann_Ng": 2, "Bo_Ek": 2}
    assert _why(data) == {"picture cannot be read or decoded": 4, "picture that is in no person's folder": 1}


def test_links_to_folders_are_followed_and_one_that_leads_back_ends(tmp_path: Path) -> None:
    """A person's folder, or a whole set, may be a link; a link to a folder above is read once."""
    _lfw(tmp_path / "store", "Ann_Ng", "Bo_Ek")
    (tmp_path / "data" / "lfw").mkdir(parents=True)
    (tmp_path / "data" / "lfw" / "Ann_Ng").symlink_to(tmp_path / "store" / "lfw" / "Ann_Ng")
    (tmp_path / "data" / "masks").symlink_to(tmp_path / "store" / "lfw" / "Bo_Ek")
    (tmp_path / "store" / "lfw" / "Bo_Ek" / "again").symlink_to(tmp_path / "store" / "lfw" / "Bo_Ek")
    data = read_folder(tmp_path / "data", quick=False)
    assert {name: len(paths) for name, paths in data.people.items()} == {"Ann_Ng": 2}
    assert len(data.masks) == 2
    assert _why(data) == {"link to a folder that was read already": 1}


def test_names_that_say_nothing_are_counted(tmp_path: Path) -> None:
    """Frames and lamps are known by their names alone: another name is no frame, and no error."""
    nuaa = tmp_path / "nuaa" / "ClientRaw" / "0010"
    for name in (
        "0010_01_00_01_0",
        "0010_01_00_01_1",
        "0010_01_00_01_10",
        "0010_00_00_02_1",
        "thumb",
        "0010_01_00_01_x",
    ):
        _draw(nuaa / f"{name}.jpg")
    for name in ("yaleB21_P00A+000E+00", "yaleB21_P00A+xE+00", "yaleB21_P00_Ambient"):
        _draw(tmp_path / "yaleb" / "yaleB21" / f"{name}.pgm")
    data = read_folder(tmp_path, quick=False)
    (session,) = data.sessions
    assert [path.stem[-2:] for path in session.frames] == ["_0", "_1", "10"]
    assert session.glasses == "with glasses"
    assert len(data.lit) == 1
    assert _why(data) == {
        "name is not person_glasses_position_session_number": 2,
        "session of fewer than 3 frames": 1,
        "name states no lamp (person_P00A+azimuthE+elevation)": 2,
    }


@pytest.mark.parametrize(
    ("lines", "folds", "pairs", "not_used"),
    [
        (["2\t1", "Ann_Ng\t1\t2", "Ann_Ng\t1\tBo_Ek\t1", "Bo_Ek\t1\t2", "Cy_Fu\t1\tBo_Ek\t1"], 2, 3, 1),
        (["2 1", "Cy_Fu 1 2", "Cy_Fu 1 Bo_Ek 1", "Bo_Ek 1 2", "Ann_Ng 1 Bo_Ek 1"], 1, 2, 2),  # a fold of absent people
        (["1", "Ann_Ng 1 2", "Ann_Ng 1 Bo_Ek 2"], 1, 2, 0),
        (["Ann_Ng 1 2", "Ann_Ng 1 Bo_Ek 2"], 1, 2, 0),
        (["1 1", "Ann_Ng 1", "Ann_Ng 1 Bo_Ek 2", "Ann_Ng 1 2"], 1, 1, 2),  # one malformed, one beyond the fold
        (["10 300", "Ann_Ng 1 2", "Ann_Ng one two"], 1, 1, 1),
        ([], 0, 0, 0),
    ],
)
def test_pairs_are_used_as_far_as_their_pictures_are_here(
    tmp_path: Path, lines: list[str], folds: int, pairs: int, not_used: int
) -> None:
    _lfw(tmp_path, "Ann_Ng", "Bo_Ek")
    (tmp_path / "lfw" / "pairs.txt").write_text("\n".join(lines), encoding="utf-8")
    data = read_folder(tmp_path, quick=False)
    assert (len(data.pairs), sum(map(len, data.pairs))) == (folds, pairs)
    assert sum(_why(data).values()) == not_used


def test_a_fold_in_whose_pictures_no_face_is_found_does_not_cost_the_others() -> None:
    one, other, third = Path("a"), Path("b"), Path("c")
    known = {one: np.array([1, 0], np.float32), other: np.array([0, 1], np.float32)}
    fold = ((one, one, True), (one, other, False))
    found = verification([fold, ((third, one, True),), fold], known, ["a", "b"])
    assert (found["accuracy"], found["folds"], found["pairs"], found["pairs_without_a_face"]) == (1.0, 2, 4, 1)


@pytest.mark.parametrize(
    ("most", "expected"),
    [(2000, [100, 200, 500, 1000]), (1000, [100, 200, 500, 1000]), (640, [100, 200, 500, 640]), (30, [30]), (1, [])],
)
def test_sizes_are_those_that_the_data_allows_and_its_largest(most: int, expected: list[int]) -> None:
    assert possible_sizes((100, 200, 500, 1000), most) == expected


def test_few_people_give_rows_with_the_number_really_enrolled() -> None:
    """20 people, most of them known by one picture: 15 enrolled, and 5 strangers."""
    try:
        pipeline = load_pipeline(PipelineSettings(liveness="off"))
    except ModelFileError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(1)
    people = {}
    for number in range(20):
        vectors = rng.normal(size=(1 if number > 4 else 4, pipeline.embedder.dim)).astype(np.float32)
        people[f"p{number}"] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = open_set(people, pipeline, draws=2)["open_set"]
    assert {row["n"] for row in rows} == {15}
    assert all(row["strangers"] <= 20 for row in rows)
    # what stands behind "three pictures": of five who have four, three are enrolled, and twelve are known by one
    assert {(row["enrolment"], row["enrolled_by_so_many"]) for row in rows} == {(1, 15), (3, 3)}


def test_a_folder_of_unusable_files_says_why(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "1.jpg").touch()
    with pytest.raises(NoPicturesError, match="1 in masks: picture cannot be read"):
        read_folder(tmp_path, quick=False)


def _only(small: Path, into: Path, part: str, keep: Callable[[Path], bool] = lambda _: True) -> None:
    """Part of the small set, under the same names."""
    for path in sorted((small / part).rglob("*.*")):
        if path.is_file() and keep(path):
            target = into / path.relative_to(small)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path.resolve())


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_webcam_sessions_alone_are_measured_as_far_as_they_go(
    small: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """nuaa/ alone, with a session in which there is nobody and one broken frame: rows for those there are."""
    _only(small, tmp_path, "nuaa")
    for number in range(4):
        _draw(tmp_path / "nuaa" / "ClientRaw" / "0999" / f"0999_00_00_01_{number}.jpg")
    (tmp_path / "nuaa" / "ClientRaw" / "0999" / "0999_00_00_01_9.jpg").write_bytes(b"\xff\xd8")
    code, report = command(capsys, "evaluate", "faces", "--data", str(tmp_path), "--quick")
    assert code == 0
    assert {row["n"] for row in report["cross_session"]} == {2}  # two of the three people; the third is the stranger
    assert all(isinstance(row["probes"], int) for row in report["cross_session"])
    assert report["open_set"] == []
    assert _counts(report) == {"picture cannot be read or decoded": 1, "live session without a face": 1}
    said = " ".join(report["not_measured"])
    assert all(word in said for word in ("verification", "open set of 100", "100, 500, 1000 people enrolled", "masks"))
    code, report = command(capsys, "evaluate", "attacks", "--data", str(tmp_path), "--quick")
    assert code == 0
    assert next(row["tried"] for row in report["attacks"] if row["kind"] == "print, all positions") > 0


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_small_lfw_alone_gives_the_rows_that_it_allows(
    small: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {path.name for path in sorted((small / "lfw").iterdir())[:40]}
    _only(small, tmp_path, "lfw", lambda path: path.parent.name in names or path.name == "pairs.txt")
    code, report = command(capsys, "evaluate", "faces", "--data", str(tmp_path))
    assert code == 0
    assert {row["n"] for row in report["open_set"]} == {int(0.75 * len(names))}
    assert (report["cross_session"], report["light"]) == ([], [])
    assert any("open set of 100, 200, 500, 1000" in line for line in report["not_measured"])
    code, report = command(capsys, "evaluate", "attacks", "--data", str(tmp_path))
    assert (code, report["attacks"], report["bpcer"]) == (0, [], None)


def _counts(report: dict[str, Any]) -> dict[str, int]:
    rows: Iterable[dict[str, Any]] = report["skipped"]
    return {row["why"]: row["count"] for row in rows}
