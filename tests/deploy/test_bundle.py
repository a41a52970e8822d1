"""The bundle: what it is for, what it holds, that the same files make the same file."""

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from agent.cli.main import main
from deploy import bundle, own_wheel, weights
from deploy.bundle import Target
from deploy.own_wheel import BundleError
from models import loaders
from models.pipeline import PipelineSettings, load_pipeline

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


WEIGHTS = own_wheel.PROJECT.parent / "shared" / "data" / "weights"


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="no face networks beside the project")
def test_networks_are_carried_with_what_is_converted_from_them_and_no_holiday_picture(tmp_path: Path, monkeypatch):
    """So that the first start of a door's vision converts nothing."""
    named, stage = tmp_path / "named", tmp_path / "stage"
    shutil.copytree(WEIGHTS, named)
    for folder in (named, stage):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    (named / "holiday.jpg").write_bytes(b"x")
    assert weights.gather(named, stage)
    carried = {path.name for path in stage.rglob("*") if path.is_file()}
    assert "face_detection_yunet_2023mar.onnx" in carried
    assert "holiday.jpg" not in carried
    assert list((stage / "converted").iterdir())
    monkeypatch.setattr(loaders, "_from_openvino", None)  # a door that had to convert would need it
    load_pipeline(PipelineSettings(weights_folder=stage, cache_folder=tmp_path / "cache"))
    assert not (tmp_path / "cache" / "converted").exists()


def test_a_folder_without_a_detector_or_an_embedder_is_refused(tmp_path: Path):
    """The dlib stack is left out beside weights: such a door could see nobody."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(BundleError, match="has no detector and no embedder"):
        weights.gather(tmp_path, tmp_path / "weights")


def test_without_a_key_that_can_be_read_nothing_is_begun(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(bundle, "stage_files", None)
    with pytest.raises(BundleError, match="cannot be read as a key"):
        bundle.make(Target("aarch64", "cp313"), tmp_path / "b.tar", key=tmp_path / "absent.key")


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


SOURCE = """\
face-recognition-models==0.3.0 \\
    --hash=sha256:dd
"""


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch):
    """What pip is asked for: (verb, options, the requirements' text); what it would bring is made."""
    asked = []

    def played(*words: str) -> None:
        text = Path(words[words.index("-r") + 1]).read_text()
        asked.append((words[0], words, text))
        into = Path(words[words.index("-w" if words[0] == "wheel" else "-d") + 1])
        (into / played.brings).touch()

    played.brings = "face_recognition_models-0.3.0-py2.py3-none-any.whl"
    monkeypatch.setattr(bundle, "pip", played)
    played.asked = asked
    return played


def test_what_is_published_as_source_alone_is_built_by_its_hash_and_the_rest_is_fetched_as_wheels(
    pip, tmp_path, monkeypatch
):
    """Without weights the dlib stack is carried, and one part of it has no wheel: the command used to fail there."""
    lock = tmp_path / "cp313-aarch64.txt"
    lock.write_text(LOCK + SOURCE)
    monkeypatch.setattr(Target, "lock", property(lambda _: lock))
    bundle.download_wheels(Target("aarch64", "cp313"), tmp_path, leave_out=frozenset())
    (built, options, source), (fetched, _, wheels) = pip.asked
    assert (built, fetched) == ("wheel", "download")
    assert {"--require-hashes", "--no-deps"} <= set(options)
    assert source.startswith("face-recognition-models==0.3.0")
    assert "numpy" not in source
    assert "face-recognition" not in wheels
    assert "dlib-bin" in wheels
    assert (tmp_path / pip.brings).exists()


def test_a_source_that_becomes_a_wheel_for_this_machine_alone_is_refused(pip, tmp_path):
    pip.brings = "x-1-cp311-cp311-linux_x86_64.whl"
    with pytest.raises(BundleError, match="for this machine"):
        bundle.build_wheels(SOURCE, tmp_path)


def test_beside_weights_nothing_is_built(pip, tmp_path):
    bundle.download_wheels(Target("aarch64", "cp313"), tmp_path, leave_out=bundle.DLIB_STACK)
    assert [verb for verb, *_ in pip.asked] == ["download"]


@pytest.mark.slow
def test_a_laptop_that_has_the_wheel_alone_makes_the_same_bundle(tmp_path: Path, wheel_file: Path):
    """Units, locks and the wheel itself come out of the installation: no source tree is needed there."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(python)]
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--no-compile", str(wheel_file)], check=True, timeout=100
    )
    [site] = (tmp_path / "venv" / "lib").glob("python3*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"])  # what it needs, but not this source tree
    (tmp_path / "out").mkdir()
    program = (
        "import sys; from pathlib import Path; from deploy import bundle, own_wheel\n"
        "bundle.download_wheels = lambda *_, **__: None\n"
        "stage = Path(sys.argv[1]); bundle.stage_files(stage, bundle.Target.parse('aarch64-cp313'), None, [])\n"
        "print(own_wheel.PROJECT, bundle.Target.parse('aarch64-cp313').lock)"
    )
    command = [str(python), "-P", "-c", program, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split()[0] == str(site)
    units = {path.name for path in (tmp_path / "out" / "systemd").iterdir()}
    assert units == {p.name for p in (own_wheel.PROJECT / "systemd").iterdir()} - {"README.md"}
    [again] = (tmp_path / "out" / "wheels").glob("*.whl")
    ours, theirs = zipfile.ZipFile(wheel_file), zipfile.ZipFile(again)
    names = {n for n in ours.namelist() if not n.endswith("/RECORD")}
    assert {n for n in theirs.namelist() if not n.endswith("/RECORD")} == names
    assert all(theirs.read(n) == ours.read(n) for n in names)
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--force-reinstall", str(again)], check=True, timeout=100
    )
