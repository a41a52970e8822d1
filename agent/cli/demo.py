"""door-agent demo: one simulated door with everything around it, and a page with buttons that act the scene."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_command
from agent.cli.demo_acts import DemoActs
from agent.cli.demo_faces import DemoFaces
from agent.cli.demo_world import DOOR, SITE, DemoWorld
from agent.command_line import count, port
from agent.errors import LinkError
from agent.stopping import stop_on_signal

if TYPE_CHECKING:
    from agent.console.local import LocalServer

_READY_S = 60.0
_PAGE_THREADS = 8
_WALK_UP = ["用的是真摄像头：请自己走到门前", "a real camera is in use: walk up yourself"]
_NO_TIME = [
    "这台电脑的时钟没有同步：不知道时间的门不认访客码",
    "this machine's clock is not synchronised: a door that does not know the time takes no visitor pass",
]
_NO_HOURS = [
    "这台电脑的时钟没有同步：不知道时间的门不进入开放时段",
    "this machine's clock is not synchronised: a door that does not know the time keeps no open hours",
]
_BEFORE_CAMERA = ("phone_pass", "visitor_pass", "phone_duress", "phone_again", "dark", "list_phone")
_OF_THE_RESIDENT = ("withdraw", "enrol_again", "enrol_here", "enrol_forget", "face_and_phone")
_SCENES = {
    "resident": "resident_walks_up",
    "stranger": "stranger_walks_up",
    "print": "print_held_up",
    "two_people": "two_people",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(
        subparsers, "demo", "Run a simulated door, a community server and a page; Ctrl-C stops it.", config=False
    )
    parser.add_argument("--camera", metavar="DEVICE", help="a real camera (/dev/video0) instead of the scenes")
    parser.add_argument("--port", type=port, default=8470, help="of the page, on 127.0.0.1 (default 8470)")
    parser.add_argument(
        "--rounds", type=count, default=0, metavar="N", help="act a resident and a stranger N times, report, and stop"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 stopped as asked (with --rounds: every resident came in, no stranger did); 1 not; 8 no broker."""
    stop = stop_on_signal()
    started_s = time.monotonic()
    camera = arguments.camera
    source = f"v4l2:{camera}" if camera and camera.startswith("/dev/") else camera
    with DemoWorld(source, _say) as world:
        controls = DemoControls(world)
        page = serve_page(controls, arguments.port)
        try:
            ready = world.wait_ready(_READY_S, stop)
            took_s = time.monotonic() - started_s
            _say(f"ready after {took_s:.1f} s" if ready else "still starting; see the page")
            addresses = {"page": page.url, **controls.addresses(), "console_link": controls.console("")}
            told = f"\n  open {page.url}\n  (the door's console alone: {addresses['console_link']})\n"
            if not (arguments.json and arguments.rounds):  # then the report is the one document
                print(json.dumps(addresses) if arguments.json else told, flush=True)
            if arguments.rounds:
                from agent.cli.demo_rounds import act_rounds

                return act_rounds(world, arguments.rounds, stop, as_json=arguments.json, ready_s=took_s)
            stop.wait()
        finally:
            _say("stopping")
            page.close()
    return 0


def _say(text: str) -> None:
    print(f"demo: {text}", file=sys.stderr, flush=True)


def serve_page(controls: DemoControls, port: int) -> LocalServer:
    """The page, on 127.0.0.1, until it is closed. Raises LinkError when the port is taken."""
    from agent.cli.demo_page import make_app
    from agent.console.local import LocalServer

    try:
        return LocalServer(make_app(controls), "127.0.0.1", port, _PAGE_THREADS, "demo-page")
    except OSError as e:
        raise LinkError(f"127.0.0.1:{port}: cannot be used ({e.strerror}); choose another with --port") from e


class DemoControls:
    """What the buttons of the demo page do. Called from the page's threads."""

    def __init__(self, world: DemoWorld) -> None:
        self._world = world
        hand, faces = world.hand, DemoFaces(world, f"{SITE}/{DOOR}")
        self._acts: dict[str, Callable[[], object]] = {
            **{name: partial(world.play, scene) for name, scene in _SCENES.items()},
            "phone_pass": world.show_phone,
            "visitor_pass": world.show_visitor,
            "remote_open": partial(world.order, "open"),
            "lock_down": partial(world.order, "lock-down"),
            "release_lock_down": partial(world.order, "release-lock-down"),
            "uplink_cut": world.uplink.cut,
            "uplink_restore": world.uplink.restore,
            "fire_on": lambda: hand.set("fire", active=True),
            "fire_off": lambda: hand.set("fire", active=False),
            "exit_button": lambda: hand.press("exit"),
            "door_open": lambda: hand.set("contact", active=True),
            "door_close": lambda: hand.set("contact", active=False),
            "tamper_on": lambda: hand.set("tamper", active=True),
            "tamper_off": lambda: hand.set("tamper", active=False),
            "kill_vision": world.children["vision"].kill,
            "kill_agent": world.children["agent"].kill,
            "kill_guard": world.children["guard"].kill,
            "kill_server": world.children["server"].kill,
            "kill_broker": world.kill_broker,
            "enrol_here": faces.begin,
            "enrol_forget": faces.forget,
            "face_and_phone": faces.face_and_phone,
            **DemoActs(world, f"{SITE}/{DOOR}").acts(),
        }

    def act(self, name: str) -> dict[str, Any]:
        """Do what a button says."""
        able = self.capabilities().get(name)
        if able is None or not able["ready"]:
            return {"ok": False, "why": able["why"] if able else f"there is no button {name}"}
        said = self._acts[name]()
        return {"ok": True, **(said if isinstance(said, dict) else {})}

    def capabilities(self) -> dict[str, dict[str, Any]]:
        """Which buttons work, and why the others do not."""
        scenes = self._world.player is not None
        found: dict[str, dict[str, Any]] = {name: {"ready": True, "why": ""} for name in self._acts}
        for name in (*_SCENES, *_BEFORE_CAMERA, *_OF_THE_RESIDENT):
            if not scenes:
                found[name] = {"ready": False, "why": _WALK_UP}
        if scenes and not self._world.knows_the_time():
            found["visitor_pass"] = {"ready": False, "why": _NO_TIME}
        if not self._world.knows_the_time():
            found["hours_on"] = {"ready": False, "why": _NO_HOURS}
        return found

    def counters(self) -> dict[str, Any]:
        """What the door wrote, what the server has, and how often a process was killed: nothing may get lost."""
        return self._world.counters()

    def console(self, query: str) -> str:
        """A link that signs this browser in at the door's console."""
        return self._world.console_link(query)

    def enter(self) -> str:
        """A link that signs this browser in at the manager's page."""
        return self._world.manager.link()

    def addresses(self) -> dict[str, str]:
        """Where the other two pages are."""
        world = self._world
        return {
            "console": f"http://127.0.0.1:{world.console_port}/",
            "server": f"http://127.0.0.1:{world.server_port}/",
            "phone": f"http://127.0.0.1:{world.server_port}/phone/",
            "door": f"{SITE}/{DOOR}",
        }
