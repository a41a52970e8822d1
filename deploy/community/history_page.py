"""The part of the manager's page that shows what was, over HTTP: a day in pages, a span as CSV, the server's alarms.

Whoever may only look does not see silent alarms: such a page may stand open where the person who forces somebody can
read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import Flask, Response, abort, jsonify, request

from agent.core.events import Kind
from deploy.community.feed import Feed
from deploy.community.gate import needs, session
from deploy.community.history import History
from deploy.community.news import News
from deploy.community.office import Office, Role

_EVENTS: Final = 500  # a page of them
_ALARMS: Final = 50
_DAYS: Final = range(1, 401)  # a year and a month
_NUMBERS: Final = 2**62


def add_history(app: Flask, office: Office, history: History, feed: Feed) -> None:
    """Its addresses."""
    _add_events(app, office, history)
    _add_alarms(app, office, history, feed)


def shown(entry: Mapping[str, Any], role: Role) -> bool:
    """Whether somebody of this role may see an event or alarm."""
    return role.covers(Role.MANAGER) or (entry.get("kind") != Kind.DURESS and entry.get("word") != "duress")


def _add_events(app: Flask, office: Office, history: History) -> None:
    @app.get("/api/day")
    @needs(Role.VIEWER)
    def day() -> Response:
        from_ms, to_ms = _span(1)
        found = history.newest(from_ms, to_ms, _before(), _EVENTS + 1, request.args.get("door") or None)
        events, more = found[:_EVENTS], len(found) > _EVENTS
        before = f"{events[-1]['at_ms']}-{events[-1]['id']}" if more else None  # where the next page begins
        role = session().manager.role
        return jsonify({"events": [e for e in events if shown(e, role)], "more": more, "before": before})

    @app.get("/api/events.csv")
    @needs(Role.MANAGER)
    def events_csv() -> Response:
        days, first = request.args.get("days", 1, type=int), request.args.get("from")
        from_ms, to_ms = _span(days)
        door = request.args.get("door") or None
        office.note(session().manager, "export", door or "all doors", f"{first} +{days} d")
        lines = history.as_csv(from_ms, to_ms, door)
        name = f"doors-{first}.csv" if days == 1 else f"doors-{first}-{days}-days.csv"
        return Response(lines, mimetype="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _add_alarms(app: Flask, office: Office, history: History, feed: Feed) -> None:
    @app.get("/api/alarms")
    @needs(Role.VIEWER)
    def alarms() -> Response:
        found = history.alarms(request.args.get("before", _NUMBERS, type=int), _ALARMS + 1)
        more, found = len(found) > _ALARMS, found[:_ALARMS]
        seen = office.acknowledged([_name(alarm) for alarm in found])
        role = session().manager.role
        told = [
            {**alarm, "seen_ms": seen[_name(alarm)][0], "seen_by": seen[_name(alarm)][1]}
            if _name(alarm) in seen
            else alarm
            for alarm in found
            if shown(alarm, role)
        ]
        return jsonify({"alarms": told, "more": more, "before": found[-1]["id"] if more else None})

    @app.post("/api/alarms/<int:number>/acknowledge")
    @needs(Role.MANAGER)
    def acknowledge(number: int) -> Response:
        found = history.alarms(number + 1, 1)
        if not found or found[0]["id"] != number:
            abort(404, "no such alarm")
        alarm, manager = found[0], session().manager
        if office.acknowledge(_name(alarm), manager):
            office.note(manager, "acknowledge-alarm", alarm["device"], alarm["word"])
            feed.add(News("acknowledged", alarm["device"], {"id": number}))
        return jsonify({})


def _name(alarm: Mapping[str, Any]) -> str:
    """A number alone is given again by a new database."""
    return f"{alarm['id']}@{alarm['at_ms']}"


def _before() -> tuple[int, int] | None:
    """Where the page before this one ended."""
    asked = request.args.get("before")
    if not asked:
        return None
    try:
        at_ms, number = (int(part) for part in asked.split("-"))
    except ValueError:
        abort(400, "before: as the page before said")
    return at_ms, number


def _span(days: int) -> tuple[int, int]:
    """[from, to) in milliseconds UTC from the query: `from` a date, `zone` an IANA name."""
    try:
        first = datetime.fromisoformat(request.args.get("from", ""))
        zone = ZoneInfo(request.args.get("zone", "UTC"))
    except (ValueError, ZoneInfoNotFoundError, OSError):
        abort(400, "from=YYYY-MM-DD and zone=Asia/Shanghai are needed")
    if days not in _DAYS:
        abort(400, f"days: {_DAYS.start} to {_DAYS.stop - 1}")
    begin = datetime(first.year, first.month, first.day, tzinfo=zone)
    end = begin + timedelta(days=days)  # on the wall clock of that zone, whatever its summer time does
    return tuple(int(at.astimezone(UTC).timestamp() * 1000) for at in (begin, end))  # type: ignore[return-value]  # two
