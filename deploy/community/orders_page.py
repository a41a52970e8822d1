"""The part of the manager's page that orders doors, over HTTP: `orders.py` does the work and keeps the record."""

from __future__ import annotations

from typing import Final

from flask import Flask, Response, abort, jsonify

from agent.core.commands import Action
from deploy.community.feed import Feed
from deploy.community.gate import json_object, needs, session
from deploy.community.limits import PerMinute
from deploy.community.office import Role
from deploy.community.orders import FOR_ALL, Orders

_PER_MINUTE: Final = 30  # of one manager; all doors at once count as one
_REASON: Final = range(2, 201)  # characters; 送货 is a reason
_NO_REASON: Final = frozenset({Action.IDENTIFY, Action.DIAGNOSTICS})  # nothing is opened or closed by them
_FROM_HERE: Final = frozenset(Action) - {Action.UPDATE, Action.CANCEL_UPDATE}  # those two: by the command `rollout`
_HOLD_S: Final = range(60, 8 * 3600 + 1)


def add_orders(app: Flask, feed: Feed, orders: Orders | None) -> None:
    """Its addresses. `orders` None: no key for orders on this server, the page says so."""
    limit = PerMinute(_PER_MINUTE)

    def ready() -> Orders:
        if orders is None:
            abort(501, "no command_key_file on this server: it can't order doors")
        if not limit.allows(str(session().manager.id)):
            abort(429, "too many orders; wait a minute")
        return orders

    @app.post("/api/doors/<site>/<door>/orders")
    @needs(Role.MANAGER)
    def order(site: str, door: str) -> tuple[Response, int]:
        action, reason, for_s = _asked()
        if not feed.knows(f"{site}/{door}"):
            abort(404, f"no door {site}/{door} has reported to this server")
        return jsonify(ready().give(session().manager, f"{site}/{door}", action, reason, for_s)), 202

    @app.post("/api/orders")
    @needs(Role.MANAGER)
    def order_all() -> tuple[Response, int]:
        action, reason, _ = _asked()
        if action not in FOR_ALL:
            abort(400, f"action for all doors: one of {', '.join(FOR_ALL)}")
        return jsonify({"answers": ready().give_all(session().manager, action, reason)}), 202


def _asked() -> tuple[Action, str, float | None]:
    body = json_object()
    action, reason, for_s = body.get("action"), body.get("reason", ""), body.get("for_s")
    if action not in _FROM_HERE:
        abort(400, f"action: one of {', '.join(a for a in Action if a in _FROM_HERE)}")
    reason = " ".join(reason.split()) if isinstance(reason, str) else ""
    if action not in _NO_REASON and len(reason) not in _REASON:
        abort(400, f"reason: {_REASON.start} to {_REASON.stop - 1} characters; it is kept with your name")
    if (action == Action.HOLD_OPEN) != (type(for_s) is int and for_s in _HOLD_S):
        abort(400, f"for_s: {_HOLD_S.start} to {_HOLD_S.stop - 1}, for hold-open only")
    return Action(action), reason, for_s
