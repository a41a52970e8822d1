"""The door's snapshot as Prometheus text (exposition format 0.0.4): numbers and states, no names, no ids of people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_ALARMS: Final = ("DoorForcedOpen", "DoorOpenTooLong")
_BUCKETS_MS: Final = (100, 200, 300, 500, 800, 1200, 2000, 5000)

Sample = tuple[str, str, Mapping[str, str], float]  # name, help, labels, value; all are gauges


def prometheus(snapshot: Mapping[str, Any], now_s: float) -> str:
    """Text for a scrape. What the door does not know is left out rather than guessed."""
    lines: list[str] = []
    named = ""
    for name, help_, labels, value in (*_door(snapshot), *_parts(snapshot, now_s), *_openings(snapshot)):
        if name != named:
            named = name
            lines += [f"# HELP {name} {help_}", f"# TYPE {name} gauge"]
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{shown}}} {value:g}" if shown else f"{name} {value:g}")
    return "\n".join(lines) + "\n"


def _door(s: Mapping[str, Any]) -> Iterator[Sample]:
    info = {key: str(s.get(key, "")) for key in ("site", "door", "software", "lock_type", "policy")}
    yield "door_agent_info", "Always 1; the labels say which door and release.", info, 1
    d = s.get("door_state", {})
    yield from _state("door_lock_released", "1 while the lock is released.", d.get("lock"), "released", "secured")
    yield from _state("door_leaf_open", "1 while the leaf is open.", d.get("contact"), "open", "closed")
    yield from _state("door_relay_energised", "1 while the relay is energised.", d.get("relay"), "energised", "dropped")
    for word in _ALARMS:
        yield "door_alarm", "1 while this alarm stands.", {"alarm": word}, word in d.get("alarms", ())
    for word in ("fire", "tamper"):
        yield "door_input", "1 while this input is active.", {"input": word}, bool(d.get(word))
    yield "door_faults", "Faults of the door that stand now.", {}, len(d.get("faults", ()))


def _parts(s: Mapping[str, Any], now_s: float) -> Iterator[Sample]:
    for part in ("guard", "vision", "link"):
        up = s.get(part, {}).get("up")
        if up is not None:
            yield "door_part_up", "1 while this part runs or is connected.", {"part": part}, bool(up)
    camera = s.get("vision", {}).get("camera_state")
    if camera is not None:
        yield "door_camera_ok", "1 while the camera sees well.", {}, camera == "ok"
        yield "door_camera_fps", "Pictures a second.", {}, float(s["vision"].get("fps", 0))
    queue = s.get("queue", {})
    for key, name, help_ in (
        ("depth", "door_events_waiting", "Rows that the server has not acknowledged."),
        ("head_seq", "door_events_written", "Number of the newest row of this journal."),
        ("acked_seq", "door_events_acknowledged", "Number of the newest row that the server has."),
        ("bytes", "door_journal_bytes", "Size of the journal on the disk."),
        ("quota_used", "door_journal_quota_used", "Share of the quota, 1 is full."),
    ):
        if isinstance(queue.get(key), int | float):
            yield name, help_, {}, queue[key]
    roster = s.get("roster", {})
    for key, name in (("persons", "door_people"), ("templates", "door_face_templates"), ("epoch", "door_roster_epoch")):
        if key in roster:
            yield name, "Of the roster at this door.", {}, roster[key]
    clock = s.get("clock", {}).get("quality")
    yield "door_clock_trusted", "1 while the wall clock can be believed.", {}, clock in ("ntp", "rtc")
    if "started_s" in s:
        yield "door_uptime_seconds", "Since the agent started.", {}, round(now_s - s["started_s"], 1)


def _openings(s: Mapping[str, Any]) -> Iterator[Sample]:
    """First sight to energised, of the newest hundred openings: a window, so it is a gauge of each bucket's share."""
    times = sorted(float(o["ms"]) for o in s.get("openings", ()))
    for bound in _BUCKETS_MS:
        count = sum(t <= bound for t in times)
        help_ = "Openings of the newest 100 that took at most le milliseconds from first sight to relay."
        yield "door_recent_openings", help_, {"le_ms": str(bound)}, count
    yield "door_recent_openings", "", {"le_ms": "+Inf"}, len(times)


def _state(name: str, help_: str, word: object, on: str, off: str) -> Iterator[Sample]:
    if word in (on, off):
        yield name, help_, {}, word == on


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
