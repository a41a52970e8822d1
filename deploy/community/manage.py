"""`python -m deploy.community.manage --config community.toml`: people, doors, hours and visitor passes from a shell.

Works beside the running server, which notices within a second. Exit codes: 0 done; 1 nobody or nothing of that name;
2 the command line is wrong; 3 the configuration or a value is wrong; 4 a file cannot be used; 6 face models are
missing; 7 a picture cannot be used.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.command_line import Parser, add_action, ended, own_streams
from agent.core.bounded import written
from agent.core.roster import SITE_PURPOSE, person_json
from agent.errors import ConfigError
from deploy.community.people import People
from deploy.community.settings import Settings, load
from deploy.community.visitor_passes import HONEST, PassDesk

if TYPE_CHECKING:
    from agent.from_pictures import Faces, PictureReader


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if arguments is None:
        own_streams(words)
    return ended("community", words, lambda: _answer(words))


def _answer(words: list[str]) -> int:
    given = _parser().parse_args(words)
    settings = load(given.config)
    answer = given.do(People(settings.people_dir), settings, given)
    text = json.dumps(answer, ensure_ascii=False, indent=2) if given.json else "\n".join(_lines(answer))
    sys.stdout.write(text + "\n")
    return int(answer is False)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m deploy.community.manage", description=__doc__)
    parser.add_argument("--config", required=True, type=Path, help="the server's TOML file")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    actions = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_people(actions)
    _add_doors(actions)
    _add_passes(actions)
    return parser


def _add_people(actions: Any) -> None:  # noqa: ANN401  argparse's type is private
    one = add_action(actions, "people", "everybody, with names")
    one.set_defaults(do=lambda people, _settings, _given: [_shown(p) for p in people.roster().persons.values()])
    one = add_action(actions, "put", "add or change one person: a JSON object with id and fields, or - for stdin")
    one.add_argument("person", metavar="JSON")
    one.set_defaults(do=_put)
    one = add_action(actions, "remove", "somebody moved out: gone here and at every door")
    one.add_argument("id")
    one.set_defaults(do=lambda people, _settings, given: people.remove(given.id))
    one = add_action(actions, "remove-phone", "a lost phone of somebody; the others stay")
    one.add_argument("id")
    one.add_argument("name", help="of the phone, 16 letters: see `people`")
    one.set_defaults(do=_remove_phone)
    one = add_action(actions, "withdraw", "a consent for the face is withdrawn: no template anywhere")
    one.add_argument("id")
    one.set_defaults(do=_withdraw)
    one = add_action(actions, "withdrawals", "withdrawn consents and the doors' receipts")
    one.set_defaults(do=lambda people, _settings, _given: people.withdrawals())
    one = add_action(actions, "enrol", "face templates for all doors of a person, from 3 to 5 pictures")
    one.add_argument("id")
    one.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    one.add_argument("--consent", action="store_true", help="the person agreed, apart from anything else, to all doors")
    one.add_argument("--under-14", action="store_true", help="the person is under 14; needs --guardian")
    one.add_argument("--guardian", metavar="NAME", help="who agreed for a person under 14")
    one.add_argument(
        "--look-alike", metavar="ID", action="append", default=[],
        help="only looks like this person (twins, parent and child): both come in by face and phone together",
    )  # fmt: skip
    one.set_defaults(do=_enrol)
    one = add_action(actions, "hours", "schedules, holidays, unlock_hours from a JSON file, or - for stdin")
    one.add_argument("file", metavar="FILE")
    one.set_defaults(do=_hours)


def _add_doors(actions: Any) -> None:  # noqa: ANN401  as above
    one = add_action(actions, "doors", "which doors are kept, what they should have and what they have")
    one.set_defaults(do=lambda people, _settings, _given: people.drift())
    one = add_action(actions, "door", "keep a door's roster: people of these groups may come in, * is everybody")
    one.add_argument("device", metavar="SITE/DOOR")
    one.add_argument("groups", nargs="+", metavar="GROUP")
    one.set_defaults(do=_door)


def _add_passes(actions: Any) -> None:  # noqa: ANN401  as above
    one = add_action(actions, "pass", "a visitor pass, as a picture and a link", epilog=HONEST["en"])
    one.add_argument("--door", action="append", default=[], metavar="SITE/DOOR", help="may be repeated; none: any door")
    one.add_argument("--from", dest="start", metavar="TIME", help="2026-12-01T18:00, this machine's time zone; now")
    one.add_argument("--until", required=True, metavar="TIME")
    one.add_argument("--uses", type=int, default=1, help="openings at each door; 0: no limit; default 1")
    one.add_argument("--note", default="", help="for whom; stays on this server")
    one.add_argument("--picture", type=Path, metavar="FILE", help="write it as .svg or .png")
    one.add_argument("--address", metavar="URL", help="of the server as phones reach it: prints the link")
    one.set_defaults(do=_pass)
    one = add_action(actions, "passes", "passes that are not over")
    one.set_defaults(do=lambda people, settings, _given: [p.shown() for p in _desk(people, settings).passes()])
    one = add_action(actions, "revoke", "refuse a visitor pass from now on")
    one.add_argument("pass_id")
    one.set_defaults(do=lambda people, settings, given: _desk(people, settings).revoke(given.pass_id))


def _put(people: People, _settings: Settings, given: argparse.Namespace) -> dict[str, Any]:
    return _shown(people.put(_object(_typed() if given.person == "-" else given.person, "the person")))


def _remove_phone(people: People, _settings: Settings, given: argparse.Namespace) -> dict[str, Any]:
    person = people.remove_phone(given.id, given.name)
    return {"person_id": person.id, "phones": [phone.key_id for phone in person.phones]}


def _withdraw(people: People, _settings: Settings, given: argparse.Namespace) -> dict[str, Any]:
    return {"person_id": given.id, "at_utc_s": people.withdraw(given.id)}


def _hours(people: People, _settings: Settings, given: argparse.Namespace) -> dict[str, Any]:
    try:
        data = _typed() if given.file == "-" else Path(given.file).read_bytes()
    except OSError as e:
        raise ConfigError(f"{given.file}: cannot be read ({e.strerror})") from e
    people.set_hours(_object(data, given.file))
    return {"hours": "set"}


def _door(people: People, _settings: Settings, given: argparse.Namespace) -> dict[str, Any]:
    people.set_door(given.device, given.groups)
    return {"device": given.device, "groups": given.groups}


def _enrol(people: People, _settings: Settings, given: argparse.Namespace) -> dict[str, Any]:
    from agent.from_pictures import PictureReader
    from agent.look_alikes import need_phones
    from agent.residents import consent_now
    from models.pipeline import PipelineSettings

    if not given.consent:
        raise ConfigError("no consent record, no face: ask the person, then add --consent")
    consent = consent_now(int(time.time()), guardian=given.guardian, under_14=given.under_14, purpose=SITE_PURPOSE)
    if not consent.lawful:
        raise ConfigError("a person under 14 needs a guardian's consent: add --guardian NAME")
    is_known = given.id in people.roster().persons
    reader = PictureReader(PipelineSettings(), people.networks())
    found = reader.faces(given.pictures)
    alike = _look_alikes(people, reader, found, given)
    mark = {"second_factor": True} if alike else {}  # whoever is removed while pictures are read does not come back
    marked = [people.put({"id": one, **mark}, known=True) for one in alike]
    enrolled = people.put({"id": given.id, "consent": written(consent), **mark}, known=is_known)
    marked += [enrolled] if alike else []
    people.add_faces(given.id, found.faces, *reader.network)
    notes = [*found.notes, *(f"{one}: has no phone yet, so the face opens nothing" for one in need_phones(marked))]
    shown = _shown(people.roster().persons[given.id])
    return shown | ({"look_alikes": list(alike)} if alike else {}) | ({"notes": notes} if notes else {})


def _look_alikes(people: People, reader: PictureReader, found: Faces, given: argparse.Namespace) -> tuple[str, ...]:
    """Ids of those whom the new face resembles, here where the templates for all doors open. Raises LooksLikeError."""
    from agent.look_alikes import must_be_somebody_new

    persons = people.roster().persons
    known = reader.known(one for one in people.templates(persons) if (one.model_id, one.alignment_id) == reader.network)
    near = known.resembled([face.vector for face in found.faces], apart_from=given.id)
    names = {one.id: one.name for one in persons.values()}
    must_be_somebody_new(near, given.look_alike, names, "Enrol under {id} then, or remove that entry.")
    return tuple(dict.fromkeys([*(one.person_id for one in near), *given.look_alike]))


def _pass(people: People, settings: Settings, given: argparse.Namespace) -> dict[str, Any]:
    start = _time(given.start) if given.start else int(time.time())
    made = _desk(people, settings).issue(
        given.door, start, _time(given.until), given.uses, note=given.note, actor="shell"
    )
    if given.picture:
        data = made.png() if given.picture.suffix == ".png" else made.svg().encode()
        try:
            given.picture.write_bytes(data)
        except OSError as e:
            raise ConfigError(f"{given.picture}: cannot be written ({e.strerror})") from e
    link = {"link": made.link(given.address)} if given.address else {}
    return {**made.shown(), **link, "honest": HONEST}


def _desk(people: People, settings: Settings) -> PassDesk:
    if settings.pass_key_file is None:
        raise ConfigError("pass_key_file is not set: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256")
    return PassDesk(people, settings.pass_key_file)


def _shown(person: Any) -> dict[str, Any]:  # noqa: ANN401  a Person
    return {**person_json(person), "faces": len(person.faces)}


def _typed() -> bytes:
    """Standard input as it is: JSON says itself in which encoding it is written."""
    return sys.stdin.buffer.read()


def _object(data: str | bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise ConfigError(f"{what}: is not JSON ({str(e) or 'nested too deeply'}); write it as UTF-8") from e
    if not isinstance(value, dict):
        raise ConfigError(f"{what}: must be a JSON object")
    return value


def _time(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())
    except ValueError as e:
        raise ConfigError(f"{text}: not a time like 2026-12-01T18:00") from e


def _lines(answer: Any) -> list[str]:  # noqa: ANN401  JSON-shaped
    if isinstance(answer, bool):
        return ["done" if answer else "nobody or nothing of that name"]
    rows = answer if isinstance(answer, list) else [answer]
    return [" ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in row.items()) for row in rows]


if __name__ == "__main__":
    sys.exit(main())
