"""The contract as documents, made from the code: an AsyncAPI 3 description with JSON Schemas, and examples.

python -m deploy.community.describe    writes deploy/community/contract/ anew; a test holds it equal to the code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agent.core.acknowledgement import Ack
from agent.core.events import Kind
from agent.core.journal import GENESIS, ClockQuality, Row, Skipped, sealed
from agent.core.roster_feed import MAX_TOKEN_BYTES
from agent.core.sync import BATCH_ROWS, WINDOW_ROWS
from agent.wire import AckData, CloudEvent, Hello, ack_data, batch_json
from deploy.community.said import Reply, State

FOLDER = Path(__file__).parent / "contract"
DEVICE, EPOCH = "lujiang/gate-1", "5eed" * 8


_TEXTS: Mapping[str, tuple[str, str]] = {
    "hello": ("up/hello", "Opens a connection, and is repeated with back-off while nothing moves for a second."),
    "events": ("up/events", f"Up to {BATCH_ROWS} rows in order, at most {WINDOW_ROWS} ahead of the acknowledgement."),
    "alarm": ("up/alarm", "Copies of alarm rows that overtook a backlog. The chain confirms them later."),
    "state": ("up/state", "Retained, with a last will. Repeated every 60 s."),
    "reply": ("up/reply", "Answers to commands, stage by stage, never ahead of the facts."),
    "ack": ("dn/ack", "Cumulative, after the server's own commit; a PASETO v4.public token. Never retained."),
    "command": (
        "dn/command",
        "A PASETO v4.public token, or the root's list of keys; at most 2 KiB, message expiry 10 s. Never retained.",
    ),
    "roster": ("dn/roster", "The signed roster: heads, of which the newest is the only retained downlink, and parts."),
}


def document() -> dict[str, Any]:
    """The AsyncAPI 3 description, from the device's point of view."""
    schemas: dict[str, Any] = {}
    payloads: dict[str, Any] = {
        "hello": _schema(Hello, schemas),
        "events": _batch(schemas),
        "alarm": _batch(schemas),
        "state": _schema(State, schemas),
        "reply": _schema(Reply, schemas),
        "ack": _token("claims: AckData; implicit assertion: the device's name", schemas),
        "command": {
            "anyOf": [
                _token("claims: see agent/core/commands.py; implicit assertion: the device's name", schemas),
                {
                    "type": "string",
                    "pattern": r"^keys\.v1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$",
                    "maxLength": 2048,
                    "description": "the site's keys, signed by its root: see agent/core/site_keys.py",
                },
            ]
        },
        "roster": _token(
            "claims: Head or Part of agent/core/roster_feed.py; footer: the device's name as `door`; implicit "
            "assertion: roster:{site}/{door}",
            schemas,
            MAX_TOKEN_BYTES,
        ),
    }
    _schema(AckData, schemas)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Doors to community server",
            "version": "1",
            "description": "MQTT 5 over TLS 1.3. Certificate name = user name = client id = site/door. Clean start, "
            "session expiry 0: a hello resynchronises everything.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {leaf: _channel(leaf) for leaf in _TEXTS},
        "operations": {leaf: _operation(leaf) for leaf in _TEXTS},
        "components": {
            "messages": {leaf: _message(leaf, payload) for leaf, payload in payloads.items()},
            "schemas": schemas,
        },
    }


def _channel(leaf: str) -> dict[str, Any]:
    return {
        "address": "doors/{site}/{door}/" + _TEXTS[leaf][0],
        "description": _TEXTS[leaf][1],
        "messages": {leaf: {"$ref": f"#/components/messages/{leaf}"}},
        "parameters": {"site": {"description": "community"}, "door": {"description": "door within it"}},
        "bindings": {"mqtt": {"bindingVersion": "0.2.0"}},
    }


def _operation(leaf: str) -> dict[str, Any]:
    up = _TEXTS[leaf][0].startswith("up/")
    retain = leaf in ("state", "roster")
    return {
        "action": "send" if up else "receive",
        "channel": {"$ref": f"#/channels/{leaf}"},
        "bindings": {"mqtt": {"qos": 1, "retain": retain, "bindingVersion": "0.2.0"}},
    }


