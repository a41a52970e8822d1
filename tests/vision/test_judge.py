"""From frames to decisions, on drawn scenes with real portraits and the networks of this machine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from agent.core.recognition import Recognised, replay
from agent.core.vision_messages import (
    Finding,
    FindingKind,
    GalleryAdd,
    GalleryBegin,
    GalleryCommit,
    GalleryRow,
    Settings,
)
from agent.vision.eyes import Eyes, Track
from agent.vision.judge import LONGEST_OUTDATED_S, Judge
from agent.vision.people import People
from fixtures.pictures import PicturesMissingError, portrait
from models.arrays import Image
from models.calibration import Calibration, fit
from models.detect import Detection
from models.pipeline import Pipeline

pytestmark = pytest.mark.slow

Frames = Callable[[str], list[Image]]
Roster = list[GalleryBegin | GalleryAdd | GalleryCommit]
GOOD = 0.6  # quality of a frame that is near, sharp and bright enough
CONVENIENCE = Settings("convenience", 1.0, 20.0)


class _Door:
    def __init__(self, pipeline: Pipeline, roster: Roster, settings: Settings = CONVENIENCE) -> None:
        self.people = People(pipeline)
        for message in roster:
            self.people.take(message)
        self.eyes = Eyes(pipeline.detector)
        self.judge = Judge(pipeline, self.people, settings)
        self.now_s = 1000.0

    def watch(self, frames: list[Image]) -> list[Finding]:
        found = []
        for image in frames:
            self.now_s += 0.1
            for track in self.eyes.look(image, self.now_s):
                finding = self.judge.judge(track, image, self.now_s, self.eyes.motion)
                found += [finding] if finding is not None else []
            found += self.judge.forget_all_but(self.eyes.alive, self.now_s)
        return found


def test_a_resident_is_recognised_once_within_300_ms_of_the_first_good_frame(
    pipeline: Pipeline, roster: Roster, frames: Frames
) -> None:
    found = _Door(pipeline, roster).watch(frames("resident_walks_up"))
    recognised = [one for one in found if one.verdict is FindingKind.RECOGNISED]
    assert [one.person_id for one in recognised] == ["resident"]
    rows = [dict(zip(recognised[0].receipt["columns"], row, strict=True)) for row in recognised[0].receipt["frames"]]
    first_good_s = next(row["at_s"] for row in rows if row["flaw"] is None and row["quality"] >= GOOD)
    assert recognised[0].decided_at_s - first_good_s <= 0.3
    assert recognised[0].frames >= 3


def test_while_the_bound_of_a_changed_gallery_is_worked_out_frames_count_and_nothing_is_decided(
    pipeline: Pipeline, roster: Roster, resident: tuple[GalleryRow, ...], frames: Frames
) -> None:
    """Before, no frame was judged in that time; and a decision by the bound of other people could be a looser one."""
    walk = frames("resident_walks_up")
    usual = next(one for one in _Door(pipeline, roster).watch(walk) if one.verdict is FindingKind.RECOGNISED)
    later = round((usual.decided_at_s - 1000.0) * 10) + 5
    door = _Door(pipeline, roster)
    newcomer = np.asarray(np.eye(pipeline.embedder.dim)[0], "<f4").tobytes()
    door.people.take(GalleryAdd((GalleryRow("newcomer", "n", newcomer),)))
    door.judge.people_changed(door.now_s)
    assert door.watch(walk[:later]) == []
    assert not door.people.calibrated
    door.judge.catch_up(0.0, door.now_s + LONGEST_OUTDATED_S)  # now to the end
    assert door.people.calibrated
    found = door.watch(walk[later : later + 5])[0]
    assert (found.verdict, found.person_id) == (FindingKind.RECOGNISED, "resident")
    assert found.frames > usual.frames  # those of the meantime count
    assert found.receipt["bound"]["roster_size"] == 22
    assert found.receipt["bound"]["calibration"] == fit_of(door).version


def fit_of(door: _Door) -> Calibration:
    """What the people of a door say, worked out at once."""
    gallery = door.people.gallery
    pictures = gallery.template_count / len(gallery)
    return fit(gallery.matrix, model_id=gallery.model_id, pictures=pictures, scale=gallery.scale)


@pytest.mark.parametrize("others", [20, 0])
def test_somebody_enrolled_twice_is_asked_for_the_phone_of_either_in_a_house_of_any_size(
    pipeline: Pipeline, roster: Roster, resident: tuple[GalleryRow, ...], frames: Frames, others: int
) -> None:
    """Before, each of the two ids was the other's runner-up: no visit ended in anything, and nobody was told."""
    begin, everybody, commit = roster
    assert isinstance(everybody, GalleryAdd)
    again = tuple(GalleryRow("resident-again", f"a-{row.template_id}", row.vector) for row in resident[1:])
    rows = (*everybody.templates, *again) if others else (*resident[:1], *again)
    found = _Door(pipeline, [begin, GalleryAdd(rows), commit]).watch(frames("resident_walks_up"))
    named = [one for one in found if one.verdict in (FindingKind.RECOGNISED, FindingKind.DOUBTFUL)]
    assert {one.verdict for one in named} == {FindingKind.DOUBTFUL}
    assert {one.reason for one in named} == {"look-alike"}
    assert set(named[0].candidates) == {"resident", "resident-again"}
    assert (named[0].person_id, named[0].template, named[0].hint) == (None, None, "show-phone")
    assert named[0].decided_at_s - named[0].first_frame_at_s < 1.0  # no three seconds of hoping


