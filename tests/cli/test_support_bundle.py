"""A support bundle opens for its recipient alone and has nobody's name, key, login or address in it."""

import io
import json
import tarfile

import pyrage
import pytest

from agent import support
from agent.cli.main import main
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore
from agent.support import Redactor

LEAKS = [
    "Li Mei",
    "hunter2",
    "10.1.2.3",
    "aa:bb:cc:dd:ee:ff",
    "fe80:0:0:0:1:2:3:4",
    "fe80::1",
    "2001:db8",
    "c0de:",
    "ffff:",
    "p4ss",
    "w0rd",
    "li@example.org",
    "AGE-SECRET-KEY-1QQQ",
    "v4.public.eyJpZCI6IjEifQ",
    "MIGHAgEAMBMG",
]
LOG = """\
door-agent: enrolled Li Mei from 10.1.2.3 (aa:bb:cc:dd:ee:ff, fe80:0:0:0:1:2:3:4)
rtsp://cam:hunter2@10.1.2.3/1 password = hunter2 mail li@example.org AGE-SECRET-KEY-1QQQ v4.public.eyJpZCI6IjEifQ
peers fe80::1%eth0 2001:db8::5, [2001:db8::5]:8883 2001:db8::/32 (2001:DB8::C0DE:5) addr=2001:db8::6: no route
2001:db8:aa:bb:cc:dd:ee:ff 2001:db8:1:2:3:4:c0de:6:8883 ::ffff:10.1.2.3 2001:db8:: ::c0de:7
rtsp://cam:p4ss/w0rd@10.1.2.3/1 'mqtts://cam:p4ss@w0rd@broker.example.org:8883' rtsp+tls://p4ss"w0rd@[fe80::1]/1
camera cam:p4ss@10.1.2.3 refused
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMG
-----END PRIVATE KEY-----
2026-11-27T01:02:03+08:00 door-guard: relay dropped after 5.0 s at 127.0.0.1 (01:02:03), port ::1, on [::]:80 std::io
"""
KEPT = LOG.splitlines()[-1]


def test_nothing_of_a_person_a_key_or_an_address_is_left_and_the_rest_is():
    text = Redactor(("Li Mei",)).text(LOG)
    assert [leak for leak in LEAKS if leak in text] == []
    assert KEPT in text


def test_a_text_that_is_too_long_is_cut_behind_what_was_taken_out_of_it(monkeypatch):
    """Half a key has no beginning by which it would be known."""
    monkeypatch.setattr(support, "_MAX_TEXT", len(KEPT) + 60)
    monkeypatch.setattr(support, "_COMMANDS", {"log.txt": ("echo", "-n", LOG)})
    [(_, text)] = support.outputs(Redactor(("Li Mei",)))
    assert KEPT in text
    assert [leak for leak in LEAKS if leak in text] == []


def test_a_person_is_the_same_stand_in_in_one_bundle_and_another_in_the_next():
    one, two = Redactor(("p-1",), b"a"), Redactor(("p-1",), b"b")
    assert one.text("p-1 p-1").split()[0] == one.text("p-1")
    assert one.text("p-1") != two.text("p-1")
    assert one.value({"person_id": "p-7", "n": [1, {"name": "x"}]}) == {
        "person_id": one.alias("p-7"),
        "n": [1, {"name": one.alias("x")}],
    }


@pytest.fixture
def door(tmp_path):
    """A configured door with somebody enrolled."""
    state = tmp_path / "state"
    state.mkdir()
    store = RosterStore(state)
    faces = [NewFace(bytes(16), 1.0)]
    Residents(store).add("Li Mei", consent_now(1_700_000_000, guardian=None, under_14=False), faces, "m", "a")
    store.close()
    config = tmp_path / "door.toml"
    config.write_text(
        f'[door]\nsite = "s"\nid = "d"\nlock_type = "fail-safe"\n[hardware]\nbackend = "simulated"\n'
        f'[hardware.relay]\npin = 17\n[camera]\nsource = "rtsp://cam:hunter2 p4ss@10.1.2.3/1"\n'
        f'[store]\nstate_dir = "{state}"\n[runtime]\nagent_dir = "{tmp_path}"\nguard_dir = "{tmp_path}"\n'
    )
    return config


def test_only_the_recipient_opens_it(door, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("agent.cli.doctor.all_checks", lambda *_: iter(()))
    monkeypatch.setattr(support, "_COMMANDS", {"log.txt": ("echo", LOG)})
    key = pyrage.x25519.Identity.generate()
    out = tmp_path / "s.age"
    words = ["support-bundle", "--config", str(door), "--recipient", str(key.to_public()), "--out", str(out), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(out)
    assert out.stat().st_mode & 0o777 == 0o600
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(out.read_bytes(), [pyrage.x25519.Identity.generate()])
    with tarfile.open(fileobj=io.BytesIO(pyrage.decrypt(out.read_bytes(), [key]))) as tar:
        texts = [tar.extractfile(member).read().decode() for member in tar.getmembers()]
    assert any("fail-safe" in text for text in texts)
    assert any(KEPT in text for text in texts)
    assert [leak for leak in LEAKS if any(leak in text for text in texts)] == []


def test_a_wrong_recipient_writes_nothing(door, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("agent.cli.doctor.all_checks", lambda *_: iter(()))
    monkeypatch.setattr(support, "_COMMANDS", {})
    out = tmp_path / "s.age"
    assert main(["support-bundle", "--config", str(door), "--recipient", "bob", "--out", str(out)]) == 2
    assert "age1" in capsys.readouterr().err
    assert not out.exists()
