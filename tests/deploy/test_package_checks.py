"""What a packager's checks would find in the tree and the bundle's own parts: modes, first lines, secrets, strays."""

from __future__ import annotations

import email
import importlib.metadata
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest

from deploy import bundle
from deploy.own_wheel import PACKAGES
from deploy.sbom import licence

PROJECT = Path(__file__).parents[2]
SECRET = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}|AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}")
PUBLISHED = {"tests/interop/test_known_answers.py"}  # keys out of published test vectors
# what a wheel of ours may hold besides its own metadata
KINDS = {".py", ".toml", ".md", ".html", ".css", ".js", ".svg", ".png", ".json", ".webmanifest", ".txt", ".sh", ".yml",
         ".yaml", ".conf", ".tmpl", ".proto", ".typed"}  # fmt: skip


def tracked() -> list[tuple[str, Path]]:
    """(mode as git keeps it, path) of every file of the project."""
    said = subprocess.run(["git", "ls-files", "-s"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if said.returncode:
        pytest.skip("this tree is not a git clone: modes are not known")
    lines = [line.split(None, 3) for line in said.stdout.splitlines()]
    return [(mode, PROJECT / name) for mode, _, _, name in lines]


@pytest.fixture(scope="module")
def wheel(wheel_file: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(wheel_file)


def test_a_file_is_executable_exactly_when_it_says_what_runs_it():
    wrong = []
    for mode, path in tracked():
        if mode not in {"100644", "100755"}:
            wrong.append(f"{path}: mode {mode}, a link or a module of git")
        elif (mode == "100755") != path.read_bytes().startswith(b"#!"):
            wrong.append(f"{path}: {mode} {path.read_bytes()[:20]!r}")
    assert wrong == []


def test_every_shell_script_is_understood_by_its_shell():
    for mode, path in tracked():
        if mode == "100755" and path.read_bytes().splitlines()[0].endswith(b"sh"):
            shell = "bash" if b"bash" in path.read_bytes().splitlines()[0] else "sh"
            done = subprocess.run([shell, "-n", path], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


def test_no_secret_is_in_the_tree_or_the_wheel(wheel: zipfile.ZipFile):
    found = {path.relative_to(PROJECT).as_posix() for _, path in tracked() if SECRET.search(path.read_bytes())}
    assert found == PUBLISHED
    assert [name for name in wheel.namelist() if SECRET.search(wheel.read(name))] == []


def test_a_secret_would_be_found():
    """The control: the pattern is not one that nothing matches."""
    assert SECRET.search(b"-----BEGIN EC PRIVATE KEY-----\n" + b"M" * 64)


def test_the_wheel_has_no_stray_file(wheel: zipfile.ZipFile):
    """Nothing but the packages: no tests, caches, editors' copies, databases; no name that leads elsewhere."""
    names = [n for n in wheel.namelist() if ".dist-info/" not in n]
    units = {n for n in names if ".data/data/share/door-agent/systemd/" in n}
    assert {Path(n).name for n in units} == {p.name for p in (PROJECT / "systemd").iterdir()}
    own = [n for n in names if n not in units]
    assert {n.split("/")[0] for n in own} <= set(PACKAGES)
    assert not [n for n in own if n.endswith("-dev.txt")]
    assert [n for n in own if Path(n).suffix not in KINDS] == []
    assert [n for n in own if ".." in n or n.startswith("/") or "__pycache__" in n] == []


def test_no_file_of_the_wheel_is_writable_by_others_and_none_runs_with_anothers_rights(wheel: zipfile.ZipFile):
    modes = {info.filename: info.external_attr >> 16 for info in wheel.infolist()}
    assert [name for name, mode in modes.items() if mode & 0o6002] == []


def test_the_wheel_names_its_licence_and_carries_it(wheel: zipfile.ZipFile):
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    metadata = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    assert b"License" in wheel.read(metadata)
    assert any(n.endswith("/LICENSE") for n in wheel.namelist())
    assert project["license"]


def test_the_licence_of_every_package_that_a_bundle_carries_is_known_and_permissive():
    """By the same function that writes the bill, over the lock of this Python; no copyleft that binds the whole."""
    lock = (PROJECT / "deploy/locks/cp311-x86_64.txt").read_text()
    names = re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE)
    found = {}
    for name in names:
        try:
            installed = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # another platform's, or left out of this environment
        # an old pip without the wheel package leaves PKG-INFO
        text = installed.read_text("METADATA") or installed.read_text("PKG-INFO") or ""
        found[name] = licence(email.message_from_string(text))
    assert len(found) > len(names) / 2
    assert [name for name, said in found.items() if said == "not stated"] == []
    assert [name for name, said in found.items() if re.search(r"\bA?GPL", said)] == []


def test_the_runner_holds_the_devices_end_and_nothing_else(tmp_path: Path):
    bundle.make_runner(tmp_path / "runner.pyz")
    names = {n for n in zipfile.ZipFile(tmp_path / "runner.pyz").namelist() if not n.endswith("/")}
    here = {f"deploy/device/{p.name}" for p in (PROJECT / "deploy/device").glob("*.py")}
    assert names == here | {"deploy/__init__.py", "__main__.py"}


def test_units_and_what_goes_with_them_are_all_of_a_kind_that_is_put_in_place():
    """A file of systemd/ that the installer knows no place for would never reach a door."""
    from deploy.device.install import LINKED, PLACES

    kinds = {p.suffix for p in (PROJECT / "systemd").iterdir() if p.is_file()} - {".md"}
    assert kinds <= LINKED | set(PLACES)
