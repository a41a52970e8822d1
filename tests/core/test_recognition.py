"""The rules that hold for every sequence of frames, and the walk-ups a door sees."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.recognition import (
    Bound,
    Doubtful,
    Evidence,
    Frame,
    Level,
    Recognised,
    Rival,
    Rules,
    Spoof,
    Stranger,
    Unclear,
    Undecided,
    Verdict,
    conclude,
    distance,
    grey_rate,
    observe,
    replay,
    rules_for,
    stranger_rate,
)

BOUND = Bound(
    max_match_distance=0.65, max_grey_distance=0.75, max_look_alike_distance=0.65, fpir_target=0.001, grey_target=0.01,
    roster_size=200, roster_epoch=7, calibration="abc", model="net/align/hash",
)  # fmt: skip
STANDARD = rules_for(Level.STANDARD, liveness_available=True, min_agreement=0.5)
GOOD = Frame(
    at_s=0.0,
    quality=0.9,
    liveness=0.95,
    person_id="anna",
    fused_frames=1,
    fused_person_id="anna",
    fused_similarity=0.8,
    rivals=(Rival("bert", 0.3), Rival("cora", 0.28), Rival("dora", 0.27)),
    cohort_similarity=0.25,
    cohort_size=10,
)
MIN_FRAMES = 3


def walk(*frames: Frame, rules: Rules = STANDARD, bound: Bound = BOUND, step_s: float = 0.1) -> list[Verdict]:
    """Offer frames 0.1 s apart, the running average counted on, until there is a verdict."""
    evidence, verdicts, fused = Evidence(), [], 0
    for place, frame in enumerate(frames):
        fused += frame.flaw is None
        numbered = replace(frame, at_s=100.0 + place * step_s, fused_frames=fused)
        evidence, verdict = observe(evidence, numbered, rules, bound)
        verdicts.append(verdict)
        if not isinstance(verdict, Undecided):
            break
    return verdicts


def last(*frames: Frame, **options) -> Verdict:
    return walk(*frames, **options)[-1]


def test_three_agreeing_frames_open_and_two_do_not():
    """At ten frames a second the third good frame decides: 0.2 s after the first."""
    verdicts = walk(*[GOOD] * 5)
    assert [type(verdict) for verdict in verdicts] == [Undecided, Undecided, Recognised]
    assert verdicts[-1].person_id == "anna"
    assert verdicts[-1].needs_phone is False


def test_a_stranger_is_told_so_when_the_time_is_up_and_not_before():
    verdicts = walk(*[replace(GOOD, fused_similarity=0.4)] * 40)
    assert isinstance(verdicts[-1], Stranger)
    assert len(verdicts) == 31
    assert verdicts[-1].receipt["match_distance"] == pytest.approx(1 - 0.4 + 1.4 * 0.25)


def test_a_print_of_an_enrolled_person_is_a_spoof():
    assert isinstance(last(*[replace(GOOD, liveness=0.01)] * 40), Spoof)


def test_without_a_liveness_score_nothing_opens_where_the_policy_wants_one():
    assert isinstance(last(*[replace(GOOD, liveness=None)] * 40), Spoof)


def test_a_live_face_shown_first_does_not_vouch_for_a_print_shown_after():
    """The print's frames vote for anna and are dead; the live frames before them vote for nobody."""
    live = replace(GOOD, person_id="bert", liveness=1.0)
    assert isinstance(last(*[live] * 10, *[replace(GOOD, liveness=0.01)] * 40), Spoof)


def test_a_track_that_began_anew_counts_its_frames_from_there():
    """A face that takes another's place in the picture inherits nothing: the third frame after the jump decides."""
    evidence, verdict = Evidence(), Undecided()
    for place, fused in enumerate((1, 2, 1, 2, 3)):
        assert isinstance(verdict, Undecided)
        evidence, verdict = observe(evidence, replace(GOOD, at_s=place * 0.1, fused_frames=fused), STANDARD, BOUND)
    assert isinstance(verdict, Recognised)


# ---------------------------------------------------------------- look-alikes and the grey zone


def twin(margin: float, person_id: str = "anna", **more) -> Frame:
    """A frame whose running average is this much nearer to one twin than to the other."""
    other = {"anna": "bert", "bert": "anna"}[person_id]
    rivals = (Rival(other, 0.8 - margin), Rival("cora", 0.28))
    return replace(GOOD, person_id=person_id, fused_person_id=person_id, rivals=rivals, **more)


