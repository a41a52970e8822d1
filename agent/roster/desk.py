"""The roster as the controller sees it: whether it is the server's newest, how fresh, and the receipts of purges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from agent.clock import Clock
from agent.core.events import Json, Kind, Priority, Record
from agent.core.journal import ClockQuality
from agent.core.roster_feed import NOTHING
from agent.core.stream import Committed
from agent.identity import Identity
from agent.roster.clerk import RosterClerk
from agent.roster.entries import Purge
from agent.roster.news import (
    Purged,
    RosterAnnounced,
    RosterApplied,
    RosterOpened,
    RosterRead,
    RosterRefused,
    RosterUnusable,
)

DRIFT_AFTER_S: Final = 60.0  # a difference that lasts so long is told
_NAMED: Final = 20  # entries that cannot be read, in one row
_HEARD_EVERY_S: Final = 600.0  # how often freshness is kept over a restart


class Writer(Protocol):
    """What this needs of the controller."""

    def write(self, record: Record, *, token: str | None = None) -> None:
        """Write down."""


class RosterDesk:
    """Used by the controller's thread only. `held` is what the store has: revision and digest; None: not known yet.

    `fresh` says whether a challenge is one of this door's own, issued a moment ago. `lease_s`: so long after the
    server's last fresh word visitors and contractors lapse.
    """

    def __init__(
        self,
        writer: Writer,
        clerk: RosterClerk,
        clock: Clock,
        *,
        held: tuple[int, str] | None,
        heard_utc_s: int,
        facts: Mapping[str, Any],
        fresh: Callable[[str, float], bool],
        identity: Identity | None,
        lease_s: float,
    ) -> None:
        self._writer, self._clerk, self._clock, self._fresh, self._identity = writer, clerk, clock, fresh, identity
        self._lease_s = lease_s
        self._revision, self._digest = held or (0, NOTHING)
        self._wanted: tuple[int, str] | None = None
        self._drift_from_s: float | None = None
        self._drift_told = False
        self._heard_s = self._heard_before(heard_utc_s)
        self._kept_s = float("-inf")
        self._stale_from_s: float | None = None
        self._stale_told = False
        self._receipts: dict[str, Purge] = {}
        self._floor = stored_floor(facts)
        self._unusable = ""
        self._unread: dict[str, str] = {}
        if held is not None:
            self._look_back()

    @property
    def served(self) -> bool:
        """Whether the server keeps this door's roster."""
        return self._revision > 0

    def silent_s(self, now_s: float) -> float | None:
        """How long ago the server's word was known to be fresh; None: not known."""
        return None if self._heard_s is None else now_s - self._heard_s

    def facts(self) -> dict[str, Any]:
        """For up/state and the page at the door."""
        wanted = self._wanted
        return {
            "revision": self._revision,
            "digest": self._digest,
            "wanted": wanted[0] if wanted else None,
            "drift": wanted is not None and wanted != (self._revision, self._digest),
            "stale": self._stale(self._clock.now_s()),
            "unreadable": len(self._unread),
            "usable": not self._unusable,
        } | ({"sealing": self._identity.sealing_name} if self._identity else {})

    def news(self, event: object, now_s: float) -> bool:
        """Take one event. False: it is nothing for here."""
        match event:
            case RosterAnnounced():
                self._announced(event, now_s)
            case RosterApplied():
                self._applied(event, now_s)
            case RosterRefused():
                body: dict[str, Json] = {"state": "Refused", "reason": event.reason, "detail": event.detail}
                body |= {"revision": event.revision} if event.revision else {}
                self._row(body | ({"more_refused": event.more} if event.more else {}), Priority.HIGH)
            case Purged():
                self._purged(event.purge)
            case RosterUnusable():
                self._unusable = event.detail
                self._row({"state": "Unusable", "detail": event.detail}, Priority.ALARM)
            case RosterOpened():
                self._revision, self._digest = event.held.revision, event.held.digest
                self._heard_s = self._heard_s or self._heard_before(event.heard_utc_s)
                self._look_back()
            case Committed() if event.token in self._receipts:
                self._clerk.told(self._receipts.pop(event.token))
            case _:
                return False
        return True

    def read(self, event: RosterRead) -> None:
        """The roster was read: what of it could not be is told when that changes, by ids and reasons."""
        if self._unusable:
            self._unusable = ""
            self._row({"state": "Usable"}, Priority.HIGH)
        unread = dict(event.view.roster.faults) | dict.fromkeys(event.unreadable, "a face template does not open")
        if unread != self._unread:
            self._unread = unread
            some: dict[str, Json] = {who: why[:200] for who, why in sorted(unread.items())[:_NAMED]}
            body: dict[str, Json] = {"state": "Unreadable" if unread else "Readable", "entries": len(unread)}
            self._row(body | ({"some": some} if some else {}), Priority.ALARM if unread else Priority.HIGH)

    def tend(self, now_s: float) -> None:
        """Say once that it drifts, once that it went stale."""
        if self._drift_from_s is not None and not self._drift_told and now_s - self._drift_from_s >= DRIFT_AFTER_S:
            self._drift_told = True
            self._row({"state": "Drift", **self._numbers()}, Priority.HIGH)
        stale = self._stale(now_s)
        self._stale_from_s = (self._stale_from_s or now_s) if stale else None
        told = self._stale_from_s is not None and now_s - self._stale_from_s >= DRIFT_AFTER_S
        if told is not self._stale_told:  # a door that has just started hears from its server within seconds
            self._stale_told = told
            self._row({"state": "Stale" if told else "Fresh", "lease_h": self._lease_s / 3600}, Priority.HIGH)

    def _stale(self, now_s: float) -> bool:
        silent_s = self.silent_s(now_s)
        return self.served and (silent_s is None or silent_s > self._lease_s)

    # ------------------------------------------------------------ parts

    def _look_back(self) -> None:
        if self._revision < self._floor:
            body: dict[str, Json] = {"state": "RolledBack", "revision": self._revision, "had": self._floor}
            self._row(body, Priority.ALARM)

    def _announced(self, event: RosterAnnounced, now_s: float) -> None:
        if self._wanted is None or event.revision >= self._wanted[0]:
            self._wanted = (event.revision, event.digest)
        self._look_for_drift(now_s)
        if event.challenge is not None and self._fresh(event.challenge, now_s):
            self._heard_s = now_s
            if now_s - self._kept_s >= _HEARD_EVERY_S and self._clock.quality() is not ClockQuality.NONE:
                self._kept_s = now_s
                self._clerk.heard(self._clock.utc_ms() // 1000)

    def _applied(self, event: RosterApplied, now_s: float) -> None:
        self._revision, self._digest = event.revision, event.digest
        if self._wanted is None or event.revision > self._wanted[0]:
            self._wanted = (event.revision, event.digest)
        self._look_for_drift(now_s)
        body: dict[str, Json] = {"state": "Applied", "revision": event.revision, "digest": event.digest}
        body |= {"base": event.base, "persons": event.persons, "templates": event.templates}
        self._writer.write(Record(Kind.ROSTER, body, facts={"roster": {"revision": event.revision}}))

    def _look_for_drift(self, now_s: float) -> None:
        drifts = self._wanted is not None and self._wanted != (self._revision, self._digest)
        if drifts and self._drift_from_s is None:
            self._drift_from_s = now_s
        elif not drifts:
            if self._drift_told:
                self._row({"state": "DriftOver", **self._numbers()})
            self._drift_from_s, self._drift_told = None, False

    def _purged(self, purge: Purge) -> None:
        """The receipt: signed by this door, in the journal, and with it at the server."""
        said = {"person_id": purge.person_id, "purged": purge.reason, "templates": purge.templates}
        receipt: dict[str, Any] = {**said, "asked_utc_s": purge.at_utc_s, "utc_s": self._clock.utc_ms() // 1000}
        if self._identity is not None:
            signed = {**receipt, "what": "face-purged"}
            receipt = {**signed, "cert": self._identity.cert_pem, "signature": self._identity.signature(signed)}
        token = f"purge-{purge.person_id}-{purge.at_utc_s}"
        self._receipts[token] = purge
        body: dict[str, Any] = {"state": "FacePurged", **said, "receipt": receipt}
        self._writer.write(Record(Kind.ROSTER, body, Priority.HIGH), token=token)

    def _heard_before(self, heard_utc_s: int) -> float | None:
        """Freshness over a restart, where both clocks can be believed; else it is not known."""
        if not heard_utc_s or self._clock.quality() is ClockQuality.NONE:
            return None
        ago_s = self._clock.utc_ms() / 1000 - heard_utc_s
        return self._clock.now_s() - ago_s if ago_s >= 0 else None

    def _numbers(self) -> dict[str, Json]:
        return {"revision": self._revision, "wanted": self._wanted[0] if self._wanted else None}

    def _row(self, body: dict[str, Json], priority: Priority = Priority.NORMAL) -> None:
        self._writer.write(Record(Kind.ROSTER, body, priority))


def stored_floor(facts: Mapping[str, Any]) -> int:
    """The highest revision that the journal remembers."""
    kept = facts.get("roster")
    revision = kept.get("revision") if isinstance(kept, Mapping) else None
    return revision if isinstance(revision, int) else 0
