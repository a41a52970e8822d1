"""The bundle: what it is for, what it holds, that the same files make the same file."""

import tarfile
from pathlib import Path

import pytest

from agent.cli.main import main
from deploy import bundle
from deploy.bundle import BundleError, Target

LOCK = """\
dlib-bin==20.0.1 \\
    --hash=sha256:aa
numpy==2.5.5 \\
    --hash=sha256:bb \\
    --hash=sha256:cc
"""


@pytest.mark.parametrize("text", ["x86_64-cp313", "cp313-x86_64"])
def test_a_target_is_said_in_either_order_and_has_a_lock(text: str):
    target = Target.parse(text)
    assert target == Target("x86_64", "cp313")
    assert target.lock.name == "cp313-x86_64.txt"


@pytest.mark.parametrize("text", ["armv7l-cp313", "cp313", "x86_64-cp299"])
def test_a_target_that_is_no_machine_or_python_is_refused(text: str):
    with pytest.raises(BundleError, match="aarch64-cp313"):
        Target.parse(text)


def test_a_target_without_a_lock_names_those_that_have_one():
    with pytest.raises(BundleError, match="cp313-aarch64"):
        _ = Target("aarch64", "cp399").lock


def test_a_package_is_left_out_with_its_hashes_and_no_other_is_touched():
    left = bundle.requirements(LOCK, leave_out=frozenset({"dlib-bin"}))
    assert left.startswith("numpy==2.5.5")
    assert "aa" not in left
    assert bundle.requirements(LOCK, leave_out=frozenset()) == LOCK


def test_only_weight_files_that_the_manifest_names_are_carried(tmp_path: Path):
    for name in ("face_detection_yunet_2023mar.onnx", "holiday.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert [p.name for p in bundle.weight_files(tmp_path)] == ["face_detection_yunet_2023mar.onnx"]
    assert list(bundle.weight_files(None)) == []


def test_the_same_files_make_the_same_tar_and_the_release_is_named_by_them(tmp_path: Path):
    stage = tmp_path / "stage"
    (stage / "wheels").mkdir(parents=True)
    (stage / "wheels" / "a.whl").write_bytes(b"wheel")
    outs = [tmp_path / "1.tar", tmp_path / "2.tar"]
    for out in outs:
        bundle.write_tar(stage, out)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    first = bundle.manifest(stage, Target("aarch64", "cp313"))
    assert first["files"]["wheels/a.whl"]["bytes"] == 5
    (stage / "wheels" / "a.whl").write_bytes(b"other")
    assert bundle.manifest(stage, Target("aarch64", "cp313"))["version"] != first["version"]
    with tarfile.open(outs[0]) as tar:
        assert tar.getnames() == ["wheels/a.whl"]


def test_a_command_line_mistake_is_one_sentence_and_exit_status_1(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["bundle", "--for", "toaster", "--out", str(tmp_path / "b.tar")]) == 1
    assert "toaster" in capsys.readouterr().err
