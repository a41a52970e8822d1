"""Who wins at a door: the priority order as a table, and every fact that is computed from the stored ones.

The first row whose cause holds gives the mode. Release is wanted while a releasing cause holds above every securing
one. agent/README.md shows this table as a page; a test keeps them the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from agent.core.door_state import DoorSettings, DoorState, LockType
from agent.core.events import Credential, Indication, Mode, Release


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the priority table. `until_s` gives None while the cause does not hold, else its end (inf: open)."""

    cause: str
    mode: Mode
    until_s: Callable[[DoorState], float | None]
    releases: bool
    standing: bool = False  # lasts as long as its cause: not bounded by the cap on single openings
    mutes: bool = False  # an open leaf is nobody's concern meanwhile
    reflex: bool = False  # the guard releases by itself, before it tells us
    why: str = ""


def _while(holds: bool) -> float | None:  # noqa: FBT001  a fact, not a switch
    return inf if holds else None


def _before(until_s: float | None, at_s: float) -> float | None:
    return until_s if until_s is not None and at_s < until_s else None


def _grants_until_s(s: DoorState) -> float | None:
    return _before(max((g.until_s for g in s.grants), default=None), s.at_s)


PRIORITY: tuple[Row, ...] = (
    Row(
        "fire",
        Mode.LOCKED_OPEN,
        lambda s: _while(s.fire),
        releases=True,
        standing=True,
        mutes=True,
        reflex=True,
        why="nobody is locked in: the fire input outranks every order",
    ),
    Row(
        "exit",
        Mode.ACCESSED,
        lambda s: _before(s.exit_until_s, s.at_s),
        releases=True,
        reflex=True,
        why="somebody inside pressed the button; lock-down included",
    ),
    Row(
        "lock-down",
        Mode.LOCKED_DOWN,
        lambda s: _while(s.locked_down),
        releases=False,
        why="refuses every grant, hold-open and unlock until taken back",
    ),
    Row(
        "block",
        Mode.BLOCKED,
        lambda s: _while(s.blocked),
        releases=False,
        why="the same for one door out of use",
    ),
    Row(
        "hold open",
        Mode.LOCKED_OPEN,
        lambda s: _before(s.hold_open_until_s, s.at_s),
        releases=True,
        standing=True,
        mutes=True,
        why="a manager's order, continuous-duty locks only",
    ),
    Row(
        "unlocked hours",
        Mode.UNLOCKED,
        lambda s: _before(s.unlocked_until_s, s.at_s),
        releases=True,
        standing=True,
        mutes=True,
        why="a schedule's order, continuous-duty locks only",
    ),
    Row("grant", Mode.ACCESSED, _grants_until_s, releases=True, why="one opening, bounded by the cap"),
    Row("none", Mode.LOCKED, lambda _s: inf, releases=False, why="the rest of the time"),
)


def ruling(state: DoorState) -> Row:
    """The first row of the table whose cause holds."""
    return next(row for row in PRIORITY if row.until_s(state) is not None)


def mode(state: DoorState) -> Mode:
    """ONVIF DoorMode."""
    return ruling(state).mode


def _releasing(state: DoorState) -> list[tuple[Row, float]]:
    """The releasing causes that hold above the first securing one, each with its end."""
    found = []
    for row in PRIORITY:
        until_s = row.until_s(state)
        if until_s is None:
            continue
        if not row.releases:
            break
        found.append((row, until_s))
    return found


def wanted(state: DoorState) -> Release | None:
    """The release that should stand now, or None for secured. Overlapping causes make one release, to the last end."""
    causes = _releasing(state)
    if not causes:
        return None
    rows = [row for row, _ in causes]
    return Release(
        max(until_s for _, until_s in causes),
        hold=any(row.standing for row in rows),
        echo=all(row.reflex for row in rows),
    )


def should_release(state: DoorState) -> bool:
    """Whether the lock should be released now, by the state's own time."""
    return ruling(state).releases


def grant_refusal(state: DoorState, credential: Credential) -> str | None:
    """Why this door would not act on a grant now, in ONVIF's or our words; None when it would.

    A lockout stops only what gets better by trying: a face alone. A signature cannot be guessed, so phones, passes and
    remote openings go on, and so do a face and its phone: whoever tries faces there holds that phone already. Otherwise
    a stranger pulling faces could keep every resident out (agent/decisions/0015-the-phone-decides.md).
    """
    if state.guard_missing_from_s is not None:
        return "Fault"
    if state.locked_down:
        return "LockedDown"
    if state.blocked:
        return "Blocked"
    if state.at_s < state.lockout_until_s and credential is Credential.FACE:
        return "LockedOut"
    return None


