"""Who may use the console: loopback alone is no right. A link from the door's own key opens one session, once."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from scripted import ScriptedDoor
from test_server import Client

from agent.clock import SystemClock
from agent.console.entry import LINK_S, SESSION_S, ConsoleKey
from agent.console.server import TOKEN_HEADER, Console, ConsoleSettings
from agent.errors import ConfigError
from deploy.device.install import ROOT
from tests.attack.door_ends import AttackerClock

_CONFIG = """
[door]
site = "garden"
id = "gate-1"
lock_type = "fail-safe"
[hardware]
backend = "simulated"
[hardware.relay]
pin = 17
[hardware.inputs.contact]
pin = 22
[camera]
source = "none"
[store]
state_dir = "{state_dir}"
"""


class World:
    """A console on a clock of the test's own, and whoever comes to its port."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.door = AttackerClock(), ScriptedDoor()
        self.key = ConsoleKey.made(folder, self.clock)
        self.start()

    def start(self) -> None:
        self.console = Console(ConsoleSettings(0, self.key, self.clock), self.door)
        self.console.start()
        self.clock.advance(5.0)
        self.outsider = Client(self.console)

    def enter(self, link: str, **headers: str) -> tuple[int, dict[str, str]]:
        """Status, and the headers that the browser would send from then on."""
        status, _, answer = self.outsider.ask(
            "POST", "/api/enter", json.dumps({"link": link}), Content_Type="application/json", **headers
        )
        return status, {"Cookie": answer["Set-Cookie"].partition(";")[0]} if answer["Set-Cookie"] else {}


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.console.stop()


@pytest.mark.parametrize("headers", [{}, {"Sec_Fetch_Site": "same-origin", "Origin": "http://127.0.0.1"}])
def test_another_process_of_this_machine_sees_nothing_opens_nothing_and_enrols_nobody(world, headers):
    """Any local user could fetch the token and post relay_test: the door opened."""
    for path in ("/api/snapshot", "/api/stream", "/api/picture", "/api/token"):
        assert world.outsider.ask("GET", path, **headers)[0] == 401
    wish = {"name": "relay_test", "args": {}}
    for more in ({}, {TOKEN_HEADER: "guessed"}, {"Cookie": f"{world.key.cookie}=guessed"}):
        assert world.outsider.post(wish, **headers, **more) == 401
    assert world.door.asked == []


def test_the_page_without_a_session_leads_to_the_way_in_with_what_was_asked(world):
    status, _, headers = world.outsider.ask("GET", "/?lang=en&embed=1")
    assert (status, headers["Location"]) == (302, "/enter?lang=en&embed=1")
    for path in ("/enter", "/static/enter.js", "/metrics"):
        assert world.outsider.ask("GET", path)[0] == 200


def test_a_link_opens_one_session_which_may_do_everything(world):
    link = world.key.link()
    status, session = world.enter(link)
    assert status == 200
    assert world.enter(link) == (403, {})
    token = json.loads(world.outsider.ask("GET", "/api/token", **session)[1])["token"]
    assert world.outsider.post({"name": "relay_test", "args": {}}, **session, **{TOKEN_HEADER: token}) == 200
    assert world.door.asked == [("relay_test", {})]


def test_the_cookie_is_out_of_scripts_reach_and_named_after_the_door(world, tmp_path):
    answer = world.outsider.ask(
        "POST", "/api/enter", json.dumps({"link": world.key.link()}), Content_Type="application/json"
    )[2]
    assert re.search("HttpOnly.*SameSite=Strict", answer["Set-Cookie"])
    (tmp_path / "other").mkdir()
    assert ConsoleKey.made(tmp_path / "other", world.clock).cookie != world.key.cookie


def test_links_and_sessions_grow_old_and_end_with_the_boot(world):
    old, session = world.key.link(), world.enter(world.key.link())[1]
    world.clock.advance(LINK_S + 1)
    assert world.enter(old)[0] == 403
    assert world.outsider.ask("GET", "/api/token", **session)[0] == 200
    world.clock.advance(SESSION_S)
    assert world.outsider.ask("GET", "/api/token", **session)[0] == 401
    session = world.enter(world.key.link())[1]
    world.clock.boot = "another"
    assert world.outsider.ask("GET", "/api/token", **session)[0] == 401


def test_a_restarted_agent_keeps_sessions_and_takes_no_link_from_before(world, tmp_path):
    """An unused link is void, because a used one can't be told from it any more."""
    link, session = world.key.link(), world.enter(world.key.link())[1]
    world.console.stop()
    world.key = ConsoleKey.made(tmp_path, world.clock)
    world.start()
    assert world.outsider.ask("GET", "/api/token", **session)[0] == 200
    assert world.enter(link)[0] == 403
    assert world.enter(world.key.link())[0] == 200


