"""Orders from the manager's page to a door: asks for a fresh challenge, signs, follows the staged replies."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from agent.core.commands import MAX_COUNTER, WANT_CHALLENGE, Action, Refusal
from agent.order_keys import sign
from deploy.community.news import News

CHALLENGE_WAIT_S: Final = 3.0
ANSWER_WAIT_S: Final = 5.0
_KEPT_ORDERS: Final = 200
_STAGES_MOST: Final = 8  # accepted, energised, taken: a door that says more of one order says nothing

Send = Callable[[str, bytes, bytes], None]


def _nowhere(_device: str, _token: bytes, _correlation: bytes) -> None:
    """Before `connect`: the order gets no answer, and says so."""


class Commander:
    """Safe for any thread. `hear` takes the consumer's news of kind reply; `order` waits for what came of it.

    It waits `challenge_wait_s` for the door to say that it is there, then `answer_wait_s` for the result.
    """

    def __init__(
        self,
        private_pem: bytes,
        key_id: str,
        *,
        challenge_wait_s: float = CHALLENGE_WAIT_S,
        answer_wait_s: float = ANSWER_WAIT_S,
    ) -> None:
        self._key, self._key_id = private_pem, key_id
        self._challenge_wait_s, self._answer_wait_s = challenge_wait_s, answer_wait_s
        self._send: Send = _nowhere
        self._heard = threading.Condition()
        self._sending = threading.Lock()  # a door takes rising counters only: they leave in their order
        self._challenges: dict[str, str | None] = {}  # of doors that were asked
        self._orders: dict[str, tuple[str, list[dict[str, Any]]]] = {}  # command id -> door, what it said of it
        self._counters: dict[str, int] = {}  # the last of each door, its own: one that lies spoils no other's orders

    def connect(self, send: Send) -> None:
        """Say how orders get to doors."""
        self._send = send

    def hear(self, news: News) -> None:
        """Note a door's reply to what it was asked; of other doors' orders it has nothing to say."""
        if news.kind != "reply":
            return
        with self._heard:
            if news.what.get("stage") == "challenge":
                if news.device in self._challenges:
                    self._challenges[news.device] = news.what.get("challenge")
            else:
                device, stages = self._orders.get(str(news.what.get("id")), ("", []))
                if device == news.device and len(stages) < _STAGES_MOST:
                    stages.append(news.what)
            self._heard.notify_all()

    def order(self, device: str, action: Action, actor: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  JSON-shaped
        """Order `action` of a door ("site/door"). Returns the newest stage that it said, or one of ours.

        "accepted" is returned only when nothing followed in time. "not-sent": the door did not answer, so no order was
        made. "no-answer": it went out and no word came back; it may be carried out while its challenge is good.
        """
        challenge = self._ask(device)
        if challenge is None:
            return {"stage": "not-sent", "reason": "the door is not connected or did not answer"}
        claims = {"action": action, "actor": actor, "challenge": challenge, **more}
        told = self._give(device, claims)
        if told.get("reason") == Refusal.COUNTER_NOT_ABOVE and self._behind(device, told.get("counter")):
            told = self._give(device, claims)  # the clock here was ahead once, or the door heard another server
        return told

    def _give(self, device: str, claims: Mapping[str, Any]) -> dict[str, Any]:
        command_id = secrets.token_hex(8)
        stages: list[dict[str, Any]] = []
        with self._heard:
            self._orders[command_id] = (device, stages)
            while len(self._orders) > _KEPT_ORDERS:
                del self._orders[next(iter(self._orders))]
        with self._sending:
            numbered = {"id": command_id, "counter": self._next_counter(device), **claims}
            self._send(device, sign(self._key, self._key_id, device, numbered), command_id.encode())
        with self._heard:
            self._heard.wait_for(lambda: bool(stages) and stages[-1].get("stage") != "accepted", self._answer_wait_s)
            if stages:
                return stages[-1]
        reason = f"no answer within {self._answer_wait_s:g} s; whether it was carried out is not known"
        return {"id": command_id, "stage": "no-answer", "reason": reason}

    def stages(self, command_id: str) -> list[dict[str, Any]]:
        """Everything its door said about one order so far."""
        with self._heard:
            return list(self._orders.get(command_id, ("", []))[1])

    def _ask(self, device: str) -> str | None:
        with self._heard:
            self._challenges[device] = None
        self._send(device, WANT_CHALLENGE, secrets.token_bytes(8))
        with self._heard:
            self._heard.wait_for(lambda: self._challenges.get(device) is not None, self._challenge_wait_s)
            return self._challenges[device]

    def _next_counter(self, device: str) -> int:
        """Above every earlier one, over restarts too: microseconds since 1970, or one more than the last."""
        with self._heard:
            self._counters[device] = max(self._counters.get(device, 0) + 1, time.time_ns() // 1000)
            return self._counters[device]

    def _behind(self, device: str, highest: int | None) -> bool:
        """Note a door's own word on the highest counter it has seen; True where there is one above it."""
        if highest is None or highest >= MAX_COUNTER:
            return False
        with self._heard:
            self._counters[device] = max(self._counters.get(device, 0), highest)
        return True
