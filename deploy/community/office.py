"""The managers' own book: who may use the page, one-time sign-in links, sessions, and what each of them did.

A database of its own (one connection, shared by the page's threads behind one lock), so that a busy page never holds up
the doors' events. Links and sessions are kept as SHA-256 only: whoever reads the file can't sign in with it. What was
done is a chain of hashes like a door's journal; nothing here changes or deletes a row of it. A chain alone does not
show that its end was cut off: so whoever reads the record also gets its mark (number and hash of the last row) to keep
elsewhere, and hands it in the next time.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from agent.core.journal import GENESIS, canonical
from agent.errors import DoorAgentError
from deploy.community.database import Connection

LINK_MS: Final = 30 * 60_000
SESSION_MS: Final = 30 * 86_400_000
IDLE_MS: Final = 7 * 86_400_000
MAX_NAME: Final = 80
_SEEN_EVERY_MS: Final = 60_000
_NUMBER: Final = re.compile("[0-9]{1,12}")
_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS managers (
        id {serial}, name TEXT NOT NULL, role TEXT NOT NULL, active INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS links (
        hash TEXT PRIMARY KEY, manager BIGINT NOT NULL, until_ms BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS sessions (
        hash TEXT PRIMARY KEY, manager BIGINT NOT NULL, csrf TEXT NOT NULL, began_ms BIGINT NOT NULL,
        seen_ms BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS acts (
        id {serial}, at_ms BIGINT NOT NULL, manager BIGINT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL,
        reason TEXT NOT NULL, outcome TEXT NOT NULL, prev TEXT NOT NULL UNIQUE, hash TEXT NOT NULL)""",
    # doors that were away when all were locked down
    "CREATE TABLE IF NOT EXISTS waiting (device TEXT PRIMARY KEY, manager BIGINT NOT NULL, reason TEXT NOT NULL)",
    # alarms of the server that somebody has seen to
    """CREATE TABLE IF NOT EXISTS acknowledged (
        alarm TEXT PRIMARY KEY, at_ms BIGINT NOT NULL, manager BIGINT NOT NULL)""",
)
_PERSON: Final = "SELECT id, name, role, active FROM managers"
EVERY: Final = 1 << 62  # more than there are
ACTS_ON_A_PAGE: Final = 200
_ACT: Final = "SELECT at_ms, manager, action, target, reason, outcome, prev, hash, id FROM acts"
_APPEND: Final = (
    "INSERT INTO acts (at_ms, manager, action, target, reason, outcome, prev, hash) VALUES (?,?,?,?,?,?,?,?)"
    " ON CONFLICT (prev) DO NOTHING RETURNING id"
)


class Role(StrEnum):
    """What somebody may do; each may do what the ones before may."""

    VIEWER = "viewer"  # look
    MANAGER = "manager"  # order doors, look after residents and visitors, export
    OWNER = "owner"  # say who is a manager

    def covers(self, needed: Role) -> bool:
        """True when this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Manager:
    """Somebody who may sign in. `id` goes into the doors' journals, the name stays on this server."""

    id: int
    name: str
    role: Role
    active: bool = True

    @property
    def actor(self) -> str:
        """How a door's journal names them."""
        return f"manager-{self.id}" if self.id > 0 else "home-assistant"


HOME_ASSISTANT: Final = Manager(-1, "Home Assistant", Role.MANAGER)  # not somebody who may sign in


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. Whoever changes something must send `csrf` back."""

    manager: Manager
    csrf: str


@dataclass(frozen=True, slots=True)
class Act:
    """Something a manager did; `manager` 0 is the server's own command line, -1 Home Assistant."""

    at_ms: int
    manager: int
    action: str
    target: str
    reason: str
    outcome: str


