"""Taking away at a door that keeps its own people: one lost phone, and a face, with a receipt for the person."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.cli.main import main
from agent.pass_desk import phone_key
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore
from fixtures.plain_door import plain_door


def code() -> str:
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.urlsafe_b64encode(ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*form)).decode()


@pytest.fixture
def enroll(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "state").mkdir()
    (tmp_path / "door.toml").write_text(plain_door(tmp_path))

    def run(*arguments: str) -> tuple[int, str]:
        status = main(["enroll", "--config", str(tmp_path / "door.toml"), *arguments])
        return status, "".join(capsys.readouterr())

    run.folder = tmp_path / "state"
    return run


def test_one_phone_is_removed_and_the_other_goes_on(enroll):
    lost, kept = code(), code()
    person_id = json.loads(enroll("Li Mei", "--phone", lost, "--json")[1])["id"]
    enroll("--person", person_id, "--phone", kept)
    names = json.loads(enroll("--list", "--json")[1])["people"][0]["phone_names"]
    assert names == [phone_key(lost).key_id, phone_key(kept).key_id]
    status, said = enroll("--person", person_id, "--remove-phone", names[0])
    assert (status, "1 other phone(s)" in said) == (0, True)
    with contextlib.closing(RosterStore(enroll.folder)) as store:
        assert [phone.key_id for phone in Residents(store).person(person_id).phones] == [names[1]]
    status, said = enroll("--person", person_id, "--remove-phone", names[0])
    assert (status, f"there are: {names[1]}" in said) == (4, True)


def test_whose_face_needs_a_phone_is_told_of_when_the_last_one_goes(enroll):
    person_id = json.loads(enroll("Li Mei", "--phone", code(), "--json")[1])["id"]
    enroll("--person", person_id, "--second-factor", "on")
    name = json.loads(enroll("--list", "--json")[1])["people"][0]["phone_names"][0]
    assert "has no phone now, so the face opens nothing" in enroll("--person", person_id, "--remove-phone", name)[1]


def test_whoever_withdraws_at_a_door_without_a_server_is_given_a_receipt_that_the_door_knows_again(enroll, tmp_path):
    """There was none: the journal's row stayed on the door, and the person had nobody's word."""
    with contextlib.closing(RosterStore(enroll.folder)) as store:
        faces = [NewFace(bytes(1024), 1.0)]
        person = Residents(store).add("Li Mei", consent_now(1_790_000_000), faces, "net", "five")
    status, said = enroll("--withdraw", person.id, "--json")
    receipt = json.loads(said)["receipt"]
    assert (status, receipt["door"], receipt["person_id"], receipt["templates"]) == (0, "garden/gate-1", person.id, 1)
    assert "Li Mei" not in said
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(receipt))
    assert enroll("--check-receipt", str(file)) == (0, "this door wrote that\n")
    for altered in ({"templates": 2}, {"person_id": "p-other"}, {"signature": "AAAA"}, {"key": "AAAA"}):
        file.write_text(json.dumps({**receipt, **altered}))
        assert enroll("--check-receipt", str(file))[0] == 1
    assert (enroll.folder / "receipt.key").stat().st_mode & 0o777 == 0o600
    file.write_text("[]")
    assert enroll("--check-receipt", str(file))[0] == 1
