"""door-agent site: a community's keys: make them, look at them, replace them, take a door's back."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.common import add_command, print_json
from agent.command_line import add_action, host, name_of_one, port

if TYPE_CHECKING:
    from deploy.provision.sitefile import SiteFile

_TEMPLATE = """\
# The site file: all doors of one community. Every key of a door's configuration is in deploy/README.md.
[site]
name = "{name}"

[all.door]
# Say which lock it is, nobody may guess it.
# "fail-safe": opens when power is lost (magnet, drop bolt). "fail-secure": stays shut (strike).
#lock_type = "fail-safe"
#lock_duty = "continuous"      # only if the lock's maker says that its coil may stay energised

[all.hardware.inputs.exit]
pin = 23

# what is wired besides; take off the # (pins as in deploy/guide)
#[all.hardware.inputs.contact] # reed contact to ground, closed while shut
#pin = 22
#active_low = false
#[all.hardware.inputs.fire]    # the panel's N/C relay to ground
#pin = 24
#active_low = false
#[all.hardware.inputs.tamper]  # case switch to ground, closed while shut
#pin = 25
#active_low = false

[all.camera]
# csi:0: the Pi's ribbon camera; v4l2:/dev/v4l/by-id/…: USB; rtsp://user:password@192.0.2.10/…: on the network
source = "none"

#[all.server]
#host = "10.0.0.5"

#[all.updates]                 # releases from afar (deploy/HANDBOOK.md); host: the community server
#host = "10.0.0.5"

[doors.door-1.hardware.relay]
pin = 17
"""


_USER_DATA = """\
#cloud-config
# First boot of {door}: a name, one user who comes in by key alone, SSH. door-agent provision does the rest.
hostname: {door}
manage_etc_hosts: true
ssh_pwauth: false
disable_root: true
users:
  - name: pi
    groups: [sudo, video, gpio, dialout]
    shell: /bin/bash
    lock_passwd: true
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    ssh_authorized_keys:
      - {public}
