"""The ledger on PostgreSQL, by URL. Needs the driver pg8000 (pure Python): pip install 'door-agent[postgres]'."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from agent.errors import StoreError

# SQLSTATE classes: connection, read-only, rolled back by the database, resources, not in a state for it, an operator's
# hand, its system; the rest is about the statement
_ITS_OWN: Final = ("08", "25", "40", "53", "55", "57", "58", "XX")


class PostgresConnection:
    """One connection, made again when it was lost. Each statement commits by itself unless between BEGIN and COMMIT.

    A connection that was lost while nothing was under way (a restart, a firewall that forgets) is nobody's matter: what
    begins something, or only reads, is asked again on a new one.
    """

    serial = "BIGSERIAL PRIMARY KEY"

    def __init__(self, url: str) -> None:
        """`postgresql://user:password@host:port/database`, or `?host=/run/postgresql` for a socket's folder."""
        try:
            import pg8000.native as driver  # optional: a small site needs no PostgreSQL
        except ImportError as e:
            raise StoreError("the PostgreSQL driver is not installed: pip install 'door-agent[postgres]'") from e
        self._driver: Any = driver
        parts = urlsplit(url)
        folder = parse_qs(parts.query).get("host", [None])[0]
        port = parts.port or 5432
        self._arguments = {
            "user": unquote(parts.username or "community"),
            "password": unquote(parts.password) if parts.password else None,
            "host": parts.hostname or "localhost",
            "port": port,
            "database": parts.path.lstrip("/") or "community",
            "unix_sock": f"{folder}/.s.PGSQL.{port}" if folder else None,
            "timeout": None,
            "application_name": "door-agent community server",
        }
        self._connection: Any = None
        self._within = False  # a transaction
        try:
            self._connect()
        except (OSError, driver.Error) as e:
            where = folder or f"{parts.hostname}:{port}"
            raise StoreError(f"PostgreSQL at {where} can't be used: {e}; check the URL and that it runs") from e

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See database.Connection."""
        if self._connection is None and self._within:
            self._within = sql not in ("BEGIN", "ROLLBACK")
            if self._within:
                raise self._driver.InterfaceError("the connection was lost in the middle of a transaction")
            if sql == "ROLLBACK":
                return []
        again = self._connection is not None and not self._within and sql.startswith(("BEGIN", "SELECT"))
        try:
            return self._run(sql, params)
        except (OSError, self._driver.InterfaceError):
            self.close()
            if not again:
                raise
        return self._run(sql, params)

    def _run(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connect()
        pieces = sql.split("?")
        named = "".join(f"{piece}:p{n}" for n, piece in enumerate(pieces[:-1])) + pieces[-1]
        found = self._connection.run(named, **{f"p{n}": value for n, value in enumerate(params)})
        self._within = (self._within or sql == "BEGIN") and sql not in ("COMMIT", "ROLLBACK")
        return [tuple(row) for row in found or ()]

    def away(self, e: Exception) -> bool:
        """See database.Connection."""
        told = e.args[0] if isinstance(e, self._driver.DatabaseError) and e.args else None
        code = str(told.get("C", "")) if isinstance(told, dict) else ""
        return isinstance(e, OSError | self._driver.InterfaceError) or code.startswith(_ITS_OWN)

    def hold(self, devices: Sequence[str]) -> None:
        """See database.Connection. Everybody takes the locks in one order, so nobody waits in a circle."""
        keys = sorted({int.from_bytes(sha256(d.encode()).digest()[:8], signed=True) for d in devices})
        self.execute("SELECT pg_advisory_xact_lock(k) FROM unnest(CAST(? AS bigint[])) AS k", (keys,))

    def close(self) -> None:
        """See database.Connection."""
        if self._connection is not None:
            with contextlib.suppress(Exception):  # it may be lost already
                self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        self._connection = self._driver.Connection(**self._arguments)
        # what was acknowledged survives a power cut, whatever the server's default is
        self._connection.run("SET synchronous_commit = on")
