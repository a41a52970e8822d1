"""door-agent roster: the door's people and hours as a file to keep, to edit and to bring back.

A .json file has schedules, holidays, unlock_hours, persons, in the shapes of agent/core/roster.py; a .csv file has the
people only, for a spreadsheet (roster_csv.py says which columns), and may name pictures to enrol. Names are in both,
for it is the operator's own backup; face templates never are: a face is enrolled at the device that keeps it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from agent.cli.common import DEFAULT_CONFIG, add_command, print_json
from agent.cli.roster_csv import COLUMNS, enrolled, read_table, write_table
from agent.cli.roster_difference import difference_of, lines, templates, with_withdrawals
from agent.command_line import add_action
from agent.errors import ConfigError, DoorAgentError

if TYPE_CHECKING:
    from agent.config import Config
    from agent.core.bounded import Check
    from agent.core.schedule import Schedule
    from agent.residents import Residents

MAX_FILE_BYTES: Final = 32 * 1024 * 1024  # 20,000 people with five phone keys each
_SITE: Final = ("schedules", "holidays", "unlock_hours")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(subparsers, "roster", "Export, import or show people, schedules, holidays and unlock hours.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    export = add_action(actions, "export", "write a .json or .csv file with names, never a face template")
    export.add_argument("file", type=Path, metavar="FILE")
    take = add_action(
        actions, "import", "take a file; lists in it replace the stored ones whole, keys left out stay as they are"
    )
    take.epilog = f"columns of a .csv: {', '.join(COLUMNS)}; several things in a cell are separated by ;"
    take.add_argument("file", type=Path, metavar="FILE")
    take.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="where the pictures of a .csv lie; default: beside it"
    )
    take.add_argument("--dry-run", action="store_true", help="only say what would change")
    show = add_action(actions, "show", "people, schedules, holidays and unlock hours")
    for action in (export, take, show):
        action.add_argument("--config", default=argparse.SUPPRESS, metavar="FILE", help=f"default: {DEFAULT_CONFIG}")


def run(arguments: argparse.Namespace) -> int:
    """0 done; 1 the file cannot be written; 3 the file or the configuration is wrong; 4 the roster cannot be used.

    6 no face models, 7 a picture cannot be used: only for a .csv that names pictures.
    """
    from agent.config import load
    from agent.residents import Residents
    from agent.roster.store import RosterStore

    config = load(arguments.config)
    store = RosterStore(Path(config.store.state_dir))
    try:
        residents = Residents(store)
        if arguments.action == "export":
            _export(residents, arguments.file, ZoneInfo(config.door.timezone), as_json=arguments.json)
            return 0
        if arguments.action == "import":
            _import(residents, config, arguments)
        else:
            _show(residents, as_json=arguments.json)
        if residents.roster.unlock_hours and config.door.lock_duty == "intermittent" and not arguments.json:
            print("note: door.lock_duty is intermittent, so this door refuses unlock hours: its lock would burn")
    finally:
        store.close()
    return 0


# ---------------------------------------------------------------- export


def _export(residents: Residents, file: Path, zone: ZoneInfo, *, as_json: bool) -> None:
    document = residents.snapshot()
    del document["epoch"]  # the store's own count: an older file may be brought back
    for person in document["persons"]:
        del person["faces"]
    if file.suffix.lower() == ".csv":
        data = write_table(document["persons"], zone)
    else:
        data = json.dumps(document, ensure_ascii=False, indent=2).encode()
    _write_private(Path(os.path.realpath(file)), data)
    count = len(document["persons"])
    if as_json:
        print_json({"file": str(file), "persons": count})
    else:
        print(f"{file}: {count} people and the hours, without face templates; it holds names, keep it safe")


def _write_private(file: Path, data: bytes) -> None:
    """The whole file or none of it, for its owner's eyes only."""
    if file.exists() and not file.is_file():
        raise DoorAgentError(f"{file}: cannot be written (not a plain file)")
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as f:  # mode 0600
            try:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
                Path(f.name).replace(file)
            except OSError:
                Path(f.name).unlink(missing_ok=True)
                raise
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as e:
        raise DoorAgentError(f"{file}: cannot be written ({e.strerror}); choose another place") from e


# ---------------------------------------------------------------- import


def _import(residents: Residents, config: Config, arguments: argparse.Namespace) -> None:
    from agent.core.bounded import Rejected
    from agent.core.roster import parse

    file, dry_run, before = arguments.file, arguments.dry_run, residents.roster
    pictures: dict[str, list[str]] = {}
    if file.suffix.lower() == ".csv":
        document, pictures = read_table(_bytes(file), str(file), ZoneInfo(config.door.timezone))
    else:
        document = _read(file)
    found = parse(_merged(document, residents.snapshot(), file))
    if isinstance(found, Rejected):
        raise ConfigError(f"{file}: {found.reason.removeprefix('roster: ')}; nothing was changed")
    found, withdrawn = with_withdrawals(residents, found)
    difference = difference_of(before, found)
    for person_id in pictures:
        consent = found.persons[person_id].consent
        if consent is None or not consent.lawful:
            why = withdrawn.get(person_id, "no consent record, no face: fill in consent_date")
            raise ConfigError(f"{file}: {person_id}: {why}; nothing was changed")
    folder = arguments.pictures or file.parent
    made = {} if dry_run else enrolled(config, folder, pictures, residents, found)
    if any(difference.values()) and not dry_run:
        residents.replace(found)
    for person_id, (new, network) in made.items():
        residents.set_faces(person_id, new.faces, *network)
    if arguments.json:
        more = {"enrolled": sorted(pictures)} if pictures else {}
        more |= {"stays_withdrawn": sorted(withdrawn)} if withdrawn else {}
        print_json({**difference, "dry_run": dry_run} | more)
    else:
        said = [*lines(difference, before, found), *(f"* {i}: {len(n)} picture(s)" for i, n in pictures.items())]
        said += [f"! {i}: {why}" for i, why in withdrawn.items()]
        said += [f"note: {i}: {note}" for i, (one, _) in made.items() for note in one.notes]
        print("\n".join(said) or "no difference")