def test_two_equally_near_people_are_a_question_for_the_phone_of_either():
    verdict = last(*[twin(0.03)] * 40)
    assert isinstance(verdict, Doubtful)
    assert (verdict.reason, verdict.person_ids) == ("look-alike", ("anna", "bert"))


def test_twins_whose_frames_vote_now_for_one_and_now_for_the_other_are_the_same_question():
    """Every frame shows one face; it is only the name that changes."""
    verdict = last(*[twin(0.01, ("anna", "bert")[place % 2]) for place in range(40)])
    assert isinstance(verdict, Doubtful)
    assert set(verdict.person_ids) == {"anna", "bert"}


def test_people_whose_templates_resemble_each_other_are_asked_for_the_phone_at_once_whatever_the_margin():
    """A visit leans to one twin for as long as it lasts, light and pose being what they are: no margin is believed."""
    verdicts = walk(*[replace(GOOD, look_alike_distance=0.6)] * 40)
    assert [type(verdict) for verdict in verdicts] == [Undecided, Undecided, Doubtful]
    assert (verdicts[-1].reason, verdicts[-1].person_ids) == ("look-alike", ("anna",))
    assert isinstance(last(*[replace(GOOD, look_alike_distance=0.66)] * 5), Recognised)


def test_one_lucky_frame_does_not_make_a_margin():
    """Thirty frames in which two people are equally near, and one that is clear: a phone decides."""
    for lucky in range(31):
        margins = [0.061 if place == lucky else 0.005 for place in range(31)]
        assert isinstance(last(*map(twin, margins)), Doubtful)
    assert isinstance(last(twin(0.0), twin(0.0), twin(0.5), *[twin(0.0)] * 28), Doubtful)


def test_a_margin_that_came_to_stay_opens():
    """Somebody who was far away at first, and is clearly herself from near."""
    verdicts = walk(*map(twin, [0.02] * 4), *map(twin, [0.2] * 20))
    assert isinstance(verdicts[-1], Recognised)
    assert len(verdicts) == 9


GREY = replace(GOOD, fused_similarity=0.65, rivals=(Rival("bert", 0.3), Rival("cora", 0.28)))  # distance 0.7


def test_a_face_in_the_grey_zone_is_doubtful_when_the_time_is_up_and_names_whose_phone_would_do():
    verdicts = walk(*[GREY] * 40)
    assert isinstance(verdicts[-1], Doubtful)
    assert (verdicts[-1].reason, verdicts[-1].person_ids, len(verdicts)) == ("grey-zone", ("anna",), 31)
    beside = replace(GREY, rivals=(Rival("bert", 0.62), Rival("cora", 0.59)))  # 0.73 and 0.76
    assert last(*[beside] * 40).person_ids == ("anna", "bert")


def test_who_comes_nearer_in_time_needs_no_phone():
    assert isinstance(last(*[GREY] * 10, *[GOOD] * 5), Recognised)


def test_beyond_the_grey_zone_is_a_stranger_and_a_print_is_one_in_it_too():
    assert isinstance(last(*[replace(GREY, fused_similarity=0.59)] * 40), Stranger)
    assert isinstance(last(*[replace(GREY, liveness=0.01)] * 40), Spoof)


def test_a_face_in_the_grey_zone_whose_frames_vote_for_others_is_a_stranger():
    """What is beyond the bound of the face alone gets no phone's help unless its frames agree."""
    voting = [replace(GREY, person_id=("x", "y")[place % 2]) for place in range(40)]
    assert isinstance(last(*voting), Stranger)


def test_a_grey_zone_that_is_narrower_than_the_bound_cannot_be_made():
    with pytest.raises(ValueError, match="max_grey_distance"):
        replace(BOUND, max_grey_distance=0.6)


def test_the_grey_rate_is_one_in_ten_thousand_for_each_phone_and_never_below_the_faces_own_or_above_1_percent():
    assert grey_rate(1 / 7300, 20) == pytest.approx(0.002)
    assert grey_rate(1 / 7300, 1) == pytest.approx(1 / 7300)
    assert grey_rate(0.005, 20) == pytest.approx(0.005)
    assert grey_rate(1 / 7300, 1000) == 0.01


def test_frames_that_vote_for_different_people_never_open():
    frames = [replace(GOOD, person_id=("anna", "bert")[place % 2], agreement=0.4) for place in range(40)]
    verdict = last(*frames)
    assert isinstance(verdict, Unclear)
    assert verdict.reason == "changing"


