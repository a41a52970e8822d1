"""Everything around one simulated door on this machine: authority, broker, server, cameras, guard, vision, agent."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from urllib.request import Request, urlopen

from agent.cli.demo_acts import Phone
from agent.cli.demo_config import DOOR_CONFIG, SERVER_CONFIG
from agent.cli.demo_hand import Hand
from agent.cli.demo_manager import DemoManager
from agent.cli.demo_processes import Child, Uplink, wait_for
from agent.clock import SystemClock
from agent.console.entry import ConsoleKey
from agent.console.server import link
from agent.errors import ConfigError, DoorAgentError
from deploy.broker import SERVER_NAME, Broker, free_port
from deploy.community.database import SqliteConnection
from deploy.community.history import History
from deploy.community.people import EVERYBODY, People
from deploy.pki import device_name
from deploy.site_pki import SiteAuthority

SITE, DOOR = "garden", "gate-1"
_READY_S = 30.0
_BROKER_AWAY_S = 1.0
_VISIT_S = 7200


class DemoWorld:
    """Use as a context manager. `camera` None plays the scenes; `say` hears what is being done."""

    def __init__(self, camera: str | None, say: Callable[[str], None]) -> None:
        self._camera, self._say = camera, say
        self._stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="door-demo-"))
        self.children: dict[str, Child] = {}
        self.console_port, self.server_port = free_port(), free_port()
        self.player: Any = None
        self.last_code: str | None = None
        self.resident_id = ""
        self._faces: Any = None
        self._phone = Phone(f"{SITE}/{DOOR}")

    def __enter__(self) -> DemoWorld:  # noqa: PYI034  not for subclassing
        """Start everything. Raises DoorAgentError."""
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop everything, newest first."""
        self._stack.close()

    @property
    def config(self) -> Path:
        """The door's configuration file."""
        return self.folder / "door.toml"

    def _start(self) -> None:
        for name in ("run", "state", "command-keys", "pass-keys", "log", "pki"):
            (self.folder / name).mkdir(mode=0o700)
        self._say("certificates and broker")
        authority = SiteAuthority.create(self.folder / "pki", "door-agent demo")
        self.broker = broker = Broker(self.folder / "broker", authority)
        broker.start()
        self._stack.callback(broker.stop)
        self.broker_kills = 0
        self.uplink = Uplink(broker.port)
        self._stack.callback(self.uplink.close)
        policy = self._pull_models()
        self._write_config(authority, camera=self._camera or self._start_scenes(), policy=policy)
        self._start_server(authority, broker.port)
        self._enrol_resident()
        self._say("door: guard, agent, vision")
        self.hand = Hand(self.folder / "run" / "bench.sock")
        self.hand.start()
        self._stack.callback(self.hand.stop)
        self._child("guard", "hardware.guard", "--config", str(self.config))
        self._need("guard", self.folder / "run" / "guard.sock")
        self._child("agent", "agent.cli.main", "run", "--config", str(self.config))
        self._need("agent", self.folder / "run" / "vision.sock")
        self._child("vision", "agent.vision_worker", "--config", str(self.config))

    def _start_scenes(self) -> str:
        from fixtures.pictures import PicturesMissingError
        from fixtures.player import ScenePlayer

        self._say("pictures of two people and their scenes (kept for next time)")
        picture = self.folder / "run" / "latest.jpg"
        self.player = ScenePlayer(picture, fps=12)
        try:
            self.player.start()
        except PicturesMissingError as e:
            raise DoorAgentError(f"{e}; or use a real camera: make demo ARGS='--camera /dev/video0'") from e
        self._stack.callback(self.player.stop)
        return f"still:{picture}"

    def _enrol_resident(self) -> None:
        """The demo's resident, from her own varied pictures, as `door-agent enroll` would."""
        if self._camera is not None:
            return
        from agent.pass_desk import phone_key
        from agent.residents import NewFace, Residents
        from agent.roster.store import RosterStore
        from fixtures.scenes import enrolment_pictures
        from models.enrol import enrol
        from models.pipeline import PipelineSettings, load_pipeline

        pipeline = load_pipeline(PipelineSettings(liveness="off"))
        pictures = [(f"picture {n}", picture) for n, picture in enumerate(enrolment_pictures("resident"), 1)]
        faces = [NewFace(t.vector.astype("<f4").tobytes(), t.quality) for t in enrol(pipeline, pictures)]
        self._faces = (faces, pipeline.embedder.model_id, pipeline.embedder.alignment_id)
        with closing(RosterStore(self.folder / "state")) as store:
            phones = (phone_key(self._phone.registration),)
            Residents(store).add("Demo neighbour, phone only", None, (), "", "", phones=phones)
        self.enrol_again()

    def enrol_again(self) -> None:
        """The resident agrees (once more) and is enrolled, as beside a running door."""
        from agent.residents import Residents, consent_now
        from agent.roster.store import RosterStore

        with closing(RosterStore(self.folder / "state")) as store:
            added = Residents(store).add("Demo resident", consent_now(int(time.time())), *self._faces)
            self.resident_id = added.id

    def _pull_models(self) -> str:
        """The better networks from their publishers, once; the policy that goes with what is here then."""
        from models.errors import ModelFileError
        from models.store import Store

        store = Store()
        absent = [s.entry.name for s in store.verify() if s.state != "ready" and s.entry.recommended]
        if absent:
            self._say(f"fetching {', '.join(absent)} from their publishers")
            try:
                store.pull(absent)
            except ModelFileError as e:
                self._say(f"{e}; going on with the networks that are here")
        if any(s.entry.part == "liveness" and s.state == "ready" for s in store.verify()):
            return "standard"
        self._say("no network here tells a print from a face: policy convenience, a print will open this demo's door")
        return "convenience"

    def _write_config(self, authority: SiteAuthority, camera: str, policy: str) -> None:
        device = authority.device(device_name(SITE, DOOR))
        server_key = authority.signing_key("server")
        manager_key = authority.signing_key("manager")
        shutil.copy(manager_key.cert, self.folder / "command-keys" / "manager.pem")
        shutil.copy(authority.pass_key().cert, self.folder / "pass-keys" / "site.pem")
        text = DOOR_CONFIG.format(
            site=SITE, door=DOOR, camera=camera, policy=policy, port=self.uplink.port, ca=authority.cert,
            cert=device.cert, key=device.key, server_key=server_key.cert, folder=self.folder,
            console_port=self.console_port,
        )  # fmt: skip
        self.config.write_text(text)

    def _start_server(self, authority: SiteAuthority, broker_port: int) -> None:
        pair = authority.device(SERVER_NAME)
        text = SERVER_CONFIG.format(
            port=broker_port, ca=authority.cert, cert=pair.cert, key=pair.key, page=self.server_port,
            signing=authority.signing_key("server").key, command=authority.signing_key("manager").key,
            database=self.folder / "community.db", passes=authority.pass_key().key,
        )  # fmt: skip
        config = self.folder / "community.toml"
        config.write_text(text)
        People(self.folder / "people").set_door(f"{SITE}/{DOOR}", [EVERYBODY])
        self._child("server", "deploy.community", "--config", str(config))
        self._history = History(lambda: SqliteConnection(self.folder / "community.db"))
        self._stack.callback(self._history.close)
        self.manager = DemoManager(config, f"http://127.0.0.1:{self.server_port}")

    def _child(self, name: str, *module_and_arguments: str) -> None:
        child = Child(name, module_and_arguments, self.folder / "log")
        child.start()
        self.children[name] = child
        self._stack.callback(child.stop)

    def _need(self, name: str, path: Path) -> None:
        if not wait_for(path, _READY_S):
            words = self.children[name].last_words()
            raise DoorAgentError(f"the demo's {name} did not start within {_READY_S:g} s; it said:\n{words}")

    # ------------------------------------------------------------ acting and looking

    def play(self, scene: str) -> None:
        """Act a scene before the camera."""
        self.player.play(scene)

    def show_phone(self, *, duress: bool = False) -> None:
        """The neighbour holds up her phone, which shows a fresh code."""
        self.show_code(self._phone.code(duress=duress))

    def show_code(self, code: str) -> None:
        """Somebody holds up this code."""
        self.last_code = code
        self.player.show_code(code)

    def show_visitor(self) -> dict[str, Any]:
        """The manager makes a pass for one opening, the visitor holds it before the camera."""
        body = {"doors": [f"{SITE}/{DOOR}"], "for_s": _VISIT_S, "uses": 1, "note": "demo visitor"}
        made = self.manager.ask("/api/passes", body)
        if "link" not in made:
            return {"ok": False, "why": made.get("error")}
        self.show_code(unquote(made["link"].partition("#")[2]))
        return {"ok": True}

    def order(self, action: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  JSON-shaped
        """The manager orders something of the door from afar, as the server's page would."""
        body = {"action": action, "reason": "shown in the demo", **more}
        answer = self.manager.ask(f"/api/doors/{SITE}/{DOOR}/orders", body)
        stage = answer.get("stage")
        return {"ok": stage in ("energised", "taken", "done"), "why": answer.get("error") or answer.get("reason")}

    def kill_broker(self) -> None:
        """SIGKILL, and up again a moment later, as systemd would."""
        self.broker_kills += 1
        self.broker.kill()
        time.sleep(_BROKER_AWAY_S)
        self.broker.start()

    def knows_the_time(self) -> bool:
        """Whether the door believes its clock; unknown counts as yes, the door itself will say."""
        return (self.door_status() or {}).get("clock", {}).get("quality", "ntp") in ("ntp", "rtc")

    def counters(self) -> dict[str, Any]:
        """Rows the door wrote and the server holds (read from the server's own database), and processes killed."""
        queue = (self.door_status() or {}).get("queue", {})
        kills = self.broker_kills + sum(child.starts - 1 for child in self.children.values())
        held = self._history.held(f"{SITE}/{DOOR}")
        return {"written": queue.get("head_seq"), "epoch": queue.get("epoch"), "kills": kills, "held": held}

    def door_status(self) -> dict[str, Any] | None:
        """The console's snapshot, or None while the agent is away."""
        url = f"http://127.0.0.1:{self.console_port}/api/snapshot"
        return _get(Request(url, headers=self.console_headers())) or None

    def console_link(self, query: str = "") -> str:
        """A link that signs a browser in at the door's console; without an agent so far it only leads there."""
        url, key = f"http://127.0.0.1:{self.console_port}/", self._console_key()
        return f"{url}?{query}" if key is None else link(url, key, query)

    def console_headers(self) -> dict[str, str]:
        """What a request to the door's console needs."""
        key = self._console_key()
        return {} if key is None else {"Cookie": f"{key.cookie}={key.session()}"}

    def _console_key(self) -> ConsoleKey | None:
        try:
            return ConsoleKey.read(self.folder / "state", SystemClock())
        except ConfigError:
            return None

    def server_entries(self) -> list[dict[str, Any]]:
        """The newest entries of the server's feed."""
        entries: list[dict[str, Any]] = self.manager.ask("/api/now").get("entries", [])
        return entries

    def wait_ready(self, timeout_s: float, stop: threading.Event) -> bool:
        """Whether guard, camera, gallery and server link are all there in time."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s and not stop.is_set():
            status = self.door_status() or {}
            parts = [status.get(part, {}).get("up") for part in ("guard", "vision", "link")]
            if all(parts) and (self.player is None or status.get("roster", {}).get("in_use")):
                return True
            stop.wait(0.1)
        return False


def _get(asked: Request) -> dict[str, Any]:
    try:
        with urlopen(asked, timeout=2) as answer:  # noqa: S310  our own loopback servers
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError):
        return {}
