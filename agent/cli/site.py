"""door-agent site: a community's keys: make them, look at them, replace them, take a door's back."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.common import add_command, print_json

if TYPE_CHECKING:
    from deploy.provision.sitefile import SiteFile
    from deploy.site_pki import SiteAuthority

_TEMPLATE = """\
# The site file: all doors of one community. Every key of a door's configuration is in deploy/README.md.
[site]
name = "{name}"

[all.door]
lock_type = "fail-safe"        # fail-safe opens when power is lost (magnet), fail-secure stays shut (strike)
lock_duty = "continuous"       # "intermittent" for a strike whose coil must not stay energised

[all.hardware.inputs.exit]
pin = 23

[all.camera]
source = "none"

#[all.server]
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
    made = verbs.add_parser("init", help="a new site: FOLDER/site.toml and FOLDER/pki")
    made.add_argument("folder", type=Path)
    made.add_argument("--name", required=True, help="short, a-z 0-9 -")
    for name, words in (
        ("show", "doors, certificates, keys"),
        ("offline", "move the root's key to a USB stick"),
        ("revoke", "take a door's certificates back (stolen, replaced)"),
        ("rotate", "a new key: online, release, server, manager or pass"),
        ("user-data", "cloud-init's file for one card, on standard output"),
        ("broker", "certificate, permissions and configuration for mosquitto"),
    ):
        verb = verbs.add_parser(name, help=words)
        verb.add_argument("--site", required=True, type=Path, metavar="FILE", help="site.toml")
        if name == "offline":
            verb.add_argument("stick", type=Path, help="folder on the stick")
        if name in ("revoke", "user-data"):
            verb.add_argument("door")
        if name == "rotate":
            verb.add_argument("key", choices=("online", "release", "server", "manager", "pass"))
            verb.add_argument("--root", type=Path, metavar="FILE", help="root.key on its stick, for `online`")
        if name == "broker":
            verb.add_argument(
                "--host", action="append", required=True, help="name or address that doors use; repeatable"
            )
            verb.add_argument("--port", type=int, default=8883)


def run(arguments: argparse.Namespace) -> int:
    """0 done; 1 keys are missing or in the way; 3 the site file is wrong."""
    if arguments.verb == "init":
        return _init(arguments)
    from deploy.provision.sitefile import load
    from deploy.site_pki import SiteAuthority, offline

    site = load(arguments.site)
    folder = arguments.site.parent / site.site.authority
    match arguments.verb:
        case "rotate":
            return _rotate(arguments, folder, site.site.name)
        case "user-data":
            return _user_data(arguments, site)
        case "broker":
            return _broker(arguments, SiteAuthority(folder))
        case "show":
            return _show(arguments, site, SiteAuthority(folder))
        case "offline":
            facts: dict[str, object] = {"root_key": str(offline(folder, arguments.stick))}
            words = f"the root's key is at {facts['root_key']} now; put the stick away"
        case _:
            name = f"{site.site.name}/{arguments.door}"
            facts = {"revoked": SiteAuthority(folder).revoke(name), "name": name}
            words = (
                f"{name}: {facts['revoked']} certificates taken back; copy {folder}/crl.pem to the broker, restart it"
            )
    return _say(arguments, facts, words)


def _show(arguments: argparse.Namespace, site: SiteFile, authority: SiteAuthority) -> int:
    here = (authority.folder / "root.key").exists()
    facts = {
        "site": site.site.name,
        "doors": sorted(site.doors),
        "root_key": "here: move it away with `door-agent site offline`" if here else "offline",
        "issued": authority.issued(),
    }
    lines = [f"{key}: {value}" for key, value in facts.items() if key != "issued"]
    lines += [f"  {e['at']} {e['name']}{' REVOKED' if e.get('revoked') else ''}" for e in authority.issued()]
    return _say(arguments, facts, "\n".join(lines))


def _init(arguments: argparse.Namespace) -> int:
    from agent.errors import ConfigError
    from deploy.pki import write_file
    from deploy.provision.sitefile import load
    from deploy.site_pki import SiteAuthority

    path = arguments.folder / "site.toml"
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_file(path, _TEMPLATE.format(name=arguments.name).encode(), 0o644)
    try:
        load(path)
    except ConfigError:
        path.unlink()
        raise
    SiteAuthority.create(arguments.folder / "pki", arguments.name)
    words = (
        f"made {path} and {arguments.folder}/pki. Back up the folder; move the root's key away: door-agent site offline"
    )
    return _say(arguments, {"site_file": str(path)}, words)


def _rotate(arguments: argparse.Namespace, folder: Path, name: str) -> int:
    from deploy.site_pki import SiteAuthority, renew_online

    if arguments.key == "online":
        renew_online(folder, name, arguments.root)
        words = "a new online key signs from now on; what the old one signed stays good until it is revoked or ends"
    else:
        SiteAuthority(folder).rotate(arguments.key)
        words = f"a new {arguments.key} key; every door learns it when it is provisioned again"
    return _say(arguments, {"rotated": arguments.key}, words)


def _user_data(arguments: argparse.Namespace, site: SiteFile) -> int:
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


def _broker(arguments: argparse.Namespace, authority: SiteAuthority) -> int:
    from deploy.broker import ACL_TEXT, BrokerFiles, config_text
    from deploy.pki import write_file

    folder = authority.folder.parent / "broker"
    folder.mkdir(exist_ok=True)
    for stale in ("broker.pem", "broker.key"):
        (authority.folder / stale).unlink(missing_ok=True)  # the hosts may be others now
    pair = authority.server("broker", tuple(arguments.host))
    files = BrokerFiles(Path("/etc/mosquitto/door"), *(Path("/etc/mosquitto/door") / n for n in ("ca", "cert", "key")))
    text = config_text(files, arguments.port, address="0.0.0.0") + f"crlfile {files.folder}/crl.pem\n"  # noqa: S104  a server
    for name, data, mode in (
        ("ca", authority.cert.read_bytes(), 0o644),
        ("cert", pair.cert.read_bytes(), 0o644),
        ("key", pair.key.read_bytes(), 0o600),
        ("acl", ACL_TEXT.encode(), 0o600),
        ("crl.pem", authority.write_crl().read_bytes(), 0o644),
        ("door.conf", text.encode(), 0o644),
    ):
        write_file(folder / name, data, mode)
    words = f"copy {folder} to /etc/mosquitto/door, include door.conf, restart mosquitto"
    return _say(arguments, {"folder": str(folder)}, words)


def _say(arguments: argparse.Namespace, facts: Mapping[str, object], words: str) -> int:
    if arguments.json:
        print_json(facts)
    else:
        print(words)
    return 0
