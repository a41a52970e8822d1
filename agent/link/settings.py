"""What a connection is made with, why it ended, and how long to wait before the next try."""

from __future__ import annotations

import contextlib
import select
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from agent.errors import LinkError
from agent.wire import public_key

_NOT_YET_VALID = 9  # X509_V_ERR_CERT_NOT_YET_VALID
_VERDICT_S = 0.5
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME


class Cause(StrEnum):
    """Who can mend it: the network by itself, a person (refused), time service (clock), whoever switched it off."""

    NETWORK = "network"
    REFUSED = "refused"
    CLOCK = "clock"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Down:
    """An ended connection."""

    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: a random part of a wait that doubles from `first_s` to `cap_s`: a fleet does not return as one.

    The first wait is up to 5 s, so that a node that dies does not bring a third of a city back within one second. A
    refusal does not mend itself in seconds and must not wear out the broker: it waits longer. A connection that
    lasted `good_after_s` starts the doubling anew.
    """

    first_s: float = 5.0
    cap_s: float = 60.0
    refused_first_s: float = 30.0
    refused_cap_s: float = 900.0
    good_after_s: float = 10.0

    def wait_s(self, cause: Cause, tries: int, jitter: float) -> float:
        """The wait before try number `tries` (0 is the first after a good connection); `jitter` in [0, 1)."""
        if cause is Cause.CLOCK:
            return 0.0  # tried again at once without looking at validity times
        first_s, cap_s = (
            (self.refused_first_s, self.refused_cap_s) if cause is Cause.REFUSED else (self.first_s, self.cap_s)
        )
        return jitter * min(cap_s, first_s * 2.0 ** min(tries, 30))


def cause_of(e: Exception) -> Down:
    """Tell the kinds of failure to connect apart."""
    if isinstance(e, LinkError):  # our own files, good at the start: taken away, or half of a pair replaced
        return Down(Cause.REFUSED, f"{e}"[:200])
    if isinstance(e, ssl.SSLCertVerificationError):
        if e.verify_code == _NOT_YET_VALID:
            return Down(Cause.CLOCK, "the broker's certificate is not valid yet: this machine's clock is behind")
        return Down(Cause.REFUSED, f"the broker's certificate is not to be trusted: {e.verify_message}")
    if isinstance(e, ssl.SSLError) and e.reason and "ALERT" in e.reason:
        return Down(Cause.REFUSED, f"the broker refuses this door's certificate: {e.reason}")
    return Down(Cause.NETWORK, f"{e}"[:200] if isinstance(e, OSError) else f"{type(e).__name__}: {e}"[:200])


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Where the broker is and who this door is. Paths are PEM files; `server_key` is the server's public Ed25519 key.

    `first_connect_spread_s`: after a power cut in a whole district, doors that boot connect at a random moment within
    it; a start of the agent alone, later on, does not wait.
    """

    host: str
    port: int
    ca: Path
    cert: Path
    key: Path
    server_key: Path
    site: str
    door: str
    version: str = ""
    first_connect_spread_s: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)


class _Context(ssl.SSLContext):
    """Learns the broker's verdict on our certificate while it wraps, and closes what failed, which paho leaves open.

    In TLS 1.3 the verdict comes after the handshake: session tickets, or an alert that is lost once we have written to
    a connection closed on the other side. So it is waited for before the first byte is sent.
    """

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:  # noqa: ANN401  whatever ssl takes
        sock = super().wrap_socket(*args, **{**kwargs, "do_handshake_on_connect": True})
        timeout_s = sock.gettimeout()
        try:
            select.select([sock], [], [], _VERDICT_S)
            sock.settimeout(0)
            with contextlib.suppress(ssl.SSLWantReadError):
                sock.read(1)  # a broker never speaks first
                raise ConnectionResetError("closed by the broker after the handshake")
        except OSError:
            sock.close()
            raise
        sock.settimeout(timeout_s)
        return sock


def tls_context(ca: Path, cert: Path, key: Path, *, check_time: bool = True) -> ssl.SSLContext:
    """TLS 1.3 with one's own certificate, trusting the site's authority alone.

    `check_time` is false only after the broker's certificate turned out to be not valid YET, and while nothing vouches
    for this machine's clock: then that is the one that is wrong, and the site's own authority vouches without it.

    Raises:
        LinkError: a file is missing, unreadable or not what it should be.
    """
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(ca)
    except OSError as e:
        raise LinkError(f"{ca}: not a readable authority certificate ({e})") from e
    try:
        context.load_cert_chain(cert, key)
    except OSError as e:
        raise LinkError(f"{cert}, {key}: not a readable certificate with its private key ({e})") from e
    if not check_time:
        context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return context


def pinned_key(s: LinkSettings) -> Any:  # noqa: ANN401  pyseto publishes no types
    """The server's public key. Raises LinkError when the file has none."""
    try:
        return public_key(s.server_key.read_bytes())
    except (OSError, ValueError) as e:
        raise LinkError(f"{s.server_key}: not the server's public Ed25519 key ({e})") from e