def test_a_receipt_names_the_weights_by_their_hash(pipeline: Pipeline, roster: Roster, frames: Frames) -> None:
    from models.manifest import entry

    found = _Door(pipeline, roster).watch(frames("resident_walks_up")[:60])
    network, alignment, digest = found[0].receipt["bound"]["model"].split("/")
    assert (network, alignment) == (pipeline.embedder.model_id, pipeline.embedder.alignment_id)
    assert digest in {file.sha256[:16] for file in entry(network.partition("+")[0]).files}


def test_a_receipt_replays_to_the_same_verdict(pipeline: Pipeline, roster: Roster, frames: Frames) -> None:
    for finding in _Door(pipeline, roster).watch(frames("resident_walks_up")):
        again = replay(finding.receipt)
        assert type(again).__name__.lower() == finding.verdict.value
        if isinstance(again, Recognised):
            assert again.person_id == finding.person_id


def test_a_stranger_is_never_recognised_and_told_as_one(pipeline: Pipeline, roster: Roster, frames: Frames) -> None:
    found = _Door(pipeline, roster).watch(frames("stranger_walks_up"))
    assert FindingKind.STRANGER in {one.verdict for one in found}
    assert {one.person_id for one in found} == {None}


def test_a_stranger_who_comes_again_is_counted_and_nothing_else_is_told_of_him(
    pipeline: Pipeline, roster: Roster, frames: Frames
) -> None:
    door = _Door(pipeline, roster)
    counts = []
    for _ in range(2):
        found = [one for one in door.watch(frames("stranger_walks_up")) if one.verdict is FindingKind.STRANGER]
        counts.append({one.seen_before for one in found})
        door.now_s += 120
    assert counts == [{0}, {1}]
    door.judge.use(Settings("convenience", 1.0, 20.0, strangers_memory_h=0.0))
    found = door.watch(frames("stranger_walks_up"))
    assert {one.seen_before for one in found} == {0}


def test_nobody_enrolled_means_nobody_recognised(pipeline: Pipeline, frames: Frames) -> None:
    found = _Door(pipeline, []).watch(frames("resident_walks_up"))
    assert {one.verdict for one in found} == {FindingKind.STRANGER}


def test_a_removed_resident_is_a_stranger_from_the_next_frame_on(
    pipeline: Pipeline, roster: Roster, frames: Frames
) -> None:
    door = _Door(pipeline, roster)
    door.people.gallery.remove("resident")
    assert FindingKind.RECOGNISED not in {one.verdict for one in door.watch(frames("resident_walks_up"))}


def test_a_print_is_refused_where_prints_are_checked(pipeline: Pipeline, roster: Roster, frames: Frames) -> None:
    standard = Settings("standard", 1.0, 20.0)
    found = _Door(pipeline, roster, standard).watch(frames("print_held_up"))
    if pipeline.liveness is None:  # then a face alone does not open
        assert all(one.needs_phone for one in found if one.verdict is FindingKind.RECOGNISED)
    else:
        assert {one.verdict for one in found} == {FindingKind.SPOOF}


def test_two_people_are_two_decisions(pipeline: Pipeline, roster: Roster, frames: Frames) -> None:
    found = _Door(pipeline, roster).watch(frames("two_people"))
    assert {one.verdict for one in found} >= {FindingKind.RECOGNISED, FindingKind.STRANGER}
    assert len({one.track for one in found}) == 2


@pytest.mark.parametrize("policy", ["standard", "convenience"])
def test_at_a_high_security_door_the_face_alone_never_opens(
    pipeline: Pipeline, roster: Roster, frames: Frames, policy: str
) -> None:
    door = _Door(pipeline, roster, Settings(policy, 1.0, 20.0))
    door.judge.use(Settings("high", 1.0, 20.0))  # a changed setting holds at once
    for finding in door.watch(frames("resident_walks_up")[:60]):
        assert finding.verdict is not FindingKind.RECOGNISED or finding.needs_phone


