"""Everything that can happen at a door, everything that is done about it, and everything that is written down.

Pure data: frozen dataclasses of standard-library types. Three facts are never mixed: the relay is energised or
dropped, the lock is secured or released, the contact is open or closed. In this project energised always means
released (hardware/README.md has the wiring of fail-safe and fail-secure locks), and "active" for an input line means
that the word in its name is true (contact: the leaf is open; fire: the alarm is on; lock power: power is present).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TypeAlias

Json: TypeAlias = bool | int | float | str | list["Json"] | Mapping[str, "Json"] | None


class Input(StrEnum):
    """Input lines of a door. Each is optional except where the configuration says otherwise."""

    CONTACT = "contact"
    EXIT = "exit"
    FIRE = "fire"
    TAMPER = "tamper"
    LOCK_POWER = "lock_power"
    DOORBELL = "doorbell"


class Mode(StrEnum):
    """ONVIF Door Control, DoorMode (the values this agent can be in)."""

    LOCKED = "Locked"
    UNLOCKED = "Unlocked"
    ACCESSED = "Accessed"
    BLOCKED = "Blocked"
    LOCKED_DOWN = "LockedDown"
    LOCKED_OPEN = "LockedOpen"


class Credential(StrEnum):
    """How somebody asked to come in."""

    FACE = "face"
    PHONE = "phone"
    FACE_AND_PHONE = "face+phone"
    VISITOR_PASS = "visitor-pass"  # noqa: S105  a kind of credential, not a secret
    REMOTE = "remote"


class Priority(IntEnum):
    """Order in which rows leave under pressure: the highest first to be sent, last to be dropped."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    ALARM = 3


# ---------------------------------------------------------------- what happens (inputs of door.step)


@dataclass(frozen=True, slots=True)
class LineChanged:
    """A debounced input line changed. `at_s` is when the edge was seen (CLOCK_BOOTTIME)."""

    line: Input
    active: bool
    at_s: float


@dataclass(frozen=True, slots=True)
class RelayReported:
    """The guard's own word on the relay line. `why`: order, exit, fire, bound, feed-lost, secure, start, fault."""

    energised: bool
    why: str
    at_s: float


@dataclass(frozen=True, slots=True)
class GuardChanged:
    """The process that owns the lines came or went. While it is gone the relay is dropped, nothing can be released.

    When it comes, its word on every line (LineChanged) and on the relay is posted before this event: a standing cause
    is then judged by what the lines say now, not by what they said before it went.
    """

    up: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AccessAllowed:
    """A decision to let somebody in, its intent row already committed (or its store known to be failing).

    `request_id` ties intent, energising and taken / not taken together.
    """

    request_id: str
    credential: Credential
    person_id: str | None = None
    extended: bool = False
    duress: bool = False


@dataclass(frozen=True, slots=True)
class AccessRefused:
    """A decision against somebody. `reason` is an ONVIF denial word or one of ours, see access.Denial.

    `told` False: a row of a moment ago says the same of the same person; it counts, and makes none of its own.
    """

    credential: Credential
    reason: str
    person_id: str | None = None
    detail: Mapping[str, Json] = field(default_factory=dict)
    counts_for_lockout: bool = True
    told: bool = True


class Order(StrEnum):
    """What a manager or a schedule may order of the door, besides a single opening."""

    LOCK_DOWN = "lock-down"
    RELEASE_LOCK_DOWN = "release-lock-down"
    BLOCK = "block"
    UNBLOCK = "unblock"
    HOLD_OPEN = "hold-open"
    END_HOLD_OPEN = "end-hold-open"
    UNLOCK = "unlock"  # a schedule's unlocked hours; kept apart from HOLD_OPEN so that neither ends the other
    LOCK = "lock"


