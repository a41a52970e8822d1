"""Visitor passes from the manager's hand to a real door: picture, link, uses, revocation, and what a kill leaves."""

import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from roster_world import Door, Site, until

from agent.core.vision_messages import Pass, encode
from agent.errors import ConfigError
from deploy.community.visitor_passes import PassDesk, VisitorPass

pytestmark = pytest.mark.slow

HOUR = 3600


def make_key(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.Encoding.PEM
    private = key.private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "pass.key").write_bytes(private)
    public = key.public_key().public_bytes(form, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "pass-keys").mkdir(exist_ok=True)
    (folder / "pass-keys" / "site.pem").write_bytes(public)
    return folder / "pass.key"


@pytest.fixture
def site(tmp_path: Path):
    site = Site(tmp_path)
    site.passes = PassDesk(site.people, make_key(tmp_path))
    try:
        yield site
    finally:
        site.close()


def issued(site: Site, **more) -> VisitorPass:
    now_s = int(time.time())
    given = {"doors": ("garden/gate-1",), "from_utc_s": now_s - 60, "until_utc_s": now_s + HOUR, "uses": 1, **more}
    return site.passes.issue(**given)


def show(door: Door, made: VisitorPass) -> None:
    door.vision.send_json(encode(Pass(made.text.encode(), time.clock_gettime(time.CLOCK_BOOTTIME))))


def test_a_pass_opens_once_is_used_up_over_a_kill_and_a_revoked_one_never_opens(site: Site):
    site.people.set_door("garden/gate-1", ["*"])
    site.serve()
    door = site.door().start(guard=True, good_clock=True)
    until(lambda: any(d["held"] and not d["drift"] for d in site.people.drift()), door._words)
    until(lambda: any(n.what.get("roster", {}).get("stale") is False for n in site.news if n.kind == "state"), "lease")
    door.wrote(kind="Door/State/DoorPhysicalState")
    door.look()
    once, revoked = issued(site), issued(site)
    assert site.passes.revoke(revoked.pass_id)
    until(lambda: any(r.get("base") for r in door.rows("Agent/Roster")), "the revocation at the door")
    show(door, revoked)
    door.wrote(kind="AccessControl/Denied/Credential", reason="Revoked")
    show(door, once)
    door.wrote(kind="AccessControl/AccessGranted/Credential", pass_id=once.pass_id)
    door.vision.close()
    door.kill()
    door.start(good_clock=True)
    door.look()
    show(door, once)
    door.wrote(kind="AccessControl/Denied/Credential", reason="UsedUp")


def test_each_door_counts_for_itself_and_one_that_is_away_opens_a_revoked_pass_until_it_is_back(site: Site):
    """What goes with every pass says so (HONEST): such doors can't count together, nor hear of a revocation."""
    doors = [site.door("gate-1"), site.door("gate-2")]
    for door in doors:
        site.people.set_door(door.name, ["*"])
    site.serve()
    for door in doors:
        door.start(guard=True, good_clock=True)
    until(lambda: all(d["held"] and not d["drift"] for d in site.people.drift()), doors[0]._words)
    for door in doors:
        until(lambda door=door: _leased(site, door), "lease")
        door.wrote(kind="Door/State/DoorPhysicalState")
        door.look()
    both = {"doors": tuple(door.name for door in doors)}
    once, meanwhile, afterwards = issued(site, **both), issued(site, **both), issued(site, **both)
    for door in doors:
        show(door, once)
        door.wrote(kind="AccessControl/AccessGranted/Credential", pass_id=once.pass_id)
    site.stop_serving()
    assert site.passes.revoke(meanwhile.pass_id)
    assert site.passes.revoke(afterwards.pass_id)
    show(doors[1], meanwhile)
    doors[1].wrote(kind="AccessControl/AccessGranted/Credential", pass_id=meanwhile.pass_id)
    site.serve()
    until(lambda: any(r.get("base") for r in doors[1].rows("Agent/Roster")), doors[1]._words)
    show(doors[1], afterwards)
    doors[1].wrote(kind="AccessControl/Denied/Credential", reason="Revoked", person_id=f"visitor-{afterwards.pass_id}")


def _leased(site: Site, door: Door) -> bool:
    states = [n.what for n in site.news if (n.kind, n.device) == ("state", door.name)]
    return any(state.get("roster", {}).get("stale") is False for state in states)


def test_the_picture_and_the_link_say_the_same_pass_and_lists_do_not_give_it_away(site: Site):
    made = issued(site, doors=("garden/gate-1", "garden/gate-2"), uses=3, note="plumber")
    picture = cv2.imdecode(np.frombuffer(made.png(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert zxingcpp.read_barcodes(picture)[0].text == made.text
    assert made.svg().startswith("<?xml")
    assert made.link("https://doors.example/").startswith("https://doors.example/phone/visitor.html#")
    [listed] = [one.shown() for one in site.passes.passes()]
    assert (listed["note"], listed["uses"], listed["doors"]) == ("plumber", 3, ("garden/gate-1", "garden/gate-2"))
    assert made.text not in json.dumps(listed)
    site.people.set_door("garden/gate-1", ["*"])
    assert site.passes.revoke(made.pass_id)
    assert not site.passes.revoke("00" * 8)
    entries = site.people.entries(site.people.doors()["garden/gate-1"])
    assert ("revoked-pass", made.pass_id) in entries
    assert "plumber" not in str(entries)


@pytest.mark.parametrize(
    "wrong",
    [
        {"until_utc_s": 1}, {"until_utc_s": 2**40}, {"uses": 256}, {"uses": -1}, {"doors": ("gate-1",)},
        {"doors": ("garden/g",) * 17}, {"from_utc_s": -5},
    ],
)  # fmt: skip
def test_a_pass_out_of_bounds_is_refused_and_not_kept(site: Site, wrong: dict):
    with pytest.raises(ConfigError):
        issued(site, **wrong)
    assert site.passes.passes() == []


def test_the_shell_issues_lists_and_revokes(tmp_path: Path):
    (tmp_path / "x.pem").write_text("")
    make_key(tmp_path)
    config = tmp_path / "community.toml"
    names = "\n".join(f'{n}_file = "x.pem"' for n in ("ca", "cert", "key", "signing_key"))
    config.write_text(names + '\npass_key_file = "pass.key"\n')

    def manage(*words: str) -> tuple[int, object]:
        done = subprocess.run(
            [sys.executable, "-m", "deploy.community.manage", "--config", str(config), "--json", *words],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr

    code, made = manage("pass", "--door", "garden/gate-1", "--until", "2099-01-01T00:00")
    assert code == 3
    until_text = time.strftime("%Y-%m-%dT%H:%M", time.localtime(time.time() + HOUR))
    code, made = manage("pass", "--door", "garden/gate-1", "--until", until_text, "--picture", str(tmp_path / "p.png"),
                        "--address", "https://doors.example")  # fmt: skip
    assert code == 0
    assert "only" in made["honest"]["en"]
    assert zxingcpp.read_barcodes(cv2.imread(str(tmp_path / "p.png")))
    assert manage("passes")[1][0]["pass_id"] == made["pass_id"]
    assert manage("revoke", made["pass_id"]) == (0, True)
    assert manage("revoke", "ffff")[0] == 1
