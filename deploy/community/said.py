"""What a door says of itself outside the chain, as checked shapes: its state and its replies.

Nothing here is proven: any certificate of the site can say it, a stolen one too. So it is taken field by field, each
bounded; what is not known is dropped (a newer door may say more), and only plain words, whole numbers and flags pass.
The JSON Schemas of the contract come from these classes.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.core.commands import Refusal
from agent.core.events import Mode
from agent.core.journal import ClockQuality
from agent.core.roster_feed import MAX_REVISION
from agent.core.updates import Stage, Why
from agent.wire import WireError

MAX_BYTES = 16 * 1024

# words that pages show; `examples` are today's, a newer door may have others
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/+-]{0,79}$")]
Text = Annotated[str, Field(max_length=200)]  # shown as text, never as anything else
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Revision = Annotated[int, Field(ge=0, le=MAX_REVISION)]


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)


class DoorFacts(_Said):
    """Facts, no wishes."""

    mode: Word | None = Field(default=None, examples=[str(m) for m in Mode], description="ONVIF DoorMode")
    lock: Word | None = Field(default=None, examples=["secured", "released", "unknown"])
    contact: Word | None = Field(default=None, examples=["open", "closed", "unknown"], description="of the leaf")
    relay: Word | None = Field(default=None, examples=["energised", "dropped", "unknown"])
    fire: bool | None = None
    tamper: bool | None = None
    alarms: Annotated[list[Word], Field(max_length=10)] | None = Field(
        default=None, examples=[["DoorForcedOpen"]], description="ONVIF DoorAlarm, but Normal"
    )
    faults: Annotated[list[Word], Field(max_length=20)] | None = Field(default=None, examples=[["relay-stuck"]])
    lockout_for_s: Annotated[float, Field(ge=0, le=86_400)] | None = Field(
        default=None, description="faces are not looked at for so long"
    )
    indication: Word | None = Field(default=None, description="what its light shows")


class RosterFacts(_Said):
    """What it holds of the server's roster."""

    epoch: Count | None = Field(default=None, description="of its own store of people")
    persons: Count | None = None
    revision: Revision | None = Field(default=None, description="0: the server keeps no roster of this door")
    digest: Digest | None = None
    wanted: Revision | None = Field(default=None, description="the revision it was told to have")
    drift: bool | None = None
    stale: bool | None = Field(default=None, description="the server was not heard for longer than the lease")
    unreadable: Count | None = Field(default=None, description="entries that cannot be read: these people stay outside")
    usable: bool | None = Field(default=None, description="false: its file of people cannot be used")
    enrol_again: Count | None = Field(default=None, description="people whose faces the network in use does not know")
    sealing: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = Field(
        default=None, description="names the key that templates are sealed to"
    )


class HealthFacts(_Said):
    """How its parts are."""

    guard: bool | None = None
    vision: bool | None = None
    camera: Word | None = Field(default=None, examples=["ok", "dark", "missing"])
    store: Word | None = Field(default=None, examples=["ok", "failing"])
    queue: Count | None = Field(default=None, description="rows waiting; 0 while they are on their way only")


class UpdateFacts(_Said):
    """Releases from afar: what it can take, and how the last one went. Not there: it takes none."""

    machine: Word | None = Field(default=None, examples=["aarch64-cp313"], description="what a bundle must be for")
    rollout: Name | None = Field(default=None, description="the roll-out it was ordered by; absent: none yet")
    release: Word | None = Field(default=None, description="of that roll-out")
    stage: Word | None = Field(default=None, examples=[str(s) for s in Stage])
    percent: Annotated[int, Field(ge=0, le=100)] | None = Field(default=None, description="fetched")
    why: Word | None = Field(default=None, examples=[str(w) for w in Why])
    waits_for: Word | None = Field(default=None, description="what keeps it from installing")


class State(_Said):
    """doors/{site}/{door}/up/state, retained: how the door is. While `online` is false nothing else is known."""

    online: bool
    door: DoorFacts | None = None
    roster: RosterFacts | None = None
    clock: Word | None = Field(default=None, examples=[str(q) for q in ClockQuality])
    challenge: Name | None = Field(default=None, description="random; what commands and leases must name")
    keys: Count | None = Field(default=None, description="the root's list of the site's keys that it has; 0: none")
    high_security: bool | None = Field(default=None, description="a face and a phone are needed together")
    health: HealthFacts | None = None
    release: Word | None = Field(default=None, description="the release that runs", examples=["0.1.0+3c2a9f0d1e"])
    update: UpdateFacts | None = None


class Reply(_Said):
    """doors/{site}/{door}/up/reply: one stage of a command's life, with the command's correlation data."""

    stage: Word = Field(
        examples=["challenge", "sealing-key", "accepted", "refused", "energised", "taken", "not-taken", "unverified",
                  "done"]
    )  # fmt: skip
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = Field(
        default=None, description="the command's"
    )
    reason: Word | None = Field(default=None, examples=[str(r) for r in Refusal])
    result: Word | None = Field(default=None, description="of the same command, when it came before")
    counter: Count | None = Field(
        default=None, description="with counter-not-above: the highest that the door has seen of this key"
    )
    challenge: Name | None = None
    diagnostics: Annotated[dict[Word, int | float | bool | Text], Field(max_length=60)] | None = Field(
        default=None, description="how each part of the door is, when the command asked for it"
    )
    door: Word | None = Field(default=None, description="with sealing-key: site/door, as signed")
    key: Annotated[str, Field(max_length=100)] | None = Field(default=None, description="X25519, base64")
    cert: Annotated[str, Field(max_length=8192)] | None = Field(default=None, description="the door's, PEM")
    signature: Annotated[str, Field(max_length=400)] | None = Field(
        default=None, description="ECDSA P-256 over the RFC 8785 form of door and key, base64"
    )


def read(model: type[State | Reply], payload: bytes) -> dict[str, Any]:
    """The message as plain values; fields that were not said are absent.

    Raises:
        WireError: larger than 16 KiB, or not of this shape.
    """
    if len(payload) > MAX_BYTES:
        raise WireError(f"{len(payload)} bytes, at most {MAX_BYTES} are taken")
    try:
        return model.model_validate_json(payload).model_dump(mode="json", exclude_none=True)
    except ValidationError as e:
        fault = e.errors(include_url=False, include_input=False)[0]
        raise WireError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"[:200]) from None
