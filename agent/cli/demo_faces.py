"""Faces in the demo: its stranger is enrolled on the door's page; its resident needs face and phone for once."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from agent.console.server import TOKEN_HEADER
from agent.core.events import Credential, Kind

if TYPE_CHECKING:
    from agent.cli.demo_world import DemoWorld

_NAME: Final = "Demo newcomer, by face"
_COLLECTS_S: Final = 62.0  # the door gives up after a minute
_LOOK_EVERY_S: Final = 0.2
_DRAWN_WITHIN_S: Final = 20.0  # a code is good for half a minute
_ASKED_WITHIN_S: Final = 12.0
_OPENED_WITHIN_S: Final = 20.0
_NOT_ASKED: Final = ["门没有要求出示手机", "the door did not ask for the phone"]
_BOTH: Final = ["人脸和手机一起开了门", "opened by face and phone together"]
_NOT_BOTH: Final = ["手机没有在人脸之后及时被认出", "the phone was not read in time after the face"]
_NOBODY: Final = ["还没有在门上录入过她", "she was not enrolled at the door so far"]


class DemoFaces:
    """Called from the page's threads."""

    def __init__(self, world: DemoWorld, door: str) -> None:
        self._world, self._door = world, door

    def begin(self) -> Mapping[str, Any]:
        """Ask as the page does; she stays before the camera, as one scene after the other, until the door has her."""
        token = self._ask("/api/token").get("token", "")
        said = self._ask("/api/act", {"name": "enrol_start", "args": {"name": _NAME, "consent": True}}, str(token))
        if "error" in said:
            return {"ok": False, "why": said["error"]}
        threading.Thread(target=self._stay, name="demo-enrolment", daemon=True).start()
        return {"ok": True}

    def forget(self) -> Mapping[str, Any]:
        """Taken out again at the door, as `door-agent enroll --remove` does."""
        from agent.residents import Residents
        from agent.roster.store import RosterStore

        with contextlib.closing(RosterStore(self._world.folder / "state")) as store:
            residents = Residents(store)
            here = [one.id for one in residents.roster.persons.values() if one.name == _NAME]
            for person_id in here:
                residents.remove(person_id)
        return {"ok": True} if here else {"ok": False, "why": _NOBODY}

    def face_and_phone(self) -> Mapping[str, Any]:
        """The resident is marked for both, walks up, is asked for her phone and shows it; then the mark goes again."""
        from agent.cli.demo_acts import Phone
        from agent.pass_desk import phone_key
        from agent.residents import Residents
        from agent.roster.store import RosterStore

        phone, resident_id = Phone(self._door), self._world.resident_id
        with contextlib.closing(RosterStore(self._world.folder / "state")) as store:
            residents, key = Residents(store), phone_key(phone.registration)
            residents.add_phone(resident_id, key)
            residents.need_phone([resident_id])
            try:
                return self._both(phone.code())
            finally:
                residents.need_phone([resident_id], needed=False)
                residents.remove_phone(resident_id, key.key_id)

    def _both(self, code: str) -> Mapping[str, Any]:
        before = self._openings()
        with contextlib.suppress(TimeoutError):  # a slow machine: it is shown as soon as it is drawn
            self._world.player.draw_code(code).result(_DRAWN_WITHIN_S)
        self._world.play("resident_walks_up")
        if not self._until(lambda: self._status("door_state").get("indication") == "show-phone", _ASKED_WITHIN_S):
            return {"ok": False, "why": _NOT_ASKED}
        self._world.show_code(code)
        if not self._until(lambda: len(self._openings()) > len(before), _OPENED_WITHIN_S):
            return {"ok": False, "why": _NOT_BOTH}
        both = self._openings()[0] == Credential.FACE_AND_PHONE
        return {"ok": both, "told": _BOTH} if both else {"ok": False, "why": _NOT_BOTH}

    def _openings(self) -> list[str]:
        """By what credential the resident was let in, the newest first."""
        events = (self._world.door_status() or {}).get("events", [])
        granted = [e["body"] for e in events if e["kind"] == Kind.ACCESS_GRANTED]
        return [b["credential"] for b in granted if b.get("person_id") == self._world.resident_id]

    def _status(self, section: str) -> dict[str, Any]:
        return dict((self._world.door_status() or {}).get(section, {}))

    @staticmethod
    def _until(holds: Callable[[], bool], within_s: float) -> bool:
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            if holds():
                return True
            time.sleep(_LOOK_EVERY_S)
        return False

    def _stay(self) -> None:
        end_s = time.monotonic() + _COLLECTS_S
        self._world.player.play("stranger_walks_up")
        while time.monotonic() < end_s:
            time.sleep(_LOOK_EVERY_S)
            state = (self._world.door_status() or {}).get("enrolment", {}).get("state")
            if state in ("done", "failed"):
                return
            if self._world.player.on == "empty":
                self._world.player.play("stranger_walks_up")

    def _ask(self, path: str, body: Mapping[str, Any] | None = None, token: str = "") -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._world.console_port}{path}"
        headers = {**self._world.console_headers(), TOKEN_HEADER: token, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            with urlopen(Request(url, data, headers), timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except HTTPError as e:
            with e:
                return {"error": f"{e.code} {e.reason}"}
        except (OSError, ValueError) as e:
            return {"error": str(e)}
