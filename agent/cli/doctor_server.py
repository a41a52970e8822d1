"""What doctor asks of the server: this device's key and certificate, and whether the broker takes them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hardware.finding import Check

if TYPE_CHECKING:
    from agent.config import Config

_RENEW_DAYS = 45  # provisioning renews at 60; what is left is for somebody to come


def _device_key(key: Path) -> Check:
    from agent.key_place import judge

    try:
        ok, found = judge(key)
    except OSError as error:
        ok, found = False, f"{key}: {error.strerror}"
    todo = "" if ok else f"chmod 600 {key}, or provision the device again where it is missing"
    return Check("device key", ok, found, "a file that only the agent may read", todo)


def _certificate(cert: Path) -> Check:
    from agent.chain import ends_utc_s

    expected = f"good for at least {_RENEW_DAYS} days"
    todo = "provision the device again: it renews what has less than 60 days left"
    try:
        days = int((ends_utc_s(cert.read_bytes()) - time.time()) // 86400)
    except (OSError, ValueError) as error:
        return Check("certificate", ok=False, found=f"{cert}: {error}", expected=expected, do_this=todo)
    good = days >= _RENEW_DAYS
    return Check("certificate", good, f"ends in {days} days", expected, "" if good else todo)


def check_server(config: Config) -> Iterator[Check]:
    """Without a server there is nothing to find; nothing here raises for what it finds."""
    from agent.config_parts import link_settings

    settings = link_settings(config, "")
    if settings is None:
        yield Check("server", ok=True, found="none is configured: this door works alone", expected="")
        return
    from agent.errors import LinkError
    from agent.link.settings import cause_of, pinned_key, tls_context

    where = f"{settings.host}:{settings.port}"
    yield _device_key(settings.key)
    yield _certificate(settings.cert)
    try:
        pinned_key(settings)
        with (
            socket.create_connection((settings.host, settings.port), timeout=5) as plain,
            tls_context(settings.ca, settings.cert, settings.key).wrap_socket(
                plain, server_hostname=settings.host
            ) as tls,
        ):
            yield Check("server", ok=True, found=f"{where} answers with {tls.version()}", expected="TLS 1.3")
    except LinkError as e:
        yield Check(
            "server", ok=False, found=str(e), expected="this device's own files", do_this="provision the device again"
        )
    except OSError as e:
        yield Check(
            "server",
            ok=False,
            found=f"{where}: {cause_of(e).detail}",
            expected="a broker that knows this site's authority",
            do_this="check the cable and server.host; the door goes on without it and keeps its events",
        )
