"""From several pictures of one person to templates, or to the reason why a picture was not taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.arrays import Floats, Image
from models.detect import Detection, carefully
from models.errors import PictureUnusableError
from models.pipeline import Pipeline
from models.quality import Flaw, assess
from models.scale import unit
from models.template import Template

MIN_PICTURES: Final = 3  # one refuses several times as many residents as three do (EVALUATION.md)
MAX_PICTURES: Final = 5
_FULL_WIDTH_PX: Final = 1920  # somebody small in a large picture is looked for again in more detail
_BYSTANDER: Final = 0.5  # a second face less than this wide, compared with the first, is somebody in the background
_MIN_LIVE: Final = 0.3
_MIN_QUALITY: Final = 0.3
_TOO_ALIKE: Final = 0.985  # cosine above which a new view of a person adds nothing
_SAME: Final = 0.998  # likeness above which two pictures are one; two frames of a webcam are below 0.995
_MIN_APART_S: Final = 0.4
_MAX_APART_S: Final = 2.0  # somebody who holds still is taken as he is

_WORDS: Final[dict[Flaw, str]] = {
    "small": "shows the face too small: come closer or cut the picture",
    "blurred": "is blurred: hold still, or wipe the lens",
    "turned": "shows the face from the side: look into the camera",
    "dark": "is too dark: more light on the face, no window behind it",
    "backlit": "shows the face against the light: turn around, so that window or lamp is before it",
    "glaring": "is too bright: away from sun or lamp, nothing is left to see in the face",
    "covered": "shows a covered face: take off mask, scarf or sunglasses",
}


def enrol(pipeline: Pipeline, pictures: Sequence[tuple[str, Image]]) -> tuple[Template, ...]:
    """One template a picture (name, uint8[H, W, 3]); all must show the same one person well.

    Raises PictureUnusableError for the first picture that cannot be used; its `reason` is one of no-face, two-faces,
    small, blurred, turned, dark, backlit, glaring, covered, poor, other-person.
    """
    templates: list[Template] = []
    for name, image in pictures:
        found = the_face(pipeline, name, image)
        quality = assess(image, found)
        if quality.flaw is not None:
            raise PictureUnusableError(f"{name} {_WORDS[quality.flaw]}", picture=name, reason=quality.flaw)
        if quality.value < _MIN_QUALITY:
            raise PictureUnusableError(
                f"{name} is too poor to be remembered: a nearer, sharper or brighter one is needed",
                picture=name,
                reason="poor",
            )
        templates.append(_template(pipeline, image, found, quality.value))
        if not same_person(pipeline, templates):
            raise PictureUnusableError(
                f"{name} does not look like the person on the pictures before it", picture=name, reason="other-person"
            )
    return tuple(templates)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Templates of one person; `alike` are pairs of pictures that show nearly the same view: the second adds little."""

    templates: tuple[Template, ...]
    alike: tuple[tuple[str, str], ...]


def different(pipeline: Pipeline, pictures: Sequence[tuple[str, Image]]) -> Enrolled:
    """As `enrol`, none of the pictures twice. Raises as `enrol` does; a further reason is twice."""
    templates = enrol(pipeline, pictures)
    alike = []
    for n, later in enumerate(templates):
        for m, earlier in enumerate(templates[:n]):
            first, second, cosine = pictures[m][0], pictures[n][0], unit(later.vector) @ unit(earlier.vector)
            near = float(pipeline.embedder.scale.likeness(np.array([cosine]))[0])
            if near > _SAME:
                raise PictureUnusableError(
                    f"{second} is the same picture as {first}: another one is needed, best of another day or light",
                    picture=second,
                    reason="twice",
                )
            alike += [(first, second)] if near > _TOO_ALIKE else []
    return Enrolled(templates, tuple(alike))


def check_number(names: Sequence[str]) -> None:
    """Raises PictureUnusableError unless so many pictures make one person."""
    if not MIN_PICTURES <= len(names) <= MAX_PICTURES:
        raise PictureUnusableError(
            f"{len(names)} picture(s) of one person: {MIN_PICTURES} to {MAX_PICTURES} are needed, of different days, "
            "light or distance; the camera at the door collects them by itself (the page at the door, Enrol)",
            picture=names[0] if names else "",
            reason="number",
        )


def the_face(pipeline: Pipeline, name: str, image: Image) -> Detection:
    """The one face of a picture. Raises PictureUnusableError (no-face, two-faces)."""
    found = pipeline.detector.detect(image) or pipeline.detector.detect(image, _FULL_WIDTH_PX)
    if not found:
        raise PictureUnusableError(f"{name} shows no face that could be found", picture=name, reason="no-face")
    if len(found) > 1 and found[1].width_px > _BYSTANDER * found[0].width_px:
        raise PictureUnusableError(
            f"{name} shows {len(found)} faces: one person alone is needed", picture=name, reason="two-faces"
        )
    return carefully(pipeline.detector, image, found[0])


def same_person(pipeline: Pipeline, templates: Sequence[Template]) -> bool:
    """Whether the newest template is near enough to the mean of those before it."""
    *before, newest = (unit(template.vector) for template in templates)
    if not before:
        return True
    return bool(newest @ unit(np.sum(before, axis=0)) >= pipeline.embedder.same_person_similarity)


def _template(pipeline: Pipeline, image: Image, found: Detection, quality: float) -> Template:
    vector = pipeline.embed_carefully(image, found)
    return Template(vector, pipeline.embedder.model_id, pipeline.embedder.alignment_id, quality)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a collection stands. `problem` is a word of `enrol`'s reasons, or "print", "hold-on", None."""

    collected: int
    done: bool
    problem: str | None


class Collector:
    """Enrolment before the camera: takes good and different views of the one person there, as they come."""

    def __init__(self, pipeline: Pipeline, wanted: int) -> None:
        self._pipeline = pipeline
        self._wanted = min(wanted, MAX_PICTURES)
        self._last_s = float("-inf")
        self.templates: list[Template] = []

    def offer(self, image: Image, found: list[Detection], at_s: float) -> Progress:
        """Look at one frame with the faces in it (largest first)."""
        problem = self._problem(image, found, at_s)
        return Progress(len(self.templates), len(self.templates) >= self._wanted, problem)

    def _problem(self, image: Image, found: list[Detection], at_s: float) -> str | None:
        if not found:
            return "no-face"
        if len(found) > 1 and found[1].width_px > _BYSTANDER * found[0].width_px:
            return "two-faces"
        quality = assess(image, found[0])
        if quality.flaw is not None or quality.value < _MIN_QUALITY:
            return quality.flaw or "poor"
        if at_s - self._last_s < _MIN_APART_S:
            return "hold-on"
        liveness = self._pipeline.liveness
        if liveness is not None and liveness.score(image, found[0]) < _MIN_LIVE:
            return "print"
        return self._take(_template(self._pipeline, image, found[0], quality.value), at_s)

    def _take(self, template: Template, at_s: float) -> str | None:
        if not same_person(self._pipeline, [*self.templates, template]):
            return "other-person"
        if at_s - self._last_s < _MAX_APART_S and self._nearest(template.vector) > _TOO_ALIKE:
            return "hold-on"
        self.templates.append(template)
        self._last_s = at_s
        return None

    def _nearest(self, vector: Floats) -> float:
        return max((float(unit(vector) @ unit(one.vector)) for one in self.templates), default=-1.0)
