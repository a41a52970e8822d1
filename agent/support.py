"""What a support person needs to see of a door, with nothing of its people, keys or addresses in it.

Gathered as text, redacted as text, packed, encrypted with age to a recipient's public key. Without a recipient nothing
is written: a support bundle in the clear would lie about on laptops.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import ipaddress
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.errors import DoorAgentError

_UNITS: Final = ("door-guard", "door-agent", "door-vision", "door-settle")
_COMMAND_S: Final = 30.0
_MAX_TEXT: Final = 2 * 1024 * 1024
# program and words -> file of the bundle
_COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "log.txt": ("journalctl", "--no-pager", "-o", "short-iso", "-n", "3000", *(f"--unit={u}" for u in _UNITS)),
    "kernel.txt": ("journalctl", "--no-pager", "-k", "-n", "500"),
    "units.txt": ("systemctl", "--no-pager", "--lines=0", "status", *_UNITS),
    "disk.txt": ("df", "-h"),
    "memory.txt": ("free", "-m"),
    "processes.txt": ("ps", "-eo", "pid,user,ni,rss,etime,comm"),
    "clock.txt": ("timedatectl",),
}
_RULES: Final = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?-----END [A-Z0-9 ]+-----", re.DOTALL), "[key]"),
    # up to the last @ of the word: a password may have / @ and quotes, and too much gone is no harm
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)\S*@"), r"\1[login]@"),
    (re.compile(r"(?i)\b(password|passwd|secret|token|credential)(\s*[=:]\s*)\S+"), r"\1\2[secret]"),
    (re.compile(r"\bv4\.(?:public|local)\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?"), "[token]"),
    (re.compile(r"\bAGE-SECRET-KEY-1[A-Z0-9]+"), "[key]"),
    (re.compile(r"\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b", re.IGNORECASE), "[mac]"),
    (re.compile(r"\b(?!127\.)(?:\d{1,3}\.){3}\d{1,3}\b"), "[address]"),
    (re.compile(r"[^\s/]+@(?=\[address\])"), "[login]@"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+"), "[mail]"),
)
# whatever may be an IPv6 address, a port without brackets or a dotted end with it; the library says what is one
_COLONS: Final = re.compile(r"(?i)(?<![0-9a-z])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,}(?:(?:\.\d{1,3}){3})?")
_PERSON_KEYS: Final = frozenset(
    {"person", "person_id", "actor", "subject", "credential_id", "guardian", "name", "host"}
)


class SupportError(DoorAgentError):
    """The bundle cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes people, secrets and addresses out of text; `names` and `secrets` are words without a shape of their own."""

    names: tuple[str, ...] = ()
    salt: bytes = b""
    secrets: tuple[str, ...] = ()

    def text(self, text: str) -> str:
        """The text without them."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "[secret]")
        for name in sorted(self.names, key=len, reverse=True):
            text = text.replace(name, self.alias(name))
        text = _COLONS.sub(_without_address, text)
        for pattern, instead in _RULES:
            text = pattern.sub(instead, text)
        return text

    def alias(self, name: str) -> str:
        """The same stand-in for the same person within one bundle, another one in the next."""
        return "person-" + hashlib.sha256(self.salt + name.encode()).hexdigest()[:8]

    def value(self, value: object, key: str = "") -> object:
        """A JSON value without them."""
        if isinstance(value, Mapping):
            return {k: self.value(v, str(k)) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(v, key) for v in value]
        if isinstance(value, str):
            return self.alias(value) if key in _PERSON_KEYS and value else self.text(value)
        return value


def _without_address(found: re.Match[str]) -> str:
    """What looks like an IPv6 address, if it is one: also before a colon or a port; this machine's own says nothing."""
    whole = found[0]
    for address, rest in ((whole, ""), (whole[: (at := whole.rfind(":"))], whole[at:])):
        with contextlib.suppress(ValueError):
            parsed = ipaddress.IPv6Address(address)
            return whole if parsed.is_loopback or parsed.is_unspecified else f"[address]{rest}"
    return whole


def outputs(redact: Redactor) -> Iterator[tuple[str, str]]:
    """(file, text) of each command that this machine has."""
    for name, command in _COMMANDS.items():
        try:
            done = subprocess.run(command, capture_output=True, timeout=_COMMAND_S, check=False)  # noqa: S603  fixed words
        except (OSError, subprocess.TimeoutExpired) as error:
            yield name, f"not to be had: {error}\n"
            continue
        yield name, redact.text((done.stdout + done.stderr).decode(errors="replace"))[-_MAX_TEXT:]


def pack(files: Mapping[str, str]) -> bytes:
    """A gzipped tar of texts."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            data = text.encode()
            info = tarfile.TarInfo(f"support/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def encrypt(data: bytes, recipient: str) -> bytes:
    """For whoever has the private key of `recipient` (age1…), and nobody else.

    Raises:
        SupportError: not an age recipient.
    """
    import pyrage

    try:
        sealed: bytes = pyrage.encrypt(data, [pyrage.x25519.Recipient.from_str(recipient.strip())])
    except pyrage.RecipientError as error:
        raise SupportError(
            f"{recipient[:20]!r} is no age recipient; support gives you one: age1…", exit_code=2
        ) from error
    return sealed


def events(path: Path, newest: int, redact: Redactor) -> str:
    """The newest journal rows, one JSON object a line, receipts left out."""
    from agent.journal.report import listed

    lines = []
    for row in listed(path, newest=newest) if path.exists() else ():
        body = {k: v for k, v in row["body"].items() if k != "receipt"}
        lines.append(json.dumps(redact.value({**row, "body": body}), ensure_ascii=False))
    return "\n".join(lines) + "\n"
