"""Everything that takes bytes from outside, as functions that a fuzzer may call: a fault is an exception.

Each target takes bytes as they would arrive and goes on as the product does: what a parser lets through is handed to
the next one. Signature checks are replaced by "holds" where what lies behind them is the target. Good inputs to start
from stand in seeds.py.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import json
from collections.abc import Callable
from typing import Any

from agent import config as config_module
from agent import config_section, wire
from agent.core import bounded, commands, passes, roster, roster_feed, site_keys, vision_messages
from agent.core.events import Kind, Record
from agent.core.journal import canonical, fitting_body
from agent.core.vision_messages import Finding, parse_from_vision, parse_to_vision
from agent.errors import ConfigError, PictureError
from agent.face_desk import _said
from agent.guard_link import GuardLink
from agent.pass_desk import phone_key, verify_p256
from agent.remote import RemoteDesk
from agent.roster.intake import Intake
from hardware import reflex
from hardware.orders import release_ordered
from hardware.seqpacket import _parse as parse_packet
from tests.fuzz.seeds import CHECKING, GOOD_TOKEN, NAME, PHONE, PUBLIC_PEM

for _codec in (
    "utf-16-le",
    "utf-16-be",
    "utf-32-le",
    "utf-32-be",
    "utf-8-sig",
):  # what json may take bytes for, the same
    codecs.lookup(_codec)
_ZONES = config_section.available_timezones()  # reads the system's list: once, so that no input is seen to open a file
config_section.available_timezones = lambda: _ZONES
_DESK: Any = RemoteDesk(NAME, {"manager1": PUBLIC_PEM}, None, None, {})  # type: ignore[arg-type]
_CHALLENGES = commands.Challenges().renewed("challenge-1", 0.0)


def _judged(token: bytes, verify: commands.Verify) -> commands.Command | commands.Rejected:
    return commands.judge(
        token, retained=False, door=NAME, verify=verify, challenges=_CHALLENGES, book=commands.Book(), now_s=1.0
    )


def command(data: bytes) -> None:
    """A message on dn/command, its signature really checked: nothing but the seed may be taken."""
    found = _judged(data, _DESK._verify)
    if isinstance(found, commands.Command) and data != GOOD_TOKEN:
        raise AssertionError("a message that nobody signed was taken")


def keys_list(data: bytes) -> None:
    """A list of the site's keys: nothing that its root did not sign; whatever stands behind a signature that holds."""
    assert isinstance(site_keys.read(data, site="garden", verify=lambda *_: False, above=0), commands.Rejected)
    site_keys.number_of(data)
    for message in (data, site_keys.PREFIX + base64.urlsafe_b64encode(data).rstrip(b"=")):
        document = site_keys.with_signature(message, b"holds")
        found = site_keys.read(document, site="garden", verify=lambda *_: True, above=0)
        if isinstance(found, site_keys.SiteKeys):
            assert site_keys.number_of(document) == found.number
            canonical(dict(found.orders))


def command_claims(data: bytes) -> None:
    """Claims of a command whose signature holds; what is taken can be stored and read back."""
    found = _judged(GOOD_TOKEN, lambda _token, _key: data)
    if isinstance(found, commands.Command):
        book = commands.Book().with_command(found)
        assert commands.Book.from_fact(json.loads(canonical(book.to_fact()))) == book
        canonical({"actor": found.actor, "id": found.command_id, "for_s": found.for_s})


def code(data: bytes) -> None:
    """A picture's bytes, as if every signature held."""
    for key in (passes.Key(PHONE, "p-1"), passes.Key(PHONE, None)):
        for utc_s in (None, 1_796_000_000.0):
            found = passes.judge(
                data, door=NAME, keys={passes.reference(PHONE): key}.get, verify=lambda *_: True, book=passes.Book(),
                utc_s=utc_s,
            )  # fmt: skip
            if isinstance(found, passes.Accepted):
                stored = json.loads(canonical(found.book.changes(passes.Book())))
                assert passes.Book.from_facts(stored) == found.book


