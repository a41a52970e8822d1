"""What a thief finds on a door's card: folders as the product leaves them, searched for keys, templates and names."""

import base64
import contextlib
import json
import math
import re
import sqlite3
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization

from agent.core.roster_feed import PERSON, WITHDRAWN
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore, downgrade
from tests.attack.attacked_door import SITE, Door
from tests.attack.forged_codes import CodeForger
from tests.attack.forged_commands import CommandForger

NAMES = ("Ouyang Meiling", "欧阳美玲", "Zbigniew Przybylski")
_PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_WINDOW = 64


class Card:
    """Every file of the door's folders, once the door has lived: people enrolled, let in, refused, changed, removed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.door = Door(folder)
        rng = np.random.default_rng(7)
        self.vectors = []
        store = RosterStore(folder / "state")
        residents = Residents(store)
        for name in NAMES:
            vector = rng.normal(size=256).astype("<f4")
            self.vectors.append((vector / np.linalg.norm(vector)).tobytes())
            face = NewFace(self.vectors[-1], 0.9)
            person = residents.add(name, consent_now(1_790_000_000, guardian=name), [face], "net", "five")
        residents.remove(person.id)
        entry = json.dumps({"id": "p-x", "name": NAMES[0]})
        store._write_entries({}, {(PERSON, "p-x"): entry, (WITHDRAWN, "p-y"): '{"at_utc_s":1}'})
        store.close()
        commands, codes = CommandForger(self.door), CodeForger(self.door)
        self.door.wait(10.0)
        assert self.door.command(commands.good()) == ""
        self.door.wait(12.0)
        assert self.door.code(codes.good()) == ""
        assert self.door.code(b"junk") == "Malformed"
        self.door.reboot()
        self.door.stop()
        self.files = {
            path: path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.relative_to(folder).parts[0] != "pki"  # the site's office, not the door
        }

    def found(self, *needles: bytes) -> list[str]:
        return [f"{path.name}: {needle!r}" for path, raw in self.files.items() for needle in needles if needle in raw]


@pytest.fixture(scope="module")
def card(tmp_path_factory) -> Card:
    return Card(tmp_path_factory.mktemp("card") / "door")


def spellings(text: str) -> list[bytes]:
    """A name as JSON, UTF-8, UTF-16 and base64 would have it, and each longer word of it."""
    words = [text, *[word for word in text.split() if len(word) > 4]]
    found = []
    for word in words:
        found += [word.encode(), word.encode("utf-16-le"), word.encode("utf-16-be")]
        found += [json.dumps(word)[1:-1].encode(), word.encode().hex().encode(), base64.b64encode(word.encode())[:-4]]
    return found


def test_the_card_is_one_of_a_door_that_lived(card: Card):
    """Otherwise nothing is found because nothing is there."""
    names = {path.name for path in card.files}
    assert {"journal.db", "roster.db", "roster.key", "manager1.pem", "site.pem"} <= names
    with contextlib.closing(sqlite3.connect(card.folder / "state" / "journal.db")) as db:
        kinds = {kind for (kind,) in db.execute("SELECT kind FROM rows")}
    assert {"AccessControl/AccessGranted/Credential", "AccessControl/Denied/Credential"} <= kinds
    with contextlib.closing(RosterStore(card.folder / "state")) as store:
        assert {person["name"] for person in store.snapshot()["persons"]} >= set(NAMES[:2])
        assert [t.vector for t in store.templates("net", "five")] != []
        assert store.entries()[PERSON, "p-x"]
        assert store.withdrawn_utc_s("p-y") == 1


def test_no_name_stands_in_clear(card: Card):
    assert card.found(*[needle for name in NAMES for needle in spellings(name)]) == []


def test_no_template_stands_in_clear_whole_or_in_part_of_those_who_stay_and_of_who_left(card: Card):
    needles = []
    for vector in card.vectors:
        floats = np.frombuffer(vector, "<f4")
        halves = floats.astype("<f2").tobytes()
        needles += [vector[at : at + 16] for at in range(0, len(vector), 64)]
        needles += [halves[at : at + 12] for at in range(0, len(halves), 64)]
        needles += [base64.b64encode(vector)[:40], repr(float(floats[0]))[:9].encode()]
    assert card.found(*needles) == []


def test_there_is_no_private_key_of_anybody(card: Card):
    """Managers', phones', the site's: the door never had them. Its own TLS key is provisioned outside these folders."""
    keys = card.door.keys
    needles = []
    for key in (keys.manager, keys.fired, keys.stranger, keys.phone, keys.lost_phone, keys.gone_phone, keys.site):
        der = key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        secret = der[16:48] if len(der) == 48 else der[36:68]
        needles += [secret, base64.b64encode(der)[24:48], secret.hex().encode()]
    assert card.found(*needles) == []
    assert [path for path, raw in card.files.items() if _PRIVATE.search(raw)] == []


def entropy_bits(window: bytes) -> float:
    return -sum(n / len(window) * math.log2(n / len(window)) for n in Counter(window).values())


def test_what_looks_random_is_accounted_for(card: Card):
    """Unexplained randomness would be a key or a template: there are sealed rows, hashes and the door's own key."""
    random = {
        path.name
        for path, raw in card.files.items()
        if any(entropy_bits(raw[at : at + _WINDOW]) > 5.4 for at in range(0, max(1, len(raw) - _WINDOW), 32))
    }
    own = {"sealing.key", "roster.key"}  # the device's: read what is sealed for it, at rest and on the way
    public = {"manager1.pem", "site.pem"}
    assert random <= {"roster.db", "journal.db", *own, *public}  # sealed templates and people; the rows' hashes
    assert {path.name for path in card.files if path.suffix == ".key"} <= own


def test_files_are_for_the_door_s_own_user_only(card: Card):
    for name in ("roster.db", "roster.key"):
        assert (card.folder / "state" / name).stat().st_mode & 0o077 == 0


def test_a_site_is_named_on_the_card_and_written_down_as_such(card: Card):
    """Pinned so that deploy/SECURITY.md stays true: which door it was, a thief can tell."""
    assert card.found(SITE.encode()) != []


def test_a_roster_of_the_version_before_is_sealed_and_led_back(tmp_path: Path):
    """An update and its way back keep everybody, and leave no name behind when it is taken."""
    folder = tmp_path / "state"
    with contextlib.closing(RosterStore(folder)) as store:
        person = Residents(store).add(NAMES[0], None, (), "", "")
    downgrade(folder / "roster.db", 3)
    assert NAMES[0].encode() in (folder / "roster.db").read_bytes()
    with contextlib.closing(RosterStore(folder)) as store:
        assert Residents(store).person(person.id).name == NAMES[0]
    assert [path for path in folder.iterdir() if NAMES[0].encode() in path.read_bytes()] == []
