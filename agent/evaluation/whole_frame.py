"""A whole frame, from the camera's picture to what is found out about it, by the vision process's own parts and order.

Each way is timed from outside: motion, detection, the near look for the points, quality, liveness where it is checked,
cut, network, search, evidence. Only frames count in which a face was really judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from agent.core.recognition import Level
from agent.core.vision_messages import Settings
from agent.evaluation.timing import Spent, StopWatch
from agent.vision.eyes import Eyes
from agent.vision.judge import Judge
from agent.vision.people import People
from models.arrays import Image
from models.pipeline import Pipeline

FRAME_S: Final = 0.1
_JUDGED: Final = "looking"  # what the judge says of a face that it compared and has not decided about


@dataclass(frozen=True, slots=True)
class Way:
    """A pipeline with people enrolled, none of them the one who comes, so that nothing is decided within 3 s.

    `following` takes frames one after the other, 30 at most; `first_look` any frame anew.
    """

    pipeline: Pipeline
    people: People
    level: Level
    eyes: Eyes
    judge: Judge

    def first_look(self, frame: Image) -> Spent | None:
        """A face that was not there before: the whole picture is searched. None where no face could be judged."""
        return _timed(Eyes(self.pipeline.detector), judge_of(self.pipeline, self.people, self.level), frame, 0.0)

    def following(self, frame: Image, number: int) -> Spent | None:
        """The next frame of a film, ten a second: near the last place, twice a second in the whole picture."""
        return _timed(self.eyes, self.judge, frame, number * FRAME_S)


def _timed(eyes: Eyes, judge: Judge, frame: Image, at_s: float) -> Spent | None:
    watch = StopWatch()
    tracks = eyes.look(frame, at_s)
    for track in tracks[:1]:  # the peers encode one face too
        judge.judge(track, frame, at_s, eyes.motion)
    judge.forget_all_but(eyes.alive, at_s)
    spent = watch.spent()
    height, width = frame.shape[:2]
    judged = [judge.face(track, width, height).state for track in tracks[:1]]
    return spent if judged == [_JUDGED] else None


def judge_of(pipeline: Pipeline, people: People, level: Level) -> Judge:
    """One stranger a year, twenty a day."""
    return Judge(pipeline, people, Settings(str(level), 1.0, 20.0))


def ways(pipeline: Pipeline, people: People) -> dict[str, Way]:
    """What the peers do (find, embed, compare) and, where its networks are here, what a standard door does."""
    return {
        name: Way(own, people, level, Eyes(own.detector), judge_of(own, people, level))
        for name, (own, level) in doors(pipeline).items()
    }


def doors(pipeline: Pipeline) -> dict[str, tuple[Pipeline, Level]]:
    """A door without liveness, as peers are, and a usual one."""
    found = {"plain": (replace(pipeline, liveness=None), Level.CONVENIENCE)}
    if pipeline.liveness is not None:
        found["with_liveness"] = (pipeline, Level.STANDARD)
    return found