def test_somebody_who_stays_too_far_away_is_asked_to_come_closer(
    pipeline: Pipeline, roster: Roster, frames: Frames
) -> None:
    widths = [(pipeline.detector.detect(frame), frame) for frame in frames("resident_walks_up")[:45]]
    near = [frame for found, frame in widths if found and 0.036 < found[0].width_px / frame.shape[1] < 0.05]
    if not near:
        pytest.skip("this machine's detector does not find faces this small")
    stills = [np.roll(near[0], number % 3, axis=1) for number in range(90)]
    found = _Door(pipeline, roster).watch(stills)
    assert [(one.verdict, one.hint) for one in found[:1]] == [(FindingKind.UNCLEAR, "come-closer")]


def test_somebody_who_looks_away_is_asked_to_look_into_the_camera(pipeline: Pipeline) -> None:
    """The nose under one eye for two seconds: the one thing the person could do about it is said."""
    try:
        frame = portrait("collins")
    except PicturesMissingError as error:
        pytest.skip(str(error))
    door, found = _Door(pipeline, []), pipeline.detector.detect(frame)[0]
    points = found.landmarks_px.copy()
    points[2, 0] = points[1, 0]
    track = Track(1, Detection(found.box_px, points, found.confidence), 0.0, 0.0)
    door.eyes.motion.observe(frame, 0.0)
    findings = [door.judge.judge(track, frame, number / 10, door.eyes.motion) for number in range(25)]
    said = [one for one in findings if one is not None]
    assert [(one.verdict, one.reason, one.hint) for one in said] == [(FindingKind.UNCLEAR, "turned", "look-here")]


@pytest.mark.parametrize(
    ("gain", "around", "said", "hint"),
    [
        (6.0, 255, "glaring", "turn-from-light"),
        (0.08, 230, "backlit", "turn-from-light"),
        (0.08, 5, "dark", "more-light"),
    ],
)
def test_somebody_in_bad_light_is_told_what_can_be_done_about_it(
    pipeline: Pipeline, gain: float, around: int, said: str, hint: str
) -> None:
    try:
        frame = portrait("collins")
    except PicturesMissingError as error:
        pytest.skip(str(error))
    door, found = _Door(pipeline, []), pipeline.detector.detect(frame)[0]
    x, y, width, height = (int(side) for side in found.box_px)
    lit = np.full_like(frame, around)
    lit[y : y + height, x : x + width] = np.clip(frame[y : y + height, x : x + width] * gain, 0, 255)
    door.eyes.motion.observe(lit, 0.0)
    track = Track(1, found, 0.0, 0.0)
    findings = [door.judge.judge(track, lit, number / 10, door.eyes.motion) for number in range(25)]
    assert [(one.reason, one.hint) for one in findings if one is not None] == [(said, hint)]


def test_a_poster_is_judged_once_and_then_left_alone(pipeline: Pipeline, roster: Roster, frames: Frames) -> None:
    """A face that does not move a hair is part of the wall: one finding, then none until something moves there."""
    still = frames("stranger_walks_up")[55]
    noise = np.random.default_rng(1).integers(0, 2, (12, *still.shape), np.uint8)
    assert len(_Door(pipeline, roster).watch([np.minimum(still, 254) + one for one in noise] * 10)) == 1


def test_a_resident_who_stays_is_told_as_one_visit_and_a_picture_that_stands_still_is_told_no_more(
    pipeline: Pipeline, roster: Roster, frames: Frames
) -> None:
    door = _Door(pipeline, roster)
    standing = frames("resident_walks_up")[55:70]
    told = [one for one in door.watch(standing * 12) if one.verdict is FindingKind.RECOGNISED]
    assert len(told) > 1
    assert {one.in_view_since_s for one in told} == {told[0].in_view_since_s}
    last = door.watch([standing[-1]] * 60)
    assert door.watch([standing[-1]] * 120) == []
    door.watch(frames("empty") * 2)
    (again,) = [one for one in door.watch(standing) if one.verdict is FindingKind.RECOGNISED]
    assert again.in_view_since_s > (told + last)[-1].decided_at_s


def test_a_resident_on_a_poster_that_is_lost_and_found_again_is_judged_once(
    pipeline: Pipeline, roster: Roster, frames: Frames
) -> None:
    """Light and noise make the detector miss it now and then; nobody has come."""
    door = _Door(pipeline, roster)
    poster = frames("resident_walks_up")[60]
    first = door.watch([poster] * 100)
    door.eyes._tracks.clear()
    door.now_s += 5
    assert len(first) <= 1
    assert door.watch([poster] * 100) == []


def test_an_empty_hallway_finds_nothing(pipeline: Pipeline, roster: Roster, frames: Frames) -> None:
    assert _Door(pipeline, roster).watch(frames("empty")) == []
