"""The root replaces keys: doors take other keys by its signature, and refuse the old ones."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from roster_world import Door, Site, until

from agent.core import site_keys
from agent.core.commands import Action, Refusal, Rejected
from agent.core.site_keys import SiteKeys, read, unsigned, with_signature
from agent.errors import ConfigError
from agent.site_trust import SiteTrust
from deploy.community.commander import Commander
from deploy.community.key_news import KeyNews
from deploy.community.news import News
from deploy.site_pki import PkiError, SiteAuthority, offline

DOOR = "garden/gate-1"


@pytest.fixture
def site(tmp_path: Path):
    site = Site(tmp_path)
    site.people.set_door(DOOR, ["*"])
    yield site
    site.close()


def test_a_door_that_was_away_takes_the_new_keys_by_the_roots_signature_and_refuses_the_old_ones(site, tmp_path):
    """The whole story: root on its stick, two rotations while the door is off, orders and rosters of both keys."""
    site.serve()
    door = site.door().start(guard=True)
    until(lambda: site.commander.order(DOOR, Action.OPEN, "li")["stage"] != "not-sent", door._words)
    old_key = (site.authority.folder / "manager.sign.key").read_bytes()
    door.kill(hard=False)
    site.stop_serving()

    (stick := tmp_path / "stick").mkdir()
    root_key = offline(site.authority.folder, stick)
    first = site.authority.replace("manager", "garden", root_key).read_bytes()
    second = site.authority.replace("server", "garden", root_key).read_bytes()
    new_key = (site.authority.folder / "manager.sign.key").read_bytes()
    assert new_key != old_key
    site.commander = Commander(new_key, "manager")
    site.serve()
    door.start()
    door.wrote(kind="Agent/Command", action="rotate-keys", outcome="done", number=site_keys.number_of(second))
    until(lambda: site.commander.order(DOOR, Action.OPEN, "li")["stage"] in ("energised", "taken"), door._words)
    site.people.put({"id": "p-new"})  # signed by the new server's key
    until(lambda: any(d["held"] and not d["drift"] for d in site.people.drift()), door._words)

    thief = Commander(old_key, "manager", answer_wait_s=0.1)  # whoever has no key is told nothing about an order
    thief.connect(site.consumer.send_command)
    site.more = [thief.hear]
    for times in (1, 2):
        until(lambda: thief.order(DOOR, Action.OPEN, "thief")["stage"] != "not-sent", door._words)
        until(lambda n=times: _refused(door, "bad-signature") >= n, door._words)
        site.consumer.send_command(DOOR, first, b"replayed")
        until(lambda n=times: _replied(site, first, "counter-not-above") >= n, door._words)
        door.kill()
        door.start()  # what was replaced stays so
    until(lambda: site.commander.order(DOOR, Action.OPEN, "li")["stage"] in ("energised", "taken"), door._words)
    assert len([r for r in door.rows() if r.get("action") == "rotate-keys"]) == 1, "told and taken once"


def _refused(door: Door, reason: str) -> int:
    return len([r for r in door.rows("Agent/Command") if (r["outcome"], r.get("reason")) == ("refused", reason)])


def _replied(site: Site, document: bytes, reason: str) -> int:
    wanted = {"id": f"keys-{site_keys.number_of(document)}", "stage": "refused", "reason": reason}
    return len([news for news in site.news if news.kind == "reply" and wanted == news.what])


# ------------------------------------------------------------ what is a list, and whose


@pytest.fixture
def authority(tmp_path: Path) -> SiteAuthority:
    return SiteAuthority.create(tmp_path / "pki", "garden")


def trust(authority: SiteAuthority, folder: Path, facts: dict | None = None, site: str = "garden") -> SiteTrust:
    for name in ("orders", "passes"):
        (folder / name).mkdir(exist_ok=True)
    return SiteTrust(site, authority.cert, folder / "orders", folder / "passes", facts or {})


def test_only_the_roots_newest_list_for_this_site_is_taken(authority, tmp_path):
    found = trust(authority, tmp_path)
    first = authority.replace("manager", "garden").read_bytes()
    second = authority.replace("pass", "garden").read_bytes()
    other = SiteAuthority.create(tmp_path / "other", "garden").replace("manager", "garden").read_bytes()
    message, _, signature = second.rpartition(b".")
    changed = b"A" if message[20:21] != b"A" else b"B"
    for document, why in (
        (other, Refusal.BAD_SIGNATURE),  # another root's
        (message[:20] + changed + message[21:] + b"." + signature, Refusal.BAD_SIGNATURE),
        (signed_by(authority.folder / "online.key", message), Refusal.BAD_SIGNATURE),  # what is online signs no keys
        (message, Refusal.MALFORMED),
        (second + b"=", Refusal.MALFORMED),
        (second * 3, Refusal.OVERSIZED),
        (authority.replace("manager", "orchard").read_bytes(), Refusal.WRONG_DOOR),
    ):
        assert found.arrived(document, retained=False).reason == why, document[-40:]
    assert found.arrived(second, retained=True).reason == Refusal.RETAINED
    taken = found.arrived(second, retained=False)
    assert isinstance(taken, SiteKeys)
    found.take(taken)
    assert found.arrived(first, retained=False).reason == Refusal.COUNTER_NOT_ABOVE
    assert found.arrived(second, retained=False).reason == Refusal.REPEATED
    assert trust(authority, tmp_path, dict(found.fact(second))).believed.number == taken.number
    assert trust(authority, tmp_path, dict(found.fact(other))).believed.number == 0, "an edited journal is not believed"
    assert trust(authority, tmp_path, dict(found.fact(second)), "orchard").believed.number == 0


def signed_by(key_file: Path, message: bytes) -> bytes:
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return with_signature(message, key.sign(message, ec.ECDSA(hashes.SHA256())))


def test_keys_of_another_kind_are_not_taken_even_from_the_root_and_an_operators_own_stay(authority, tmp_path):
    """A door that took a list it can't use would obey nobody."""
    found = trust(authority, tmp_path)
    (tmp_path / "orders" / "own.pem").write_bytes((authority.folder / "manager.pub.pem").read_bytes())
    found = trust(authority, tmp_path)
    good = read(authority.replace("pass", "garden").read_bytes(), site="garden", verify=lambda *_: True, above=0)
    assert isinstance(good, SiteKeys)
    for bad in (
        replace(good, server="no key"),
        replace(good, server=good.passes["site"]),
        replace(good, orders={"manager": good.passes["site"]}),
        replace(good, passes={"site": good.server}),
    ):
        document = signed_by(authority.folder / "root.key", unsigned(bad))
        assert found.arrived(document, retained=False) == Rejected(Refusal.MALFORMED)
    found.take(good)
    assert set(found.believed.orders) == {"own", "manager"}


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"{}", b'{"site":"garden"}', b"[" * 1500, json.dumps({"site": "garden", "number": True, "server": "",
     "orders": {}, "passes": {}}).encode(), json.dumps({"site": "garden", "number": 1, "server": "", "orders":
     {"../x": ""}, "passes": {}}).encode(), json.dumps({"site": 1, "number": 1, "server": "", "orders": {},
     "passes": {}}).encode()],
)  # fmt: skip
def test_what_is_no_list_is_none_whoever_signed_it(payload):
    document = with_signature(site_keys.PREFIX + site_keys._encoded(payload), b"signature")
    assert site_keys.number_of(document) is None
    assert read(document, site="garden", verify=lambda *_: True, above=0) == Rejected(Refusal.MALFORMED)


