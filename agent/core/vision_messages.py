"""What the agent and its vision process say to each other: one frozen dataclass a message, parsed once, bounded.

Carried as JSON objects over the SEQPACKET socket of hardware/seqpacket.py; "type" is the class's TYPE and every other
key is a field below. Bytes travel as base64. A key that is unknown or missing, a wrong kind or a value out of bounds
makes `parse_*` answer Rejected, never raise. Times are CLOCK_BOOTTIME seconds. Pictures of the preview (JPEG, at most
640 px wide) are packets of their own kind and have no class here.

From vision: Hello at connect, Alive every second, CameraChanged, GalleryLoaded, Finding, Faces (while a preview is on),
Pass, Enrolment. To vision: GalleryBegin, GalleryAdd, GalleryCommit, GalleryRemove, Settings, Preview, Enrol,
EnrolCancel, UseNetwork. GalleryAdd between GalleryBegin and GalleryCommit fills the next gallery while the present one
is in use; on its own it adds to the present one at once, and so does GalleryRemove take from it (and from the next
one); a GalleryCommit ends such changes. All of it stands in this one file, longer than others: it is one protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, TypeAlias

from agent.core.bounded import (
    Rejected,
    base64_bytes,
    enum,
    flag,
    integer,
    json_object,
    number,
    numbers,
    optional,
    parse,
    part,
    rows,
    text,
    word,
    written,
)
from agent.core.events import Json

VERSION: Final = 1
MAX_TEMPLATES_PER_MESSAGE: Final = 40
MAX_PASS_BYTES: Final = 2048
MAX_RECEIPT_BYTES: Final = 24 * 1024
MAX_CANDIDATES: Final = 4
_MAX_VECTOR_BYTES: Final = 4 * 512
_MAX_FACES: Final = 20
_FOREVER_S: Final = 1e10


class FindingKind(StrEnum):
    """What was found out about one walk-up."""

    RECOGNISED = "recognised"
    DOUBTFUL = "doubtful"  # one of several people, or a face just beyond the bound: a phone decides
    STRANGER = "stranger"
    SPOOF = "spoof"
    UNCLEAR = "unclear"


class EnrolmentState(StrEnum):
    """Where an enrolment at the door stands."""

    COLLECTING = "collecting"
    DONE = "done"
    FAILED = "failed"


_Id: TypeAlias = Annotated[str, text(128)]
_Time: TypeAlias = Annotated[float, number(0, _FOREVER_S)]
_Count: TypeAlias = Annotated[int, integer(0, 10**9)]


# ---------------------------------------------------------------- vision -> agent


@dataclass(frozen=True, slots=True)
class NetworkHere:
    """A network whose templates the vision process could use."""

    model_id: _Id
    alignment_id: _Id


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of the vision process, and again when it changed its network.

    `missing`: what would make it better and how to get it, or None. `networks`: all that it could use, best first.
    """

    TYPE: ClassVar = "hello"
    v: Annotated[int, integer(1, 1)]
    engine: Annotated[str, text(300)]
    model_id: _Id
    alignment_id: _Id
    liveness: Annotated[bool, flag]
    missing: Annotated[str | None, optional(text(2000))]
    pid: _Count
    networks: Annotated[tuple[NetworkHere, ...], rows(part(NetworkHere), 16)] = ()


@dataclass(frozen=True, slots=True)
class Alive:
    """Every second. `frames` were taken from the camera since the start, `fps` is the rate of the last seconds.

    `in_view`: how many faces the newest of them shows that moved within the last minute (a poster's do not).
    """

    TYPE: ClassVar = "alive"
    frames: _Count
    fps: Annotated[float, number(0, 1000)]
    camera_state: Annotated[str, text(16)]
    at_s: _Time
    in_view: _Count = 0


@dataclass(frozen=True, slots=True)
class CameraChanged:
    """`state` is a word of hardware.camera.CameraState, `detail` a sentence for the manager."""

    TYPE: ClassVar = "camera"
    state: Annotated[str, word("ok", "dark", "frozen", "blind", "missing", "stalled")]
    detail: Annotated[str, text(500)]


