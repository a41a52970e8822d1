"""The walk-ups a door sees: who is recognised, who is asked for the phone, who is a stranger."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.recognition import (
    Doubtful,
    Evidence,
    Frame,
    Level,
    Recognised,
    Rival,
    Spoof,
    Stranger,
    Unclear,
    Undecided,
    conclude,
    grey_rate,
    observe,
    replay,
    rules_for,
    stranger_rate,
)
from tests.core.walk_ups import BOUND, GOOD, STANDARD, last, walk


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
