"""The self-test's questions to whoever stands at the door: each wire by hand, each way to come in and how fast."""

import re
import time

import pytest
from played_device import WELL, PlayedDevice
from test_setup import Laptop

from deploy.device import selftest, ways

CONFIG = '[camera]\nsource = "v4l2:/dev/video0"\n[server]\nhost = "broker"\n'
PLAN = {"open": "ask", "config": CONFIG}
GRANTED, DENIED = "AccessControl/AccessGranted/Credential", "AccessControl/Denied/Credential"
LI_MEI = {"name": "Li Mei", "enabled": True, "templates": 3, "phones": 1}


@pytest.fixture
def device(tmp_path, monkeypatch):
    played = PlayedDevice(tmp_path)
    played.take_over(monkeypatch)
    yield played
    played.close()


class AtTheDoor(Laptop):
    """Somebody who does what she is asked to: `hands` by the line's name; what is missing there she cannot do."""

    def __init__(self, hands, **answers):
        super().__init__(**answers)
        self.hands = hands

    def tell(self, kind, **facts):
        super().tell(kind, **facts)
        if kind == "hand" and facts["line"] in self.hands:
            self.hands[facts["line"]]()


def row(number: int, kind: str, **body):
    boottime_ms = round(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
    return {"id": number, "seq": number, "kind": kind, "boottime_ms": boottime_ms, "body": body}


def by_name(found):
    return {one.name: one for one in found}


def test_a_wire_is_well_when_the_hand_at_it_was_seen_to_come_and_to_go(device):
    device.wired({"exit": False, "lock_power": True})

    def press():
        device.line("exit", active=True)
        device.line("exit", active=False)

    found = list(selftest.wires(AtTheDoor({"exit": press})))
    assert [(one.name, one.ok) for one in found] == [("wire exit", True)]
    assert "active after" in found[0].found


def test_a_wire_that_says_nothing_or_does_not_come_back_is_told_with_what_to_look_at(device, monkeypatch):
    monkeypatch.setattr(selftest, "HAND_S", 0.3)
    device.wired({"exit": False, "fire": False})
    laptop = AtTheDoor({"fire": lambda: device.line("fire", active=True)})
    found = by_name(selftest.wires(laptop))
    assert found["wire exit"].found == "nothing came"
    assert found["wire fire"].found == "it did not come back"
    assert "hardware.inputs.fire.pin" in found["wire fire"].do_this


@pytest.mark.parametrize("saw", [True, False])
def test_lamps_and_buzzer_count_when_somebody_saw_them(device, saw):
    device.wired({}, ("red", "buzzer"))
    laptop = Laptop(saw={"yes": saw})
    (found,) = selftest.wires(laptop)
    assert (found.ok, found.expected) == (saw, "red, buzzer")
    assert device.shown[0] == "identify"


def test_a_guard_that_is_not_there_is_one_result_and_no_crash(device):
    device.close()
    device.folder.joinpath("run", "guard.sock").unlink()
    assert [one.ok for one in selftest.wires(Laptop())] == [False]
    assert [one.ok for one in ways.ways({"ways": ["face"]} | PLAN, Laptop(), set())] == [False]


@pytest.mark.parametrize(("way", "credential"), [("face", "face"), ("phone", "face+phone"), ("remote", "remote")])
def test_a_way_in_counts_by_the_row_that_it_leaves_and_its_time_is_measured(device, way, credential):
    device.has_rows(row(6, GRANTED, credential=credential))

    def come_in():
        device.has_rows(row(6, GRANTED, credential=credential), row(7, GRANTED, credential=credential))
        device.open()

    (found,) = ways.ways({"ways": [way]} | PLAN, AtTheDoor({way: come_in}), set())
    assert found.ok, found
    words = r"let in \d+\.\d s after it was asked for, relay energised \d+ ms after the decision \(row 7\)"
    assert re.fullmatch(words, found.found)


def test_an_opening_by_another_way_is_not_taken_for_this_one(device, monkeypatch):
    monkeypatch.setattr(ways, "HAND_S", 0.3)

    def by_phone():
        device.has_rows(row(7, GRANTED, credential="phone"))
        device.open()

    (found,) = ways.ways({"ways": ["face"]} | PLAN, AtTheDoor({"face": by_phone}), set())
    assert (found.ok, found.found) == (False, "nobody was let in that way")


def test_a_refusal_is_told_by_its_reason(device, monkeypatch):
    monkeypatch.setattr(ways, "HAND_S", 0.3)
    laptop = AtTheDoor({"face": lambda: device.has_rows(row(8, DENIED, reason="CredentialNotEnabled"))})
    (found,) = ways.ways({"ways": ["face"]} | PLAN, laptop, set())
    assert (found.ok, found.found) == (False, "refused: CredentialNotEnabled")


@pytest.mark.parametrize(
    ("people", "config", "well", "asked_for"),
    [
        ((LI_MEI,), CONFIG, set(WELL), ["face", "phone", "remote"]),
        ((LI_MEI | {"phones": 0},), CONFIG, set(WELL) - {"server"}, ["face"]),
        ((LI_MEI | {"enabled": False},), CONFIG, set(WELL), ["remote"]),
        ((LI_MEI,), CONFIG, {"server"}, ["remote"]),
        ((LI_MEI,), '[camera]\nsource = "none"\n', set(WELL), []),
        ((), CONFIG, set(WELL), ["remote"]),
    ],
)
def test_with_somebody_there_each_way_whose_parts_are_there_is_offered(device, people, config, well, asked_for):
    """A camera and somebody to be seen by it, a server that answers; what cannot work is not asked about."""
    device.has_people(*people)
    laptop = Laptop(eyes={"yes": False})
    found = list(ways.ways({"open": "ask", "config": config}, laptop, well))
    assert [one.name for one in found] == [f"opens by {way}" for way in asked_for]
    assert not any(one.ok for one in found), "what was not tried is not well"
    assert all("not tried" in one.found and "--ways" in one.do_this for one in found)


def test_nobody_is_asked_where_nobody_is(device):
    device.has_people(LI_MEI)
    for opens in ("no", "now"):
        assert list(ways.ways(PLAN | {"open": opens}, Laptop(), set(WELL))) == []
