"""The worker's turn: whose pictures are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from agent import vision_worker
from agent.config import parse
from agent.core.vision_messages import (
    Alive,
    Enrol,
    Enrolment,
    EnrolmentState,
    Finding,
    FindingKind,
    FromVision,
    GalleryAdd,
    GalleryBegin,
    GalleryCommit,
    GalleryLoaded,
    Hello,
    NetworkHere,
    Settings,
    ToVision,
    UseNetwork,
)
from agent.errors import ConfigError
from agent.vision import enrolment as vision_enrolment
from agent.vision import networks as vision_networks
from agent.vision.networks import Networks
from agent.vision_worker import Worker
from fixtures.plain_door import plain_door
from hardware.camera import CameraState, Frame
from hardware.clock import boottime_s
from models.arrays import Image
from models.errors import ModelFileError
from models.pipeline import Pipeline, PipelineSettings


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


@pytest.mark.slow
def test_a_picture_that_hangs_in_the_camera_opens_nothing_when_the_process_starts(
    pipeline: Pipeline, roster: list[GalleryBegin | GalleryAdd | GalleryCommit], frames: Callable[[str], list[Image]]
) -> None:
    """The first picture counted as motion all over: each restart let in a resident who was long gone."""
    camera, agent = _Camera(), _Agent([*roster, Settings("convenience", 1.0, 20.0)])
    worker = Worker(pipeline, cast(Any, camera), cast(Any, agent))
    camera.show(frames("resident_walks_up")[60:61] * 45)  # 4.5 s: nobody calls it frozen before 5 s are over
    for _ in range(45):
        worker.step()
    assert [one for one in agent.told if isinstance(one, Finding)] == []
    camera.show(frames("resident_walks_up")[61:75])
    for _ in range(14):
        worker.step()
    assert [one.person_id for one in agent.told if isinstance(one, Finding)] == ["resident"]


@pytest.mark.slow
def test_nobody_is_a_stranger_before_the_agent_has_said_who_lives_here(
    pipeline: Pipeline, roster: list[GalleryBegin | GalleryAdd | GalleryCommit], frames: Callable[[str], list[Image]]
) -> None:
    """A started process had to judge first and was told the people later: residents were refused, faces paused."""
    camera, agent = _Camera(), _Agent([Settings("convenience", 1.0, 20.0), *roster[:-1]])
    worker = Worker(pipeline, cast(Any, camera), cast(Any, agent))
    camera.show(frames("resident_walks_up"))
    for _ in frames("resident_walks_up"):
        worker.step()
    assert [one for one in agent.told if isinstance(one, Finding)] == []
    agent._orders = roster[-1:]
    camera.show(frames("resident_walks_up"))
    for _ in frames("resident_walks_up"):
        worker.step()
    assert [one.person_id for one in agent.told if isinstance(one, Finding)] == ["resident"]


@pytest.mark.slow
def test_an_enrolment_of_an_agent_that_is_gone_keeps_nobody_outside(
    pipeline: Pipeline, roster: list[GalleryBegin | GalleryAdd | GalleryCommit], frames: Callable[[str], list[Image]]
) -> None:
    """Nobody was recognised for up to a minute after the agent's restart: an old enrolment went on."""
    camera, agent = _Camera(), _Agent([*roster, Settings("convenience", 1.0, 20.0), Enrol("e-1", 5)])
    worker = Worker(pipeline, cast(Any, camera), cast(Any, agent))
    worker.step()
    agent.told.clear()  # another connection
    camera.show(frames("resident_walks_up"))
    for _ in frames("resident_walks_up"):
        worker.step()
    assert [one for one in agent.told if isinstance(one, Enrolment)] == []
    assert [one.person_id for one in agent.told if isinstance(one, Finding)] == ["resident"]


