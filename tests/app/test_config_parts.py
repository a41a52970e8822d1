"""What the file says reaches the part that it is about."""

import random
from pathlib import Path

import pytest

from agent.config import load
from agent.config_parts import link_settings
from agent.errors import ConfigError
from tests.app.door_processes import Door
from tests.stream.conftest import SetClock

SERVER = """
[server]
host = "broker"
ca_file = "/k/ca.pem"
cert_file = "/k/cert.pem"
key_file = "/k/key.pem"
server_key_file = "/k/server.pem"
"""


def configured(folder: Path, more: str = ""):
    door = Door(folder)
    door.config.write_text(door.config.read_text() + SERVER + more)
    return load(str(door.config))


def test_the_link_says_which_release_this_is_and_spreads_its_first_connection(tmp_path):
    settings = link_settings(configured(tmp_path), "0.1.0+" + "x" * 60)
    assert (settings.site, settings.door, settings.version) == ("garden", "gate-1", ("0.1.0+" + "x" * 60)[:40])
    assert settings.first_connect_spread_s == 30.0
    assert link_settings(configured(tmp_path, "first_connect_spread_s = 90.0\n"), "1").first_connect_spread_s == 90.0
    with pytest.raises(ConfigError, match="first_connect_spread_s"):
        configured(tmp_path, "first_connect_spread_s = 3600.0\n")


@pytest.mark.parametrize(("since_boot_s", "spread"), [(20.0, 40.0), (700.0, 0.0)])
def test_doors_that_boot_together_do_not_connect_together(tmp_path, monkeypatch, since_boot_s, spread):
    """And a door whose agent alone was started anew does not wait."""
    from agent.link.life import LinkLife

    class Link(LinkLife):
        def _rest(self, wait_s):
            waited.append(wait_s)
            return False

    class Booted(SetClock):
        def now_s(self):
            return since_boot_s

    waited: list[float] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    settings = link_settings(configured(tmp_path, "first_connect_spread_s = 40.0\n"), "1")
    Link(settings, lambda _: None, Booted())._run()
    assert waited == [spread]