class Office:
    """Safe for any thread."""

    def __init__(self, db: Connection, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._db, self._now_ms, self._lock = db, now_ms, threading.Lock()
        for statement in _SCHEMA:
            self._run(statement.format(serial=db.serial))

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._db.close()

    # ------------------------------------------------------------ people

    def add(self, name: str, role: Role) -> Manager:
        """Raises DoorAgentError when the name is empty, too long, a number or taken."""
        name = " ".join(name.split())
        if not 0 < len(name) <= MAX_NAME:
            raise DoorAgentError(f"a manager's name has 1 to {MAX_NAME} characters", exit_code=2)
        if name.isdigit():
            raise DoorAgentError(f"{name} would be taken for somebody's number; add a letter to the name", exit_code=2)
        if any(m.name == name for m in self.managers()):
            raise DoorAgentError(f"{name} is a manager already; ask for a new link instead", exit_code=2)
        found = self._run("INSERT INTO managers (name, role, active) VALUES (?,?,1) RETURNING id", (name, str(role)))
        return Manager(int(found[0][0]), name, role)

    def managers(self) -> list[Manager]:
        """Everybody who may sign in."""
        return [_manager(row) for row in self._run(f"{_PERSON} WHERE active = 1 ORDER BY id")]

    def names(self) -> dict[int, str]:
        """Id -> name, of those who left too: for what they did."""
        return {HOME_ASSISTANT.id: HOME_ASSISTANT.name} | {int(row[0]): str(row[1]) for row in self._run(_PERSON)}

    def named(self, name: str | int) -> Manager:
        """By number, or else by name; an int is a number only. Raises DoorAgentError when there is nobody."""
        there = self.managers()
        found = [m for m in there if str(m.id) == str(name)] or [m for m in there if m.name == name]
        if not found:
            raise DoorAgentError(f"nobody here is called {name}; `manager list` shows who there is", exit_code=2)
        return found[0]

    def remove(self, manager: Manager) -> None:
        """They may not sign in any more; open pages end. Raises DoorAgentError for the last owner."""
        owners = [m for m in self.managers() if m.role is Role.OWNER]
        if owners == [manager]:
            raise DoorAgentError(f"{manager.name} is the only owner; add another owner first", exit_code=2)
        self._run("UPDATE managers SET active = 0 WHERE id = ?", (manager.id,))
        for table in ("links", "sessions"):
            self._run(f"DELETE FROM {table} WHERE manager = ?", (manager.id,))  # noqa: S608  our own two names

    # ------------------------------------------------------------ signing in

    def link(self, manager: Manager) -> str:
        """A secret that signs in once, within 30 minutes; earlier ones of this manager no longer do."""
        secret = secrets.token_urlsafe(32)
        self._run("DELETE FROM links WHERE manager = ? OR until_ms < ?", (manager.id, self._now_ms()))
        self._run("INSERT INTO links VALUES (?,?,?)", (_hash(secret), manager.id, self._now_ms() + LINK_MS))
        return secret

    def enter(self, secret: str) -> tuple[str, Session] | None:
        """The session that a link opens and its secret; None when the link was used, is too old or was never made."""
        found = self._run("DELETE FROM links WHERE hash = ? RETURNING manager, until_ms", (_hash(secret),))
        manager = self._manager(found[0][0]) if found and found[0][1] >= self._now_ms() else None
        if manager is None:
            return None
        own, csrf, now_ms = secrets.token_urlsafe(32), secrets.token_urlsafe(24), self._now_ms()
        self._run("DELETE FROM sessions WHERE began_ms < ? OR seen_ms < ?", (now_ms - SESSION_MS, now_ms - IDLE_MS))
        self._run("INSERT INTO sessions VALUES (?,?,?,?,?)", (_hash(own), manager.id, csrf, now_ms, now_ms))
        return own, Session(manager, csrf)

    def session(self, secret: str) -> Session | None:
        """The session of a cookie, unless it is over: after 7 days without a word, 30 days in all, or a sign-out."""
        now_ms, key = self._now_ms(), _hash(secret)
        found = self._run("SELECT manager, csrf, began_ms, seen_ms FROM sessions WHERE hash = ?", (key,))
        if not found:
            return None
        manager_id, csrf, began_ms, seen_ms = found[0]
        manager = self._manager(manager_id)
        if manager is None or now_ms - began_ms > SESSION_MS or now_ms - seen_ms > IDLE_MS:
            return None
        if now_ms - seen_ms > _SEEN_EVERY_MS:
            self._run("UPDATE sessions SET seen_ms = ? WHERE hash = ?", (now_ms, key))
        return Session(manager, str(csrf))

    def leave(self, secret: str) -> None:
        """Sign out."""
        self._run("DELETE FROM sessions WHERE hash = ?", (_hash(secret),))

    def _manager(self, manager_id: int) -> Manager | None:
        found = self._run(f"{_PERSON} WHERE id = ? AND active = 1", (manager_id,))
        return _manager(found[0]) if found else None

    # ------------------------------------------------------------ what was done

    def wrote(self, act: Act) -> None:
        """Append. A second writer (the command line) may have been faster: then the row goes behind its."""
        for _ in range(20):
            last = self._run("SELECT hash FROM acts ORDER BY id DESC LIMIT 1")
            prev = str(last[0][0]) if last else GENESIS
            values = (*asdict(act).values(), prev, _act_hash(act, prev))
            if self._run(_APPEND, values):
                return
        raise DoorAgentError("what was done could not be written down; nothing was ordered", exit_code=4)

    def note(self, manager: Manager | None, action: str, target: str = "", reason: str = "", outcome: str = "") -> None:
        """Append what somebody did now; None: the server's own command line."""
        self.wrote(Act(self._now_ms(), manager.id if manager else 0, action, target, reason, outcome))

    def acts(self) -> list[Act]:
        """The newest first, no more than one page of them."""
        return [act for _, act in self.numbered_acts()]

    def numbered_acts(self, *, before: int = EVERY, count: int = ACTS_ON_A_PAGE) -> list[tuple[int, Act]]:
        """So many of those before a number, the newest first; each with its own, to go on from."""
        found = self._run(f"{_ACT} WHERE id < ? ORDER BY id DESC LIMIT ?", (before, count))
        return [(int(row[8]), Act(*row[:6])) for row in found]

    def broken(self) -> int | None:
        """The first row (from 1) that is not as it was written or does not follow the one before; None: all hold."""
        prev = GENESIS
        for number, row in enumerate(self._run(f"{_ACT} ORDER BY id"), 1):
            if row[6] != prev or row[7] != _act_hash(Act(*row[:6]), prev):
                return number
            prev = str(row[7])
        return None

    def mark(self) -> str:
        """`NUMBER:HASH` of the last row, to be kept elsewhere (each manager's browser does)."""
        found = self._run("SELECT (SELECT COUNT(*) FROM acts), hash FROM acts ORDER BY id DESC LIMIT 1")
        return f"{found[0][0]}:{found[0][1]}" if found else f"0:{GENESIS}"

    def holds(self, mark: str) -> bool:
        """False when the row of an earlier `mark()` is no longer there: the end was cut off or written anew."""
        number, _, hash_ = mark.partition(":")
        if not _NUMBER.fullmatch(number) or int(number) == 0:
            return mark == f"0:{GENESIS}"
        found = self._run("SELECT hash FROM acts ORDER BY id LIMIT 1 OFFSET ?", (int(number) - 1,))
        return bool(found) and str(found[0][0]) == hash_

    # ------------------------------------------------------------ what waits, what was seen to

    def waiting(self) -> dict[str, tuple[Manager, str]]:
        """Doors that are to be locked down when they are back: who wanted it, and why."""
        left = dict(self.names())
        found = self._run("SELECT device, manager, reason FROM waiting")
        return {str(d): (Manager(int(m), left.get(int(m), "?"), Role.MANAGER), str(why)) for d, m, why in found}

    def wait_for(self, device: str, manager: Manager, reason: str) -> None:
        """Note a door that is to be locked down when it is back."""
        self._run("DELETE FROM waiting WHERE device = ?", (device,))
        self._run("INSERT INTO waiting VALUES (?,?,?) ON CONFLICT DO NOTHING", (device, manager.id, reason))

    def wait_no_longer(self, device: str) -> None:
        """It was done, or taken back."""
        self._run("DELETE FROM waiting WHERE device = ?", (device,))

    def acknowledge(self, alarm: str, manager: Manager) -> bool:
        """Somebody saw to an alarm (`alarm`: a name that is never used again); False: somebody had before."""
        values = (alarm, self._now_ms(), manager.id)
        return bool(self._run("INSERT INTO acknowledged VALUES (?,?,?) ON CONFLICT DO NOTHING RETURNING alarm", values))

    def acknowledged(self, alarms: Sequence[str]) -> dict[str, tuple[int, str]]:
        """Of these alarms those that were seen to: when, and by whom."""
        names, marks = self.names(), ",".join("?" * len(alarms))
        sql = f"SELECT alarm, at_ms, manager FROM acknowledged WHERE alarm IN ({marks})"  # noqa: S608  marks only
        found = self._run(sql, alarms) if alarms else []
        return {str(a): (int(at_ms), names.get(int(m), "?")) for a, at_ms, m in found}

    def _run(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, params)


def sign_in_url(base: str, secret: str) -> str:
    """The one-time link. The secret stands behind the #: browsers never send that part, so no log has it."""
    return f"{base}/enter#{secret}"


def _manager(row: tuple[Any, ...]) -> Manager:
    return Manager(int(row[0]), str(row[1]), Role(row[2]), bool(row[3]))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _act_hash(act: Act, prev: str) -> str:
    return hashlib.sha256(canonical({**asdict(act), "prev": prev}).encode()).hexdigest()
