"""What the console asks of the door besides enrolling: relay test, withdrawal, and why a face was let in or not."""

from __future__ import annotations

import secrets
from typing import Any, Final

from agent.controller import Controller, Intent
from agent.core.events import AccessAllowed, Credential
from agent.core.recognition import Level, rules_for, stranger_rate
from agent.core.vision_messages import Finding, Settings
from agent.enrolment import ConsoleAsked, EnrolmentDesk
from agent.roster.news import Enrolled, Withdrawn
from agent.status import StatusBoard
from agent.withdrawal_desk import WITHDRAW, WithdrawalDesk

INSTALLER_TEST: Final = "installer_test"  # by root's signal to the agent, never by a page
_TESTS: Final = {"relay_test": "console", INSTALLER_TEST: "installer"}


class ConsoleDesk:
    """Used by the controller's thread only. Shows what it knows on the board: relay_test, thresholds, last_look."""

    def __init__(
        self,
        controller: Controller,
        enrolment: EnrolmentDesk,
        withdrawal: WithdrawalDesk,
        board: StatusBoard,
        settings: Settings,
    ) -> None:
        self._controller, self._board, self._settings = controller, board, settings
        self._enrolment, self._withdrawal = enrolment, withdrawal
        self._test: dict[str, Any] | None = None
        self._began_s = 0.0

    def asked(self, event: ConsoleAsked, now_s: float) -> None:
        """A test is an opening like any other: refused where one would be, written down, bounded, by name."""
        if event.name == WITHDRAW:
            self._withdrawal.asked(event.arguments)
            return
        if event.name not in _TESTS:
            self._enrolment.asked(event)
            return
        self._began_s = now_s
        self._test = {"id": f"test-{secrets.token_hex(8)}", "stage": "asked"}
        self._show_test()
        allowed = AccessAllowed(self._test["id"], Credential.REMOTE)
        self._controller.admit(Intent(self._test["id"], allowed, {"actor": _TESTS[event.name]}))

    def answered(self, event: Enrolled | Withdrawn) -> tuple[str, str] | None:
        """The roster did what the page asked for: the row's word and whose it is, where one is to be written."""
        if isinstance(event, Withdrawn):
            self._withdrawal.done(event)
            return None
        self._enrolment.stored(event.enrolment_id, event.detail if event.person_id is None else None)
        return ("VisitAdded" if event.again else "Enrolled", event.person_id) if event.person_id is not None else None

    def stage(self, request_id: str, stage: str, at_s: float, reason: str | None) -> None:
        """A request went on; see controller.Others."""
        if self._test is None or request_id != self._test["id"]:
            return
        self._test |= {"stage": stage} | ({"reason": reason} if reason else {})
        if stage == "energised":
            self._test["energised_ms"] = round((at_s - self._began_s) * 1000)
        self._show_test()

    def moved(self, now_s: float, *, energised: bool) -> None:
        """The relay is on or off; the first time it is off again after the test's own pulse ends the test's clock."""
        test = self._test
        if test is not None and "energised_ms" in test and "dropped_ms" not in test and not energised:
            test["dropped_ms"] = round((now_s - self._began_s) * 1000)
            self._show_test()

    def explain(self, *, liveness: bool) -> None:
        """The rules that hold now, from the operator's numbers."""
        s = self._settings
        rules = rules_for(Level(s.policy), liveness_available=liveness, min_agreement=0.0)
        self._board.update(
            thresholds={
                "policy": s.policy,
                "strangers_per_year": s.strangers_per_year,
                "passages_per_day": s.stranger_passages_per_day,
                "rate": stranger_rate(s.strangers_per_year, s.stranger_passages_per_day),
                "min_frames": rules.min_frames,
                "min_margin": rules.min_margin,
                "min_liveness": rules.min_liveness,
                "needs_phone": rules.needs_phone,
            }
        )

    def looked(self, finding: Finding) -> None:
        """The newest decision about a face, in numbers, without whose it was."""
        receipt = finding.receipt
        bound = receipt.get("bound")
        if isinstance(bound, dict):
            looked = {
                "verdict": str(finding.verdict),
                "reason": finding.reason,
                "frames": finding.frames,
                "distance": receipt.get("match_distance"),
                "max_distance": bound.get("max_match_distance"),
                "people": bound.get("roster_size"),
            }
            self._board.update(last_look=looked)

    def _show_test(self) -> None:
        self._board.update(relay_test=dict(self._test or {}))
