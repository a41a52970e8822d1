"""Enrolment before the camera, for the vision process: what the collector sees, told to the agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from agent.core.recognition import Bound
from agent.core.vision_messages import EnrolledTemplate, Enrolment, EnrolmentState
from agent.look_alikes import resembled
from agent.vision.people import People
from models.arrays import Image
from models.detect import Detection
from models.enrol import Collector
from models.pipeline import Pipeline

_GIVE_UP_S: Final = 60.0
_TELL_EVERY_S: Final = 0.25
_WORDS: Final[Mapping[str, str]] = {
    "no-face": "Look into the camera",
    "two-faces": "One person alone, please",
    "small": "Come closer",
    "blurred": "Hold still",
    "turned": "Look into the camera",
    "dark": "More light on the face, please",
    "backlit": "Turn a little: the light is behind you",
    "glaring": "Step out of the glaring light",
    "covered": "Take off mask, scarf or sunglasses",
    "poor": "Come closer, into the light",
    "print": "The face itself is needed, not a picture",
    "other-person": "Only one person at a time",
    "hold-on": "Turn the head a little to each side",
}


class EnrolmentRun:
    """One enrolment from its start to done or failed."""

    def __init__(
        self, pipeline: Pipeline, people: People, enrolment_id: str, wanted: int, bound: Bound, now_s: float
    ) -> None:
        self._collector = Collector(pipeline, wanted)
        self._people = people
        self._bound = bound
        self._id = enrolment_id
        self._began_s = now_s
        self._told_s = float("-inf")
        self._told: Enrolment | None = None
        self.over = False

    def offer(self, image_bgr: Image, found: list[Detection], at_s: float) -> Enrolment | None:
        """Look at one frame; the news, if there is any (at most four a second)."""
        progress = self._collector.offer(image_bgr, found, at_s)
        if progress.done:
            return self._done()
        hint = _WORDS.get(progress.problem or "")
        news = Enrolment(self._id, EnrolmentState.COLLECTING, hint, progress.collected, ())
        if news == self._told or (at_s - self._told_s < _TELL_EVERY_S):
            return None
        self._told, self._told_s = news, at_s
        return news

    def given_up(self, now_s: float) -> Enrolment | None:
        """The news that its time is over, whether or not the camera sees anything."""
        if self.over or now_s - self._began_s <= _GIVE_UP_S:
            return None
        self.over = True
        collected = len(self._collector.templates)
        return Enrolment(self._id, EnrolmentState.FAILED, "No clear pictures within a minute", collected, ())

    def _done(self) -> Enrolment:
        self.over = True
        templates = self._collector.templates
        near = resembled(self._people.gallery, self._bound, np.stack([one.vector for one in templates]))
        looks_like = tuple(one.person_id for one in near)
        rows = tuple(EnrolledTemplate(one.vector.astype("<f4").tobytes(), one.quality) for one in templates)
        return Enrolment(self._id, EnrolmentState.DONE, None, len(rows), rows, looks_like)
