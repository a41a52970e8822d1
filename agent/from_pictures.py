"""Somebody's pictures as face templates: for the commands that enrol from files, at a door and at the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agent.core.networks import Network
from agent.errors import PictureError
from agent.look_alikes import KnownFaces, known_faces
from agent.roster.changes import NewFace
from agent.roster.entries import StoredTemplate
from agent.site_network import load_for
from models.enrol import MAX_PICTURES, check_number, different
from models.fusion import mean_vector
from models.pictures import read_picture
from models.pipeline import PipelineSettings
from models.scale import unit


@dataclass(frozen=True, slots=True)
class Faces:
    """Templates of one person. `notes` are sentences about pictures that add little."""

    faces: tuple[NewFace, ...]
    notes: tuple[str, ...]


class PictureReader:
    """Loads the networks once. `network` is what its templates are made with: that of the people who are enrolled.

    Raises:
        ModelFileError: this machine cannot recognise faces.
    """

    def __init__(self, settings: PipelineSettings, enrolled: Mapping[Network, int]) -> None:
        self._pipeline = load_for(replace(settings, liveness="off"), enrolled)
        embedder = self._pipeline.embedder
        self.network: Network = (embedder.model_id, embedder.alignment_id)

    def faces(self, pictures: Sequence[Path]) -> Faces:
        """Three to five different pictures of one person.

        Raises:
            PictureUnusableError, PictureError: which picture, and why.
        """
        check_number([str(path) for path in pictures])
        return self.visit(pictures)

    def visit(self, pictures: Sequence[Path]) -> Faces:
        """As `faces`, but one picture is enough: one more visit of somebody who is enrolled."""
        if len(pictures) > MAX_PICTURES:
            raise PictureError(f"{len(pictures)} pictures: {MAX_PICTURES} of one visit are enough")
        found = different(self._pipeline, [(str(path), read_picture(path)) for path in pictures])
        faces = tuple(NewFace(one.vector.astype("<f4").tobytes(), one.quality) for one in found.templates)
        notes = (f"{second} shows nearly the same as {first}: one of another day or light would help more"
                 for first, second in found.alike)  # fmt: skip
        return Faces(faces, tuple(notes))

    def known(self, templates: Iterable[StoredTemplate], rate: float | None = None) -> KnownFaces:
        """Everybody of these templates, to ask whom a new face resembles; `rate` of strangers as in look_alikes.py."""
        return known_faces(templates, self._pipeline, rate)

    def same_person(self, faces: Sequence[NewFace], before: Sequence[bytes]) -> bool:
        """Whether these are the face of earlier templates, as far as the network can tell."""
        new, old = (
            mean_vector(np.stack([np.frombuffer(one, "<f4") for one in vectors]))
            for vectors in ([face.vector for face in faces], before)
        )
        return bool(unit(new) @ unit(old) >= self._pipeline.embedder.same_person_similarity)
