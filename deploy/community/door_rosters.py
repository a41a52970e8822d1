"""Doors whose roster the server keeps: what each should have, what it says to have, what it sent back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.core.bounded import DEVICE
from agent.core.roster_feed import WITHDRAWN, Entries, Held, digest
from agent.errors import ConfigError
from deploy.community.site_file import SiteFile

EVERYBODY: Final = "*"
_KEPT_REVISIONS: Final = 5  # a door that has one of these gets the difference, any other the whole


@dataclass(frozen=True, slots=True)
class Door:
    """A door whose roster this server keeps. `held` is what it last said to have; `sealing` opens templates there."""

    device: str
    groups: tuple[str, ...]
    sealing: bytes | None
    sealing_name: str
    held: Held
    heard_utc_s: int


@dataclass(frozen=True, slots=True)
class Published:
    """A revision that a door should have, or had."""

    revision: int
    digest: str
    entries: Entries


class DoorRosters(SiteFile):
    """Revisions of each door's roster in the site's file. Raises StoreError for a file that cannot be used."""

    def set_door(self, device: str, groups: Iterable[str]) -> None:
        """Keep the roster of this door from now on; `groups` may come in, EVERYBODY is all.

        Raises:
            ConfigError: no door can have this name; it would be kept for ever, and the right one not.
        """
        if not re.fullmatch(DEVICE, device):
            raise ConfigError(f"{device!r:.100} is no door's name; write SITE/DOOR, such as garden/gate-1")
        with self.changing() as db:
            db.execute(
                "INSERT INTO doors (device, groups) VALUES (?, ?)"
                " ON CONFLICT (device) DO UPDATE SET groups = excluded.groups",
                (device, json.dumps(sorted(set(groups)))),
            )

    def doors(self) -> dict[str, Door]:
        """Every door whose roster is kept here."""
        with self.site() as db:
            found = db.execute(
                "SELECT device, groups, sealing, sealing_name, revision, digest, heard_utc_s FROM doors ORDER BY device"
            ).fetchall()
        return {d: Door(d, tuple(json.loads(g)), s, n, Held(r, h), at) for d, g, s, n, r, h, at in found}

    def sealing_key(self, device: str, public: bytes, name: str) -> None:
        """A door's key for templates, once the site's authority vouched for it."""
        with self.changing() as db:
            db.execute("UPDATE doors SET sealing = ?, sealing_name = ? WHERE device = ?", (public, name, device))

    def held(self, device: str, revision: int, digest_: str) -> None:
        """What a door says that it has."""
        with self.site() as db:
            db.execute(
                "UPDATE doors SET revision = ?, digest = ?, heard_utc_s = ? WHERE device = ?",
                (revision, digest_, int(time.time()), device),
            )

    def drift(self) -> list[dict[str, Any]]:
        """For each door: what it should have, what it has, whether they differ. JSON-shaped, for the page."""
        wanted = {device: self.published(device) for device in self.doors()}
        return [
            {
                "device": door.device,
                "groups": list(door.groups),
                "wanted": w.revision if w else 0,
                "held": door.held.revision,
                "drift": w is not None and (w.revision, w.digest) != (door.held.revision, door.held.digest),
                "heard_utc_s": door.heard_utc_s,
            }
            for door, w in ((door, wanted[door.device]) for door in self.doors().values())
        ]

    def published(self, device: str, revision: int | None = None) -> Published | None:
        """The newest revision for a door, or that one if it is still known."""
        with self.site() as db:
            row = db.execute(
                "SELECT revision, digest, entries FROM published WHERE device = ? AND coalesce(revision = ?, TRUE)"
                " ORDER BY revision DESC LIMIT 1",
                (device, revision),
            ).fetchone()
        return Published(row[0], row[1], {(k, i): body for k, i, body in json.loads(row[2])}) if row else None

    def publish(self, device: str, entries: Entries, above: int = 0) -> Published:
        """A new revision, above every earlier one and above `above`."""
        before = self.published(device)
        revision = max(before.revision if before else 0, above) + 1
        rows = json.dumps([[kind, name, body] for (kind, name), body in entries.items()])
        with self.site() as db:
            db.execute(
                "INSERT INTO published VALUES (?, ?, ?, ?, ?)",
                (device, revision, digest(entries), rows, int(time.time())),
            )
            db.execute(
                "DELETE FROM published WHERE device = ?1 AND revision NOT IN"
                " (SELECT revision FROM published WHERE device = ?1 ORDER BY revision DESC LIMIT ?2)",
                (device, _KEPT_REVISIONS),
            )
        return Published(revision, digest(entries), dict(entries))

    # ------------------------------------------------------------ receipts

    def receipt(self, device: str, said: Mapping[str, Any], whole: Mapping[str, Any]) -> None:
        """A door's signed word that templates are purged, its signature checked already."""
        row = (str(said["person_id"]), device, int(said["utc_s"]), str(said["purged"]), int(said["templates"]))
        with self.site() as db:
            db.execute("INSERT OR IGNORE INTO receipts VALUES (?, ?, ?, ?, ?, ?)", (*row, json.dumps(whole)))

    def withdrawals(self) -> list[dict[str, Any]]:
        """Every withdrawn consent: which doors sent a receipt, which were not heard of yet. JSON-shaped."""
        doors = self.doors()
        with self.site() as db:
            found = db.execute("SELECT person_id, at_utc_s FROM withdrawals ORDER BY at_utc_s DESC").fetchall()
            receipts = db.execute("SELECT person_id, device, utc_s, reason, templates FROM receipts").fetchall()
        out = []
        for person_id, at_s in found:
            got = [dict(zip(("device", "utc_s", "reason", "templates"), r[1:], strict=True)) for r in receipts
                   if r[0] == person_id]  # fmt: skip
            waiting = [d for d, door in doors.items() if not self._knows(door, person_id)]
            out.append({"person_id": person_id, "at_utc_s": at_s, "receipts": got, "waiting": waiting})
        return out

    def _knows(self, door: Door, person_id: str) -> bool:
        """Whether what the door has says so already."""
        held = self.published(door.device, door.held.revision)
        return held is not None and held.digest == door.held.digest and (WITHDRAWN, person_id) in held.entries
