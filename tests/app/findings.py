"""Findings with receipts as the vision process makes them: frames through the core's own rules, made-up numbers."""

import time
from dataclasses import replace

from agent.core.recognition import (
    Bound,
    Doubtful,
    Evidence,
    Frame,
    Level,
    Recognised,
    Rival,
    Undecided,
    Verdict,
    observe,
    rules_for,
)
from agent.core.vision_messages import Finding, FindingKind

BOUND = Bound(0.6, 0.7, 0.6, 1 / 7300, 0.01, 200, 7, "calibration", "net/five/0123456789abcdef")


def verdict_on(frame: Frame, level: Level = Level.STANDARD) -> Verdict:
    """What three seconds of this frame come to."""
    rules = rules_for(level, liveness_available=True, min_agreement=0.3)
    evidence, verdict, number = Evidence(), Undecided(), 0
    while isinstance(verdict, Undecided):
        number += 1
        evidence, verdict = observe(evidence, replace(frame, at_s=number / 10, fused_frames=number), rules, BOUND)
    return verdict


def frame_of(person_id: str, similarity: float = 0.8, **more: object) -> Frame:
    """A good frame of somebody, with this much likeness to her."""
    frame = Frame(0.0, None, 0.9, 0.95, person_id, 1.0, 1, person_id, similarity, (Rival("p-other", 0.2),), 0.2, 10)
    return replace(frame, **more)


def finding_on(frame: Frame, level: Level = Level.STANDARD) -> Finding:
    """The finding that the vision process would send."""
    verdict, now_s = verdict_on(frame, level), time.clock_gettime(time.CLOCK_BOOTTIME)
    return Finding(
        track=1,
        verdict=FindingKind(type(verdict).__name__.lower()),
        person_id=verdict.person_id if isinstance(verdict, Recognised) else None,
        needs_phone=isinstance(verdict, Doubtful) or (isinstance(verdict, Recognised) and verdict.needs_phone),
        reason=verdict.reason,
        hint=None,
        first_frame_at_s=now_s - 0.2,
        decided_at_s=now_s,
        frames=3,
        receipt=verdict.receipt,
        candidates=verdict.person_ids if isinstance(verdict, Doubtful) else (),
    )
