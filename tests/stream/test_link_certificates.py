"""The link and the broker's certificate: unknown, not valid yet, looked at again, files that cannot be used."""

from __future__ import annotations

import datetime as dt

import pytest

from agent import mqtt_link
from agent.core.journal import ClockQuality
from agent.core.stream import LinkDown, LinkUp
from agent.errors import LinkError
from deploy import pki
from deploy.pki import Authority


def test_an_unknown_certificate_is_refused_and_told_apart_from_a_bad_network(site, linked, tmp_path):
    stranger = Authority(tmp_path / "other").device("s1/d1")
    _, _, posts = linked(cert=stranger.cert, key=stranger.key)
    assert posts.wait_for(LinkDown)[0].cause == "refused"
    _, _, posts = linked("d2", ca=Authority(tmp_path / "other").cert)
    down = posts.wait_for(LinkDown)[0]
    assert down.cause == "refused"
    assert "not to be trusted" in down.detail


@pytest.fixture
def future_broker(site, monkeypatch):
    """Its certificate starts tomorrow: the same as a door that wakes up in the past."""
    monkeypatch.setattr(pki, "_BACKDATE", dt.timedelta(days=-1))
    site.broker.stop()
    for name in ("broker.pem", "broker.key"):
        (site.authority.folder / name).unlink()
    site.authority.server("broker", ("127.0.0.1", "localhost"))
    site.broker.start()
    monkeypatch.undo()


def test_a_broker_that_is_not_valid_yet_means_that_an_unsure_clock_is_behind(future_broker, linked, clock):
    clock.good = ClockQuality.NONE
    _, _, posts = linked()
    assert posts.wait_for(LinkDown)[0].cause == "clock"
    posts.wait_for(LinkUp)


def test_once_the_clock_is_right_the_brokers_certificate_is_looked_at_again(future_broker, linked, clock, monkeypatch):
    """What was let pass at boot does not pass for ever: the connection is made anew, with an eye on validity."""
    monkeypatch.setattr(mqtt_link, "_LOOK_S", 0.1)
    clock.good = ClockQuality.NONE
    _, _, posts = linked()
    posts.wait_for(LinkUp)
    clock.good = ClockQuality.NTP
    posts.wait(lambda: any(d.cause == "refused" for d in posts.of(LinkDown)), "the refusal")
    assert "this machine's clock is right" in posts.of(LinkDown)[-1].detail
    assert len(posts.of(LinkUp)) == 1


def test_a_broker_that_is_not_valid_yet_is_refused_by_a_clock_that_is_right(future_broker, linked):
    _, _, posts = linked()
    assert posts.wait_for(LinkDown)[0].cause == "refused"
    assert posts.of(LinkUp) == []


@pytest.mark.parametrize("name", ["ca", "cert", "key", "server_key"])
def test_an_unusable_file_is_named_before_anything_starts(site, linked, tmp_path, name):
    (tmp_path / "junk.pem").write_text("junk")
    with pytest.raises(LinkError, match=r"junk\.pem"):
        linked(**{name: tmp_path / "junk.pem"})