@dataclass(frozen=True, slots=True)
class ModeOrdered:
    """A standing order. `for_s` bounds HOLD_OPEN and UNLOCK; None means until it is taken back.

    `request_id`: who asked waits for what comes of it.
    """

    order: Order
    actor: str
    for_s: float | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline may have passed."""


DoorEvent: TypeAlias = LineChanged | RelayReported | GuardChanged | AccessAllowed | AccessRefused | ModeOrdered | Tick


# ---------------------------------------------------------------- what is done (effects of door.step)


@dataclass(frozen=True, slots=True)
class Release:
    """Keep the lock released until `until_s`; the controller feeds the guard in short leases up to then."""

    until_s: float
    hold: bool = False  # a standing release (fire, LockedOpen), not bounded by the cap on a single opening
    echo: bool = False  # only because of what the guard released by itself (fire, exit): keeps, never energises


@dataclass(frozen=True, slots=True)
class Secure:
    """Drop the relay now."""


class Indication(StrEnum):
    """What the LED, the buzzer and the page tell the person at the door."""

    IDLE = "idle"
    WELCOME = "welcome"
    REFUSED = "refused"
    COME_CLOSER = "come-closer"
    UNCOVER_FACE = "uncover-face"
    MORE_LIGHT = "more-light"
    TURN_FROM_LIGHT = "turn-from-light"  # it comes from behind, or glares
    LOOK_HERE = "look-here"
    LOOK_AGAIN = "look-again"  # step out of view, then look: one visit has one opening by face
    SHOW_PHONE = "show-phone"
    SHOW_AGAIN = "show-again"
    LOCKED_OUT = "locked-out"
    CLOSE_THE_DOOR = "close-the-door"
    ALARM = "alarm"
    IDENTIFY = "identify"


@dataclass(frozen=True, slots=True)
class Indicate:
    """Show this."""

    indication: Indication


@dataclass(frozen=True, slots=True)
class Record:
    """One row for the journal. `facts`, when given, are stored in the same transaction and survive a reboot."""

    kind: Kind
    body: Mapping[str, Json]
    priority: Priority = Priority.NORMAL
    facts: Mapping[str, Json] | None = None


Effect: TypeAlias = Release | Secure | Indicate | Record


class Kind(StrEnum):
    """Kinds of journal rows. The words are ONVIF's event topics where ONVIF has one (namespace prefix left out)."""

    ACCESS_GRANTED = "AccessControl/AccessGranted/Credential"
    ACCESS_TAKEN = "AccessControl/AccessTaken/Credential"
    ACCESS_NOT_TAKEN = "AccessControl/AccessNotTaken/Credential"
    ACCESS_DENIED = "AccessControl/Denied/Credential"
    ACCESS_DENIED_UNKNOWN = "AccessControl/Denied/CredentialNotFound"
    DURESS = "AccessControl/Duress"
    WATCHED = "AccessControl/Watched"  # somebody on the watch-list was seen: told to the manager, not at the door
    ACCESS_UNVERIFIED = "AccessControl/AccessUnverified"  # released, but nothing can tell whether somebody went in
    REQUEST_TO_EXIT = "AccessControl/AccessGranted/Anonymous"
    DOOR_MODE = "Door/State/DoorMode"
    DOOR_PHYSICAL = "Door/State/DoorPhysicalState"
    LOCK_PHYSICAL = "Door/State/LockPhysicalState"
    DOOR_ALARM = "Door/State/DoorAlarm"  # Normal, DoorForcedOpen, DoorOpenTooLong (held)
    DOOR_TAMPER = "Door/State/DoorTamper"
    DOOR_FAULT = "Door/State/DoorFault"  # relay stuck, lock power lost, guard gone
    FIRE = "Door/State/Fire"
    DOORBELL = "Door/Doorbell"
    LOCKOUT = "AccessControl/Lockout"
    STARTED = "Agent/Started"
    STOPPED = "Agent/Stopped"
    VISION = "Agent/Vision"  # up, down, respawned
    CAMERA = "Agent/Camera"  # ok, dark, frozen, blind, missing
    LINK = "Agent/Link"
    STORE = "Agent/Store"
    CLOCK = "Agent/Clock"
    ROSTER = "Agent/Roster"
    CALLBACK_FAILED = "Agent/CallbackFailed"
    COMMAND = "Agent/Command"
    UPDATE = "Agent/Update"  # another release from afar: ordered, fetched, installed, well; refused, failed, taken back
    UNEXPECTED = "Agent/Unexpected"  # an event that the door's state has no place for: nothing was changed
    EPOCH = "Journal/Epoch"
    CHECKPOINT = "Journal/Checkpoint"  # rows up to here were acknowledged and have been pruned
    TOMBSTONE = "Journal/Tombstone"
    FOLDED = "Journal/Folded"