def _message(leaf: str, payload: dict[str, Any]) -> dict[str, Any]:
    content = {"events": "application/cloudevents-batch+json", "alarm": "application/cloudevents-batch+json"}
    token = leaf in ("ack", "command", "roster")
    return {"contentType": "text/plain" if token else content.get(leaf, "application/json"), "payload": payload}


def _schema(model: type[BaseModel], into: dict[str, Any]) -> dict[str, Any]:
    found = model.model_json_schema(ref_template="#/components/schemas/{model}")
    into.update(found.pop("$defs", {}))
    into[model.__name__] = found
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _batch(into: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "maxItems": BATCH_ROWS, "items": _schema(CloudEvent, into)}


def _token(what: str, into: dict[str, Any], max_bytes: int = 2048) -> dict[str, Any]:
    into["Token"] = {"type": "string", "pattern": r"^v4\.public\.[A-Za-z0-9_.-]+$"}
    return {"allOf": [{"$ref": "#/components/schemas/Token"}, {"maxLength": max_bytes}], "description": what}


# ---------------------------------------------------------------- examples


def examples() -> dict[str, Any]:
    """One valid message of each kind that has a schema of its own."""
    rows = _rows()
    head = rows[-1]
    hello = Hello(
        device=DEVICE, nonce="00c0ffee00c0ffee", epoch=EPOCH, first=1, before_first=GENESIS, last=head.seq,
        last_hash=head.hash, acked=0, clock=ClockQuality.NTP, utc_ms=head.wall_ms, version="0.1.0",
        run="5eed5eed5eed5eed",
    )  # fmt: skip
    mark = Skipped(5, 9, "ab" * 32, 12)
    return {
        "hello": hello.model_dump(mode="json"),
        "events": json.loads(batch_json(DEVICE, [*rows, mark], epoch=EPOCH, now_ms=head.wall_ms)),
        "alarm": json.loads(batch_json(DEVICE, rows[-1:], epoch=EPOCH, now_ms=head.wall_ms)),
        "state": {
            "online": True,
            "door": {"mode": "Locked", "lock": "secured", "contact": "closed"},
            "health": {"guard": True, "vision": True, "camera": "ok", "store": "ok", "queue": 0},
            "release": "0.1.0+3c2a9f0d1e",
            "update": {
                "machine": "aarch64-cp313",
                "rollout": "r1",
                "release": "0.1.1+9b1c07aa52",
                "stage": "waiting",
                "percent": 100,
                "waits_for": "a face is in view",
            },
        },
        "reply": {"stage": "accepted", "id": "5f0c9e3a"},
        "ack": ack_data(Ack(EPOCH, head.seq + 1, head.hash, hello.nonce)).model_dump(mode="json"),
    }


def _rows() -> list[Row]:
    bodies: list[tuple[Kind, int, dict[str, Any]]] = [
        (Kind.EPOCH, 2, {"reason": "created"}),
        (Kind.ACCESS_GRANTED, 1, {"request_id": "7c1d", "credential": "face", "person_id": "p-0017"}),
        (Kind.ACCESS_TAKEN, 1, {"request_id": "7c1d"}),
        (Kind.FIRE, 3, {"state": "Alarm"}),
    ]
    rows: list[Row] = []
    for n, (kind, priority, body) in enumerate(bodies, 1):
        prev = rows[-1].hash if rows else GENESIS
        wall_ms = 1_790_000_000_000 + n * 1000
        row = Row(DEVICE, EPOCH, n, "3f0e", n * 1000, wall_ms, ClockQuality.NTP, str(kind), priority, body, prev)
        rows.append(sealed(row))
    return rows


def files() -> dict[str, str]:
    """Name within the folder -> text."""
    texts = {f"example-{leaf}.json": value for leaf, value in examples().items()}
    return {
        name: json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        for name, value in {"asyncapi.json": document(), **texts}.items()
    }


def main() -> int:
    """Write the folder."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text)
        sys.stdout.write(f"{FOLDER / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