def test_the_commonest_flaw_is_the_reason_when_no_frame_could_be_used():
    verdicts = walk(*[Frame(0.0, flaw="covered")] * 50, Frame(0.0, flaw="small"), *[Frame(0.0, flaw="covered")] * 30)
    assert verdicts[0] == Undecided("covered")
    assert isinstance(verdicts[-1], Unclear)
    assert verdicts[-1].reason == "covered"


def test_a_track_that_ends_early_is_concluded_with_a_reason():
    evidence, _ = observe(Evidence(), GOOD, STANDARD, BOUND)
    verdict = conclude(evidence, STANDARD, BOUND)
    assert isinstance(verdict, Unclear)
    assert verdict.reason == "too-short"
    assert conclude(Evidence(), STANDARD, BOUND) == Undecided()


@pytest.mark.parametrize(
    ("level", "liveness_available", "needs_phone", "checked"),
    [
        (Level.CONVENIENCE, True, False, False),
        (Level.CONVENIENCE, False, False, False),
        (Level.STANDARD, True, False, True),
        (Level.STANDARD, False, True, False),
        (Level.HIGH, True, True, True),
        (Level.HIGH, False, True, False),
    ],
)
def test_what_each_policy_asks_for(level, liveness_available, needs_phone, checked):
    """Standard without a presentation-attack check falls back on the phone: a printed photo must not open."""
    rules = rules_for(level, liveness_available=liveness_available, min_agreement=0.5)
    verdict = last(*[GOOD] * 5, rules=rules)
    assert isinstance(verdict, Recognised)
    assert (verdict.needs_phone, rules.min_liveness is not None) == (needs_phone, checked)


def test_rules_that_open_on_one_frame_cannot_be_made():
    with pytest.raises(ValueError, match="never opens"):
        replace(STANDARD, min_frames=1)


def test_the_operators_numbers_become_a_rate():
    assert stranger_rate(1.0, 20.0) == pytest.approx(1 / 7300)
    assert stranger_rate(100.0, 0.1) == 0.01


def test_a_replay_refuses_what_is_not_a_receipt():
    for wrong in ({}, {"v": 1}, {"v": 2, "columns": [], "people": [], "frames": [[1]]}):
        with pytest.raises(ValueError, match="receipt"):
            replay(wrong)


# ---------------------------------------------------------------- whatever the frames

share = st.floats(0, 1)
similarity = st.floats(-1, 1)
people = st.sampled_from(["anna", "bert", None])
usable = st.builds(
    Frame,
    at_s=st.just(0.0),
    quality=share,
    liveness=st.none() | share,
    person_id=people,
    agreement=similarity,
    fused_person_id=people,
    fused_similarity=similarity,
    rivals=st.lists(st.builds(Rival, st.sampled_from(["anna", "bert", "cora", "dora"]), similarity), max_size=3).map(
        lambda found: tuple(sorted(found, key=lambda rival: -rival.similarity))
    ),
    cohort_similarity=similarity,
    cohort_size=st.integers(0, 10),
    look_alike_distance=st.none() | st.floats(0, 2),
)
nearly = st.builds(
    replace, st.just(GOOD), liveness=share, person_id=people, fused_similarity=st.floats(0.5, 1), agreement=share,
    rivals=st.builds(lambda near: (Rival("bert", near), Rival("cora", 0.2)), st.floats(0.3, 1)),
    look_alike_distance=st.none() | st.floats(0.5, 0.8),
)  # fmt: skip
flawed = st.builds(Frame, at_s=st.just(0.0), flaw=st.sampled_from(["small", "blurred", "covered"]))
sequences = st.lists(usable | nearly | flawed, min_size=1, max_size=45)
levels = st.sampled_from(Level)
rule_sets = st.builds(rules_for, levels, liveness_available=st.booleans(), min_agreement=share)


@given(sequences, rule_sets)
@settings(max_examples=200, deadline=None)
def test_nobody_is_recognised_without_enough_frames_that_vote_for_them(frames, rules):
    verdict = last(*frames, rules=rules)
    if isinstance(verdict, Recognised):
        voters = [frame for frame in frames if frame.flaw is None and frame.person_id == verdict.person_id]
        assert len(voters) >= rules.min_frames >= 2


