"""An update that was ordered from afar: which file, how far it is, and what may stand in the door's memory of it.

Pure. The order is a command (commands.py); the desk (agent/updates/desk.py) leads it from stage to stage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from agent.core.events import Json

MAX_BUNDLE_BYTES: Final = 2**31
_RELEASE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,79}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_ROLLOUT: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


class Stage(StrEnum):
    """How far an update is."""

    FETCHING = "fetching"
    WAITING = "waiting"  # until nobody is at the door and nothing stands
    INSTALLING = "installing"  # the device's own updater has it
    WELL = "well"
    REFUSED = "refused"  # nothing was changed
    FAILED = "failed"  # the same, by a fault
    ROLLED_BACK = "rolled-back"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Nothing more comes of it."""
        return self not in (Stage.FETCHING, Stage.WAITING, Stage.INSTALLING)


class Why(StrEnum):
    """Why an update is refused or ended, in one word; details in words stand beside it."""

    UPDATES_OFF = "updates-off"  # no [updates] section
    NO_RELEASE_KEY = "no-release-key"
    TOO_LARGE = "too-large"
    NO_ROOM = "no-room"
    BUSY = "busy"  # another one is being installed
    NOT_FETCHED = "not-fetched"
    DAMAGED = "damaged"  # the file is not the one that was announced, or not whole
    UNSIGNED = "unsigned"
    BAD_SIGNATURE = "bad-signature"
    OLDER = "older"
    OTHER_MACHINE = "other-machine"
    NOT_WELL = "not-well"
    NOT_INSTALLED = "not-installed"
    NO_WORD = "no-word"  # the updater was interrupted and nothing says how it ended
    CALLED_OFF = "called-off"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The file that is to be fetched. `rollout` names what it is part of, and comes back with every word about it."""

    release: str
    sha256: str
    size_bytes: int
    rollout: str

    def to_json(self) -> dict[str, Json]:
        """As in an order's claim `bundle`."""
        return {"release": self.release, "sha256": self.sha256, "bytes": self.size_bytes, "rollout": self.rollout}

    @classmethod
    def read(cls, value: object) -> Bundle | None:
        """From an order's claim; None for what is not one."""
        if not isinstance(value, Mapping) or set(value) != {"release", "sha256", "bytes", "rollout"}:
            return None
        release, digest, size, rollout = (value[name] for name in ("release", "sha256", "bytes", "rollout"))
        if type(size) is not int or not 0 < size <= MAX_BUNDLE_BYTES:
            return None
        texts = ((release, _RELEASE), (digest, _DIGEST), (rollout, _ROLLOUT))
        if not all(isinstance(text, str) and pattern.fullmatch(text) for text, pattern in texts):
            return None
        return cls(str(release), str(digest), size, str(rollout))


@dataclass(frozen=True, slots=True)
class Update:
    """One update of this door. `handed` names the request to the updater, `boot` the boot in which it was made."""

    order_id: str
    bundle: Bundle
    stage: Stage
    why: str = ""
    detail: str = ""
    boot: str = ""
    handed: str = ""

    def at(self, stage: Stage, why: str = "", detail: str = "", *, boot: str = "", handed: str = "") -> Update:
        """The same one, further on."""
        return replace(self, stage=stage, why=why, detail=detail[:300], boot=boot, handed=handed)

    def to_fact(self) -> dict[str, Json]:
        """The fact "update" of the journal: it survives the restart that an update is."""
        return {
            "order_id": self.order_id, "bundle": self.bundle.to_json(), "stage": str(self.stage), "why": self.why,
            "detail": self.detail, "boot": self.boot, "handed": self.handed,
        }  # fmt: skip

    @classmethod
    def from_fact(cls, fact: object) -> Update | None:
        """From the journal; None for anything that is not one."""
        if not isinstance(fact, Mapping) or fact.get("stage") not in set(Stage):
            return None
        bundle = Bundle.read(fact.get("bundle"))
        texts = [fact.get(name) for name in ("order_id", "why", "detail", "boot", "handed")]
        if bundle is None or not all(isinstance(text, str) for text in texts):
            return None
        order_id, *more = (str(text) for text in texts)
        return cls(order_id, bundle, Stage(fact["stage"]), *more)
