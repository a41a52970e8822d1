"""What a whole visit costs, frame after frame as a door takes it in, beside a usual recipe on some of its frames.

From the first frame with a face to the last. The face is followed all the time, judged until it is decided, and judged
again where it was lost and found anew; a recipe without following searches and encodes every frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agent.evaluation.timing import Peer, Spent, StopWatch, Times, beside
from agent.evaluation.whole_frame import FRAME_S, doors, judge_of
from agent.vision.eyes import Eyes
from agent.vision.judge import Judge
from agent.vision.people import People
from models.arrays import Image
from models.pipeline import Pipeline
from models.reference import UsualRecipe

_FRAME: Final = "a frame of the visit"


@dataclass(slots=True)
class Visit:
    """One walk-up, ten frames a second."""

    who: str
    liveness: bool
    eyes: Eyes
    judge: Judge
    times: Times = field(default_factory=Times)
    found: Counter[str] = field(default_factory=Counter)

    def see(self, frame: Image, number: int) -> None:
        """The next frame, whatever it shows."""
        watch, at_s = StopWatch(), number * FRAME_S
        tracks = self.eyes.look(frame, at_s)
        findings = [self.judge.judge(track, frame, at_s, self.eyes.motion) for track in tracks]
        findings += self.judge.forget_all_but(self.eyes.alive, at_s)
        self.times.keep(_FRAME, watch.spent())
        self.found.update(str(finding.verdict) for finding in findings if finding is not None)

    def report(self, peer: Spent) -> dict[str, Any]:
        """Mean milliseconds a frame, beside a peer's."""
        frames = len(self.times.of[_FRAME])
        about = {"who": self.who, "liveness": self.liveness, "frames": frames, "found": dict(self.found)}
        return {**about, "peer_ms": round(peer.clock_ms, 1), **beside(self.times.mean(_FRAME), peer)}


def visit_speed(
    pipeline: Pipeline, film: Sequence[Image], people: tuple[People, People], recipe: UsualRecipe, peer_frames: int
) -> list[dict[str, Any]]:
    """The visitor of a film as a resident and as a stranger, at a door without liveness and a usual one.

    `people`: those who know the visitor, and others. `peer_frames`: on so many, spread evenly, the peer is timed.
    """
    visits = [
        Visit(who, own.liveness is not None, Eyes(own.detector), judge_of(own, known, level))
        for own, level in doors(pipeline).values()
        for who, known in zip(("resident", "stranger"), people, strict=True)
    ]
    with_face = [number for number, frame in enumerate(film) if pipeline.detector.detect(frame)]
    frames = film[with_face[0] : with_face[-1] + 1]
    every = max(1, len(frames) // peer_frames)
    peer, peers = Peer(recipe), Times()
    for number, frame in enumerate(frames):
        for visit in visits:
            visit.see(frame, number)
        if number % every == 0:
            peers.take(_FRAME, lambda: peer.see(frame))  # noqa: B023  called at once
    return [visit.report(peers.mean(_FRAME)) for visit in visits]
