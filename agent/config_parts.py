"""What each part of the agent needs of the configuration, in that part's own words."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from agent.config import Config
from agent.core import door
from agent.core.vision_messages import Settings
from agent.link.settings import LinkSettings
from agent.outbox import OutboxSettings
from agent.updates.fetcher import FetchSettings
from agent.wire import MAX_VERSION_CHARS

_MIB = 1024 * 1024


def door_settings(config: Config) -> door.DoorSettings:
    """The core's settings from the file's."""
    d = config.door
    return door.DoorSettings(
        lock_type=door.LockType(d.lock_type),
        lock_duty=door.LockDuty(d.lock_duty),
        has_contact=config.hardware.inputs.contact is not None,
        release_time_s=d.release_time_s,
        exit_release_time_s=d.release_time_s,
        extended_release_time_s=d.extended_release_time_s,
        open_time_s=d.open_time_s,
        extended_open_time_s=max(60.0, d.open_time_s),
        pre_alarm_time_s=d.pre_alarm_time_s,
        relock_on_close=d.relock_on_close,
        relock_delay_s=d.relock_delay_s,
        lockout_refusals=d.lockout_refusals,
        lockout_s=d.lockout_s,
    )


def vision_settings(config: Config) -> Settings:
    """The operator's numbers for the vision process."""
    faces = config.faces
    memory_h = config.privacy.strangers_memory_h
    return Settings(faces.policy, faces.strangers_per_year, faces.stranger_passages_per_day, memory_h)


def link_settings(config: Config, release: str) -> LinkSettings | None:
    """Where the server's broker is and who this door is to it; None for a door that works alone."""
    server = config.server
    if server is None:
        return None
    return LinkSettings(
        host=server.host,
        port=server.port,
        ca=Path(server.ca_file),
        cert=Path(server.cert_file),
        key=Path(server.key_file),
        server_key=Path(server.server_key_file),
        site=config.door.site,
        door=config.door.id,
        version=release[:MAX_VERSION_CHARS],
        first_connect_spread_s=server.first_connect_spread_s,
    )


def fetch_settings(config: Config) -> FetchSettings | None:
    """Where bundles are fetched, as whom and how fast; None where no release is taken from afar."""
    server, updates = config.server, config.updates
    if server is None or updates is None:
        return None
    files = (Path(server.ca_file), Path(server.cert_file), Path(server.key_file))
    return FetchSettings(updates.host, updates.port, *files, bytes_per_s=updates.kib_per_s * 1024)


def outbox_settings(config: Config) -> OutboxSettings:
    """Where the journal lies, and how large it may become."""
    return OutboxSettings(
        Path(config.store.state_dir) / "journal.db",
        config.door.site,
        config.door.id,
        quota_bytes=config.store.quota_mib * _MIB,
        keep_days=config.store.keep_days,
    )


def first_facts(config: Config, release: str) -> dict[str, Any]:
    """What a page sees before anything was heard."""
    return {
        "site": config.door.site,
        "door": config.door.id,
        "timezone": config.door.timezone,
        "software": release,
        "lock_type": config.door.lock_type,
        "policy": config.faces.policy,
        "door_state": {"mode": "Locked", "lock": "unknown", "contact": "unknown", "relay": "unknown", "alarms": []},
        "guard": {"up": False, "backend": config.hardware.backend},
        "vision": {"up": False, "faces": []},
        "link": {"up": False, "reason": "no server is configured" if config.server is None else "connecting"},
        "started_s": time.clock_gettime(time.CLOCK_BOOTTIME),
    }
