"""What the roster's thread is asked to store, and what it tells the controller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.roster import Consent
from agent.core.roster_feed import Held
from agent.directory import View
from agent.roster.entries import Purge


@dataclass(frozen=True, slots=True)
class RosterRead:
    """The roster is another one. `unreadable`: people of whom a template does not open."""

    view: View
    unreadable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RosterUnusable:
    """The roster's file cannot be used now; what was read before goes on standing. Tried again every few seconds."""

    detail: str


@dataclass(frozen=True, slots=True)
class RosterOpened:
    """The file, which could not be used at the start, can be: what it holds of the server's roster."""

    held: Held
    heard_utc_s: int


@dataclass(frozen=True, slots=True)
class RosterAnnounced:
    """A signed head: what the server says this door should have. `challenge` as in roster_feed.Head."""

    revision: int
    digest: str
    challenge: str | None


@dataclass(frozen=True, slots=True)
class RosterApplied:
    """A revision is stored, whole."""

    revision: int
    digest: str
    base: int | None
    persons: int
    templates: int


@dataclass(frozen=True, slots=True)
class RosterRefused:
    """Something was not taken, for this reason; `more` others before it were not told."""

    reason: str
    detail: str = ""
    revision: int | None = None
    more: int = 0


@dataclass(frozen=True, slots=True)
class Purged:
    """Templates of somebody are gone from the store and its write-ahead log; the receipt is to be written."""

    purge: Purge


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Somebody who is to be enrolled; `alike` are people whom she resembles."""

    enrolment_id: str
    name: str
    consent: Consent
    alike: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """Pictures of one more visit of somebody enrolled; `consent` if one was given now."""

    enrolment_id: str
    person_id: str
    consent: Consent | None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The answer to `enrol` and `add_visit` (`again`): whose id, or None and why nothing was stored."""

    enrolment_id: str
    person_id: str | None
    detail: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The answer to `withdraw`: how many templates are gone and the signed receipt, or why nothing was done."""

    person_id: str
    templates: int = 0
    receipt: Mapping[str, Any] | None = None
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class Learnt:
    """The answer to `learn`."""

    person_id: str
    done: bool
