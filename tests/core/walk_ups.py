"""Somebody walks up to the camera: good frames, and what the rules make of a row of frames."""

from __future__ import annotations

from dataclasses import replace

from agent.core.recognition import (
    Bound,
    Evidence,
    Frame,
    Level,
    Rival,
    Rules,
    Undecided,
    Verdict,
    observe,
    rules_for,
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
