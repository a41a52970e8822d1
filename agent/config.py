"""The one configuration file of a door: every key, its unit, its bounds and its default.

Read with `load(path)`. An unknown key, a missing one or a value outside its bounds refuses to start with a message that
names file, line, key, value and what is allowed. The table in deploy/README.md is generated from these fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from agent import config_file
from agent.config_hardware import Camera, Hardware
from agent.config_section import Host, Name, Place, Section, TimeZone
from agent.config_updates import Updates
from models.manifest import known


class Door(Section):
    """[door]."""

    site: Name = Field(description="the community's short name; part of every topic")
    id: Name = Field(description="this door's short name; equals the certificate name's last part")
    timezone: TimeZone = Field(default="Asia/Shanghai", description="IANA name; hours of schedules are local hours")
    lock_type: Literal["fail-safe", "fail-secure"] = Field(
        description="fail-safe: opens when power is lost (magnet); fail-secure: stays shut (strike)"
    )
    lock_duty: Literal["continuous", "intermittent"] = Field(
        default="intermittent", description="intermittent strikes burn when held: no hold-open, fire release in pulses"
    )
    release_time_s: float = Field(default=5.0, ge=1.0, le=10.0, description="ONVIF ReleaseTime")
    extended_release_time_s: float = Field(default=9.0, ge=1.0, le=10.0, description="for people who walk slowly")
    open_time_s: float = Field(default=30.0, ge=5.0, le=600.0, description="open longer than this is held open")
    pre_alarm_time_s: float = Field(default=10.0, ge=0.0, le=300.0, description="warning before held open")
    relock_on_close: bool = Field(default=True, description="secure as soon as the leaf has opened and closed")
    relock_delay_s: float = Field(default=0.5, ge=0.0, le=5.0, description="after the leaf has closed")
    lockout_refusals: int = Field(default=5, ge=2, le=20, description="refused looks in a row before faces alone pause")
    lockout_s: float = Field(default=30.0, ge=5.0, le=600.0, description="phones, and faces with phones, go on")

    @model_validator(mode="after")
    def _consistent(self) -> Door:
        if self.extended_release_time_s < self.release_time_s:
            raise ValueError("extended_release_time_s is shorter than release_time_s")
        if self.pre_alarm_time_s >= self.open_time_s:
            raise ValueError("pre_alarm_time_s must be shorter than open_time_s")
        return self


class Faces(Section):
    """[faces]."""

    policy: Literal["convenience", "standard", "high"] = Field(
        default="standard", description="convenience: no presentation-attack check; high: face and phone together"
    )
    strangers_per_year: float = Field(
        default=1.0, ge=0.001, le=100.0, description="how many strangers a year may be let in by mistake"
    )
    stranger_passages_per_day: float = Field(
        default=20.0, ge=0.1, le=10_000.0, description="how many strangers look into the camera on a usual day"
    )
    weights_dir: Place | None = Field(
        default=None, description="folder with model files; default: see models/README.md"
    )
    network: str = Field(
        default="auto", description="auto: the one that people are enrolled with, or a name of `door-agent models list`"
    )

    @model_validator(mode="after")
    def _known(self) -> Faces:
        names = [one.name for one in known() if one.part == "embedder"]
        if self.network not in ("auto", *names):
            raise ValueError(f"network is {self.network!r}; allowed: auto, {', '.join(names)}")
        return self


class Server(Section):
    """[server]; without this section the door works alone and keeps its events."""

    host: Host = Field(description="the broker's name or address, as in its certificate")
    port: int = Field(default=8883, ge=1, le=65535, description="TLS")
    ca_file: Place = Field(description="the site's authority, PEM")
    cert_file: Place = Field(description="this device's certificate, PEM")
    key_file: Place = Field(description="this device's private key, PEM, mode 0600")
    server_key_file: Place = Field(description="the server's public Ed25519 key that signs acknowledgements, PEM")
    command_keys_dir: Place = Field(
        default="/etc/door-agent/command-keys", description="NAME.pem: public keys that may order this door from afar"
    )
    first_connect_spread_s: float = Field(
        default=30.0, ge=0.0, le=600.0, description="after a boot, connect at a random moment within it"
    )


class Passes(Section):
    """[passes]."""

    keys_dir: Place = Field(
        default="/etc/door-agent/pass-keys",
        description="NAME.pem: the site's public keys (P-256) that sign visitor passes",
    )


class RosterFeed(Section):
    """[roster]."""

    lease_hours: float = Field(
        default=72.0, ge=1.0, le=8760.0,
        description="visitors and contractors lapse so long after the server's last fresh word; residents never do",
    )  # fmt: skip


class Privacy(Section):
    """[privacy]."""

    strangers_memory_h: float = Field(
        default=1.0, ge=0.0, le=24.0, description="to count visits of unknown faces, in memory only; 0: not at all"
    )
    watch_list_legal_basis: str | None = Field(
        default=None,
        min_length=10,
        max_length=300,
        description="law or order, by name and date, that allows a watch-list here; without it there is none",
    )
    expired_keep_days: int = Field(
        default=7, ge=0, le=3650, description="people enrolled here are forgotten so long after their validity ended"
    )


class Store(Section):
    """[store]."""

    state_dir: Place = Field(default="/var/lib/door-agent", description="journal, roster and their keys")
    quota_mib: int = Field(default=256, ge=8, le=65536, description="bound of the event journal")
    keep_days: int = Field(default=30, ge=1, le=3650, description="acknowledged events are kept this long")


class Runtime(Section):
    """[runtime]."""

    agent_dir: Place = Field(default="/run/door-agent", description="sockets of the agent")
    guard_dir: Place = Field(default="/run/door-guard", description="sockets of the guard")


class Console(Section):
    """[console]; off unless this section is there."""

    port: int = Field(default=8480, ge=1024, le=65535, description="on 127.0.0.1 only; 0 is not allowed")
    frame_ancestors: str = Field(default="'none'", max_length=200, description="who may show the page in a frame")


class Config(Section):
    """The whole file."""

    door: Door
    hardware: Hardware
    camera: Camera
    faces: Faces = Faces()
    server: Server | None = None
    passes: Passes = Passes()
    roster: RosterFeed = RosterFeed()
    privacy: Privacy = Privacy()
    store: Store = Store()
    runtime: Runtime = Runtime()
    console: Console | None = None
    updates: Updates | None = None

    @model_validator(mode="after")
    def _ordered_by_somebody(self) -> Config:
        if self.updates is not None and self.server is None:
            raise ValueError("[updates] needs [server]: a release is ordered over its broker")
        return self


def load(path: Path | str) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: with one line per fault: file, line, key, value and what is allowed.
    """
    return config_file.read(Config, Path(path), otherwise="give the right file with --config")


def parse(raw: bytes, name: str = "configuration") -> Config:
    """Check configuration bytes; `name` is the file named in messages. Raises ConfigError."""
    return config_file.parse(Config, raw, name)
