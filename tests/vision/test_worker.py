"""The worker's turn: whose pictures are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from agent.core.vision_messages import (
    Finding,
    FindingKind,
    FromVision,
    GalleryAdd,
    GalleryBegin,
    GalleryCommit,
    Settings,
    ToVision,
)
from agent.vision_worker import Worker
from hardware.camera import CameraState, Frame
from hardware.clock import boottime_s
from models.arrays import Image
from models.pipeline import Pipeline


class _Camera:
    """Gives the pictures it is given, in the state that it is put into."""

    detail = ""

    def __init__(self) -> None:
        self.state = CameraState.OK
        self._pictures: list[Image] = []
        self._at_s, self._seq = boottime_s(), 0

    def show(self, pictures: list[Image]) -> None:
        self._pictures += pictures

    def read(self, timeout_s: float) -> Frame | None:
        del timeout_s
        if not self._pictures:
            return None
        self._at_s, self._seq = self._at_s + 0.1, self._seq + 1
        return Frame(self._pictures.pop(0), self._at_s, self._seq)


class _Agent:
    """The agent's end of the socket."""

    connected = True

    def __init__(self, orders: list[ToVision]) -> None:
        self._orders = orders
        self.told: list[FromVision] = []

    def connect(self, now_s: float) -> bool:
        del now_s
        return not self.told

    def receive(self, for_s: float) -> Iterator[ToVision]:
        del for_s
        orders, self._orders = self._orders, []
        yield from orders

    def send(self, message: FromVision) -> None:
        self.told.append(message)


@pytest.mark.parametrize("state", [CameraState.FROZEN, CameraState.BLIND, CameraState.DARK])
def test_pictures_of_a_camera_that_does_not_see_well_are_not_judged(
    pipeline: Pipeline,
    roster: list[GalleryBegin | GalleryAdd | GalleryCommit],
    frames: Callable[[str], list[Image]],
    state: CameraState,
) -> None:
    camera, agent = _Camera(), _Agent([*roster, Settings("convenience", 1.0, 20.0)])
    worker = Worker(pipeline, cast(Any, camera), cast(Any, agent))

    def watch(pictures: list[Image]) -> list[Finding]:
        camera.show(pictures)
        agent.told.clear()
        for _ in pictures:
            worker.step()
        return [one for one in agent.told if isinstance(one, Finding) and one.verdict is FindingKind.RECOGNISED]

    walk = frames("resident_walks_up")
    camera.state = state
    assert watch(walk) == []
    camera.state = CameraState.OK
    assert [one.person_id for one in watch(walk)] == ["resident"]
