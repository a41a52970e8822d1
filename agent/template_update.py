"""A cautious template update: what a resident looks like today, learnt from openings that face and phone confirmed.

The pictures of the enrolment stay for ever; one more template, of the newest confirmed visit, stands beside them. So
nobody drifts away from his pictures by steps, and a face alone, however near, changes nothing. What it is worth: the
rows `ways_to_enrol` of `door-agent evaluate faces`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from agent.errors import StoreError
from agent.factors import FACTOR_S
from agent.roster.changes import NewFace

EVERY_S: Final = 7 * 86400.0  # of one person, and again after a restart


class Learner(Protocol):
    """Who stores it: the roster's clerk, which answers later (`answered`)."""

    def learn(self, person_id: str, face: NewFace, model_id: str, alignment_id: str) -> bool:
        """True: it is stored, or asked for. Raises StoreError."""


class TemplateUpdate:
    """Used by the controller's thread only."""

    def __init__(self, learner: Learner, networks: Callable[[], tuple[str, str] | None]) -> None:
        """`networks`: model and alignment id of the vision process that is connected, if any is."""
        self._learner, self._networks = learner, networks
        self._seen: dict[str, tuple[bytes, float]] = {}
        self._learnt_s: dict[str, float] = {}

    def seen(self, person_id: str, vector: bytes, now_s: float) -> None:
        """This person was recognised; `vector` is the mean of the frames, float32 little endian."""
        self._seen[person_id] = (vector, now_s)

    def tend(self, now_s: float, faces: Mapping[str, Collection[str]]) -> None:
        """Forget what no phone confirmed in time, and whoever has no face here any more (`faces`, by person)."""
        for person_id, (_, at_s) in list(self._seen.items()):
            if now_s - at_s > FACTOR_S or not faces.get(person_id):
                del self._seen[person_id]

    def confirmed(self, person_id: str, now_s: float) -> bool:
        """Face and phone together opened for this person. True when a template is learnt, or asked for."""
        vector, at_s = self._seen.pop(person_id, (b"", float("-inf")))
        networks = self._networks()
        if networks is None or now_s - at_s > FACTOR_S or now_s - self._learnt_s.get(person_id, -EVERY_S) < EVERY_S:
            return False
        try:
            learnt = self._learner.learn(person_id, NewFace(vector, 1.0), *networks)
        except StoreError:  # a full card must not spoil an opening; health tells of the store itself
            return False
        if learnt:
            self._learnt_s[person_id] = now_s
        return learnt

    def answered(self, person_id: str, *, done: bool) -> None:
        """What came of it. What was not stored may be tried at the next visit."""
        if not done:
            self._learnt_s.pop(person_id, None)