def lock_released(state: DoorState, settings: DoorSettings) -> bool:
    """Whether the lock lets the leaf go: energised with power, or a fail-safe lock that lost its power."""
    if not state.lock_power:
        return settings.lock_type is LockType.FAIL_SAFE
    return state.relay_energised


def lock_physical(state: DoorState, settings: DoorSettings) -> str:
    """ONVIF LockPhysicalState; Unknown while nobody owns the relay line."""
    if state.guard_missing_from_s is not None:
        return "Unknown"
    return "Unlocked" if lock_released(state, settings) else "Locked"


def door_physical(state: DoorState) -> str:
    """ONVIF DoorPhysicalState; Unknown without a contact or while its line is not being read."""
    if not state.contact_known:
        return "Unknown"
    return "Open" if state.contact_open else "Closed"


def muted(state: DoorState) -> bool:
    """Whether an open leaf is nobody's concern: fire, or an order to stay open."""
    return any(row.mutes for row, _ in _releasing(state))


def forced(state: DoorState) -> bool:
    """ONVIF DoorForcedOpen: the leaf opened while the lock was secured and nobody was let in or out."""
    return state.contact_open and not state.opened_lawfully and not state.fire


def held(state: DoorState) -> bool:
    """ONVIF DoorOpenTooLong: opened lawfully, still open after its time."""
    return state.contact_open and state.opened_lawfully and not muted(state) and state.at_s >= state.open_until_s


def pre_alarm(state: DoorState, settings: DoorSettings) -> bool:
    """Whether the person at the door should be told to close it before it counts as held."""
    warn_s = state.open_until_s - settings.pre_alarm_time_s
    return state.contact_open and not muted(state) and state.at_s >= warn_s


def alarm(state: DoorState) -> str:
    """ONVIF DoorAlarmState."""
    if forced(state):
        return "DoorForcedOpen"
    return "DoorOpenTooLong" if held(state) else "Normal"


def relay_due_s(state: DoorState, settings: DoorSettings) -> float:
    """From when a relay that does not do what is wanted is a fault; inf while it does."""
    if state.guard_missing_from_s is not None or state.relay_energised == should_release(state):
        return inf
    if not state.relay_energised and state.relay_why in {"bound", "fire"}:
        return inf  # the guard rests a coil: after its bound, and between the fire pulses of an intermittent strike
    return max(state.relay_since_s, state.wanted_since_s) + settings.relay_stuck_s


def faults(state: DoorState, settings: DoorSettings) -> tuple[str, ...]:
    """Everything broken about the door's own hardware."""
    missing_s = state.guard_missing_from_s
    found = {
        "guard-missing": missing_s is not None and state.at_s >= missing_s,
        "relay-stuck": state.relay_energised and state.at_s >= relay_due_s(state, settings),
        "relay-not-energised": state.relay_dead,
        "lock-power-lost": not state.lock_power,
        "exit-stuck": state.exit and state.at_s >= state.exit_since_s + settings.exit_stuck_s,
    }
    return tuple(name for name, there in found.items() if there)


def locked_out(state: DoorState) -> bool:
    """Whether faces are refused because of a series of refusals."""
    return state.at_s < state.lockout_until_s


def indication(state: DoorState, settings: DoorSettings) -> Indication:  # noqa: PLR0911  one return for each word
    """What the person at the door should see and hear, from the door's side. Tamper and duress stay silent here.

    Welcome is said of a lock that is released, never of one that only should be; of one that cannot be, refused.
    """
    if forced(state) or held(state):
        return Indication.ALARM
    if pre_alarm(state, settings):
        return Indication.CLOSE_THE_DOOR
    if should_release(state) and lock_released(state, settings):
        return Indication.WELCOME
    if should_release(state) and (state.relay_dead or not state.lock_power):
        return Indication.REFUSED
    if locked_out(state):
        return Indication.LOCKED_OUT
    if state.at_s < state.refused_shown_until_s:
        return Indication.REFUSED
    return Indication.IDLE
