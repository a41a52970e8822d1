"""An MQTT 5 PUBLISH without the properties that nobody here asked for: pure bytes, used on both ends of the link.

A broker hands a sender's properties on to every subscriber as they are. paho-mqtt 2.2 takes some that are allowed for
malformed (U+FEFF in a text, [MQTT-1.5.4-3]) and ends the connection; were such a message retained, each new
subscription would end it again. So what is not read is cut out before the library looks at it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

CORRELATION_DATA: Final = 9
_FIXED_BYTES: Final = {1: 1, 2: 4, 35: 2}  # payload format, message expiry, topic alias
_PREFIXED: Final = {3: 1, 8: 1, CORRELATION_DATA: 1, 38: 2}  # texts and bytes, each after its length in two bytes
_SUBSCRIPTION: Final = 11
_MORE: Final = 0x80


def with_properties(packet: bytes, qos: int, keep: frozenset[int] = frozenset()) -> bytes:
    """The packet (all that follows the fixed header) with the properties in `keep` only.

    What can't be read as a PUBLISH comes back as it is: that is the library's to refuse.
    """
    at = 2 + int.from_bytes(packet[:2]) + (2 if qos else 0)
    try:
        length, start = _number(packet, at)
        end = start + length
        if end > len(packet):
            return packet
        wanted = _properties(packet, start, end) if keep else ()
        kept = b"".join(packet[a:b] for name, a, b in wanted if name in keep)
    except (IndexError, KeyError, ValueError):
        return packet
    return packet[:at] + _written(len(kept)) + kept + packet[end:]


def _properties(packet: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Each property as its identifier, where it begins and where it ends."""
    while at < end:
        begin, (name, at) = at, _number(packet, at)
        if name == _SUBSCRIPTION:
            _, at = _number(packet, at)
        elif name in _FIXED_BYTES:
            at += _FIXED_BYTES[name]
        else:
            for _ in range(_PREFIXED[name]):
                at += 2 + int.from_bytes(packet[at : at + 2])
        if at > end:
            raise ValueError("a property that reaches past the others")
        yield name, begin, at


def _number(packet: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer and where it ends."""
    value = 0
    for n in range(4):
        value |= (packet[at + n] & ~_MORE) << 7 * n
        if not packet[at + n] & _MORE:
            return value, at + n + 1
    raise ValueError("a number of more than four bytes")


def _written(value: int) -> bytes:
    out = bytearray()
    while True:
        value, digit = value >> 7, value & 0x7F
        out.append(digit | (_MORE if value else 0))
        if not value:
            return bytes(out)
