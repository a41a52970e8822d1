"""Is somebody who is being enrolled here already, or too like somebody who is? One question for every way to enrol.

A near-duplicate is the same person again, or somebody who looks alike: twins, parent and child. Which of the two no
face can tell, so whoever enrols is asked. Look-alikes are marked: neither of them comes in by the face alone
(decisions/0015-the-phone-decides.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.core.recognition import Bound, stranger_rate
from agent.core.roster import Person, PersonKind
from agent.errors import PictureError
from agent.roster.entries import StoredTemplate
from agent.vision.facts import bound_of
from models.arrays import Floats
from models.calibration import fit_gallery
from models.fusion import mean_vector
from models.gallery import Gallery, LookAlike
from models.pipeline import Pipeline
from models.template import Template

ALSO_ALIKE: Final = 0.05  # beyond the bound: told at enrolment before it can matter at the door


class LooksLikeError(PictureError):
    """Nothing was stored: the person is enrolled already, or looks like somebody who is."""


@dataclass(frozen=True, slots=True)
class KnownFaces:
    """Everybody enrolled with one network, and how near two of them may be to each other."""

    gallery: Gallery
    bound: Bound

    def resembled(self, vectors: Sequence[bytes], *, apart_from: str | None = None) -> tuple[LookAlike, ...]:
        """For whom somebody with these templates could be taken, nearest first; `apart_from`: who she is, if known."""
        return resembled(self.gallery, self.bound, _rows(vectors), apart_from=apart_from)


def resembled(
    gallery: Gallery, bound: Bound, vectors: Floats, *, apart_from: str | None = None
) -> tuple[LookAlike, ...]:
    """Enrolled people for whom one with these vectors float32[n, dim] could be taken, nearest first."""
    within = bound.max_look_alike_distance + ALSO_ALIKE
    return gallery.look_alikes(mean_vector(vectors), within, apart_from=apart_from)


def known_faces(
    templates: Iterable[StoredTemplate], pipeline: Pipeline, rate: float | None = None, epoch: int = 0
) -> KnownFaces:
    """From the templates of the pipeline's network; `rate` of strangers, by default the configuration's default."""
    gallery, net = pipeline.gallery(), pipeline.embedder
    for one in templates:
        vector = np.frombuffer(one.vector, "<f4").astype(np.float32)
        gallery.add(one.person_id, Template(vector, net.model_id, net.alignment_id))
    bound = bound_of(fit_gallery(gallery), stranger_rate(1.0, 20.0) if rate is None else rate, gallery, epoch, net)
    gallery.look_alike_distance = bound.max_look_alike_distance
    return KnownFaces(gallery, bound)


def must_be_somebody_new(
    found: Collection[LookAlike], accepted: Collection[str], names: Mapping[str, str], same_person: str
) -> None:
    """Raise LooksLikeError unless the enroller said of everybody found that it is somebody else.

    `names` of ids, as far as they are known; `same_person` says what to do if it is the same person, with {id}.
    """
    others = [one for one in found if one.person_id not in accepted]
    if not others:
        return
    who = ", ".join(f"{one.person_id} {names.get(one.person_id, '')}".strip() for one in others)
    again = " ".join(f"--look-alike {one.person_id}" for one in found)
    raise LooksLikeError(
        f"this face is very near to {who}; nothing was stored. The same person? "
        f"{same_person.format(id=others[0].person_id)} Somebody else (twins, parent and child)? Do it again with "
        f"{again}: then neither comes in by the face alone, both need face and phone"
    )


def need_phones(people: Iterable[Person]) -> list[str]:
    """Ids of those who cannot come in by face any more, for they have no phone to show with it."""
    return [
        one.id
        for one in people
        if one.kind is not PersonKind.WATCHED and not any(phone.enabled for phone in one.phones)
    ]


def _rows(vectors: Sequence[bytes]) -> Floats:
    return np.stack([np.frombuffer(one, "<f4") for one in vectors]).astype(np.float32)
