"""door-agent enroll: a resident from pictures; also who is enrolled, and forgetting somebody."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.common import add_command, print_json
from agent.cli.enrolled import check_receipt, list_people, remove, remove_phone, withdraw
from agent.errors import PictureError

if TYPE_CHECKING:
    from agent.config import Config
    from agent.core.roster import Consent, Person
    from agent.from_pictures import Faces, PictureReader
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
    parser.add_argument(
        "--person",
        metavar="ID",
        help="of somebody who is enrolled already: add the phone, or pictures of another visit",
    )
    parser.add_argument(
        "--look-alike",
        metavar="ID",
        action="append",
        default=[],
        help="this person only looks like ID (twins, parent and child): neither comes in by the face alone",
    )
    parser.add_argument(
        "--second-factor",
        choices=("on", "off"),
        help="with --person: let a face open only together with the phone, or alone again",
    )
    parser.add_argument(
        "--remove-phone",
        metavar="NAME",
        help="with --person: a lost phone, by its name in --list; the person's other phones stay",
    )
    parser.add_argument("--list", action="store_true", help="show who is enrolled")
    parser.add_argument(
        "--withdraw", metavar="ID", help="consent withdrawn: forget the face here, the person and the phone stay"
    )
    parser.add_argument(
        "--check-receipt", metavar="FILE", type=Path, help="whether this door wrote that receipt of a withdrawal"
    )
    parser.add_argument("--remove", metavar="ID", help="forget a person: record, templates and their bytes on the disk")


def run(arguments: argparse.Namespace) -> int:
    """0 done; 7 a picture cannot be used or consent is missing; 4 the roster cannot be used; 6 no face models."""
    from agent.config import load
    from agent.residents import Residents
    from agent.roster.store import RosterStore

    config = load(arguments.config)
    store = RosterStore(Path(config.store.state_dir))
    try:
        residents = Residents(store)
        return _asked(arguments)(residents, config, arguments)
    finally:
        store.close()


def _asked(arguments: argparse.Namespace) -> Callable[[Residents, Config, argparse.Namespace], int]:
    a = arguments
    if (a.second_factor or a.remove_phone) and not a.person:
        raise PictureError(
            "--second-factor and --remove-phone need --person ID; see door-agent enroll --list", exit_code=2
        )
    choices = (
        (a.list, list_people),
        (a.remove, remove),
        (a.withdraw, withdraw),
        (a.check_receipt, check_receipt),
        (a.person and a.remove_phone, remove_phone),
        (a.person and a.second_factor, _second_factor),
        (a.person and a.name, _visit),
        (a.phone and not a.pictures, _phone_only),
    )
    return next((do for asked, do in choices if asked), _enrol)


def _enrol(residents: Residents, config: Config, arguments: argparse.Namespace) -> int:
    from agent.from_pictures import PictureReader
    from agent.pass_desk import phone_key
    from agent.site_network import pipeline_settings

    if not arguments.name or not arguments.pictures:
        raise PictureError(f"a name and pictures are needed; {_EXAMPLE}", exit_code=2)
    consent, more = _allowed(config, arguments)
    reader = PictureReader(pipeline_settings(config), residents.view.networks)
    found, (model_id, alignment_id) = reader.faces(arguments.pictures), reader.network
    alike = _look_alikes(residents, config, reader, found, arguments.look_alike)
    phones = (phone_key(arguments.phone),) if arguments.phone else ()
    person = residents.add(
        arguments.name,
        consent,
        found.faces,
        model_id,
        alignment_id,
        extended_release=arguments.slow_walker,
        phones=phones,
        alike=alike,
        **more,
    )
    count, notes = len(found.faces), [*found.notes, *_notes(residents, person.id, alike)]
    if arguments.json:
        said = {"id": person.id, "templates": count, "model": model_id, "look_alikes": list(alike)}
        print_json(said | ({"notes": notes} if notes else {}))
    else:
        print(f"enrolled {arguments.name} as {person.id} from {count} pictures; a running door knows within 2 s")
        print("".join(f"note: {note}\n" for note in notes), end="")
    return 0


def _look_alikes(
    residents: Residents,
    config: Config,
    reader: PictureReader,
    found: Faces,
    accepted: list[str],
    who: Person | None = None,
) -> tuple[str, ...]:
    """Ids of those whom a face resembles; `who`: whose it is, if she is known here.

    Raises LooksLikeError unless all of them were named, or are marked as she is.
    """
    from agent.core.recognition import stranger_rate
    from agent.look_alikes import must_be_somebody_new

    rate = stranger_rate(config.faces.strangers_per_year, config.faces.stranger_passages_per_day)
    unreadable: set[str] = set()
    everybody = reader.known(residents.store.templates(*reader.network, None, unreadable), rate)
    near = everybody.resembled([face.vector for face in found.faces], apart_from=who.id if who else None)
    persons = residents.roster.persons
    if who is not None and who.second_factor:
        near = tuple(one for one in near if one.person_id not in persons or not persons[one.person_id].second_factor)
    names = {one.id: one.name for one in persons.values()}
    must_be_somebody_new(near, accepted, names, "door-agent enroll --person {id} PICTURE… adds these pictures to her.")
    return tuple(dict.fromkeys([*(one.person_id for one in near), *accepted]))


def _notes(residents: Residents, person_id: str, alike: tuple[str, ...]) -> list[str]:
    """What the enroller has to know or to do about look-alikes."""
    from agent.look_alikes import need_phones

    if not alike:
        return []
    people = [one for i in (person_id, *alike) if (one := residents.person(i)) is not None]
    notes = [f"{' and '.join(one.id for one in people)} look alike: they come in by face and phone together"]
    notes += [f"{one}: has no phone yet, so the face opens nothing" for one in need_phones(people)]
    theirs = [one for one in alike if one in residents.roster.managed]
    return notes + [f"{one}: is kept by the server, set second_factor there too" for one in theirs]


def _visit(residents: Residents, config: Config, arguments: argparse.Namespace) -> int:
    """Pictures for somebody who is there: of one more visit, or the first ones of whom only a phone was known."""
    from agent.from_pictures import PictureReader
    from agent.site_network import pipeline_settings

    pictures = [Path(arguments.name), *arguments.pictures]
    person = residents.person(arguments.person)
    if person is None:
        raise PictureError(f"{arguments.person}: nobody of this id; see door-agent enroll --list")
    consent = None
    if person.consent is None or not person.consent.lawful:
        consent, _ = _allowed(config, arguments)
    reader = PictureReader(pipeline_settings(config), residents.view.networks)
    before = [one.vector for one in residents.store.templates(*reader.network, [person.id])]
    found = reader.visit(pictures) if before else reader.faces(pictures)
    if before and not reader.same_person(found.faces, before):
        raise PictureError(
            f"these pictures do not look like {person.id} {person.name}; nothing was stored. If the face has changed so"
            f" much, withdraw it first: door-agent enroll --withdraw {person.id}"
        )
    alike = _look_alikes(residents, config, reader, found, arguments.look_alike, person)
    changed = residents.add_visit(person.id, found.faces, *reader.network, consent, alike=alike)
    notes = [*found.notes, *_notes(residents, person.id, alike)]
    if arguments.json:
        said = {"id": person.id, "pictures": len(found.faces), "templates": len(changed.faces)}
        print_json(said | ({"notes": notes} if notes else {}))
    else:
        print(f"{person.id}: {len(found.faces)} picture(s) added, {len(changed.faces)} templates are kept")
        print("".join(f"note: {note}\n" for note in notes), end="")
    return 0


def _second_factor(residents: Residents, _config: Config, arguments: argparse.Namespace) -> int:
    needed = arguments.second_factor == "on"
    if arguments.person in residents.roster.managed:
        raise PictureError(f"{arguments.person}: is kept by the server; set second_factor there")
    residents.need_phone([arguments.person], needed=needed)
    if arguments.json:
        print_json({"id": arguments.person, "second_factor": needed})
    else:
        print(f"{arguments.person}: {'face and phone together' if needed else 'the face alone'} from now on")
    return 0


def _allowed(config: Config, arguments: argparse.Namespace) -> tuple[Consent, dict[str, object]]:
    """The consent, or for the watch-list its record and what makes a person of it; else no face."""
    from agent.core.roster import WATCH_PURPOSE, PersonKind
    from agent.known_time import known_time_of
    from agent.residents import consent_now

    now_s = int(known_time_of(config).believed_s())
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


def _phone_only(residents: Residents, _config: Config, arguments: argparse.Namespace) -> int:
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
