"""The set-up's look for the programs that tests run, as a process that sees a made-up machine without apt."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.programs import PACKAGES, found

SCRIPT = Path(__file__).parents[2] / "deploy" / "bootstrap.sh"
BASE = ("sh", "cat", "id", "sha256sum", "cut", "dirname")


@pytest.fixture
def set_up(tmp_path):
    """`set_up("browser")`: what it says on a machine with this program. It ends where the Python has no lock file."""
    path, tree = tmp_path / "bin", tmp_path / "tree"
    (tree / "deploy").mkdir(parents=True)
    (tree / "tests").mkdir()
    (tree / "tests" / "programs.txt").write_text("# a remark\nbrowser a-browser\ndatabase a-database\n")
    shutil.copy(SCRIPT, tree / "deploy")
    path.mkdir()
    for name in BASE:
        (path / name).symlink_to(shutil.which(name))

    def run(*programs: str, **environment: str) -> str:
        for name in ("python3", "mosquitto", *programs):
            (path / name).write_text(f"#!{shutil.which('sh')}\necho 3.11\n")
            (path / name).chmod(0o755)
        command = [str(path / "sh"), str(tree / "deploy" / "bootstrap.sh"), "dev"]
        here = {"PATH": str(path), **environment}
        done = subprocess.run(command, env=here, capture_output=True, text=True, check=False, cwd=tree)
        assert done.returncode == 1
        return done.stderr

    return run


def test_what_cannot_be_had_is_named_and_the_set_up_goes_on(set_up):
    said = set_up("browser")
    assert "skipped (as root: apt-get install a-database )" in said
    assert "no lock file" in said  # what comes after it


def test_where_they_are_required_a_missing_package_ends_the_set_up(set_up):
    said = set_up("browser", DOOR_AGENT_TEST_PROGRAMS="required")
    assert "could not be installed: a-database" in said
    assert "no lock file" not in said


def test_a_machine_with_every_program_hears_nothing_of_them(set_up):
    assert "apt-get" not in set_up("browser", "database")


def test_a_program_off_the_path_is_found_too(tmp_path, monkeypatch):
    """Debian's mosquitto and nginx are in /usr/sbin, initdb in PostgreSQL's own folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert all(Path(path).parent != tmp_path for path in map(found, PACKAGES) if path is not None)
    assert found("sh-of-nobody") is None
