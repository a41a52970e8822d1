"""Withdrawing the consent for a face on the door's page: who is meant, what came of it, and the receipt."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Protocol

from agent.core.roster import PersonKind
from agent.directory import Directory
from agent.known_time import KnownTime
from agent.roster.news import Withdrawn
from agent.status import StatusBoard

WITHDRAW: Final = "withdraw"


class WhyNot(StrEnum):
    """What the page says when no face was forgotten; it has each in both languages."""

    NOBODY = "nobody with a face here has this name or number"
    SEVERAL = "several people have this name: give the number"


class Withdrawer(Protocol):
    """Who forgets a face: the roster's clerk, which answers with `Withdrawn`."""

    def withdraw(self, person_id: str, sure_utc_s: float, utc_s: float) -> None:
        """Ask for it."""


class WithdrawalDesk:
    """Used by the controller's thread only. Shows on the board, as `withdrawal`, what came of the last one."""

    def __init__(self, roster: Withdrawer, board: StatusBoard, time: KnownTime, residents: Directory) -> None:
        self._roster, self._board, self._time, self._residents = roster, board, time, residents
        self._number = 0  # so that the page tells its own withdrawal from the one before

    def asked(self, arguments: dict[str, Any]) -> None:
        """`person`: her id, or her whole name."""
        self._number += 1
        wanted = str(arguments.get("person", "")).strip()
        people = [p for p in self._residents.roster.persons.values() if p.kind is not PersonKind.WATCHED and p.faces]
        named = [p for p in people if p.id == wanted] or [p for p in people if wanted and p.name == wanted]
        if len(named) != 1:
            self._show(state="failed", why=WhyNot.SEVERAL if named else WhyNot.NOBODY)
            return
        self._show(state="asked")
        self._roster.withdraw(named[0].id, self._time.floor_s(), self._time.believed_s())

    def done(self, event: Withdrawn) -> None:
        """The templates are gone, or why not; `receipt` is None where a server collects receipts."""
        if event.why_not is not None:
            self._show(state="failed", why=event.why_not)
        else:
            self._show(state="done", templates=event.templates, receipt=event.receipt)

    def _show(self, **shown: object) -> None:
        self._board.update(withdrawal={**shown, "number": self._number})
