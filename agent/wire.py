"""What travels between a door and the community's server, as checked shapes; JSON Schemas come from these classes.

Hello and events are the device's words and are believed only as far as their hashes chain; acknowledgements are signed
by the server (PASETO v4.public, Ed25519) with the device's name as implicit assertion, so one door's acknowledgement
can't be played to another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import pyseto
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from agent.clock import rfc3339
from agent.core.acknowledgement import Ack
from agent.core.bounded import DEVICE
from agent.core.journal import ClockQuality, Row, Skipped, row_object

WIRE_VERSION = 1
MAX_ACK_BYTES = 2048
MAX_BATCH_BYTES = 200 * 1024
MAX_EVENTS = 50
MAX_VERSION_CHARS = 40

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
EpochName = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Nonce = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]
DeviceName = Annotated[str, Field(pattern=f"^{DEVICE}$")]
Seq = Annotated[int, Field(ge=1, lt=2**40)]
Next = Annotated[int, Field(ge=1, le=2**40)]  # one above the highest row that can be sent: an acknowledgement names it
KindName = Annotated[str, Field(max_length=80, pattern=r"^[A-Za-z0-9]+(/[A-Za-z0-9]+)*$")]
Millis = Annotated[int, Field(ge=0, lt=2**53)]


class WireError(ValueError):
    """A message from the other side is not what was agreed. The text says what, never the payload."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Hello(_Shape):
    """doors/{site}/{door}/up/hello: what the device has, so that the server can say where to go on."""

    v: Literal[1] = 1
    device: DeviceName
    nonce: Nonce = Field(description="echoed by the acknowledgement that answers this hello")
    epoch: EpochName
    first: Seq = Field(description="oldest row still on the device")
    before_first: Hash = Field(description="hash of the row before it")
    last: Annotated[int, Field(ge=0, lt=2**40)]
    last_hash: Hash
    acked: Annotated[int, Field(ge=0, lt=2**40)] = Field(description="newest row known to be committed by the server")
    clock: ClockQuality = Field(strict=False)
    utc_ms: Millis
    version: str = Field(max_length=MAX_VERSION_CHARS)
    run: Nonce | Literal[""] = Field(
        default="", description="random, new at every start of the agent: two that speak in turns are two devices"
    )


class RowData(_Shape):
    """`data` of an event: the row itself. SHA-256 of its RFC 8785 form without `hash` is `hash`."""

    v: Literal[1]
    device: DeviceName
    epoch: EpochName
    seq: Seq
    boot_id: str = Field(pattern=r"^[0-9A-Za-z-]{1,64}$")
    boottime_ms: Millis
    wall_ms: Millis
    clock: ClockQuality = Field(strict=False)
    kind: KindName
    priority: Annotated[int, Field(ge=0, le=3)]
    body: dict[str, Any]
    prev: Hash
    hash: Hash


class SkippedData(_Shape):
    """`data` of a Journal/Skipped mark: rows `first` to `last` were folded or dropped under pressure, or are damaged.

    `declared` is the chained row that says so: a later one of this epoch, or one of a later epoch that names this one.
    `hash` is that of row `last`, so that the next row still links.
    """

    v: Literal[1]
    device: DeviceName
    epoch: EpochName
    first: Seq
    last: Seq
    hash: Hash
    declared: Seq

    @model_validator(mode="after")
    def _in_order(self) -> SkippedData:
        if self.first > self.last:
            raise ValueError("first and last are not in this order")
        return self


class CloudEvent(_Shape):
    """One event in the JSON format of CloudEvents 1.0. `type` is the row's kind, in ONVIF's words."""

    specversion: Literal["1.0"]
    id: str = Field(min_length=1, max_length=120, description="epoch:seq; a mark's is epoch:first-last")
    source: str = Field(min_length=1, max_length=200, description="doors/{site}/{door}")
    type: str = Field(min_length=1, max_length=80)
    time: str = Field(max_length=40)
    datacontenttype: Literal["application/json"]
    data: RowData | SkippedData

    @model_validator(mode="after")
    def _consistent(self) -> CloudEvent:
        d = self.data
        name = f"{d.epoch}:{d.seq}" if isinstance(d, RowData) else f"{d.epoch}:{d.first}-{d.last}"
        kind = d.kind if isinstance(d, RowData) else SKIPPED_TYPE
        if (self.id, self.source, self.type) != (name, f"doors/{d.device}", kind):
            raise ValueError("id, source or type contradict the data")
        return self


class AckData(_Shape):
    """The payload of a signed acknowledgement, see core.acknowledgement.Ack."""

    v: Literal[1] = 1
    epoch: EpochName
    next: Next
    hash: Hash
    re: Nonce | Literal[""]
    gap: Seq | None = None
    fork: Seq | None = None
    seen: Annotated[tuple[Seq, ...], Field(max_length=50)] = ()


