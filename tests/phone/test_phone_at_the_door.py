"""The page's code from a real browser's screen, photographed at the door, opens it: real vision, agent and guard.

The door has no server here and never had one; in the end the phone has none either. Everybody holds up a phone of
their own: a door does not let the same person in again for ten seconds.
"""

import contextlib
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp

from agent.pass_desk import phone_key
from agent.residents import Residents
from agent.roster.store import RosterStore
from fixtures import hall
from fixtures.held_phone import photographed
from fixtures.props import phone as phone_showing

sys.path.append(str(Path(__file__).parent.parent / "app"))  # its world of real doors
from roster_world import Site, until

GRANTED = "AccessControl/AccessGranted/Credential"
BOUND_S, SHOWN_S = 90.0, 3.0
SCENES = {
    "anna": (0.10, "straight"),
    "li": (0.20, "tilted 30 degrees"),
    "wang": (0.20, "glare"),
    "chen": (0.20, "dim"),
    "offline": (0.40, "straight"),
}


class Scene:
    """What the door's camera sees: the hall, or somebody's phone in it. The grain of each picture differs."""

    def __init__(self, picture: Path):
        self._path, self._stopping = picture, threading.Event()
        self._hall = hall.empty_hall(hall.DAY)
        self.show(None)
        self._write(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def show(self, image: np.ndarray | None) -> None:
        seen = self._hall if image is None else image
        self._shots = [self._shot(seen, number) for number in range(3)]

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        number = 0
        while not self._stopping.wait(0.12):
            number += 1
            self._write(number)

    def _write(self, number: int) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(self._shots[number % len(self._shots)])
        fresh.replace(self._path)

    @staticmethod
    def _shot(image: np.ndarray, number: int) -> bytes:
        grain = np.random.default_rng(number).normal(0, 2, (90, 160, 3)).astype(np.float32)
        seen = image + cv2.resize(grain, (1280, 720), interpolation=cv2.INTER_NEAREST)
        return cv2.imencode(".jpg", np.clip(seen, 0, 255).astype(np.uint8))[1].tobytes()


@pytest.fixture
def site(tmp_path: Path):
    site = Site(tmp_path)
    with contextlib.closing(site):
        yield site


@pytest.fixture
def scene(tmp_path: Path):
    with contextlib.closing(Scene(tmp_path / "now.jpg")) as scene:
        yield scene


def screen(phone, after: bytes):
    """A code that was not shown yet, and the part of the screen that holds it."""
    code = phone.code(after)
    picture = phone.picture()
    at = zxingcpp.read_barcodes(picture)[0].position
    corners = np.array([(one.x, one.y) for one in (at.top_left, at.top_right, at.bottom_right, at.bottom_left)])
    edge = round(0.1 * np.ptp(corners[:, 0]))
    (left, top), (right, bottom) = np.maximum(corners.min(0) - edge, 0), corners.max(0) + edge
    box = picture[top:bottom, left:right]
    return code, box


@pytest.mark.slow
@pytest.mark.timeout(600)  # a browser and three processes: most of it is waiting for them on a loaded machine
def test_a_photographed_screen_opens_a_door_without_a_server_and_without_the_phone_s_too(
    site: Site, scene: Scene, tmp_path: Path, browser, serve, new_phone
):
    server = serve()
    door = site.door()
    door.config.write_text(door.config.read_text().replace('"none"', f'"still:{tmp_path / "now.jpg"}"'))
    urls = {name: server.url.replace("localhost", f"{name}.localhost") for name in SCENES}  # a phone: an origin
    people = {}
    for name, url in urls.items():
        phone = new_phone(url)
        with contextlib.closing(RosterStore(door.state)) as store:
            keys = (phone_key(phone.browser.text("#code")),)
            people[name] = Residents(store).add(name, None, (), "", "", phones=keys).id
        phone.register()
    site.broker.stop()
    door.start(guard=True, good_clock=True)
    door._process("vision", "-m", "agent.vision_worker", "--config", str(door.config))
    door.wrote(kind="Agent/Vision", state="Up")
    for number, (name, (distance_m, condition)) in enumerate(SCENES.items()):
        phone.browser.open(urls[name])
        if name == "offline":
            server.stop()
            phone.browser.reload()
        phone.browser.wait("return document.querySelector('#pass') !== null")
        code, end_s = b"", time.monotonic() + BOUND_S
        while len(door.rows(GRANTED)) == number:  # the screen goes on: each code is photographed while it is fresh
            assert time.monotonic() < end_s, f"no opening at {distance_m} m, {condition}: {door._words()}"
            code, showing = screen(phone, code)
            scene.show(photographed(phone_showing(showing), distance_m, condition, seed=number))
            with contextlib.suppress(AssertionError):
                until(lambda number=number: len(door.rows(GRANTED)) > number, "this code", SHOWN_S)
        scene.show(None)
        until(lambda: door.rows("Door/State/LockPhysicalState")[-1]["state"] == "Locked", door._words)
    granted = door.rows(GRANTED)
    assert [(row["person_id"], row["credential"]) for row in granted] == [(one, "phone") for one in people.values()]
    assert [row["state"] for row in door.rows("Door/State/LockPhysicalState")].count("Unlocked") == len(granted)
    assert door.rows("Agent/Link") == [] or all(row["state"] != "Up" for row in door.rows("Agent/Link"))
