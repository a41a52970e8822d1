"""Home Assistant, when switched on: each door as a device with lock, contact, problems, fire, comings and goings.

The doors' own states are read where they are published (retained, with the last will: a door without its link is shown
as unavailable, its lock never assumed). Only the single accesses are published again, one message each, never retained.
An opening ordered there goes through the same signed command as one from the manager's page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from agent.core.events import Kind
from agent.wire import topic
from deploy.community.news import News

SUBSCRIPTION = "homeassistant/door-agent/+/+/set"
STATUS = "homeassistant/status"  # where it says "online" when it starts; what it had been told may be gone then
OPEN = "OPEN"

_ACCESSES: Mapping[str, str] = {
    Kind.ACCESS_GRANTED: "granted",
    Kind.ACCESS_TAKEN: "taken",
    Kind.ACCESS_NOT_TAKEN: "not-taken",
    Kind.ACCESS_UNVERIFIED: "unverified",
    Kind.ACCESS_DENIED: "denied",
    Kind.ACCESS_DENIED_UNKNOWN: "stranger",
    Kind.REQUEST_TO_EXIT: "exit",
    Kind.DOORBELL: "doorbell",
}


class Publish(Protocol):
    """What this needs of the link."""

    def __call__(self, topic: str, payload: bytes, *, keep: bool = False) -> None:
        """Publish."""


class Home:
    """Used by the consumer's thread: each door is announced when it is first heard, then its accesses follow."""

    def __init__(self, publish: Publish, *, can_open: bool) -> None:
        self._publish, self._can_open = publish, can_open
        self._announced: set[str] = set()

    def anew(self) -> None:
        """It started: every door is announced once more, with its next state."""
        self._announced.clear()

    def hear(self, news: News) -> None:
        """Tell Home Assistant what concerns it."""
        if news.kind == "state" and news.device not in self._announced:
            self._announced.add(news.device)
            where, payload = discovery(news.device, can_open=self._can_open)
            self._publish(where, payload, keep=True)
        told = access(news.what) if news.kind == "event" and not news.late else None  # an event there is of now
        if told is not None:
            self._publish(access_topic(news.device), told)


def discovery(device: str, *, can_open: bool) -> tuple[str, bytes]:
    """Topic and payload of the device discovery message, to be retained. `device` is site/door."""
    unique = "door-agent-" + device.replace("/", "-")
    state = topic(device, "up/state")
    components: dict[str, dict[str, Any]] = {
        "contact": _binary(unique, "contact", "door", _told("contact", {"open": "ON", "closed": "OFF"})),
        "problem": _binary(unique, "problem", "problem", _any_of("alarms", "faults")),
        "fire": _binary(unique, "fire", "smoke", _any_of("fire")),
        "tamper": _binary(unique, "tamper", "tamper", _any_of("tamper")),
        "access": {
            "platform": "event",
            "unique_id": f"{unique}-access",
            "name": "Access",
            "state_topic": access_topic(device),
            "event_types": sorted(set(_ACCESSES.values())),
        },
    }
    if can_open:
        components["lock"] = _lock(unique, device)
    payload = {
        "device": {"identifiers": [unique], "name": device, "manufacturer": "door-agent", "model": "door"},
        "origin": {"name": "door-agent community server"},
        "state_topic": state,
        "availability": [
            {"topic": state, "value_template": "{{ 'online' if value_json.online else 'offline' }}"},
        ],
        "components": {name: {**component, "qos": 1} for name, component in components.items()},
    }
    return f"homeassistant/device/{unique}/config", json.dumps(payload).encode()


def _lock(unique: str, device: str) -> dict[str, Any]:
    return {
        "platform": "lock",
        "unique_id": f"{unique}-lock",
        "name": "Lock",
        "command_topic": f"homeassistant/door-agent/{device}/set",
        "payload_open": OPEN,
        "payload_unlock": OPEN,  # this lock knows one thing to do: let somebody in, and lock again by itself
        "payload_lock": "LOCK",
        "value_template": _told("lock", {"secured": "secured", "released": "released"}),
        "state_locked": "secured",
        "state_unlocked": "released",
        "optimistic": False,
    }


# While a door has no link its state is {"online": false} and nothing else. "None" is Home Assistant's word for not
# known: a leaf or lock that nobody can tell of is shown so, never as closed or locked.
_DOOR = "{% set door = value_json.door | default({}) %}"


def _told(fact: str, words: Mapping[str, str]) -> str:
    return f"{_DOOR}{{{{ {dict(words)}.get(door.get('{fact}'), 'None') }}}}"


def _any_of(*facts: str) -> str:
    some = " or ".join(f"door.get('{fact}')" for fact in facts)
    return f"{_DOOR}{{{{ 'None' if not door else 'ON' if {some} else 'OFF' }}}}"


def _binary(unique: str, name: str, device_class: str, template: str) -> dict[str, Any]:
    return {
        "platform": "binary_sensor",
        "unique_id": f"{unique}-{name}",
        "name": name.capitalize(),
        "device_class": device_class,
        "value_template": template,
    }


def access_topic(device: str) -> str:
    """Where the single accesses of a door are published."""
    return f"homeassistant/door-agent/{device}/access"


def access(event: Mapping[str, Any]) -> bytes | None:
    """The message for a row that is somebody's coming or going, else None. Ids and reasons only, as in the journal."""
    word = _ACCESSES.get(event["kind"])
    if word is None:
        return None
    body = event["body"]
    told = {k: body[k] for k in ("person_id", "credential", "reason", "request_id") if isinstance(body.get(k), str)}
    return json.dumps({"event_type": word, **told, "seq": event["seq"], "at_ms": event["at_ms"]}).encode()
