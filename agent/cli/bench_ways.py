"""Each way in acted once at the demo's door, and each way to be sent away: how long it took and what was said."""

from __future__ import annotations

import json
import secrets
import time
import tomllib
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.cli.demo_acts import Phone, signed_code
from agent.cli.demo_world import DOOR, SITE
from agent.core.bounded import written
from agent.core.events import Credential
from agent.core.passes import visitor_message
from agent.errors import DoorAgentError
from agent.journal.report import listed
from agent.pass_desk import phone_key
from deploy.community.people import People
from hardware.clock import boottime_s

if TYPE_CHECKING:
    from agent.cli.demo_world import DemoWorld

OPENED: Final = "opened"
_DEVICE: Final = f"{SITE}/{DOOR}"
_PHONES: Final = 8  # residents who press in turns: the server takes ten presses a minute of one phone
_SCENE_S: Final = 30.0
_CODE_S: Final = 45.0  # a scene with this code is drawn first
_REST_S: Final = 60.0  # a lockout after strangers' faces lasts half of it
_TOLD_S: Final = 5.0  # until the console's page must tell what the door did
_KNOWN_S: Final = 60.0  # until the door has the residents that the server tells of
_EDGE_S: Final = 0.5  # the relay's edge reaches us by another way than the answer
_ANSWER_S: Final = 15.0
_OVER: Final = (946_684_800, 978_307_200)  # a visitor's pass for the year 2000


class Trial(NamedTuple):
    """What came of one: milliseconds, and OPENED or the reason why not; None where nothing was seen to come of it."""

    took_ms: float | None
    said: str


