"""The rules that hold for every sequence of frames."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.recognition import (
    Doubtful,
    Evidence,
    Frame,
    Level,
    Recognised,
    Rival,
    Unclear,
    Undecided,
    conclude,
    distance,
    observe,
    replay,
    rules_for,
)
from tests.core.walk_ups import BOUND, GOOD, last, walk

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


@pytest.mark.parametrize("flaw", ["small", "covered", "dark", "backlit"])
def test_somebody_who_cannot_be_judged_is_told_why_after_two_seconds(flaw):
    """A hint that comes later comes when the person has gone for the phone."""
    rules = rules_for(Level.STANDARD, liveness_available=True, min_agreement=0.3)
    verdicts = walk(*[Frame(number / 10, flaw) for number in range(22)], rules=rules)
    told = next(number for number, verdict in enumerate(verdicts) if not isinstance(verdict, Undecided))
    assert told == 20
    assert isinstance(verdicts[told], Unclear)
    assert verdicts[told].reason == flaw
