"""The site file: one TOML file for all doors of a community, kept beside the site's keys.

    [site]
    name = "garden"                # first part of every door's name
    [ssh]                          # optional: user, identity, listen (an address)
    [time]                         # optional: servers
    [all]                          # sections of a door's configuration that all doors share
    [all.server]
    host = "10.0.0.5"
    [doors.door-3.door]            # sections of one door's configuration, as in deploy/README.md
    lock_type = "fail-safe"
    [doors.door-3.hardware.relay]
    pin = 17

What a door has of its own counts over [all]. Names, certificates and key files are filled in; they are not to be given.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field, field_validator

from agent import config, config_file
from agent.config_section import Name, Section
from agent.errors import ConfigError
from deploy.provision.toml import dump

KEYS: Final = "/etc/door-agent/keys"
_MAX_BYTES: Final = 4 << 20  # thousands of doors


class Site(Section):
    """[site]."""

    name: Name
    authority: str = Field(default="pki", description="folder with the site's keys, beside this file")


class Ssh(Section):
    """[ssh]."""

    identity: str | None = Field(default=None, description="private key; default: installer_ed25519 beside this file")
    listen: str | None = Field(default=None, description="the management address that SSH listens on afterwards")

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            ipaddress.ip_address(value)  # its words name the value; a name would be another one tomorrow
        return value


class Time(Section):
    """[time]."""

    servers: list[str] = Field(default_factory=list, max_length=8)


class SiteFile(Section):
    """The whole file, read by `load`."""

    site: Site
    ssh: Ssh = Ssh()
    time: Time = Time()
    all: dict[str, Any] = Field(default_factory=dict)
    doors: dict[Name, dict[str, Any]]


def load(path: Path) -> SiteFile:
    """Read a site file.

    Raises:
        ConfigError: cannot be read, or says what is not allowed; each fault with its line.
    """
    return config_file.read(SiteFile, path, otherwise="`door-agent site init` makes one", max_bytes=_MAX_BYTES)


def door_config(site: SiteFile, door: str, path: Path) -> tuple[str, config.Config]:
    """One door's configuration: the text for the device, and what it means.

    Raises:
        ConfigError: no such door, or its settings are not a door's.
    """
    if door not in site.doors:
        raise ConfigError(f"{path}: there is no [doors.{door}]; it has {', '.join(sorted(site.doors)) or 'none'}")
    raw = _merged(site.all, site.doors[door])
    raw["door"] = {**raw.get("door", {}), "site": site.site.name, "id": door}
    if "server" in raw:
        raw["server"] = {
            **raw["server"],
            "ca_file": f"{KEYS}/ca.pem",
            "cert_file": f"{KEYS}/device.pem",
            "key_file": f"{KEYS}/device.key",
            "server_key_file": f"{KEYS}/server.pub.pem",
            "command_keys_dir": f"{KEYS}/command-keys",
        }
    raw["passes"] = {**raw.get("passes", {}), "keys_dir": f"{KEYS}/pass-keys"}
    text = f"# {door} of {site.site.name}, made from the site file by door-agent provision; changes belong there.\n"
    text += dump(raw)
    return text, config.parse(text.encode(), f"{path} [doors.{door}], as written for the device")


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