def test_nothing_is_replaced_without_the_root(authority, tmp_path):
    (stick := tmp_path / "stick").mkdir()
    root_key = offline(authority.folder, stick)
    before = (authority.folder / "manager.pub.pem").read_bytes()
    with pytest.raises(PkiError, match="bring its USB stick"):
        authority.replace("manager", "garden")
    assert (authority.folder / "manager.pub.pem").read_bytes() == before
    assert not (authority.folder / "site.keys").exists()
    numbers = [site_keys.number_of(authority.replace("manager", "garden", root_key).read_bytes()) for _ in range(3)]
    assert numbers == sorted(set(numbers))


def test_the_server_tells_each_door_with_an_older_list_once_in_a_while_and_no_other(authority, tmp_path):
    sent, alarms = [], []
    file = authority.replace("server", "garden")
    news = KeyNews(file, lambda *told: sent.append(told), lambda *told: alarms.append(told))
    number = site_keys.number_of(file.read_bytes())
    for device, state in (
        ("garden/old", {"online": True, "keys": 0}),
        ("garden/old", {"online": True, "keys": 0}),  # a moment later
        ("garden/new", {"online": True, "keys": number}),
        ("garden/away", {"online": False}),
        ("garden/release-before", {"online": True}),
    ):
        news.hear(News("state", device, state))
    assert sent == [("garden/old", file.read_bytes(), b"site-keys")]
    news.hear(News("reply", "garden/old", {"id": f"keys-{number}", "stage": "refused", "reason": "wrong-door"}))
    assert alarms == [("garden/old", "keys", "the door does not take the site's keys: wrong-door")]
    (tmp_path / "other.keys").write_bytes(b"junk")
    with pytest.raises(ConfigError, match="is no list of keys"):
        KeyNews(tmp_path / "other.keys", lambda *_: None, lambda *_: None)
    assert KeyNews(tmp_path / "absent", lambda *_: None, lambda *_: None).number == 0
