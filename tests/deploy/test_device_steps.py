"""The runner on the device: looks before and after, does nothing twice, says where it was broken off, takes back."""

import json

import pytest

from deploy.device import access, steps
from deploy.device.commands import InstallError
from deploy.device.steps import Look, Runner, Step, Talk, broken_off, file_step, keep, note, undo


class Quiet(Talk):
    def __init__(self):
        self.said = []

    def tell(self, kind, **facts):
        self.said.append((kind, facts.get("state") or facts.get("name") or ""))


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "STATE", tmp_path / "state")
    return tmp_path / "state"


def test_a_step_is_done_once_and_the_second_run_does_nothing(tmp_path):
    step = file_step("f", tmp_path / "etc" / "f", b"x", 0o640, why="because")
    first, second = Runner(Quiet(), dry_run=False), Runner(Quiet(), dry_run=False)
    first.take([step])
    second.take([step])
    assert (first.done, second.done) == (1, 0)
    assert (tmp_path / "etc" / "f").stat().st_mode & 0o777 == 0o640


def test_a_file_whose_run_was_killed_before_it_counted_is_made_to_count_by_the_next_run(tmp_path):
    """A watchdog, a log, a time server that are written down and not in effect would be so until the next boot."""

    class KilledError(BaseException):
        """No handler of ours runs after a SIGKILL."""

    counted = []

    def step(then):
        return file_step("watchdog", tmp_path / "w.conf", b"x", 0o644, why="w", then=then)

    def killed():
        raise KilledError

    with pytest.raises(KilledError):
        Runner(Quiet(), dry_run=False).take([step(killed)])
    second, third = Runner(Quiet(), dry_run=False), Runner(Quiet(), dry_run=False)
    second.take([step(lambda: counted.append("restarted"))])
    third.take([step(lambda: counted.append("again"))])
    assert (second.done, third.done, counted) == (1, 0, ["restarted"])


def test_a_dry_run_says_would_and_touches_nothing(tmp_path, state):
    talk = Quiet()
    Runner(talk, dry_run=True).take([file_step("f", tmp_path / "f", b"x", 0o640, why="w")])
    assert talk.said == [("step", "would")]
    assert not (tmp_path / "f").exists()
    assert not state.exists()


def test_a_step_that_did_not_help_is_an_error_and_named_by_the_next_run():
    stubborn = Step("stubborn", "blue", lambda: Look(ok=False, found="red"), lambda: "painted")
    with pytest.raises(InstallError, match="stubborn: expected blue, still found red"):
        Runner(Quiet(), dry_run=False).take([stubborn])
    assert broken_off() == "stubborn"
    note("end", "all")
    assert broken_off() == ""


def test_a_torn_last_line_of_the_journal_does_no_harm(state):
    note("begin", "a")
    with (state / steps.JOURNAL).open("a") as journal:
        journal.write('{"at": 1, "wh')
    assert broken_off() == ""


def test_undo_restores_what_was_and_removes_what_was_not(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("before")
    old.chmod(0o600)
    for path in (old, new):
        keep(path)
        path.write_text("after")
        keep(path)  # the second time must not take "after" for the original
    assert sorted(undo()) == sorted([str(old), str(new)])
    assert old.read_text() == "before"
    assert old.stat().st_mode & 0o777 == 0o600
    assert not new.exists()
    assert undo() == []


def test_undo_after_a_run_that_was_cut_while_it_kept_a_file_takes_the_rest_back(tmp_path, state):
    """What is half kept belongs to a file that was not changed yet."""
    (tmp_path / "kept").write_text("before")
    keep(tmp_path / "kept")
    (tmp_path / "kept").write_text("after")
    name = str(tmp_path / "cut").strip("/").replace("/", "%")
    (state / steps.KEPT / f".{name}.new").write_text("hal")
    assert undo() == [str(tmp_path / "kept")]
    assert (tmp_path / "kept").read_text() == "before"


def test_listeners_are_told_from_ssh_and_loopback(monkeypatch):
    said = """\
udp UNCONN 0 0 0.0.0.0:5353 0.0.0.0:* users:(("avahi-daemon",pid=3,fd=12))
udp UNCONN 0 0 192.168.1.9%eth0:68 0.0.0.0:* users:(("systemd-network",pid=2,fd=9))
tcp LISTEN 0 5 127.0.0.1:8480 0.0.0.0:* users:(("python",pid=9,fd=9))
tcp LISTEN 0 5 [::1]:631 [::]:* users:(("cupsd",pid=9,fd=9))
tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))
tcp LISTEN 0 128 [::]:111 [::]:* users:(("systemd",pid=1,fd=3))
"""

    class Done:
        stdout = said

    monkeypatch.setattr(access.subprocess, "run", lambda *_a, **_k: Done())
    assert access.listening() == ["avahi-daemon udp/5353", "systemd tcp/111"]


def test_what_is_told_is_one_json_object_a_line(capsys):
    Talk().tell("step", name="a\nb", ok=True)
    assert json.loads(capsys.readouterr().out) == {"t": "step", "name": "a\nb", "ok": True}
