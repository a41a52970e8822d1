"""Who is enrolled at this door, and taking away: a phone, the face, the person."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.common import print_json

if TYPE_CHECKING:
    from agent.config import Config
    from agent.residents import Residents


def remove_phone(residents: Residents, _config: Config, arguments: argparse.Namespace) -> int:
    """0: a lost phone is off the list, the others stay."""
    person = residents.remove_phone(arguments.person, arguments.remove_phone)
    left = [phone.key_id for phone in person.phones]
    if arguments.json:
        print_json({"id": person.id, "removed_phone": arguments.remove_phone, "phones": left})
    else:
        print(f"{person.id}: that phone opens nothing from now on; {len(left)} other phone(s)")
        if person.second_factor and not left:
            print(f"note: {person.id}: has no phone now, so the face opens nothing")
    return 0


def list_people(residents: Residents, _config: Config, arguments: argparse.Namespace) -> int:
    """0: said who is enrolled, whose entry cannot be read, and what to do about that."""
    people = [
        {
            "id": p.id,
            "name": p.name,
            "kind": str(p.kind),
            "templates": len(p.faces),
            "phones": len(p.phones),
            "phone_names": [phone.key_id for phone in p.phones],
            "enabled": p.enabled,
            "second_factor": p.second_factor,
        }
        for p in residents.roster.persons.values()
    ]
    if arguments.json:
        faults = dict(residents.roster.faults)
        print_json({"epoch": residents.roster.epoch, "people": people} | ({"unreadable": faults} if faults else {}))
        return 0
    phones = {p.id: [phone.key_id for phone in p.phones] for p in residents.roster.persons.values()}
    for person in people:
        print(
            f"{person['id']:16} {person['name']:24} {person['kind']:10} {person['templates']} templates, "
            f"{person['phones']} phones{', face only with phone' if person['second_factor'] else ''}"
            f"{''.join(f' {name}' for name in phones[str(person['id'])])}"
        )
    for person_id, why in residents.roster.faults.items():
        cure = f"door-agent enroll --remove {person_id}, then enrol again" if person_id else "import the hours again"
        print(f"{person_id or 'the hours'}: cannot be read ({why}); {cure}")
    print(f"{len(people)} people")
    return 0


def withdraw(residents: Residents, config: Config, arguments: argparse.Namespace) -> int:
    """0: the face is forgotten here, the person stays; 1: nobody of this id. Without a server a receipt is printed."""
    from agent.known_time import known_time_of
    from agent.receipts import ReceiptKey, withdrawn

    folder, known = Path(config.store.state_dir), known_time_of(config)
    door = f"{config.door.site}/{config.door.id}" if config.server is None else None
    if door is not None:
        ReceiptKey(folder)  # a key that cannot be used is said before anything is forgotten
    person_id = arguments.withdraw
    done = withdrawn(residents, folder, person_id, known.floor_s(), known.believed_s(), door)
    found, templates, receipt = done.why_not is None, done.templates, done.receipt
    if arguments.json:
        said = {"withdrawn": found, "id": person_id, "templates": templates}
        print_json(said | ({"receipt": receipt} if receipt else {}))
    elif not found:
        print(f"{person_id}: nobody of this id; see door-agent enroll --list")
    elif receipt is None:
        print(
            f"{person_id}: {templates} face template(s) forgotten; a running door knows within 2 s and writes a receipt"
        )
    else:
        print(f"{person_id}: {templates} face template(s) forgotten; a running door knows within 2 s")
        print("the receipt, for the person to keep (--check-receipt FILE says whether it is genuine):")
        print(json.dumps(receipt, ensure_ascii=False))
    return 0 if found else 1


def check_receipt(_residents: Residents, config: Config, arguments: argparse.Namespace) -> int:
    """0: this door wrote it; 1: it did not, or somebody altered it."""
    from agent.errors import PictureError
    from agent.receipts import ReceiptKey

    try:
        receipt = json.loads(arguments.check_receipt.read_text())
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        raise PictureError(f"{arguments.check_receipt}: not a receipt ({why})", exit_code=2) from e
    holds = isinstance(receipt, dict) and ReceiptKey(Path(config.store.state_dir)).holds(receipt)
    if arguments.json:
        print_json({"genuine": holds})
    else:
        print("this door wrote that" if holds else "not written by this door, or altered since")
    return 0 if holds else 1


def remove(residents: Residents, _config: Config, arguments: argparse.Namespace) -> int:
    """0: person, templates and their bytes are gone; 1: nobody of this id."""
    person_id = arguments.remove
    gone = residents.remove(person_id)
    if arguments.json:
        print_json({"removed": gone, "id": person_id})
    else:
        print(f"{person_id}: forgotten" if gone else f"{person_id}: nobody of this id; see door-agent enroll --list")
    return 0 if gone else 1