SKIPPED_TYPE = "Journal/Skipped"
_BATCH = TypeAdapter(Annotated[tuple[CloudEvent, ...], Field(max_length=MAX_EVENTS)])


def topic(device: str, leaf: str) -> str:
    """doors/{site}/{door}/{leaf}."""
    return f"doors/{device}/{leaf}"


def batch_json(device: str, items: Iterable[Row | Skipped], *, epoch: str, now_ms: int) -> bytes:
    """A CloudEvents JSON batch."""
    events = [_row_event(i) if isinstance(i, Row) else _mark_event(device, epoch, i, now_ms) for i in items]
    return json.dumps(events, ensure_ascii=False, separators=(",", ":")).encode()


def _row_event(row: Row) -> dict[str, Any]:
    return _event(f"{row.epoch}:{row.seq}", row.device, row.kind, row.wall_ms, row_object(row))


def _mark_event(device: str, epoch: str, mark: Skipped, now_ms: int) -> dict[str, Any]:
    data = {
        "v": WIRE_VERSION, "device": device, "epoch": epoch, "first": mark.first, "last": mark.last, "hash": mark.hash,
        "declared": mark.declared,
    }  # fmt: skip
    return _event(f"{epoch}:{mark.first}-{mark.last}", device, SKIPPED_TYPE, now_ms, data)


def _event(name: str, device: str, kind: str, utc_ms: int, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": name,
        "source": f"doors/{device}",
        "type": kind,
        "time": rfc3339(utc_ms),
        "datacontenttype": "application/json",
        "data": data,
    }


def parse_batch(payload: bytes) -> list[Row | tuple[str, str, Skipped]]:
    """Rows, and marks as (device, epoch, mark), in the order sent.

    Raises:
        WireError: too large, or not a batch as agreed.
    """
    if len(payload) > MAX_BATCH_BYTES:
        raise WireError(f"a batch of {len(payload)} bytes, at most {MAX_BATCH_BYTES} are taken")
    try:
        events = _BATCH.validate_json(payload)
    except ValidationError as e:
        raise WireError(_first(e)) from None
    return [_from_data(e.data) for e in events]


def _from_data(d: RowData | SkippedData) -> Row | tuple[str, str, Skipped]:
    if isinstance(d, SkippedData):
        return d.device, d.epoch, Skipped(d.first, d.last, d.hash, d.declared)
    return Row(
        d.device, d.epoch, d.seq, d.boot_id, d.boottime_ms, d.wall_ms, d.clock, d.kind, d.priority, d.body, d.prev,
        d.hash,
    )  # fmt: skip


def parse_hello(payload: bytes) -> Hello:
    """Raises WireError for anything that is not a hello."""
    if len(payload) > MAX_ACK_BYTES:
        raise WireError("a hello of that size is none")
    try:
        return Hello.model_validate_json(payload)
    except ValidationError as e:
        raise WireError(_first(e)) from None


def signed_ack(key: pyseto.KeyInterface, device: str, ack: Ack) -> bytes:
    """The token to publish on dn/ack."""
    return bytes(pyseto.encode(key, ack_data(ack).model_dump_json().encode(), implicit_assertion=device.encode()))


def ack_data(ack: Ack) -> AckData:
    """The claims of an acknowledgement."""
    return AckData(epoch=ack.epoch, next=ack.next, hash=ack.hash, re=ack.re, gap=ack.gap, fork=ack.fork, seen=ack.seen)


def read_ack(key: pyseto.KeyInterface, device: str, token: bytes) -> Ack:
    """Check and read an acknowledgement for `device`.

    Raises:
        WireError: too large, not signed by the pinned key for this device, or not an acknowledgement.
    """
    if len(token) > MAX_ACK_BYTES:
        raise WireError(f"an acknowledgement of {len(token)} bytes")
    try:
        payload = pyseto.decode(key, token, implicit_assertion=device.encode()).payload
        d = AckData.model_validate_json(payload if isinstance(payload, bytes) else json.dumps(payload))
    except ValidationError as e:
        raise WireError(_first(e)) from None
    except (pyseto.PysetoError, ValueError, TypeError) as e:  # what pyseto raises for arbitrary bytes
        raise WireError(f"not signed by the server for this door ({type(e).__name__})") from None
    return Ack(d.epoch, d.next, d.hash, d.re, d.gap, d.fork, d.seen)


def public_key(pem: bytes) -> pyseto.KeyInterface:
    """The server's pinned Ed25519 key. Raises ValueError when it is none."""
    return pyseto.Key.new(version=4, purpose="public", key=pem)


def _first(e: ValidationError) -> str:
    fault = e.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"[:200]