@given(sequences, rule_sets)
@settings(max_examples=200, deadline=None)
def test_nobody_is_recognised_unless_the_margin_holds_in_most_of_the_frames_that_agree(frames, rules):
    """And where nobody enrolled resembles him too much; a doubtful one names those who are near, and opens nothing."""
    verdicts = walk(*frames, rules=rules)
    verdict, used = verdicts[-1], [frame for frame in frames[: len(verdicts)] if frame.flaw is None]
    if isinstance(verdict, Recognised):
        agree = [f for f in used if f.person_id == verdict.person_id and f.agreement >= rules.min_agreement - 1e-4]
        clear = [f for f in agree if f.fused_person_id == verdict.person_id and f.margin >= rules.min_margin - 2e-4]
        assert 2 * len(clear) > len(agree) - 1  # one may be at the very edge, before numbers are rounded
        assert len(clear) >= rules.min_frames
        assert used[-1].look_alike_distance is None or used[-1].look_alike_distance > 0.65 - 1e-4
    if isinstance(verdict, Doubtful):
        assert 1 <= len(verdict.person_ids) <= 4
        assert verdict.reason in ("look-alike", "grey-zone")


@given(nearly, levels)
@settings(max_examples=100, deadline=None)
def test_one_frame_never_opens(frame, level):
    rules = rules_for(level, liveness_available=False, min_agreement=0.0)
    evidence, verdict = observe(Evidence(), replace(frame, fused_frames=1), rules, BOUND)
    assert isinstance(verdict, Undecided)
    assert not isinstance(conclude(evidence, rules, BOUND), Recognised | Doubtful)


@given(st.lists(usable | nearly | flawed, min_size=1, max_size=45))
@settings(max_examples=200, deadline=None)
def test_frames_of_a_print_never_open(frames):
    dead = [replace(frame, liveness=None if frame.liveness is None else frame.liveness * 0.19) for frame in frames]
    assert not isinstance(last(*dead), Recognised | Doubtful)


@given(sequences, rule_sets, st.floats(0, 2), st.floats(0, 2))
@settings(max_examples=200, deadline=None)
def test_a_tighter_bound_never_lets_somebody_in_sooner(frames, rules, one, other):
    bounds = (replace(BOUND, max_grey_distance=2.0, max_match_distance=bound) for bound in sorted((one, other)))
    tight, loose = bounds
    with_tight, with_loose = (walk(*frames, rules=rules, bound=bound) for bound in (tight, loose))
    if isinstance(with_tight[-1], Recognised):
        assert isinstance(with_loose[-1], Recognised)
        assert len(with_loose) <= len(with_tight)


@given(sequences, rule_sets)
@settings(max_examples=200, deadline=None)
def test_every_receipt_replays_to_the_same_verdict_after_a_trip_through_json(frames, rules):
    for verdict in walk(*frames, rules=rules):
        if not isinstance(verdict, Undecided):
            assert replay(json.loads(json.dumps(verdict.receipt))) == verdict
            assert len(json.dumps(verdict.receipt)) < 8 * 1024


@given(sequences, rule_sets)
@settings(max_examples=100, deadline=None)
def test_every_walk_up_ends_within_the_patience(frames, rules):
    """Undecided lasts at most 3 s after a usable frame and 2 s without one."""
    verdicts = walk(*(frames * 80)[:80], rules=rules)
    assert not isinstance(verdicts[-1], Undecided)


@given(similarity, st.floats(-0.05, 0.05), similarity, st.integers(0, 10))
def test_distance_falls_with_similarity_and_never_rises_without_a_cohort(near, step, cohort, size):
    assert (distance(near + step, cohort, size) < distance(near, cohort, size)) == (step > 0) or abs(step) < 1e-9
    assert distance(near, cohort, 0) <= distance(near, cohort, size)


@pytest.mark.parametrize("flaw", ["small", "covered", "dark"])
def test_somebody_who_cannot_be_judged_is_told_why_after_two_seconds(flaw):
    """A hint that comes later comes when the person has gone for the phone."""
    rules = rules_for(Level.STANDARD, liveness_available=True, min_agreement=0.3)
    verdicts = walk(*[Frame(number / 10, flaw) for number in range(22)], rules=rules)
    told = next(number for number, verdict in enumerate(verdicts) if not isinstance(verdict, Undecided))
    assert told == 20
    assert isinstance(verdicts[told], Unclear)
    assert verdicts[told].reason == flaw
