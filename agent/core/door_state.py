"""What is known about one door: settings, separate facts, and what of them survives a reboot.

No fact here can be computed from the others; whatever can (mode, forced, held, wanted release) is a function in
door_table.py. All times are CLOCK_BOOTTIME seconds; a deadline has passed when `at_s >= deadline`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.core.events import Credential, Json


class LockType(StrEnum):
    """What the lock does without power. There is no default: somebody has to have looked at the lock."""

    FAIL_SAFE = "fail-safe"
    FAIL_SECURE = "fail-secure"


class LockDuty(StrEnum):
    """Whether the lock may stay released for long: an intermittent strike's coil burns."""

    CONTINUOUS = "continuous"
    INTERMITTENT = "intermittent"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSettings:
    """How one door behaves. Names and meanings are ONVIF's where it has the word; bounds are checked in config.py."""

    lock_type: LockType
    lock_duty: LockDuty = LockDuty.INTERMITTENT
    has_contact: bool = True
    release_time_s: float = 5.0
    extended_release_time_s: float = 9.0
    cap_s: float = 10.0  # the longest release that grants alone may add up to
    relock_on_close: bool = True
    relock_delay_s: float = 0.5
    open_time_s: float = 30.0
    extended_open_time_s: float = 60.0
    pre_alarm_time_s: float = 10.0
    exit_release_time_s: float = 5.0
    exit_stuck_s: float = 30.0
    lockout_refusals: int = 5
    lockout_window_s: float = 60.0  # refusals further apart than this are not a series
    lockout_s: float = 30.0
    relay_stuck_s: float = 1.0  # the guard answers within milliseconds; a second is a relay that does not obey
    contact_grace_s: float = 0.5  # a leaf already moving when the lock drops is not forced
    guard_start_s: float = 5.0
    refused_shown_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Grant:
    """Somebody was let in and has not been accounted for yet (taken / not taken)."""

    request_id: str
    credential: Credential
    person_id: str | None
    until_s: float
    extended: bool = False
    opened: bool = False  # the leaf opened since: taken, already written
    released: bool = False  # the lock was released during this grant, by the guard's word
    leaf_was_open: bool = False  # at any time during this grant, without an opening of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorState:
    """The separate facts. `at_s` is the time of the last step; every derived fact is judged at that time."""

    at_s: float
    # standing orders; an end of inf stands until it is taken back, None is no order
    locked_down: bool = False
    blocked: bool = False
    hold_open_until_s: float | None = None
    unlocked_until_s: float | None = None
    # inputs
    fire: bool = False
    exit: bool = False
    exit_until_s: float = -inf
    exit_since_s: float = -inf
    tamper: bool = False
    lock_power: bool = True
    contact_known: bool = False
    contact_open: bool = False
    opened_lawfully: bool = True  # the last opening found the lock released, or was found and not seen
    open_until_s: float = inf  # open at or after this is held
    # relay and guard
    relay_energised: bool = False
    relay_why: str = "start"
    relay_since_s: float = -inf
    relay_dead: bool = False  # it did not energise when it was last asked to
    wanted_since_s: float = -inf  # when "should be released" last changed either way
    guard_missing_from_s: float | None = None  # None: the guard is there; else from when its absence is a fault
    # people
    grants: tuple[Grant, ...] = ()
    grants_since_s: float = -inf  # start of the present unbroken release by grants
    refusals: int = 0  # of the present series
    refused_at_s: float = -inf  # the last that counted
    refused_shown_until_s: float = -inf
    lockout_until_s: float = -inf


def initial(settings: DoorSettings, facts: Mapping[str, Json] | None, now_s: float) -> DoorState:
    """The door at start: secured, guard not yet heard, with what `facts` kept over a restart.

    Lock-down, block and lockout stand again (the rest of a lockout counts from now, so a reboot never shortens it).
    Hold-open and unlocked hours do not: a start never energises anything; who ordered them orders them again.
    Values of a wrong type are taken as absent, except that a damaged lock-down mark counts as locked down.
    """
    facts = facts or {}
    lockout_s = _number(facts.get("lockout_remaining_s"))
    return DoorState(
        at_s=now_s,
        locked_down=facts.get("locked_down", False) is not False,
        blocked=facts.get("blocked", False) is not False,
        refusals=int(_number(facts.get("refusals"))),
        refused_at_s=now_s if _number(facts.get("refusals")) else -inf,
        lockout_until_s=now_s + min(lockout_s, settings.lockout_s) if lockout_s > 0 else -inf,
        guard_missing_from_s=now_s + settings.guard_start_s,
    )


def kept(state: DoorState) -> tuple[object, ...]:
    """What must survive a restart, for comparing: when it changes, the step's last record carries `facts(state)`."""
    pending = tuple(g.request_id for g in state.grants if not g.opened)
    locked_out = state.at_s < state.lockout_until_s
    return (state.locked_down, state.blocked, state.refusals, locked_out, pending)


def facts(state: DoorState, *more_pending: str) -> dict[str, Json]:
    """The surviving facts as JSON. Deadlines are written as what remains: the clock starts anew at a boot."""
    return {
        "locked_down": state.locked_down,
        "blocked": state.blocked,
        "refusals": state.refusals,
        "lockout_remaining_s": round(max(0.0, state.lockout_until_s - state.at_s), 3),
        "pending": [*(g.request_id for g in state.grants if not g.opened), *more_pending],
    }


def _number(value: Json) -> float:
    """A finite, non-negative number, or 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value < inf else 0.0
