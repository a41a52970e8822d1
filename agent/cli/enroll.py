"""door-agent enroll: a resident from pictures; also who is enrolled, and forgetting somebody."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.common import add_command, print_json
from agent.errors import PictureError

if TYPE_CHECKING:
    from agent.config import Config
    from agent.core.roster import Consent
    from agent.residents import Residents

_EXAMPLE = "example: door-agent enroll 'Li Mei' li-1.jpg li-2.jpg li-3.jpg --consent"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(subparsers, "enroll", "Enrol a resident from 3 to 5 pictures of her face, list, or remove.")
    parser.epilog = _EXAMPLE
    parser.add_argument("name", nargs="?", help="kept on this device only")
    parser.add_argument("pictures", nargs="*", type=Path, metavar="PICTURE", help="JPEG or PNG, one face each")
    parser.add_argument("--consent", action="store_true", help="the person agreed to be recognised at this door")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="put somebody on the watch-list instead; only with privacy.watch_list_legal_basis",
    )
    parser.add_argument("--under-14", action="store_true", help="the person is under 14; needs --guardian")
    parser.add_argument("--guardian", metavar="NAME", help="who agreed for a person under 14")
    parser.add_argument("--slow-walker", action="store_true", help="give this person the extended release time")
    parser.add_argument("--phone", metavar="CODE", help="the registration code that the person's phone page shows")
    parser.add_argument("--person", metavar="ID", help="add the phone to somebody who is enrolled already")
    parser.add_argument("--list", action="store_true", help="show who is enrolled")
    parser.add_argument(
        "--withdraw", metavar="ID", help="consent withdrawn: forget the face here, the person and the phone stay"
    )
    parser.add_argument("--remove", metavar="ID", help="forget a person: record, templates and their bytes on the disk")


def run(arguments: argparse.Namespace) -> int:
    """0 done; 7 a picture cannot be used or consent is missing; 4 the roster cannot be used; 6 no face models."""
    from agent.config import load
    from agent.residents import Residents
    from agent.roster_store import RosterStore

    config = load(arguments.config)
    store = RosterStore(Path(config.store.state_dir))
    try:
        residents = Residents(store)
        if arguments.list:
            return _list(residents, as_json=arguments.json)
        if arguments.remove:
            return _remove(residents, arguments.remove, as_json=arguments.json)
        if arguments.withdraw:
            return _withdraw(residents, arguments.withdraw, as_json=arguments.json)
        if arguments.phone and not arguments.pictures:
            return _phone_only(residents, arguments)
        return _enrol(residents, config, arguments)
    finally:
        store.close()


def _enrol(residents: Residents, config: Config, arguments: argparse.Namespace) -> int:
    from agent.from_pictures import PictureReader
    from agent.pass_desk import phone_key
    from agent.site_network import pipeline_settings

    if not arguments.name or not arguments.pictures:
        raise PictureError(f"a name and pictures are needed; {_EXAMPLE}", exit_code=2)
    consent, more = _allowed(config, arguments)
    reader = PictureReader(pipeline_settings(config), residents.view.networks)
    found, (model_id, alignment_id) = reader.faces(arguments.pictures), reader.network
    phones = (phone_key(arguments.phone),) if arguments.phone else ()
    person = residents.add(
        arguments.name,
        consent,
        found.faces,
        model_id,
        alignment_id,
        extended_release=arguments.slow_walker,
        phones=phones,
        **more,
    )
    count = len(found.faces)
    if arguments.json:
        said = {"id": person.id, "templates": count, "model": model_id}
        print_json(said | ({"notes": list(found.notes)} if found.notes else {}))
    else:
        print(f"enrolled {arguments.name} as {person.id} from {count} pictures; a running door knows within 2 s")
        print("".join(f"note: {note}\n" for note in found.notes), end="")
    return 0


def _allowed(config: Config, arguments: argparse.Namespace) -> tuple[Consent, dict[str, object]]:
    """The consent, or for the watch-list its record and what makes a person of it; else no face."""
    from agent.core.roster import WATCH_PURPOSE, PersonKind
    from agent.residents import consent_now

    now_s = int(time.time())
    if arguments.watch:
        if config.privacy.watch_list_legal_basis is None:
            raise PictureError("no watch-list at this door: it needs privacy.watch_list_legal_basis", exit_code=3)
        return consent_now(now_s, purpose=WATCH_PURPOSE), {"kind": PersonKind.WATCHED, "schedules": ()}
    if not arguments.consent:
        raise PictureError("no consent record, no face: ask the person, then add --consent")
    consent = consent_now(now_s, guardian=arguments.guardian, under_14=arguments.under_14)
    if not consent.lawful:
        raise PictureError("a person under 14 needs a guardian's consent: add --guardian NAME")
    return consent, {}


def _phone_only(residents: Residents, arguments: argparse.Namespace) -> int:
    from agent.pass_desk import phone_key

    key = phone_key(arguments.phone)
    if arguments.person:
        person = residents.add_phone(arguments.person, key)
    elif arguments.name:
        person = residents.add(arguments.name, None, (), "", "", extended_release=arguments.slow_walker, phones=(key,))
    else:
        raise PictureError("whose phone? give a name, or --person ID of somebody enrolled", exit_code=2)
    if arguments.json:
        print_json({"id": person.id, "phones": len(person.phones)})
    else:
        print(f"{person.id}: {len(person.phones)} phone(s); codes of this phone open from now on")
    return 0


def _list(residents: Residents, *, as_json: bool) -> int:
    people = [
        {
            "id": p.id,
            "name": p.name,
            "kind": str(p.kind),
            "templates": len(p.faces),
            "phones": len(p.phones),
            "enabled": p.enabled,
        }
        for p in residents.roster.persons.values()
    ]
    if as_json:
        faults = dict(residents.roster.faults)
        print_json({"epoch": residents.roster.epoch, "people": people} | ({"unreadable": faults} if faults else {}))
        return 0
    for person in people:
        print(
            f"{person['id']:16} {person['name']:24} {person['kind']:10} {person['templates']} templates, "
            f"{person['phones']} phones"
        )
    for person_id, why in residents.roster.faults.items():
        cure = f"door-agent enroll --remove {person_id}, then enrol again" if person_id else "import the hours again"
        print(f"{person_id or 'the hours'}: cannot be read ({why}); {cure}")
    print(f"{len(people)} people")
    return 0


def _withdraw(residents: Residents, person_id: str, *, as_json: bool) -> int:
    person = residents.person(person_id)
    templates = len(person.faces) if person is not None else 0
    found = residents.withdraw(person_id, int(time.time()))
    if as_json:
        print_json({"withdrawn": found, "id": person_id, "templates": templates})
    elif found:
        print(
            f"{person_id}: {templates} face template(s) forgotten; a running door knows within 2 s and writes a receipt"
        )
    else:
        print(f"{person_id}: nobody of this id; see door-agent enroll --list")
    return 0 if found else 1


def _remove(residents: Residents, person_id: str, *, as_json: bool) -> int:
    gone = residents.remove(person_id)
    if as_json:
        print_json({"removed": gone, "id": person_id})
    else:
        print(f"{person_id}: forgotten" if gone else f"{person_id}: nobody of this id; see door-agent enroll --list")
    return 0 if gone else 1