@dataclass(frozen=True, slots=True)
class GalleryLoaded:
    """The gallery in use. `refused` says why the last GalleryBegin, Add or Commit was not taken, or is None."""

    TYPE: ClassVar = "gallery"
    epoch: _Count
    people: _Count
    templates: _Count
    refused: Annotated[str | None, optional(text(500))]


@dataclass(frozen=True, slots=True)
class Finding:
    """One decision about one person at the door.

    `reason` is a word of agent.core.recognition; `hint` is what the person could do about it; `needs_phone`: the face
    alone must not open. `candidates`: of a doubtful one, everybody whose phone it could go with, nearest first; then
    `person_id` is None. `receipt` replays to the same verdict (agent.core.recognition.replay). `similarity` and
    distances stand in the receipt. `template`: of somebody recognised, the mean of the frames (see GalleryRow); for the
    memory of the agent alone. `in_view_since_s`: since when somebody recognised has been in view without a break (None:
    since the first frame). `seen_at_s`: of the newest frame that it rests on (None: when it was decided).
    """

    TYPE: ClassVar = "finding"
    track: _Count
    verdict: Annotated[FindingKind, enum(FindingKind)]
    person_id: Annotated[str | None, optional(text(128))]
    needs_phone: Annotated[bool, flag]
    reason: Annotated[str, text(64)]
    hint: Annotated[str | None, optional(text(64))]
    first_frame_at_s: _Time
    decided_at_s: _Time
    frames: Annotated[int, integer(1, 10_000)]
    receipt: Annotated[Mapping[str, Json], json_object(MAX_RECEIPT_BYTES)]
    seen_before: Annotated[int, integer(0, 10**6)] = 0  # a stranger's earlier visits, as far as is remembered
    template: Annotated[bytes | None, optional(base64_bytes(_MAX_VECTOR_BYTES))] = None
    in_view_since_s: Annotated[float | None, optional(number(0, _FOREVER_S))] = None
    candidates: Annotated[tuple[str, ...], rows(text(128), MAX_CANDIDATES)] = ()
    seen_at_s: Annotated[float | None, optional(number(0, _FOREVER_S))] = None


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a preview frame. `box` is x, y, width, height as fractions of the frame.

    `match_distance`, to the nearest person, is what the thresholds are stated in (agent/core/recognition.py).
    """

    box: Annotated[tuple[float, float, float, float], numbers(4, -2.0, 3.0)]
    track: _Count
    state: Annotated[str, text(32)]
    match_distance: Annotated[float | None, optional(number(-0.001, 4.0))]
    live: Annotated[float | None, optional(number(0, 1))]
    person_id: Annotated[str | None, optional(text(128))]


@dataclass(frozen=True, slots=True)
class Faces:
    """What the preview picture that follows shows."""

    TYPE: ClassVar = "faces"
    width: Annotated[int, integer(1, 20_000)]
    height: Annotated[int, integer(1, 20_000)]
    faces: Annotated[tuple[Face, ...], rows(part(Face), _MAX_FACES)]


@dataclass(frozen=True, slots=True)
class Pass:
    """Raw bytes of a code that was held before the camera. Hostile until agent.core.passes has looked at them."""

    TYPE: ClassVar = "pass"
    payload: Annotated[bytes, base64_bytes(MAX_PASS_BYTES)]
    at_s: _Time


@dataclass(frozen=True, slots=True)
class EnrolledTemplate:
    """`vector` is float32, little endian, its length the clarity; `quality` 0..1."""

    vector: Annotated[bytes, base64_bytes(_MAX_VECTOR_BYTES)]
    quality: Annotated[float, number(0, 1)]


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Progress of the enrolment `id`. `hint` is for the person; `templates` are there when `state` is done.

    `looks_like` are enrolled people for whom this one could be taken, nearest first: the same person again, or
    people who each need face and phone then.
    """

    TYPE: ClassVar = "enrolment"
    id: _Id
    state: Annotated[EnrolmentState, enum(EnrolmentState)]
    hint: Annotated[str | None, optional(text(300))]
    collected: Annotated[int, integer(0, 10)]
    templates: Annotated[tuple[EnrolledTemplate, ...], rows(part(EnrolledTemplate), 10)]
    looks_like: Annotated[tuple[str, ...], rows(text(128), 10)] = ()


# ---------------------------------------------------------------- agent -> vision