def _bytes(file: Path) -> bytes:
    """The whole file, no larger than MAX_FILE_BYTES."""
    try:
        with file.open("rb") as f:
            data = f.read(MAX_FILE_BYTES + 1)
    except OSError as e:
        raise ConfigError(f"{file}: cannot be read ({e.strerror})") from e
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{file}: is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB")
    return data


def _read(file: Path) -> dict[str, Any]:
    """The file's JSON object."""
    data = _bytes(file)
    try:
        value = json.loads(data)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ConfigError(f"{file}: is nested too deeply to be a roster") from None
    except UnicodeEncodeError:
        raise ConfigError(f"{file}: holds half a character (a lone \\ud8xx); write names as UTF-8") from None
    except ValueError as e:
        raise ConfigError(f"{file}: is not JSON ({e})") from e
    if not isinstance(value, dict):
        raise ConfigError(f"{file}: must be an object with {', '.join(_SITE)} or persons")
    return value


def _merged(given: dict[str, Any], stored: dict[str, Any], file: Path) -> dict[str, Any]:
    """The stored snapshot with what the file says; a person's fields that the file leaves out stay as they are."""
    from agent.core.bounded import BadValueError
    from agent.core.roster import Person, person_json

    if unknown := given.keys() - {"v", "persons", *_SITE}:
        raise ConfigError(f"{file}: unknown key {min(unknown)[:100]}; allowed: v, persons, {', '.join(_SITE)}")
    if not given.keys() - {"v"}:
        raise ConfigError(f"{file}: nothing to import: none of persons, {', '.join(_SITE)} is there")
    for path, check, value in _places(given):
        try:
            check(value)
        except BadValueError as e:
            raise ConfigError(f"{file}: {path}: {e}; nothing was changed") from e
    persons, new = given.get("persons"), person_json(Person(id=""))
    if isinstance(persons, list):
        known = {person["id"]: person for person in stored["persons"]}
        persons = [
            {**new, **known.get(str(one.get("id")), {}), **one} if isinstance(one, dict) else one for one in persons
        ]
    return {**stored, **given, **({} if persons is None else {"persons": persons})}


def _places(given: dict[str, Any]) -> Iterator[tuple[str, Check, object]]:
    """Every part of the hours, innermost first, with what checks it: the first that fails is the place to mend."""
    from agent.core import schedule
    from agent.core.bounded import part

    for key in (*_SITE, "persons"):
        if key not in given:
            continue
        yield key, _is_list, given[key]
        for n, row in enumerate(given[key]):
            path = f"{key}[{n}]"
            if key == "persons":
                yield path, _has_no_faces, row
                continue
            windows = row.get("windows") if key == "schedules" and isinstance(row, dict) else None
            for m, window in enumerate(windows if isinstance(windows, list) else []):
                yield f"{path}.windows[{m}]", part(schedule.Window), window
            one_of: Check = getattr(schedule, key)
            yield path, one_of, [row]


def _is_list(value: object) -> None:
    from agent.core.bounded import BadValueError

    if not isinstance(value, list):
        raise BadValueError("must be a list")


def _has_no_faces(person: object) -> None:
    from agent.core.bounded import BadValueError

    if isinstance(person, dict) and "faces" in person:
        raise BadValueError("faces are not imported; a face is enrolled with door-agent enroll or at the door")


# ---------------------------------------------------------------- show


def _show(residents: Residents, *, as_json: bool) -> None:
    roster, stored = residents.roster, residents.snapshot()
    if as_json:
        people = [{**person, "faces": len(person["faces"])} for person in stored["persons"]]
        print_json({**stored, "persons": people})
        return
    for person in roster.persons.values():
        when = " ".join(person.schedules) or "never"
        print(f"{person.id:16} {person.name:24} {person.kind:10} {when}, {templates(person)}")
    print(f"{len(roster.persons)} people, epoch {roster.epoch}")
    for schedule in roster.calendar.schedules.values():
        print(f"schedule {schedule.id}: {_hours(schedule)}")
    print(f"holidays: {' '.join(sorted(roster.calendar.holidays)) or 'none'}")
    for hours in roster.unlock_hours:
        print(f"unlocked: {hours.schedule}{', from the first person in' if hours.first_person_in else ''}")
    if not roster.unlock_hours:
        print("unlocked: never")


def _hours(schedule: Schedule) -> str:
    def clock(minute: int) -> str:
        return f"{minute // 60:02}:{minute % 60:02}"

    return "; ".join(
        f"{' '.join(w.days)} {clock(w.start_min)}-{clock(w.end_min)}"
        + (" (next day)" if w.end_min <= w.start_min else "")
        for w in schedule.windows
    )
