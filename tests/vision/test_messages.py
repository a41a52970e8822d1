"""Vision messages: what one end writes the other reads as equal, and nothing else is ever taken or raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.bounded import Rejected
from agent.core.vision_messages import (
    MAX_TEMPLATES_PER_MESSAGE,
    Alive,
    CameraChanged,
    Enrol,
    EnrolCancel,
    EnrolledTemplate,
    Enrolment,
    EnrolmentState,
    Face,
    Faces,
    Finding,
    FindingKind,
    GalleryAdd,
    GalleryBegin,
    GalleryCommit,
    GalleryLoaded,
    GalleryRemove,
    GalleryRow,
    Hello,
    Pass,
    Preview,
    Settings,
    encode,
    parse_from_vision,
    parse_to_vision,
)
from hardware.seqpacket import MAX_JSON_BYTES

FROM_VISION = [
    Hello(1, "engine", "reid0095", "reid-128", liveness=True, missing=None, pid=77),
    Alive(5, 9.5, "ok", 12.25),
    CameraChanged("dark", "look at the lamp"),
    GalleryLoaded(3, 2, 6, "no face's vector"),
    Finding(
        track=1,
        verdict=FindingKind.RECOGNISED,
        person_id="p-1",
        needs_phone=False,
        reason="match",
        hint=None,
        first_frame_at_s=1.0,
        decided_at_s=1.2,
        frames=3,
        receipt={"v": 1, "frames": [[1, None]]},
        in_view_since_s=0.5,
    ),
    Faces(1280, 720, (Face((0.1, 0.2, 0.3, 0.4), 1, "looking", 0.5, None, None),)),
    Pass(b"\x00\xff raw", 3.0),
    Enrolment("e", EnrolmentState.DONE, None, 1, (EnrolledTemplate(b"\0\0\x80?", 0.5),), ("p-2",)),
]
TO_VISION = [
    GalleryBegin(1, "reid0095", "reid-128"),
    GalleryAdd((GalleryRow("p", "t", b"\0\0\x80?"),)),
    GalleryCommit(1),
    GalleryRemove(("p", "q")),
    Settings("standard", 1.0, 20.0),
    Preview(on=True, fps=8.0),
    Enrol("e", 5),
    EnrolCancel(),
]


@pytest.mark.parametrize("message", FROM_VISION, ids=lambda message: message.TYPE)
def test_what_vision_writes_the_agent_reads_as_equal(message: Any) -> None:
    assert parse_from_vision(json.loads(json.dumps(encode(message)))) == message
    assert isinstance(parse_to_vision(encode(message)), Rejected)


@pytest.mark.parametrize("message", TO_VISION, ids=lambda message: message.TYPE)
def test_what_the_agent_writes_vision_reads_as_equal(message: Any) -> None:
    assert parse_to_vision(json.loads(json.dumps(encode(message)))) == message
    assert isinstance(parse_from_vision(encode(message)), Rejected)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(st.sampled_from(FROM_VISION + TO_VISION), st.data())
def test_any_key_replaced_by_anything_is_read_or_rejected_with_its_name(message: Any, data: st.DataObject) -> None:
    encoded = encode(message)
    key = data.draw(st.sampled_from(sorted(encoded)))
    encoded[key] = data.draw(_JSON)
    for parse in (parse_from_vision, parse_to_vision):
        answer = parse(encoded)
        if isinstance(answer, Rejected):
            assert key in answer.reason or "type" in answer.reason
        else:
            assert parse(encode(answer)) == answer


@given(st.dictionaries(st.text(max_size=12), _JSON, max_size=6))
def test_no_object_makes_the_parsers_raise(message: dict[str, Any]) -> None:
    assert isinstance(parse_from_vision(message), Rejected)
    assert isinstance(parse_to_vision(message), Rejected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"surprise": 1}, "surprise"),
        ({"track": True}, "track must be a whole number"),
        ({"decided_at_s": float("nan")}, "decided_at_s must be from"),
        ({"verdict": "open"}, "verdict must be one of"),
        ({"person_id": "x" * 129}, "person_id must be text"),
        ({"receipt": {"x": "y" * 30_000}}, "receipt must be an object"),
    ],
)
def test_a_finding_that_is_none_says_what_is_wrong(change: dict[str, Any], words: str) -> None:
    answer = parse_from_vision(encode(FROM_VISION[4]) | change)
    assert isinstance(answer, Rejected)
    assert words in answer.reason


def test_a_full_message_of_templates_fits_a_packet_and_one_more_is_refused() -> None:
    rows = (GalleryRow("p" * 32, "t" * 32, bytes(1024)),) * (MAX_TEMPLATES_PER_MESSAGE + 1)
    assert len(json.dumps(encode(GalleryAdd(rows[:-1])))) < MAX_JSON_BYTES
    assert isinstance(parse_to_vision(encode(GalleryAdd(rows))), Rejected)


def test_a_code_of_more_than_two_kibibytes_is_refused() -> None:
    assert parse_from_vision(encode(Pass(bytes(2048), 1.0))) == Pass(bytes(2048), 1.0)
    assert isinstance(parse_from_vision(encode(Pass(bytes(2052), 1.0))), Rejected)
