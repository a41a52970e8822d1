"""The enrolled people in the memory of the vision process, and the bound that follows from them."""

from __future__ import annotations

import math
import time
from typing import Final

import numpy as np

from agent.core.recognition import Bound, stranger_rate
from agent.core.vision_messages import (
    GalleryAdd,
    GalleryBegin,
    GalleryCommit,
    GalleryLoaded,
    GalleryRemove,
    GalleryRow,
    Settings,
)
from agent.vision.facts import bound_of
from models.calibration import Calibration, Steps, fit_gallery_in_steps
from models.gallery import Gallery
from models.pipeline import Pipeline
from models.scale import is_a_face
from models.template import Template

_NAMED: Final = 3


class People:
    """Gallery in use, gallery on its way in, and calibration. One thread."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._next: Gallery | None = None
        self._other_network: str | None = None  # why the gallery on its way in stays empty
        self._bad: list[str] = []  # templates left out since the last gallery began
        self._epoch = 0
        self._calibration: Calibration | None = None
        self._fitting: Steps[Calibration] | None = None
        self.gallery = pipeline.gallery()
        self.told = False  # by the agent, who lives here; until then nobody can be called a stranger

    def take(self, message: GalleryBegin | GalleryAdd | GalleryCommit | GalleryRemove) -> GalleryLoaded | None:
        """Do what the agent says; the gallery in use as the answer, where one is due."""
        match message:
            case GalleryBegin():
                self._other_network, self._bad = self._mismatch(message), []
                self._next = self._pipeline.gallery()
                return None
            case GalleryAdd():
                for row in message.templates:
                    self._add(self.gallery if self._next is None else self._next, row)
                if self._next is not None:
                    return None
            case GalleryRemove():
                for gallery in (self.gallery, self._next or self.gallery):
                    for person_id in message.person_ids:
                        gallery.remove(person_id)
            case GalleryCommit():
                self._commit(message.epoch)
        self._calibration = self._fitting = None
        return GalleryLoaded(self._epoch, len(self.gallery), self.gallery.template_count, self._refused())

    @property
    def calibrated(self) -> bool:
        """Whether the people who are enrolled now have been compared with each other; `calibrate` does it."""
        return self._calibration is not None

    def calibrate(self, for_s: float) -> bool:
        """Go on comparing everybody with everybody for about so long; True when that is done."""
        until_s = time.monotonic() + for_s
        while self._calibration is None:
            if self._fitting is None:
                self._fitting = fit_gallery_in_steps(self.gallery)
            try:
                next(self._fitting)
            except StopIteration as end:
                self._calibration, self._fitting = end.value, None
            if time.monotonic() >= until_s:
                break
        return self.calibrated

    def bound(self, settings: Settings) -> Bound:
        """How near is near enough for this roster and the operator's numbers, after what `calibrate` has left to do."""
        self.calibrate(math.inf)
        assert self._calibration is not None  # noqa: S101  it took all the time it needed
        rate = stranger_rate(settings.strangers_per_year, settings.stranger_passages_per_day)
        bound = bound_of(self._calibration, rate, self.gallery, self._epoch, self._pipeline.embedder)
        self.gallery.look_alike_distance = bound.max_look_alike_distance
        return bound

    def _mismatch(self, message: GalleryBegin) -> str | None:
        theirs, ours = (message.model_id, message.alignment_id), (self.gallery.model_id, self.gallery.alignment_id)
        if theirs == ours:
            return None
        return f"templates of {'/'.join(theirs)} cannot be used with {'/'.join(ours)}: enrol these people again"

    def _add(self, gallery: Gallery, row: GalleryRow) -> None:
        """One template that is none is left out and named; everybody else comes in."""
        if self._other_network is not None and gallery is self._next:
            return
        vector = np.frombuffer(row.vector, "<f4") if len(row.vector) == 4 * gallery.dim else None
        if vector is None or not is_a_face(vector):
            self._bad.append(row.template_id)
            return
        gallery.add(row.person_id, Template(vector.astype(np.float32), gallery.model_id, gallery.alignment_id))

    def _refused(self) -> str | None:
        if self._other_network is not None or not self._bad:
            return self._other_network
        named = ", ".join(self._bad[:_NAMED])
        return f"{len(self._bad)} templates left out, no face's vector of {self.gallery.dim} numbers: {named}"[:500]

    def _commit(self, epoch: int) -> None:
        self.told = True
        if self._next is not None:
            self.gallery, self._next = self._next, None
            self.gallery.settle()
        self._epoch = epoch