def code_signature(data: bytes) -> None:
    """A signature of a pass: any 64 bytes."""
    assert not verify_p256(PHONE, b"message", data.ljust(64, b"\0")[:64])


def registration(data: bytes) -> None:
    """A phone's registration code, pasted by a manager."""
    with contextlib.suppress(PictureError):
        phone_key(data.decode("utf-8", "replace"))


def roster_token(data: bytes) -> None:
    """A message on dn/roster, its signature really checked."""
    _INTAKE._opened(CHECKING, data)


def roster_claims(data: bytes) -> None:
    """A roster chunk whose signature holds, taken as far as the store: collected, applied, weighed, parsed."""
    found = roster_feed.read(data)
    if isinstance(found, bounded.Rejected):
        return
    assert roster_feed.read(json.dumps(roster_feed.message(found)).encode()) == found
    if isinstance(found, roster_feed.Part):
        roster_feed.refusal(roster_feed.Held(), found)
        operations = roster_feed.Collected().with_part(found).complete() or found.operations
        entries = roster_feed.applied({}, operations)
        roster_feed.digest(entries)
        for body in entries.values():
            roster.parse_person(json.loads(body))


def roster_file(data: bytes) -> None:
    """A roster as JSON, imported from a file."""
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(data)
        roster.parse(value)
        roster.parse_person(value)


def ack(data: bytes) -> None:
    """A message on dn/ack, and its claims if the signature held."""
    with contextlib.suppress(wire.WireError):
        wire.read_ack(CHECKING, NAME, data)
    with contextlib.suppress(wire.ValidationError):
        wire.AckData.model_validate_json(data)


def uplink(data: bytes) -> None:
    """What a stolen device's certificate may send to the server."""
    for read in (wire.parse_hello, wire.parse_batch):
        with contextlib.suppress(wire.WireError):
            read(data)


def config(data: bytes) -> None:
    """A configuration file."""
    with contextlib.suppress(ConfigError):
        config_module.parse(data)


def vision_packet(data: bytes) -> None:
    """A packet on the vision socket, either direction; what a finding says is written down as the desk does."""
    message = parse_packet(data)
    if not isinstance(message, dict):
        return
    parse_to_vision(message)
    found = parse_from_vision(message)
    if isinstance(found, Finding):
        row = Record(Kind.ACCESS_DENIED, {"person_id": found.person_id, "reason": found.reason, **_said(found)})
        canonical(fitting_body(row.body))
    elif not isinstance(found, bounded.Rejected):
        canonical(fitting_body({key: value for key, value in vision_messages.encode(found).items() if key != "faces"}))


def guard_order(data: bytes) -> None:
    """A packet on the guard's socket: a bad one moves nothing, a good one only within a lease."""
    message = parse_packet(data)
    if not isinstance(message, dict) or message.get("type") != "release":
        return
    order = release_ordered({key: value for key, value in message.items() if key != "type"})
    if order is not None:
        state, _ = reflex.step(_IDLE, order, 10.0, _REFLEXES)
        assert not state.energised or (state.lease is not None and state.lease.until_s <= 10.0 + reflex.MAX_LEASE_S)


def guard_news(data: bytes) -> None:
    """A packet from the guard, as the agent hears it; what is posted can be handled and written."""
    message = parse_packet(data)
    if isinstance(message, dict):
        _GUARD_LINK._hear(message)


class _Deaf(GuardLink):
    """The link's ears without its thread and socket."""

    def __init__(self) -> None:
        self._post = repr


_GUARD_LINK = _Deaf()
_INTAKE: Any = Intake.__new__(Intake)
_INTAKE._door = NAME
_REFLEXES = reflex.ReflexSettings({"exit": 0.03}, continuous_duty=True)
_IDLE = reflex.State()

Target = Callable[[bytes], None]
TARGETS: dict[str, Target] = {
    one.__name__: one
    for one in (
        command, keys_list, command_claims, code, code_signature, registration, roster_token, roster_claims,
        roster_file, ack, uplink, config, vision_packet, guard_order, guard_news,
    )
}  # fmt: skip
