"""The campaigns' own arithmetic, which needs no device."""

import contextlib
import fcntl
import os
import threading

import pytest

from tests.device import ci, faces
from tests.device.campaigns import stories
from tests.device.campaigns.powercut import entry_ends
from tests.device.campaigns.scenario import invented, relay_differences, row_differences
from tests.device.harness.image import CLOCK, Kind, NoDeviceError, rig_folder, rig_for, why_not
from tests.device.on_device import projector


def test_every_kind_of_act_comes_up_in_a_random_life_and_everything_ends_as_it_began():
    acts = invented(400, seed=1)
    assert {act["line"] for act in acts} == {"contact", "exit", "order", "fire", "tamper"}
    last = {act["line"]: act["active"] for act in acts if act["line"] != "order"}
    assert not any(last[line] for line in ("contact", "fire", "tamper"))


def test_an_edge_or_a_row_that_only_one_of_the_two_doors_has_is_a_divergence():
    assert relay_differences([[1.0, True], [6.0, False]], [(1.1, True), (6.1, False)]) == []
    assert len(relay_differences([[1.0, True]], [(1.1, True), (6.1, False)])) == 1
    assert len(relay_differences([[1.0, True], [3.0, False]], [(1.1, True), (6.1, False)])) == 2
    row = {"kind": "Door/State/Fire", "state": "Alarm"}
    assert row_differences([{"kind": row["kind"], "shown": row}], [row]) == []
    assert len(row_differences([{"kind": row["kind"], "shown": {**row, "state": "Normal"}}], [row])) == 1
    assert len(row_differences([], [row])) == 1
    locked = {"kind": "Door/State/LockPhysicalState", "state": "Locked", "why": "order"}
    for why, parts in (("bound", 0), ("feed-lost", 1)):
        real = {"kind": locked["kind"], "shown": {**locked, "why": why}}
        assert len(row_differences([real], [locked])) == parts


def test_the_end_of_each_write_is_read_from_the_log_and_a_cut_off_tail_is_left_out(tmp_path):
    def entry(sectors: int, flags: int) -> bytes:
        head = b"".join(n.to_bytes(8, "little") for n in (8, sectors, flags, 0)).ljust(512, b"\0")
        return head + bytes(512 * sectors)

    log = tmp_path / "writes.log"
    log.write_bytes(bytes(512) + entry(2, 0) + entry(0, 1) + entry(4, 0)[:-512])
    assert entry_ends(log) == [512 * 4, 512 * 5]


def test_without_a_rig_the_reason_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("DOOR_AGENT_RIG", str(tmp_path))
    assert "DOOR_AGENT_RIG" in why_not(asked=True)
    monkeypatch.delenv("DOOR_AGENT_RIG_TESTS", raising=False)
    assert "make rig" in why_not(asked=False)


def test_a_shared_machine_judges_what_the_door_did_and_not_how_long_it_took():
    assert not ci.counts("did not run to its end")
    assert not ci.counts("fire: not proven, this machine stalled the rig in 40 presses")
    assert not ci.counts("late")
    assert ci.counts("openings")


def test_a_story_is_followed_row_by_row_and_in_its_time():
    row = {"kind": "Door/State/Fire", "state": "Alarm"}
    assert stories.row_differences([(1.0, row), (9.0, row)], [(1.1, row)], last_s=5.0) == []
    assert len(stories.row_differences([(1.0, row)], [], last_s=5.0)) == 1
    assert len(stories.row_differences([(1.0, row)], [(4.0, row)], last_s=5.0)) == 1
    assert len(stories.row_differences([(1.0, row)], [(1.0, {**row, "state": "Normal"})], last_s=5.0)) == 1
    assert stories.edge_differences([[1.0, True]], []) == ["energised at 1.00 and no row"]


def seen(kind, *, energised=(), changes=(), **body):
    row = {"kind": kind, "after_s": 3.0, **body}
    return {"rows": [row], "energised": list(energised), "changes": list(changes), "at_the_end": 0}


def test_a_door_with_a_camera_is_judged_by_the_line_and_by_the_journal():
    granted, denied = "AccessControl/AccessGranted/Credential", "AccessControl/Denied/CredentialNotFound"
    moved = {"energised": [7.0], "changes": [[7.0, 1], [12.0, 0]]}
    well = {
        "steps_done": 13,
        "opened": "energised after 300 ms",
        "not_green": {"of": "12", "clock": "none"},
        "not_green_left_alone": {"of": "12"},
        "resident": seen(granted, credential="face", **moved),
        "stranger": seen(denied, reason="CredentialNotFound"),
        "second_steps_done": 0,
    }
    assert faces.broken(well) == []
    for name, changed in {
        "the resident's face opens": {"resident": seen(denied, **moved)},
        "and was dropped in time": {"resident": seen(granted, credential="face", **moved | {"changes": [[7.0, 1]]})},
        "and nothing moves for him": {"stranger": seen(denied, reason="CredentialNotFound", energised=[9.0])},
        "the stranger is refused": {"stranger": seen("AccessControl/AccessUnverified")},
        "doctor": {"not_green": {"of": "12", "camera": "dark"}},
        "second run does nothing": {"second_steps_done": 1},
    }.items():
        assert faces.broken(well | changed) == [name]


def test_a_film_that_is_wanted_is_shown_once_from_its_beginning_and_then_the_empty_hall_again(tmp_path, monkeypatch):
    for name, pictures in (("empty", b"e" * 8), ("walk", b"abcd" + b"efgh")):
        (tmp_path / f"{name}.yuyv").write_bytes(pictures)
    monkeypatch.setattr(fcntl, "ioctl", lambda *_: 0)
    os.mkfifo(tmp_path / "camera")
    words = (str(tmp_path / "camera"), "2x1", "1000", tmp_path)

    def play():
        with contextlib.suppress(BrokenPipeError):
            projector.main(*words)

    player = threading.Thread(target=play, daemon=True)
    player.start()
    with (tmp_path / "camera").open("rb", buffering=0) as camera:
        assert camera.read(4) == b"eeee"
        (tmp_path / "new").write_text("walk")
        (tmp_path / "new").rename(tmp_path / "wanted")
        shown = b""
        while not shown.endswith(b"efgheeee"):
            shown += camera.read(4)
    player.join(5)
    assert shown[shown.index(b"abcd") :] == b"abcdefgheeee"
    assert (tmp_path / "played").read_text() == "walk"


def test_an_emulated_device_has_its_time_from_its_instructions_and_a_native_one_the_rig_as_it_is(tmp_path):
    boot = tmp_path / "rig" / "boot"
    boot.parent.mkdir()
    boot.write_text("qemu -accel tcg,thread=multi,tb-size=512 -smp 1")
    arm = Kind("arm64", "trixie")
    for _ in range(2):
        assert rig_for(arm, tmp_path) == boot.parent
        assert boot.read_text() == f"qemu {CLOCK},tb-size=512 -smp 1"
    boot.write_text("qemu -accel kvm")
    with pytest.raises(NoDeviceError, match="does not start the emulator"):
        rig_for(arm, tmp_path)
    assert rig_for(Kind(), tmp_path) == rig_folder()


def test_each_kind_of_device_has_its_bundle():
    assert str(Kind().target) == "x86_64-cp313"
    assert str(Kind("arm64", "trixie").target) == "aarch64-cp313"
    assert str(Kind("amd64", "bookworm").target) == "x86_64-cp311"