runcmd:
  - systemctl enable --now ssh
  - sh -c 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub > /dev/tty1'
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """One verb each."""
    parser = add_command(subparsers, "site", "A community's keys: make, show, replace, take back.", config=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    made = add_action(verbs, "init", "a new site: FOLDER/site.toml and FOLDER/pki")
    made.add_argument("folder", type=Path)
    made.add_argument("--name", required=True, help="short, a-z 0-9 -")
    for name, words in (
        ("show", "doors, certificates, keys"),
        ("offline", "move the root's key to a USB stick"),
        ("revoke", "take a door's (or a server's) certificates back: stolen, replaced"),
        ("rotate", "a new key: online, release, server, manager or pass"),
        ("user-data", "cloud-init's file for one card, on standard output"),
        ("broker", "certificate, permissions and configuration for mosquitto; again: a new certificate"),
        ("server", "certificate, keys and configuration for the community server; again: a new certificate"),
        ("client", "a certificate for what only reads: dashboard, homeassistant"),
    ):
        verb = add_action(verbs, name, words)
        verb.add_argument("--site", required=True, type=Path, metavar="FILE", help="site.toml")
        if name == "offline":
            verb.add_argument("stick", type=Path, help="folder on the stick")
        if name in ("revoke", "user-data"):
            verb.add_argument("door")
        if name == "server":
            verb.add_argument(
                "--name", type=name_of_one, default="community", help="certificate name, where there are several"
            )
            verb.add_argument(
                "--host", type=host, help="the broker's name; default: [all.server] host of the site file"
            )
        if name == "client":
            verb.add_argument("name", choices=("dashboard", "homeassistant"))
        if name == "rotate":
            verb.add_argument("key", choices=("online", "release", "server", "manager", "pass"))
            verb.add_argument("--root", type=Path, metavar="FILE", help="root.key on its stick; not for `release`")
            verb.add_argument(
                "--stolen", action="store_true", help="what the old online key signed is refused from now on"
            )
        if name == "broker":
            verb.add_argument(
                "--host", type=host, action="append", required=True, help="name or address that doors use; repeatable"
            )
            verb.add_argument("--port", type=port, default=8883, help="of the broker, TLS (default 8883)")


def run(arguments: argparse.Namespace) -> int:
    """0 done; 1 keys are missing or in the way; 3 the site file is wrong."""
    if arguments.verb == "init":
        return _init(arguments)
    from deploy.provision.sitefile import load

    site = load(arguments.site)
    verbs = {"rotate": _rotate, "user-data": _user_data, "show": _show, "revoke": _revoke, "offline": _offline}
    return verbs.get(arguments.verb, _carry)(arguments, site, arguments.site.parent / site.site.authority)


def _offline(arguments: argparse.Namespace, _: SiteFile, folder: Path) -> int:
    from deploy.site_pki import offline

    where = str(offline(folder, arguments.stick))
    return _say(arguments, {"root_key": where}, f"the root's key is at {where} now; put the stick away")


def _revoke(arguments: argparse.Namespace, site: SiteFile, folder: Path) -> int:
    from agent.errors import DoorAgentError
    from deploy.site_files import lists_to
    from deploy.site_pki import SiteAuthority

    authority = SiteAuthority(folder)
    issued = {entry["name"] for entry in authority.issued()}
    name = f"{site.site.name}/{arguments.door}"
    if arguments.door not in site.doors and name not in issued:  # a server's or a client's then
        name = arguments.door
        if name not in issued:
            known = ", ".join(sorted(issued | {f"{site.site.name}/{door}" for door in site.doors}))
            raise DoorAgentError(f"nothing was taken back: no certificate is for {name}; there are {known}")
    facts: dict[str, object] = {"revoked": authority.revoke(name), "name": name}
    words = f"{name}: {facts['revoked']} certificates taken back; {lists_to(authority, arguments.site.parent)}"
    return _say(arguments, facts, words)


def _show(arguments: argparse.Namespace, site: SiteFile, folder: Path) -> int:
    from agent.core.site_keys import number_of
    from deploy.site_pki import SiteAuthority

    authority = SiteAuthority(folder)
    here = (authority.folder / "root.key").exists()
    facts = {
        "site": site.site.name,
        "doors": sorted(site.doors),
        "root_key": "here: move it away with `door-agent site offline`" if here else "offline",
        "site_keys": number_of(signed.read_bytes()) if (signed := folder / "site.keys").exists() else "none replaced",
        "issued": authority.issued(),
    }
    lines = [f"{key}: {value}" for key, value in facts.items() if key != "issued"]
    lines += [
        f"  {e['at']} {e['name']} until {e.get('ends', '?')}{' REVOKED' if e.get('revoked') else ''}"
        for e in authority.issued()
    ]
    return _say(arguments, facts, "\n".join(lines))


def _init(arguments: argparse.Namespace) -> int:
    from agent.errors import ConfigError
    from deploy.pki import write_file
    from deploy.provision.sitefile import load
    from deploy.site_pki import SiteAuthority

    path = arguments.folder / "site.toml"
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if made := not path.exists():
        write_file(path, _TEMPLATE.format(name=arguments.name).encode(), 0o644)
    try:
        found = load(path).site.name
    except ConfigError:
        if made:  # whoever wrote it has to mend it, and may have no other copy
            path.unlink()
        raise
    if found != arguments.name:
        raise ConfigError(f"{path}: is of the site {found}; a new site needs a folder of its own")
    SiteAuthority.create(arguments.folder / "pki", arguments.name)
    words = (
        f"{'made' if made else 'there already:'} {path} and {arguments.folder}/pki. Back up the folder; move the root's"
        f" key away: door-agent site offline --site {shlex.quote(str(path))} /media/STICK"
    )
    return _say(arguments, {"site_file": str(path)}, words)


def _rotate(arguments: argparse.Namespace, site: SiteFile, folder: Path) -> int:
    from deploy.site_files import lists_to
    from deploy.site_pki import SiteAuthority, renew_online

    if arguments.key == "online":
        renew_online(folder, site.site.name, arguments.root, stolen=arguments.stolen)
        first = lists_to(SiteAuthority(folder), arguments.site.parent)
        kept = "what the old one signed stays good until it is revoked or ends"
        gone = "what the old one signed is refused: make broker and server anew, provision every door again"
        words = f"a new online key signs from now on; {gone if arguments.stolen else kept}. First {first}"
    elif arguments.key == "release":
        SiteAuthority(folder).rotate(arguments.key)
        words = "a new release key; every door learns it when it is provisioned again"
    else:
        SiteAuthority(folder).replace(arguments.key, site.site.name, arguments.root)
        lost = (
            "; visitors' passes that the old key signed are refused: make new ones" if arguments.key == "pass" else ""
        )
        words = (
            f"a new {arguments.key} key, signed for the doors by the root{lost}. Make the server's folder again "
            "(door-agent site server), copy it to the server and start the server again: it hands each door the new "
            "key, one that is away as soon as it is back; from then on the door refuses the old key"
        )
    return _say(arguments, {"rotated": arguments.key}, words)


def _user_data(arguments: argparse.Namespace, site: SiteFile, _: Path) -> int:
    from agent.errors import ConfigError
    from deploy.provision.ssh import KEY_NAME, make_key

    if arguments.door not in site.doors:
        raise ConfigError(f"{arguments.site}: there is no [doors.{arguments.door}]")
    identity = arguments.site.parent / (site.ssh.identity or KEY_NAME)
    if not identity.exists():
        make_key(identity)
    public = identity.with_name(identity.name + ".pub").read_text().strip()
    text = _USER_DATA.format(door=arguments.door, public=public)
    return _say(arguments, {"user_data": text}, text.rstrip())


def _carry(arguments: argparse.Namespace, site: SiteFile, keys: Path) -> int:
    """A folder for another machine."""
    from deploy.site_files import broker_folder, broker_words, bundles_lines, client_folder, server_folder
    from deploy.site_pki import SiteAuthority

    authority, where = SiteAuthority(keys), arguments.site.parent
    if arguments.verb == "broker":
        folder = broker_folder(authority, where, tuple(arguments.host), arguments.port)
        words = broker_words(folder)
    elif arguments.verb == "client":
        folder = client_folder(authority, where, arguments.name)
        words = f"copy {folder} to the machine of {arguments.name}"
    else:
        folder = server_folder(authority, where, arguments.name, _server_words(arguments, site))
        words = f"copy {folder} to the server's machine; there: python -m deploy.community --config community.toml"
        if (updates := site.all.get("updates")) and b"bundles_port" not in (folder / "community.toml").read_bytes():
            words += f"\nto roll out releases, add to its community.toml:\n{bundles_lines(updates)}".rstrip()
    return _say(arguments, {"folder": str(folder)}, words)


def _server_words(arguments: argparse.Namespace, site: SiteFile) -> dict[str, object]:
    from agent.errors import ConfigError

    server, door = site.all.get("server", {}), site.all.get("door", {})
    host = arguments.host or server.get("host")
    if not host:
        raise ConfigError(f"{arguments.site}: where is the broker? Fill in [all.server] host, or say --host")
    return {
        "site": site.site.name,
        "host": host,
        "port": server.get("port", 8883),
        "timezone": door.get("timezone", "Asia/Shanghai"),
        "updates": site.all.get("updates"),
    }


def _say(arguments: argparse.Namespace, facts: Mapping[str, object], words: str) -> int:
    if arguments.json:
        print_json(facts)
    else:
        print(words)
    return 0