def test_no_other_site_and_no_rubbish_signs_in(world):
    link = world.key.link()
    assert world.enter(link, Origin="http://evil.example")[0] == 403
    assert world.enter(link, Sec_Fetch_Site="cross-site")[0] == 403
    at_ms, nonce, code = link.split(".")
    for wrong in (
        "", "..", f"{at_ms}.{nonce}", f"{at_ms}.{nonce}x.{code}", f"9{at_ms}.{nonce}.{code}", "½.a.b", "9" * 999,
        world.key.session(), f"{at_ms}.{nonce}.{code}.x",
    ):  # fmt: skip
        assert world.enter(wrong)[0] == 403
    assert world.outsider.ask("POST", "/api/enter", "[]", Content_Type="application/json")[0] == 403
    assert world.outsider.ask("GET", "/api/token", Cookie=f"{world.key.cookie}={link}")[0] == 401
    assert world.enter(link)[0] == 200


def test_the_key_is_for_the_agents_user_alone_and_stays(tmp_path):
    key = ConsoleKey.made(tmp_path, SystemClock())
    assert stat.S_IMODE((tmp_path / "console.key").stat().st_mode) == 0o600
    assert ConsoleKey.made(tmp_path, SystemClock()).cookie == key.cookie
    (tmp_path / "console.key").write_bytes(b"short")
    with pytest.raises(ConfigError, match="damaged"):
        ConsoleKey.read(tmp_path, SystemClock())


def command(config: Path, *words: str) -> subprocess.CompletedProcess:
    arguments = [sys.executable, "-m", "agent.cli.main", "console", "--config", str(config), *words]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)


def test_the_command_prints_a_link_that_works_and_says_what_is_missing(tmp_path):
    config = tmp_path / "door.toml"
    config.write_text(_CONFIG.format(state_dir=tmp_path))
    missing = command(config)
    assert (missing.returncode, "[console]" in missing.stderr) == (3, True)
    config.write_text(config.read_text() + "\n[console]\nport = 8480\n")
    missing = command(config)
    assert (missing.returncode, "not there yet" in missing.stderr) == (3, True)
    clock = SystemClock()
    console = Console(ConsoleSettings(0, ConsoleKey.made(tmp_path, clock)), ScriptedDoor())
    console.start()
    try:
        told = command(config)
        assert told.returncode == 0
        link = re.search(r"http://127\.0\.0\.1:8480/enter#(\S+)", told.stdout)[1]
        body = json.dumps({"link": link})
        assert Client(console).ask("POST", "/api/enter", body, Content_Type="application/json")[0] == 200
        assert json.loads(command(config, "--json").stdout)["link"].startswith("http://127.0.0.1:8480/enter#")
    finally:
        console.stop()


@pytest.mark.parametrize("guide", ["README.md", "README.zh-CN.md"])
def test_the_guide_has_tunnel_and_link_in_one_step(guide):
    text = (Path(__file__).parents[2] / "deploy/guide" / guide).read_text()
    program = re.search(r"ssh -t -L 8480:127\.0\.0\.1:8480 .* sudo (\S+) console", text)[1]
    assert program == f"{ROOT}/current/venv/bin/door-agent"


@pytest.mark.skipif(os.geteuid() != 0, reason="to be somebody else takes root")
def test_somebody_else_on_this_machine_gets_no_link(tmp_path):
    tmp_path.chmod(0o755)
    ConsoleKey.made(tmp_path, SystemClock())
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "--", "cat", str(tmp_path / "console.key")],
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode != 0, done.stdout) == (True, b"")


@pytest.mark.slow
def test_in_a_browser_the_link_signs_in_once_and_leaves_no_secret_in_the_address(browser, world):
    browser.open(f"{world.console.url}?lang=en")
    browser.until("location.pathname === '/enter'")
    assert "door-agent console" in browser.text("main")
    browser.js("document.querySelector('#language').click()")
    browser.until("document.querySelector('#h-enter').textContent === '请先登录'")
    link = world.console.link("lang=en")
    for _ in range(2):  # opened again by the browser that is signed in already
        browser.open(link)
        browser.until("document.querySelector('#live-dot')?.classList.contains('good')")
        assert browser.js("location.href") == f"{world.console.url}?lang=en"
    world.clock.advance(SESSION_S)
    browser.open(link)
    browser.until("document.querySelector('#told')?.textContent.includes('used already')")
    browser.leave()
