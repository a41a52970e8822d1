"""The door's people as a table for a spreadsheet: one person a row, pictures as file names beside it.

Columns (those left out stay as they are, an empty cell means none): see COLUMNS. Several things in a cell are separated
by `;`, yes and no are `yes`/`no` or `是`/`否`, dates are 2026-10-01 or 2026-10-01T18:00 in the door's time zone; a bare
`valid_until` includes its day. Pictures are read, made into templates and not kept.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from agent.core.bounded import written
from agent.core.roster import FACE_PURPOSE, SITE_PURPOSE, Consent
from agent.errors import ConfigError, PictureError

if TYPE_CHECKING:
    from agent.config import Config
    from agent.core.networks import Network
    from agent.core.roster import Roster
    from agent.from_pictures import Faces, PictureReader
    from agent.residents import Residents

    Enrolment = tuple[Faces, Network]

MAX_ROWS: Final = 20_000
_NAMED: Final = 20  # rows whose pictures cannot be used, in one message
_OFF: Final = "off:"  # before the code of a phone that is switched off
_FORMULA: Final = ("=", "+", "-", "@", "\t")  # what a spreadsheet would run
_YES: Final = frozenset({"yes", "true", "1", "是"})
_NO: Final = frozenset({"no", "false", "0", "否", ""})
_ENCODINGS: Final = ("utf-8-sig", "gb18030")  # what spreadsheets here save
COLUMNS: Final = (
    "id", "name", "kind", "enabled", "groups", "schedules", "valid_from", "valid_until", "extended_release",
    "second_factor", "consent_date", "consent_purpose", "under_14", "guardian", "phones", "pictures",
)  # fmt: skip


def read_table(data: bytes, name: str, zone: ZoneInfo) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The table as a roster document (`persons` only), and the picture names of each id.

    Raises:
        ConfigError: names file, row and column.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(_text(data, name), newline=""), strict=True))
    except csv.Error as e:
        raise ConfigError(f"{name}: not a CSV table ({e})") from e
    header = set(rows[0]) - {None} if rows else set()
    if rows and (strange := header - set(COLUMNS)):
        raise ConfigError(f"{name}: unknown column {min(strange)[:100]}; allowed: {', '.join(COLUMNS)}")
    if not rows or "id" not in header or len(rows) > MAX_ROWS:
        raise ConfigError(f"{name}: must have a first line with column names, id among them, and 1 to {MAX_ROWS} rows")
    persons, pictures = [], {}
    for number, row in enumerate(rows, start=2):
        try:
            person = _person(row, zone)
            persons.append(person)
            pictures[str(person["id"])] = _many(row.get("pictures"))
        except ValueError as e:
            raise ConfigError(f"{name}: row {number}: {e}; nothing was changed") from e
    return {"persons": persons}, {i: names for i, names in pictures.items() if names}


def write_table(persons: list[Mapping[str, Any]], zone: ZoneInfo) -> bytes:
    """The table of everybody, without pictures: none are kept. UTF-8 with the mark that spreadsheets look for."""
    out = io.StringIO(newline="")
    table = csv.DictWriter(out, COLUMNS)
    table.writeheader()
    for person in persons:
        table.writerow({name: _safe(cell) for name, cell in _cells(person, zone).items()})
    return out.getvalue().encode("utf-8-sig")


def enrolled(
    config: Config, folder: Path, pictures: dict[str, list[str]], residents: Residents, after: Roster
) -> dict[str, Enrolment]:
    """Templates of everybody's pictures; all are made before anything is stored. `after`: the roster as it will be.

    Raises:
        PictureError: the rows whose pictures cannot be used, all of them at once.
        LooksLikeError: the people who are too like each other and not marked for face and phone.
    """
    if not pictures:
        return {}
    from agent.from_pictures import PictureReader
    from agent.site_network import pipeline_settings
    from models.errors import PictureUnusableError

    reader = PictureReader(pipeline_settings(config), residents.view.networks)
    made, troubles = {}, []
    for person_id, names in pictures.items():
        try:
            made[person_id] = (reader.faces(_paths(folder, names)), reader.network)
        except (PictureError, PictureUnusableError) as e:
            troubles.append(f"{person_id}: {e}")
    if troubles:
        more = f"; and {len(troubles) - _NAMED} more" if len(troubles) > _NAMED else ""
        raise PictureError(f"{'; '.join(troubles[:_NAMED])}{more}; nothing was changed")
    _must_differ(config, reader, made, residents, after)
    return made


def _must_differ(
    config: Config, reader: PictureReader, made: Mapping[str, Enrolment], residents: Residents, after: Roster
) -> None:
    """Raise LooksLikeError for the new faces that are very near to another one, unless both are marked."""
    from agent.core.recognition import stranger_rate
    from agent.look_alikes import LooksLikeError
    from agent.roster.entries import StoredTemplate

    unreadable: set[str] = set()
    stay = [one for one in after.persons if one not in made]
    faces = list(residents.store.templates(*reader.network, stay, unreadable))
    for person_id, (new, network) in made.items():
        faces += [StoredTemplate(person_id, "", *network, face.quality, face.vector) for face in new.faces]
    rate = stranger_rate(config.faces.strangers_per_year, config.faces.stranger_passages_per_day)
    known, pairs = reader.known(faces, rate), set()
    for person_id, (new, _) in made.items():
        for other in known.resembled([face.vector for face in new.faces], apart_from=person_id):
            if not all(after.persons[one].second_factor for one in (person_id, other.person_id)):
                pairs.add(tuple(sorted((person_id, other.person_id))))
    if pairs:
        named = "; ".join(" and ".join(pair) for pair in sorted(pairs)[:_NAMED])
        more = f"; and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
        raise LooksLikeError(
            f"very near to each other: {named}{more}. The same person twice? Leave one of the rows out. Two who look "
            "alike? second_factor yes for both: then they come in by face and phone together; nothing was changed"
        )


def _paths(folder: Path, names: list[str]) -> list[Path]:
    """Files of these names in `folder` or below it. Raises PictureError for a name that leads out of it."""
    found = [(folder / name).resolve() for name in names]
    for path, name in zip(found, names, strict=True):
        if not path.is_relative_to(folder.resolve()):
            raise PictureError(f"{name}: is not in {folder}; put the pictures there")
    return found


def _text(data: bytes, name: str) -> str:
    for encoding in _ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ConfigError(f"{name}: is neither UTF-8 nor GB 18030 text; save the table as UTF-8 CSV")


def _person(row: Mapping[str, str | None], zone: ZoneInfo) -> dict[str, Any]:
    if None in row or None in row.values():
        raise ValueError("has more or fewer cells than the first line")
    cells = {name: _plain(str(cell)) for name, cell in row.items()}
    if not cells["id"]:
        raise ValueError("id is empty")
    readers: dict[str, tuple[str, Callable[[str], Any]]] = {
        "id": ("id", str), "name": ("name", str), "kind": ("kind", lambda cell: cell or "resident"),
        "enabled": ("enabled", lambda cell: cell == "" or _flag(cell)),
        "groups": ("groups", _many), "schedules": ("schedules", _many),
        "valid_from": ("valid_from_utc_s", lambda cell: _utc_s(cell, zone)),
        "valid_until": ("valid_until_utc_s", lambda cell: _utc_s(cell, zone, whole_day=True)),
        "extended_release": ("extended_release", _flag), "second_factor": ("second_factor", _flag),
        "phones": ("phones", _phones),
    }  # fmt: skip
    person: dict[str, Any] = {}
    for column, (key, reader) in readers.items():
        if column in cells:
            try:
                person[key] = reader(cells[column])
            except (ValueError, PictureError) as e:
                raise ValueError(f"{column}: {e}") from e
    return person | ({"consent": _consent(cells, zone)} if "consent_date" in cells else {})


def _consent(cells: Mapping[str, str], zone: ZoneInfo) -> dict[str, Any] | None:
    given = _utc_s(cells["consent_date"], zone)
    if given is None:
        return None
    purpose = cells.get("consent_purpose") or FACE_PURPOSE
    if purpose not in (FACE_PURPOSE, SITE_PURPOSE):
        raise ValueError(f"consent_purpose: must be {FACE_PURPOSE} or {SITE_PURPOSE}")
    consent: dict[str, Any] = written(
        Consent(purpose, given, _flag(cells.get("under_14", "")), cells.get("guardian") or None)
    )
    return consent


def _phones(cell: str) -> list[dict[str, Any]]:
    from agent.pass_desk import phone_key

    keys = [(phone_key(code.removeprefix(_OFF)), not code.startswith(_OFF)) for code in _many(cell)]
    return [{**written(key), "enabled": enabled} for key, enabled in keys]


def _utc_s(cell: str, zone: ZoneInfo, *, whole_day: bool = False) -> int | None:
    if not cell:
        return None
    try:
        at = datetime.fromisoformat(cell.replace("/", "-"))
    except ValueError:
        raise ValueError(f"{cell[:40]} is not a date like 2026-10-01 or 2026-10-01T18:00") from None
    if whole_day and "T" not in cell and ":" not in cell:
        at += timedelta(days=1)
    return int((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp())


def _flag(cell: str) -> bool:
    word = cell.strip().lower()
    if word not in _YES | _NO:
        raise ValueError(f"{cell[:40]} is neither yes nor no")
    return word in _YES


def _many(cell: str | None) -> list[str]:
    return [one.strip() for one in (cell or "").replace("；", ";").split(";") if one.strip()]  # noqa: RUF001  Chinese


def _plain(cell: str) -> str:
    """A cell without the quote that `_safe` put before it."""
    cell = cell.strip()
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _cells(person: Mapping[str, Any], zone: ZoneInfo) -> dict[str, str]:
    consent = person.get("consent") or {}
    withdrawn = consent.get("withdrawn_utc_s") is not None
    return {
        "id": person["id"], "name": person["name"], "kind": person["kind"], "enabled": _word(person["enabled"]),
        "groups": ";".join(person["groups"]), "schedules": ";".join(person["schedules"]),
        "valid_from": _date(person["valid_from_utc_s"], zone), "valid_until": _date(person["valid_until_utc_s"], zone),
        "extended_release": _word(person["extended_release"]), "second_factor": _word(person["second_factor"]),
        "consent_date": "" if withdrawn else _date(consent.get("given_utc_s"), zone),
        "consent_purpose": consent.get("purpose", ""), "under_14": _word(consent.get("under_14", False)),
        "guardian": consent.get("guardian") or "",
        "phones": ";".join(_phone_cell(phone) for phone in person["phones"]), "pictures": "",
    }  # fmt: skip


def _phone_cell(phone: Mapping[str, Any]) -> str:
    code = str(phone["public_key"]).replace("+", "-").replace("/", "_").rstrip("=")
    return code if phone["enabled"] else _OFF + code


def _date(utc_s: int | None, zone: ZoneInfo) -> str:
    return "" if utc_s is None else datetime.fromtimestamp(utc_s, zone).strftime("%Y-%m-%dT%H:%M:%S")


def _word(value: object) -> str:
    return "yes" if value else "no"
