"""What is written of a finding, whatever became of it: receipts that replay, refusals not too often, no secrets."""

from collections import Counter

import pytest
from findings import finding_on, frame_of
from pass_world import RECEIPT, World, one_resident

from agent.cli.replay import _again, receipt_of
from agent.core.access import Denial
from agent.core.door_records import denied
from agent.core.events import Indication, Kind, Priority
from agent.core.recognition import Frame, Level, Rival
from agent.core.roster import WATCH_PURPOSE, PersonKind
from agent.core.vision_messages import FindingKind
from agent.residents import NewFace, consent_now


@pytest.fixture
def world(tmp_path):
    with one_resident(tmp_path) as world:
        yield world


def test_giving_up_leaves_a_receipt_and_its_reason_once_a_minute(world: World):
    """Nothing is refused by it: no lockout, no red light. The person sees what would help."""
    for _ in range(12):
        world.find(FindingKind.UNCLEAR, reason="covered", hint=Indication.UNCOVER_FACE)
        world.wait(6)
    rows = [row for row in world.rows if row.body["reason"] == Denial.UNCLEAR]
    assert len(rows) == 2
    assert (rows[0].kind, rows[0].priority) == (Kind.ACCESS_DENIED, Priority.LOW)
    assert (rows[0].body["detail"]["verdict"], rows[0].body["detail"]["receipt"]) == ("unclear", RECEIPT)
    assert world.refusals == []
    assert world.hints == [Indication.UNCOVER_FACE] * 12


def test_every_look_that_was_refused_counts_and_one_in_eight_seconds_is_written(world: World):
    """Whoever steps out of the picture and in again has a new look each time: five of them, and faces pause."""
    for _ in range(5):
        world.find(FindingKind.STRANGER)
        world.wait(2)
    assert [(one.counts_for_lockout, one.told) for one in world.refusals] == [
        (True, True), (True, False), (True, False), (True, False), (True, True)
    ]  # fmt: skip


def test_the_row_that_shows_a_stranger_in_place_of_somebody_watched_says_nothing_of_him(world: World):
    """The manager's row has his id and the receipt; the refusal has neither, or every reader would know."""
    watched = consent_now(0, purpose=WATCH_PURPOSE)
    face = [NewFace(bytes(1024), 1.0)]
    x = world.residents.add("X", watched, face, "net", "five", kind=PersonKind.WATCHED, schedules=()).id
    world.look(x, receipt={**RECEIPT, "person": x})
    [row] = world.rows
    assert (row.kind, row.body["person_id"], row.body["receipt"]["person"]) == (Kind.WATCHED, x, x)
    [refused] = world.refusals
    assert (refused.reason, refused.person_id, refused.detail) == ("CredentialNotFound", None, {})
    world.wait(60)
    world.doubt(world.li, x)  # somebody who could be either: told, and Li's phone would open
    assert [row.kind for row in world.rows] == [Kind.WATCHED] * 2
    world.show()
    assert [a.person_id for a in world.allowed] == [world.li]
    world.wait(60)
    world.doubt(x, reason="grey-zone")  # no sighting: one in a hundred strangers comes so near to somebody
    assert len(world.rows) == 2


def test_every_row_with_a_receipt_replays_to_what_was_given(world: World):
    """Whatever became of the finding: let in, waiting for a phone, refused, watched, removed a moment ago."""
    x = world.residents.add(
        "X", consent_now(0, purpose=WATCH_PURPOSE), [NewFace(bytes(1024), 1.0)], "net", "five",
        kind=PersonKind.WATCHED, schedules=(),
    ).id  # fmt: skip
    twins = frame_of(world.li, 0.8, rivals=(Rival("p-other", 0.79),))
    for frame in (frame_of(world.li), frame_of(x), frame_of("p-removed"), twins, frame_of(world.li, 0.65),
                  frame_of(world.li, 0.5), frame_of(world.li, liveness=0.0), Frame(0.0, "covered")):  # fmt: skip
        world.faces.found(finding_on(frame), world.now_s)
        world.wait(20)
    world.high_security = True
    for first, second in (("look", "show"), ("show", "look")):
        for step in (first, second):
            if step == "show":
                world.show()
            else:
                world.faces.found(finding_on(twins if first == "show" else frame_of(world.li), Level.HIGH), world.now_s)
        world.wait(20)
    world.faces.found(finding_on(frame_of(world.li), Level.HIGH), world.now_s)
    world.wait(20)
    rows = [denied(one).body for one in world.refusals] + [row.body for row in world.rows]
    rows += [{"person_id": one.then.person_id, **one.body} for one in world.intents]
    found = [_again({"seq": 1, "time": "", "body": body}, receipt) for body in rows if (receipt := receipt_of(body))]
    assert all(one["same"] for one in found)
    assert Counter(one["given"] for one in found) == {
        "recognised": 5, "doubtful": 3, "stranger": 1, "spoof": 1, "unclear": 1
    }  # fmt: skip