def test_an_enrolment_ends_with_its_minute_also_before_a_camera_that_sees_nothing(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went on until the light came back: the page said "collecting", and an update waited for it."""
    monkeypatch.setattr(vision_enrolment, "_GIVE_UP_S", -1.0)
    agent = _Agent([Settings("convenience", 1.0, 20.0), Enrol("e-1", 5)])
    worker = Worker(pipeline, cast(Any, _Camera()), cast(Any, agent))
    for _ in range(3):
        worker.step()
    said = [(one.id, one.state) for one in agent.told if isinstance(one, Enrolment)]
    assert said == [("e-1", EnrolmentState.FAILED)]


def test_a_face_on_a_poster_is_nobody_whom_an_update_waits_for(
    pipeline: Pipeline, frames: Callable[[str], list[Image]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doors with a poster in view were never updated from afar: a face was there at every hour."""
    monkeypatch.setattr(vision_worker, "_ALIVE_EVERY_S", 0.0)
    camera, agent = _Camera(), _Agent([])
    worker = Worker(pipeline, cast(Any, camera), cast(Any, agent))
    still = np.minimum(frames("resident_walks_up")[60], 254)
    noise = np.random.default_rng(1)
    for _ in range(4):
        camera.show([still + noise.integers(0, 2, still.shape, np.uint8)])
        worker.step()
        camera._at_s += 25.0
    camera.show(frames("resident_walks_up")[46:47])
    worker.step()
    assert [one.in_view for one in agent.told if isinstance(one, Alive)] == [1, 1, 1, 0, 1]


def test_a_camera_that_died_with_somebody_before_it_does_not_say_for_ever_that_somebody_is_there(
    pipeline: Pipeline,
    frames: Callable[[str], list[Image]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An update waits while a face is in view: it waited for as long as the camera was dead."""
    monkeypatch.setattr(vision_worker, "_ALIVE_EVERY_S", 0.0)
    camera, agent = _Camera(), _Agent([])
    worker = Worker(pipeline, cast(Any, camera), cast(Any, agent))
    camera.show(frames("resident_walks_up")[60:61])
    worker.step()
    camera.state = CameraState.STALLED
    worker.step()
    assert [one.in_view for one in agent.told if isinstance(one, Alive)] == [1, 0]


@pytest.mark.slow
def test_who_is_decided_on_already_keeps_nobody_behind_from_being_looked_at(
    pipeline: Pipeline,
    roster: list[GalleryBegin | GalleryAdd | GalleryCommit],
    frames: Callable[[str], list[Image]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two who chat before the camera took the two places of each picture, and a resident behind them had none."""
    monkeypatch.setattr(vision_worker, "_JUDGED_AT_ONCE", 1)  # so one who chats is enough
    camera, agent = _Camera(), _Agent([*roster, Settings("convenience", 1.0, 20.0)])
    worker = Worker(pipeline, cast(Any, camera), cast(Any, agent))
    camera.show(frames("two_people"))
    for _ in frames("two_people"):
        worker.step()
    assert {one.verdict for one in agent.told if isinstance(one, Finding)} >= {
        FindingKind.RECOGNISED,
        FindingKind.STRANGER,
    }


OLD = ("dlib-resnet-8bit+mirror", "dlib-150")  # what any machine has


def test_told_to_use_another_network_it_begins_anew_with_that_one_and_says_so(
    pipeline: Pipeline, roster: list[GalleryBegin | GalleryAdd | GalleryCommit], cache: Path
) -> None:
    """People enrolled with the fallback stay known when a better network comes; the real files of both are loaded."""
    agent, old = _Agent([*roster, Settings("convenience", 1.0, 20.0)]), OLD
    worker = Worker(pipeline, cast(Any, _Camera()), cast(Any, agent), Networks(PipelineSettings(cache_folder=cache)))
    worker.step()
    (said,) = [one for one in agent.told if isinstance(one, Hello)]
    assert said.networks[0].model_id == pipeline.embedder.model_id
    assert NetworkHere(*old) in said.networks
    agent._orders = [UseNetwork(*old)]
    worker.step()
    again = [one for one in agent.told if isinstance(one, Hello)][-1]
    assert (again.model_id, again.alignment_id) == old
    assert old[0] in again.engine
    assert worker._people.gallery.people == ()  # nobody, until the agent has sent them
    agent._orders = [GalleryBegin(8, *old), GalleryCommit(8)]
    worker.step()
    (loaded,) = [one for one in agent.told if isinstance(one, GalleryLoaded)][-1:]
    assert (loaded.epoch, loaded.refused) == (8, None)


def test_a_network_that_is_not_here_or_does_not_load_changes_nothing_and_is_not_offered_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = Networks(PipelineSettings())
    assert networks.changed(pipeline, ("nobody's", "five")) is pipeline

    def broken(*_: object) -> Pipeline:
        raise ModelFileError("cut short")

    monkeypatch.setattr(vision_networks, "with_embedder", broken)
    (first, *others) = networks.here()
    assert networks.changed(pipeline, (first.model_id, first.alignment_id)) is pipeline
    assert list(networks.here()) == others


def test_the_configuration_can_name_the_network(tmp_path: Path) -> None:
    (here,) = Networks(PipelineSettings(embedder="dlib-resnet-8bit")).here()
    assert (here.model_id, here.alignment_id) == OLD
    with pytest.raises(ConfigError, match="allowed: auto, reid0095"):
        parse(plain_door(tmp_path).encode() + b'[faces]\nnetwork = "reid0059"\n')