class Ways:
    """Acts at one demo world. To the relay: from the first frame with face or code, or from the button pressed.

    Refused: from the button to the answer, or from the first frame to the door's decision.
    """

    def __init__(self, world: DemoWorld) -> None:
        self._world = world
        self._residents = [Phone(_DEVICE) for _ in range(_PHONES)]
        self._in_turn = cycle(self._residents)
        self._moved_out, self._stranger = Phone(_DEVICE), Phone(_DEVICE)

    def enrol_phones(self) -> None:
        """The server learns the residents' phones and tells the door. Raises DoorAgentError."""
        people = People(self._world.folder / "people")
        for number, phone in enumerate((*self._residents, self._moved_out)):
            resident = {"id": f"bench-{number}", "phones": [written(phone_key(phone.registration))]}
            people.put({**resident, "enabled": phone is not self._moved_out})
        if not until(lambda: any(door["held"] and not door["drift"] for door in people.drift()), _KNOWN_S):
            raise DoorAgentError(f"the door did not take the residents' list within {_KNOWN_S:g} s")

    # ------------------------------------------------------------ ways in

    def face(self) -> Trial:
        """The resident walks up."""
        return self._seen("face", lambda: self._world.play("resident_walks_up"), _SCENE_S)

    def phone_pass(self) -> Trial:
        """A resident holds up her phone. The picture is drawn first, so its code is seconds old."""
        code = next(self._in_turn).code()
        return self._seen("pass", lambda: self._world.show_code(code), _CODE_S)

    def button(self) -> Trial:
        """A resident presses "open" on her phone's page."""
        return self._press(next(self._in_turn))

    def manager(self) -> Trial:
        """The manager's order from afar."""
        return self._ordered(self._order)

    # ------------------------------------------------------------ those who may not

    def button_moved_out(self) -> Trial:
        """A phone without the right any more."""
        return self._press(self._moved_out)

    def button_stranger(self) -> Trial:
        """A phone that nobody here knows."""
        return self._press(self._stranger)

    def expired_pass(self) -> Trial:
        """A visitor's pass that is over."""
        code = self._expired()
        return self._sent_away(Credential.VISITOR_PASS, lambda: self._world.show_code(code), "phone_pass", _CODE_S)

    def stranger(self) -> Trial:
        """A stranger walks up."""
        scene = "stranger_walks_up"
        return self._sent_away(Credential.FACE, lambda: self._world.play(scene), scene, _SCENE_S)

    # ------------------------------------------------------------ between

    def settle(self) -> None:
        """Nobody before the camera, the leaf closed, the relay dropped, no lockout: the next one starts from rest."""
        end_s = time.monotonic() + _REST_S
        while time.monotonic() < end_s:
            state = section(self._world, "door_state")
            at_rest = (state.get("relay"), state.get("contact")) == ("dropped", "closed")
            if at_rest and self._world.player.on == "empty" and not state.get("lockout_for_s"):
                return
            time.sleep(0.1)

    # ------------------------------------------------------------ how

    def _seen(self, way: str, act: Callable[[], object], bound_s: float) -> Trial:
        edges, before = len(self._edges), self._told()
        act()
        if not until(lambda: len(self._edges) > edges, bound_s):
            return Trial(None, "")
        until(lambda: self._told() != before, _TOLD_S)  # the page follows the relay
        told = self._told()
        mine = told != before and told[-1]["way"] == way
        return Trial(float(told[-1]["ms"]), OPENED) if mine else Trial(None, OPENED)

    def _told(self) -> list[dict[str, Any]]:
        """The openings that the door's page tells of, the newest last."""
        found: list[dict[str, Any]] = (self._world.door_status() or {}).get("openings") or []
        return found

    def _ordered(self, order: Callable[[], str]) -> Trial:
        before, pressed_s = len(self._edges), boottime_s()
        said = order()
        answered_ms = (boottime_s() - pressed_s) * 1000
        opened = said in ("accepted", "energised", "taken", "done")
        until(lambda: len(self._edges) > before, _EDGE_S if opened else 0.0)
        if edges := self._edges[before:]:
            return Trial((edges[0] - pressed_s) * 1000, OPENED)
        return Trial(answered_ms if said and not opened else None, said)

    def _press(self, phone: Phone) -> Trial:
        return self._ordered(lambda: self._asked(phone.asked("open")))

    def _asked(self, body: Mapping[str, Any]) -> str:
        url = f"http://127.0.0.1:{self._world.server_port}/phone/api/open"
        request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=_ANSWER_S) as answer:  # noqa: S310  our own loopback server
                told = json.load(answer)
        except HTTPError as e:
            told = json.load(e)
        except OSError as e:
            return str(e)
        return str(told.get("stage") or told.get("refused"))

    def _order(self) -> str:
        body = {"action": "open", "reason": "measured"}
        told = self._world.manager.ask(f"/api/doors/{_DEVICE}/orders", body)
        stage = str(told.get("stage") or told.get("error"))
        return str(told.get("reason")) if stage == "refused" else stage

    def _sent_away(self, credential: str, act: Callable[[], object], scene: str, bound_s: float) -> Trial:
        journal, before = self._world.folder / "state" / "journal.db", len(self._edges)
        mark = max((row["id"] for row in listed(journal, newest=1)), default=0)
        act()
        until(lambda: self._world.player.on == scene, bound_s)
        until(lambda: self._world.player.on != scene, bound_s)
        if len(self._edges) > before:
            return Trial(None, OPENED)
        for row in listed(journal, kind="AccessControl/Denied", after_id=mark):
            body = row["body"]
            if body["credential"] == credential:
                return Trial(float(body["detail"]["decided_ms"]), str(body["reason"]))
        return Trial(None, "")

    def _expired(self) -> str:
        server = tomllib.loads((self._world.folder / "community.toml").read_text(encoding="utf-8"))
        key = serialization.load_pem_private_key(Path(server["pass_key_file"]).read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise DoorAgentError(f"{server['pass_key_file']}: no pass key")
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        public = key.public_key().public_bytes(*form)
        return signed_code(key, visitor_message(public, (), *_OVER, 0, secrets.token_bytes(8)))

    @property
    def _edges(self) -> list[float]:
        return self._world.hand.energised_s


def section(world: DemoWorld, name: str) -> dict[str, Any]:
    """A part of what the door's page tells; empty while there is none."""
    found: dict[str, Any] = (world.door_status() or {}).get(name, {})
    return found


def until(condition: Callable[[], bool], bound_s: float) -> bool:
    """Whether it held in time; looked at once at least."""
    end_s = time.monotonic() + bound_s
    while not condition():
        if time.monotonic() >= end_s:
            return False
        time.sleep(0.005)
    return True
