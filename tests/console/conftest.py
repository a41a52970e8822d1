"""A console on a free port with a scripted door behind it, and one browser for all pages."""

import secrets
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from page_eyes import live
from scripted import ScriptedDoor, hall_jpeg

from agent.clock import SystemClock
from agent.console.entry import ConsoleKey
from agent.console.server import Console, ConsoleSettings
from tests.browser import Browser
from tests.community.manager_site import Page


@pytest.fixture
def door():
    return ScriptedDoor()


@pytest.fixture
def key():
    return ConsoleKey(secrets.token_bytes(32), SystemClock())


@pytest.fixture
def console(door, key):
    console = Console(ConsoleSettings(0, key, frame_ancestors="http://127.0.0.1:*"), door)
    console.start()
    yield console
    console.stop()


@pytest.fixture
def site(tmp_path):
    site = Page(tmp_path)
    yield site
    site.close()


@pytest.fixture(scope="session")
def browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def hall_picture():
    return hall_jpeg()


@pytest.fixture
def page(browser, console, door, hall_picture):
    """The page, open and live, in English."""
    door.board.put_picture(hall_picture)
    browser.enter(console)
    live(browser)
    yield browser
    assert browser.problems == []
    browser.leave()
