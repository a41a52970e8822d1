"""A closed laptop, a broken cable, Ctrl-C: what was begun on the device is finished, its end told to the next run."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.device import detached
from deploy.device.commands import InstallError
from deploy.device.steps import Talk

PROJECT = Path(__file__).parents[2]
# what the runner does: begins, tells a lot, finishes; `go` lets it finish
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from deploy.device import detached
from deploy.device.commands import InstallError
from deploy.device.steps import Talk
# whoever runs the tests in the background, or under nohup, hands these down ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
folder = Path(sys.argv[1])
detached.TOLD = folder / "told"
def work(talk):
    (folder / "begun").touch()
    while True:
        if sys.argv[2] != "quiet":
            talk.tell("progress", what="x" * 1000)
        if (folder / "go").exists():
            break
        time.sleep(0.01)
    (folder / "finished").write_text("yes")
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), 9)
    if sys.argv[2] in ("ill", "quiet"):
        raise InstallError("taken back")
    return {"release": "new"}
talk = Talk()
try:
    talk.tell("end", **detached.detached(work, talk))
except InstallError as error:
    talk.tell("failed", why=str(error))
"""


NO_WORD = {"t": "failed", "why": "the work on the device ended without a word; look at its journal"}


def wait_for(path: Path) -> None:
    end_s = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end_s, f"no {path.name}"
        time.sleep(0.01)


def start(folder: Path, end: str = "well") -> subprocess.Popen[bytes]:
    line = [sys.executable, "-c", PROGRAM, str(folder), end]
    process = subprocess.Popen(line, cwd=PROJECT, stdout=subprocess.PIPE, start_new_session=True)
    wait_for(folder / "begun")
    return process


def said(data: bytes) -> list[dict]:
    return [json.loads(line) for line in data.splitlines()]


@pytest.mark.parametrize(
    ("end", "last"),
    [("well", {"t": "end", "release": "new"}), ("ill", {"t": "failed", "why": "taken back"}), ("killed", NO_WORD)],
)
def test_with_a_laptop_there_everything_is_passed_on_and_nothing_is_left_unsaid(tmp_path, end, last):
    process = start(tmp_path, end)
    (tmp_path / "go").touch()
    out, _ = process.communicate(timeout=20)
    heard = said(out)
    assert heard[0]["t"] == "progress"
    assert heard[-1] == last
    assert not (tmp_path / "told").exists()


@pytest.mark.parametrize(
    ("how", "end"),
    [("closed", "ill"), ("closed", "quiet"), (signal.SIGHUP, "ill"), (signal.SIGINT, "ill"), (signal.SIGKILL, "ill")],
)
def test_whatever_becomes_of_the_connection_the_work_is_finished_and_the_next_run_hears_of_it(
    tmp_path, monkeypatch, how, end
):
    """The pipe breaks, also while there is nothing to say; or sudo's session is hung up, interrupted or killed."""
    process = start(tmp_path, end)
    process.stdout.close()
    if how != "closed":
        os.killpg(process.pid, how)
        process.wait(20)
    (tmp_path / "go").touch()
    wait_for(tmp_path / "finished")
    process.wait(20)
    monkeypatch.setattr(detached, "TOLD", tmp_path / "told")
    end_s = time.monotonic() + 20
    while '"raised"' not in (tmp_path / "told").read_text() and time.monotonic() < end_s:
        time.sleep(0.01)
    assert detached.unheard() == "taken back"
    assert detached.unheard() == ""


def test_telling_never_stops_doing_but_nobody_is_asked_who_has_gone(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", buffering=1) as broken:
        monkeypatch.setattr(sys, "stdout", broken)
        talk = Talk()
        talk.tell("progress", what="on")
        talk.tell("progress", what="and on")
        assert talk.deaf
        with pytest.raises(InstallError, match="the connection ended"):
            talk.ask("bundle")
        monkeypatch.undo()


@pytest.mark.parametrize("line", ["nonsense\n", "[]\n", "7\n"])
def test_an_answer_that_is_none_is_said(monkeypatch, capsys, line):
    monkeypatch.setattr(sys, "stdin", io.StringIO(line))
    with pytest.raises(InstallError, match="nonsense"):
        Talk().ask("bundle")
