"""What an operator carries to the site's other machines: a folder for the broker, one for each that talks to it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from deploy.broker import ACL_TEXT, SERVER_NAME, BrokerFiles, config_text
from deploy.pki import write_file
from deploy.site_pki import SiteAuthority

BROKER_HOME = Path("/etc/mosquitto/door")  # where mosquitto's folder goes; as Debian starts it, it reads it as itself
_COMMUNITY = """\
# The community server of {site}, made by `door-agent site server`. Every key: deploy/community/README.md
broker_host = "{host}"
broker_port = {port}
ca_file = "ca.pem"
cert_file = "{name}.pem"
key_file = "{name}.key"
name = "{name}"
signing_key_file = "server.sign.key"
command_key_file = "manager.sign.key"
command_key_id = "manager"
pass_key_file = "pass.sign.key"
keys_file = "site.keys"
timezone = "{timezone}"
"""
BUNDLES_PORT = 8482  # a door's default
BUNDLES = """\
bundles_port = {port}
bundles_cert_file = "bundles.pem"
bundles_key_file = "bundles.key"
"""


def broker_folder(authority: SiteAuthority, site_folder: Path, hosts: tuple[str, ...], port: int) -> Path:
    """Configuration, permissions, certificate and revocation lists for Debian's mosquitto in `site_folder`/broker."""
    folder = site_folder / "broker"
    folder.mkdir(exist_ok=True, mode=0o700)
    pair = authority.renewed("broker", hosts)
    files = BrokerFiles(BROKER_HOME, *(BROKER_HOME / name for name in ("ca", "cert", "key", "crl.pem")))
    for name, data, mode in (
        ("ca", authority.cert.read_bytes(), 0o644),
        ("cert", pair.cert.read_bytes(), 0o644),
        ("key", pair.key.read_bytes(), 0o600),
        ("acl", ACL_TEXT.encode(), 0o600),
        ("door.conf", config_text(files, port, address="0.0.0.0", persist=None).encode(), 0o644),  # noqa: S104
    ):
        write_file(folder / name, data, mode)
    lists_to(authority, site_folder)
    return folder


def lists_to(authority: SiteAuthority, site_folder: Path) -> str:
    """The revocation lists anew, into the broker's folder too where there is one; what to do with them, in words."""
    lists, folder = authority.write_crl(), site_folder / "broker"
    if folder.is_dir():
        write_file(folder / "crl.pem", lists.read_bytes(), 0o644)
        lists = folder / "crl.pem"
    return f"copy {lists} to {BROKER_HOME} on the broker, then: systemctl restart mosquitto"


def broker_words(folder: Path) -> str:
    """What to do with the broker's folder, as commands for its machine."""
    return (
        f"copy {folder} to the broker's machine; there, as root, in the folder above it:\n"
        f"  mkdir -p {BROKER_HOME} && cp {folder.name}/* {BROKER_HOME}/ && chown -R mosquitto: {BROKER_HOME}\n"
        f"  ln -sf {BROKER_HOME}/door.conf /etc/mosquitto/conf.d/ && systemctl restart mosquitto"
    )


def server_folder(authority: SiteAuthority, site_folder: Path, name: str, words: dict[str, object]) -> Path:
    """A community server's certificate and keys in `site_folder`/NAME; its community.toml is made once and then kept.

    `words` fill the configuration: site, host, port, timezone; updates: the site file's section of that name, or none.
    """
    folder = client_folder(authority, site_folder, name)
    authority.pass_key()
    for key in ("server", "manager", "pass"):
        write_file(folder / f"{key}.sign.key", (authority.folder / f"{key}.sign.key").read_bytes(), 0o600)
    if (signed := authority.folder / "site.keys").exists():
        write_file(folder / "site.keys", signed.read_bytes(), 0o644)
    config, updates = folder / "community.toml", words.get("updates")
    if isinstance(updates, dict):
        _bundles_pair(authority, folder, str(updates["host"]))
    if not config.exists():
        text = _COMMUNITY.format(name=name, **words) + (bundles_lines(updates) if isinstance(updates, dict) else "")
        write_file(config, text.encode(), 0o644)
    return folder


def bundles_lines(updates: Mapping[str, object]) -> str:
    """What a server's configuration needs to serve bundles where `[all.updates]` says that doors fetch them."""
    return BUNDLES.format(port=updates.get("port", BUNDLES_PORT))


def _bundles_pair(authority: SiteAuthority, folder: Path, host: str) -> None:
    pair = authority.renewed("bundles", (host,))
    write_file(folder / "bundles.pem", pair.cert.read_bytes(), 0o644)
    write_file(folder / "bundles.key", pair.key.read_bytes(), 0o600)


def client_folder(authority: SiteAuthority, site_folder: Path, name: str) -> Path:
    """A certificate with its key and the site's root, for something that may only speak with the broker."""
    folder = site_folder / (name if name != SERVER_NAME else "server")
    folder.mkdir(exist_ok=True, mode=0o700)
    pair = authority.renewed(name)
    shutil.copy(authority.cert, folder / "ca.pem")
    write_file(folder / f"{name}.pem", pair.cert.read_bytes(), 0o644)
    write_file(folder / f"{name}.key", pair.key.read_bytes(), 0o600)
    return folder
