"""The part of the manager's page that looks after residents and visitors, over HTTP.

`people.py` and `visitor_passes.py` do the work. Faces are not enrolled here: that wants the person, a camera and their
consent (at a door, or `manage enrol`). Each change stands in the managers' record by the person's id, which says
nothing once the person is gone.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

from flask import Flask, Response, abort, jsonify, request

from agent.core.roster import Person, PersonKind, PhoneKey
from agent.pass_desk import phone_key
from deploy.community.feed import Feed
from deploy.community.gate import json_object, needs, session
from deploy.community.office import Office, Role
from deploy.community.people import People
from deploy.community.visitor_passes import HONEST, PassDesk, VisitorPass

_TEXTS: Final = ("name", "kind")
_GROUP_MOST: Final = 64  # characters
_FLAGS: Final = ("enabled", "extended_release", "second_factor")
_LISTED: Final = ("groups", "valid_until_utc_s")


def add_people(app: Flask, office: Office, people: People, passes: PassDesk | None, public_url: str | None) -> None:
    """Its addresses. `passes` None: no key for visitor passes on this server, the page says so."""
    _add_residents(app, office, people)
    if passes is not None:
        _add_passes(app, office, passes, public_url)


def _add_residents(app: Flask, office: Office, people: People) -> None:
    @app.get("/api/people")
    @needs(Role.MANAGER)
    def everybody() -> Response:
        roster = people.roster()
        return jsonify({
            "people": [_shown(person) for person in roster.persons.values()],
            "withdrawals": people.withdrawals(),
        })  # fmt: skip

    @app.post("/api/people")
    @needs(Role.MANAGER)
    def put_person() -> Response:
        body = _body()
        changes, phone, is_new = _changes(body), _phone(body), body.get("id") is None
        if is_new:
            changes["id"] = f"p-{secrets.token_hex(6)}"
        else:
            _known(people, changes["id"])
        found = people.put(changes, phone=phone, known=not is_new)
        named = {*changes, *(() if phone is None else ("phones",))} - {"id"}
        office.note(session().manager, "put-person", found.id, ", ".join(sorted(named)))
        return jsonify(_shown(found))

    @app.post("/api/people/<person_id>/withdraw")
    @needs(Role.MANAGER)
    def withdraw_consent(person_id: str) -> Response:
        _known(people, person_id)
        office.note(session().manager, "withdraw-consent", person_id)
        return jsonify({"at_utc_s": people.withdraw(person_id)})

    @app.delete("/api/people/<person_id>/phones/<key_id>")
    @needs(Role.MANAGER)
    def remove_phone(person_id: str, key_id: str) -> Response:
        _known(people, person_id)
        if key_id not in {phone.key_id for phone in people.roster().persons[person_id].phones}:
            abort(404, "this person has no such phone")
        office.note(session().manager, "remove-phone", person_id, key_id)
        return jsonify(_shown(people.remove_phone(person_id, key_id)))

    @app.delete("/api/people/<person_id>")
    @needs(Role.MANAGER)
    def remove_person(person_id: str) -> Response:
        _known(people, person_id)
        office.note(session().manager, "remove-person", person_id)
        return jsonify({"removed": people.remove(person_id)})


def add_lists(app: Flask, office: Office, people: People, feed: Feed) -> None:
    """Which doors get the list of people: none does before somebody said who may use it."""

    @app.get("/api/lists")
    @needs(Role.MANAGER)
    def lists() -> Response:
        kept = people.drift()
        without = sorted(set(feed.devices()) - {door["device"] for door in kept})
        return jsonify({"doors": kept, "without": without})

    @app.post("/api/doors/<site>/<door>/list")
    @needs(Role.MANAGER)
    def keep_list(site: str, door: str) -> Response:
        device, groups = f"{site}/{door}", _body().get("groups")
        if not feed.knows(device):
            abort(404, f"no door {device} has reported to this server")
        if not isinstance(groups, list) or not all(isinstance(g, str) and 0 < len(g) <= _GROUP_MOST for g in groups):
            abort(400, f"groups: a list of names of up to {_GROUP_MOST} characters, * for everybody")
        office.note(session().manager, "set-door", device, " ".join(sorted(set(groups))))
        people.set_door(device, groups)
        return jsonify({})


def _add_passes(app: Flask, office: Office, passes: PassDesk, public_url: str | None) -> None:
    @app.get("/api/passes")
    @needs(Role.MANAGER)
    def listed_passes() -> Response:
        return jsonify({"passes": [p.shown() for p in passes.passes()], "honest": HONEST})

    @app.post("/api/passes")
    @needs(Role.MANAGER)
    def issue_pass() -> Response:
        body, manager = _body(), session().manager
        doors, for_s, uses, note = (body.get(name) for name in ("doors", "for_s", "uses", "note"))
        if not (isinstance(doors, list) and all(isinstance(d, str) for d in doors) and isinstance(note, str)):
            abort(400, "doors: a list of site/door; note: text")
        if type(for_s) is not int or type(uses) is not int:
            abort(400, "for_s and uses: whole numbers")
        start_s = int(time.time())
        made = passes.issue(doors, start_s, start_s + for_s, uses, note=note, actor=manager.actor)
        office.note(manager, "issue-pass", made.pass_id, ", ".join(made.doors) or "all doors")
        return jsonify({**made.shown(), "link": made.link(public_url or request.host_url)})

    @app.get("/api/passes/<pass_id>/picture.svg")
    @needs(Role.MANAGER)
    def picture(pass_id: str) -> Response:
        return Response(_found(passes, pass_id).svg(), mimetype="image/svg+xml")

    @app.delete("/api/passes/<pass_id>")
    @needs(Role.MANAGER)
    def revoke_pass(pass_id: str) -> Response:
        _found(passes, pass_id)
        office.note(session().manager, "revoke-pass", pass_id)
        return jsonify({"revoked": passes.revoke(pass_id)})


def _body() -> Mapping[str, Any]:
    return json_object() or abort(400, "a JSON object is needed")


def _changes(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a manager may change of a person, in the roster's own words; parsing it is the roster's business."""
    wanted = {name: body[name] for name in (*_TEXTS, *_FLAGS, *_LISTED) if name in body}
    if wanted.get("kind", PersonKind.RESIDENT) not in list(PersonKind):
        abort(400, f"kind: one of {', '.join(PersonKind)}")
    return {"id": str(body.get("id", "")), **wanted}


def _phone(body: Mapping[str, Any]) -> PhoneKey | None:
    """One that is to be registered."""
    code = body.get("phone_code")
    return phone_key(code) if isinstance(code, str) and code.strip() else None


def _known(people: People, person_id: str) -> None:
    if person_id not in people.roster().persons:
        abort(404, "nobody of this id")


def _found(passes: PassDesk, pass_id: str) -> VisitorPass:
    return next((p for p in passes.passes() if p.pass_id == pass_id), None) or abort(404, "no such pass")


def _shown(person: Person) -> dict[str, Any]:
    """One person for the page: what they hold and their phones' names, never a key or a template."""
    consent = person.consent
    state = "none" if consent is None else "withdrawn" if consent.withdrawn_utc_s is not None else "given"
    kept = ("id", "name", "kind", "enabled", "groups", "extended_release", "second_factor", "valid_until_utc_s")
    shown = {name: getattr(person, name) for name in kept}
    names = [phone.key_id for phone in person.phones]
    return {**shown, "faces": len(person.faces), "phones": len(names), "phone_names": names, "consent": state}
