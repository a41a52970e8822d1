"""How the door stands now, in the words of the state topic and the pages."""

from __future__ import annotations

from typing import Any, Final

from agent.core import door

_LOCK: Final = {"Unlocked": "released", "Locked": "secured"}


def standing(state: door.DoorState, settings: door.DoorSettings, now_s: float) -> dict[str, Any]:
    """JSON-shaped: facts of the moment `now_s`; what is shown at the door alone is not among them."""
    return {
        "mode": door.mode(state).value,
        "lock": _LOCK.get(door.lock_physical(state, settings), "unknown"),
        "contact": door.door_physical(state).lower(),
        "relay": "energised" if state.relay_energised else "dropped",
        "fire": state.fire,
        "alarms": [word for word in (door.alarm(state),) if word != "Normal"],
        "faults": list(door.faults(state, settings)),
        "tamper": state.tamper,
        "lockout_for_s": round(max(0.0, state.lockout_until_s - now_s), 1) if door.locked_out(state) else 0,
        "indication": door.indication(state, settings).value,
    }
