"""The published contract is the code's: documents, schemas and examples against what the code makes and takes."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path

import jsonschema
import pytest

from agent.core.journal import check_chain
from agent.wire import MAX_BATCH_BYTES, WireError, parse_batch, parse_hello
from deploy.broker import ACL_TEXT
from deploy.community import describe

DOCUMENT = describe.document()
LEAVES = ("hello", "events", "alarm", "state", "reply", "ack")


def resolved(value):
    """The document with its internal references followed far enough for a validator."""
    return {"components": DOCUMENT["components"], **value}


@pytest.mark.parametrize("name", sorted(describe.files()))
def test_the_files_are_what_the_code_makes(name):
    """After a change: python -m deploy.community.describe."""
    assert (describe.FOLDER / name).read_text() == describe.files()[name]


def test_no_file_is_left_over():
    assert {p.name for p in describe.FOLDER.iterdir()} == set(describe.files()) | {"README.md"}


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_example_is_valid_by_its_schema(leaf):
    example = json.loads((describe.FOLDER / f"example-{leaf}.json").read_text())
    payload = (
        {"$ref": "#/components/schemas/AckData"}
        if leaf == "ack"
        else DOCUMENT["components"]["messages"][leaf]["payload"]
    )
    jsonschema.validate(example, resolved(payload), jsonschema.Draft202012Validator)


def test_the_code_takes_its_own_examples():
    read = {leaf: (describe.FOLDER / f"example-{leaf}.json").read_bytes() for leaf in LEAVES}
    items = parse_batch(read["events"])
    rows = items[:-1]
    assert list(check_chain(rows, 1, "0" * 64)) == []
    assert items[-1][2].declared == 12
    assert parse_hello(read["hello"]).last_hash == rows[-1].hash


@pytest.mark.parametrize("leaf", ["events", "alarm"])
def test_events_are_cloudevents_1_0(leaf):
    """Required attributes, their types, names of at most 20 lower-case letters and digits, RFC 3339 time."""
    for event in describe.examples()[leaf]:
        assert event["specversion"] == "1.0"
        assert all(isinstance(event[k], str) and event[k] for k in ("id", "source", "type"))
        assert all(re.fullmatch("[a-z0-9]{1,20}", k) for k in event)
        assert dt.datetime.fromisoformat(event["time"]).tzinfo is not None
        assert event["datacontenttype"] == "application/json"
    assert len({(e["source"], e["id"]) for e in describe.examples()[leaf]}) == len(describe.examples()[leaf])


def test_every_reference_in_the_document_leads_somewhere():
    def references(value):
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            for v in value.values():
                yield from references(v)
        elif isinstance(value, list):
            for v in value:
                yield from references(v)

    for reference in references(DOCUMENT):
        at = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]


def test_the_topics_are_those_of_the_code_and_of_the_access_rules():
    leaves = {c["address"].removeprefix("doors/{site}/{door}/") for c in DOCUMENT["channels"].values()}
    source = Path(describe.FOLDER.parents[2] / "agent" / "mqtt_link.py").read_text()
    assert set(re.findall(r'"((?:up|dn)/[a-z]+)"', source)) == leaves
    assert "pattern write doors/%u/up/#" in ACL_TEXT
    assert "pattern read doors/%u/dn/#" in ACL_TEXT


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda e: e[0].update(id="other"), "contradict"),
        (lambda e: e[0].update(source="doors/x/y"), "contradict"),
        (lambda e: e[1]["data"].update(seq=-1), "seq"),
        (lambda e: e[1]["data"].update(seq="2"), "seq"),
        (lambda e: e[1]["data"].update(extra=1), "extra"),
        (lambda e: e[1]["data"].update(hash="zz"), "hash"),
        (lambda e: e[1].pop("data"), "data"),
        (lambda e: e.extend(e * 20), "50 items"),
    ],
)
def test_a_spoiled_batch_is_refused_with_the_field_and_without_its_content(spoil, words):
    events = json.loads(json.dumps(describe.examples()["events"]))
    spoil(events)
    with pytest.raises(WireError, match=words):
        parse_batch(json.dumps(events).encode())


@pytest.mark.parametrize("payload", [b"", b"[", b"{}", b"null", b"\xff", b"[" * 100_000, b" " * (MAX_BATCH_BYTES + 1)])
def test_junk_is_refused(payload):
    with pytest.raises(WireError):
        parse_batch(payload)
    with pytest.raises(WireError):
        parse_hello(payload)
