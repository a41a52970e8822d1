"""Somebody's pictures as face templates: for the commands that enrol from files, at a door and at the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.core.networks import Network
from agent.roster_changes import NewFace
from agent.site_network import load_for
from models.enrol import check_number, enrol_person
from models.pictures import read_picture
from models.pipeline import PipelineSettings


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
        found = enrol_person(self._pipeline, [(str(path), read_picture(path)) for path in pictures])
        faces = tuple(NewFace(one.vector.astype("<f4").tobytes(), one.quality) for one in found.templates)
        notes = (f"{second} shows nearly the same as {first}: one of another day or light would help more"
                 for first, second in found.alike)  # fmt: skip
        return Faces(faces, tuple(notes))