@dataclass(frozen=True, slots=True)
class GalleryBegin:
    """Templates of the roster of this epoch follow. Templates of another network or alignment are refused."""

    TYPE: ClassVar = "gallery_begin"
    epoch: _Count
    model_id: _Id
    alignment_id: _Id


@dataclass(frozen=True, slots=True)
class GalleryRow:
    """One template of one person: `vector` is float32, little endian, its length the clarity."""

    person_id: _Id
    template_id: _Id
    vector: Annotated[bytes, base64_bytes(_MAX_VECTOR_BYTES)]


@dataclass(frozen=True, slots=True)
class GalleryAdd:
    """At most MAX_TEMPLATES_PER_MESSAGE templates."""

    TYPE: ClassVar = "gallery_add"
    templates: Annotated[tuple[GalleryRow, ...], rows(part(GalleryRow), MAX_TEMPLATES_PER_MESSAGE)]


@dataclass(frozen=True, slots=True)
class GalleryCommit:
    """The gallery of this epoch is complete: a new one replaces the present one, or the present one was changed."""

    TYPE: ClassVar = "gallery_commit"
    epoch: _Count


@dataclass(frozen=True, slots=True)
class GalleryRemove:
    """Forget these people now."""

    TYPE: ClassVar = "gallery_remove"
    person_ids: Annotated[tuple[str, ...], rows(text(128), 400)]


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's numbers. Everything else about a decision follows from them and from the gallery."""

    TYPE: ClassVar = "settings"
    policy: Annotated[str, word("convenience", "standard", "high")]
    strangers_per_year: Annotated[float, number(0.0001, 1000)]
    stranger_passages_per_day: Annotated[float, number(0.01, 1e6)]
    strangers_memory_h: Annotated[float, number(0, 24)] = 1.0  # how long a stranger's vector may be kept in memory


@dataclass(frozen=True, slots=True)
class Preview:
    """Send preview pictures and Faces, at most `fps` a second."""

    TYPE: ClassVar = "preview"
    on: Annotated[bool, flag]
    fps: Annotated[float, number(0.1, 30)]


@dataclass(frozen=True, slots=True)
class Enrol:
    """Collect `pictures_wanted` good, different views of the one person before the camera. No finding meanwhile."""

    TYPE: ClassVar = "enrol"
    id: _Id
    pictures_wanted: Annotated[int, integer(1, 5)]


@dataclass(frozen=True, slots=True)
class EnrolCancel:
    """Stop the enrolment that runs, if any."""

    TYPE: ClassVar = "enrol_cancel"


@dataclass(frozen=True, slots=True)
class UseNetwork:
    """Work with this network from now on: the people here are enrolled with it. Answered with a Hello."""

    TYPE: ClassVar = "use_network"
    model_id: _Id
    alignment_id: _Id


FromVision: TypeAlias = Hello | Alive | CameraChanged | GalleryLoaded | Finding | Faces | Pass | Enrolment
ToVision: TypeAlias = (
    GalleryBegin | GalleryAdd | GalleryCommit | GalleryRemove | Settings | Preview | Enrol | EnrolCancel | UseNetwork
)
_FROM_VISION: Final[Mapping[str, type[FromVision]]] = {
    kind.TYPE: kind for kind in (Hello, Alive, CameraChanged, GalleryLoaded, Finding, Faces, Pass, Enrolment)
}
_GALLERY: Final = (GalleryBegin, GalleryAdd, GalleryCommit, GalleryRemove)
_TO_VISION: Final[Mapping[str, type[ToVision]]] = {
    kind.TYPE: kind for kind in (*_GALLERY, Settings, Preview, Enrol, EnrolCancel, UseNetwork)
}


def parse_from_vision(message: Mapping[str, Any]) -> FromVision | Rejected:
    """A message of the vision process, or why it is none."""
    return parse(message, _FROM_VISION)


def parse_to_vision(message: Mapping[str, Any]) -> ToVision | Rejected:
    """A message of the agent, or why it is none."""
    return parse(message, _TO_VISION)


def encode(message: FromVision | ToVision) -> dict[str, Any]:
    """The JSON object that `parse_*` reads back as an equal message."""
    return {"type": message.TYPE, **written(message)}
