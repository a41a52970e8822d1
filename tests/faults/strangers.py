"""A door with a valid certificate tries to speak, listen and pose as another: every attempt comes to nothing.

python -m tests.faults.strangers --n 300
Publishes below another door's topics or the server's, subscribes to them, connects under another's client id, with the
broker configuration as shipped (`--root` as of the cluster campaign: RabbitMQ's instead of mosquitto's). Brokers answer
some refusals with success, so each attempt is judged by what is delivered: nothing must arrive at the server or at the
thief, and the victim's connection must stand. The last line printed is one JSON object: tried, refused, publishes,
subscriptions, takeovers, denied_alarm_ms (from a link that comes up, or begins to connect, to its alarm over
the refusal; -1: none).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt

from agent.clock import SystemClock
from agent.command_line import as_program, count
from agent.core.stream import LinkAlarm, LinkDown, LinkUp
from agent.link.settings import LinkSettings, tls_context
from agent.mqtt_link import MqttLink
from agent.outbox import Outbox, OutboxSettings
from deploy.broker import SERVER_NAME
from tests.faults.bench import Bench, wait_until
from tests.faults.cluster import Cluster

_DOORS = ("thief", "victim", "other")
_THIEF, _VICTIM = "site/thief", "site/victim"
_UP = ("hello", "events", "alarm", "state", "reply", "anything")
_DOWN = ("ack", "command", "roster")
_FILTERS = (
    *("#", "+/+/+/#", "doors/#", "doors/+/+/dn/#", "doors/site/#", "doors/site/+/dn/command", "doors/+/victim/#"),
    *(f"doors/{_VICTIM}/{rest}" for rest in ("dn/#", "dn/ack", "up/#")),
    f"$share/g/doors/{_VICTIM}/dn/#",
)
_TOPICS = (
    *(f"doors/{_VICTIM}/up/{leaf}" for leaf in _UP),
    *(f"doors/{name}/dn/{leaf}" for name in (_VICTIM, _THIEF) for leaf in _DOWN),
    *("doors/elsewhere/thief/up/events", f"doors/{_THIEF}/events", "doors/site/up/events"),
    *("homeassistant/door-agent/site/victim/set", "other"),
)


@dataclass
class Ear:
    """A plain client and the payloads that were delivered to it."""

    client: mqtt.Client
    heard: set[bytes] = field(default_factory=set)
    drops: list[float] = field(default_factory=list)
    up: threading.Event = field(default_factory=threading.Event)
    subscribed: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def ear(bench: Bench, name: str, client_id: str | None = None, filters: tuple[str, ...] = ()) -> Ear:
    """A client with the certificate of `name`, subscribed to `filters`; it may well be refused."""
    pair = bench.authority.device(name)
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id=client_id or name, protocol=mqtt.MQTTv5, reconnect_on_failure=False
    )
    client.tls_set_context(tls_context(bench.authority.cert, pair.cert, pair.key))
    made = Ear(client)
    client.on_connect = lambda *_: made.up.set()
    client.on_subscribe = lambda *_: made.subscribed.set()
    client.on_disconnect = lambda *_: made.drops.append(time.monotonic())
    client.on_message = lambda _c, _u, m: made.heard.add(bytes(m.payload))
    with contextlib.suppress(OSError):
        client.connect("127.0.0.1", bench.broker.port)
        client.loop_start()
        if made.up.wait(5) and filters:
            client.subscribe([(f, 1) for f in filters])
            made.subscribed.wait(5)
    return made


class Attempts:
    """The server listening to everything, the victim at its place, and the thief's tries."""

    def __init__(self, bench: Bench, rng: random.Random) -> None:
        self._bench, self._rng = bench, rng
        self._server = ear(bench, SERVER_NAME, filters=("doors/+/+/up/#",))
        self._victim = ear(bench, _VICTIM, filters=(f"doors/{_VICTIM}/dn/#",))
        self._number = 0

    def own(self) -> None:
        """What the thief may do works: else every refusal below would mean nothing. Raises TimeoutError."""
        up, down = self.token(), self.token()
        thief = ear(self._bench, _THIEF, filters=(f"doors/{_THIEF}/dn/#",))
        thief.client.publish(f"doors/{_THIEF}/up/reply", up, 1)
        wait_until(lambda: up in self._server.heard, 5, "the thief's own message")
        self._server.client.publish(f"doors/{_THIEF}/dn/ack", down, 1)
        wait_until(lambda: down in thief.heard, 5, "the message to the thief")
        thief.close()

    def token(self) -> bytes:
        self._number += 1
        return f"attempt {self._number} {self._rng.getrandbits(64):x}".encode()

    def publish(self) -> bool:
        """True when nothing came of a publish to a topic that is not the thief's."""
        topic, token = self._rng.choice(_TOPICS), self.token()
        thief = ear(self._bench, _THIEF)
        with contextlib.suppress(ValueError, RuntimeError):
            thief.client.publish(topic, token, qos=1, retain=self._rng.random() < 0.2).wait_for_publish(2)
        self._settled()
        thief.close()
        return not any(token in e.heard for e in (self._server, self._victim))

    def subscribe(self) -> bool:
        """True when the thief gets nothing that is said to the victim.

        The server's next word is for the thief; a broker keeps one sender's words to one listener in order, so once
        that is heard, the word to the victim has come before it or never will.
        """
        token, own = self.token(), self.token()
        thief = ear(self._bench, _THIEF, filters=(f"doors/{_THIEF}/dn/ack", self._rng.choice(_FILTERS)))
        self._server.client.publish(f"doors/{_VICTIM}/dn/{self._rng.choice(_DOWN)}", token, 1).wait_for_publish(5)
        wait_until(lambda: token in self._victim.heard, 5, "the victim's own message")
        self._server.client.publish(f"doors/{_THIEF}/dn/ack", own, 1)
        if thief.up.is_set() and not thief.drops:  # a broker may also throw the thief out for its subscription
            wait_until(lambda: own in thief.heard or bool(thief.drops), 5, "the thief's own message")
        thief.close()
        return token not in thief.heard

    def take_over(self) -> bool:
        """True when the victim stays connected while the thief calls itself by its name."""
        thief = ear(self._bench, _THIEF, client_id=_VICTIM)
        self._settled()
        thief.close()
        return not self._victim.drops

    def _settled(self) -> None:
        """Whatever was sent before this comes through has been delivered or never will be."""
        token = self.token()
        self._server.client.publish(f"doors/{_VICTIM}/dn/command", token, 1).wait_for_publish(5)
        wait_until(lambda: token in self._victim.heard, 5, "the victim's own message")

    def close(self) -> None:
        for e in (self._server, self._victim):
            e.close()


def denied_alarm_ms(bench: Bench) -> float:
    """The agent's own link with another door's certificate: from its start or LinkUp to the alarm, -1 without one."""
    config = {k: Path(str(v)) if k in ("ca", "cert", "key", "server_key") else v
              for k, v in bench.link_config("victim").items()}  # fmt: skip
    pair = bench.authority.device(_THIEF)
    posts: queue.SimpleQueue[object] = queue.SimpleQueue()
    outbox = Outbox(OutboxSettings(bench.folder / "posing" / "journal.db", "site", "victim"), posts.put, SystemClock())
    outbox.start()
    link = MqttLink(LinkSettings(**{**config, "cert": pair.cert, "key": pair.key}), posts.put, outbox)
    link.start()
    try:
        began_s = time.monotonic()
        while not _refusal(event := posts.get(timeout=10)):
            began_s = time.monotonic() if isinstance(event, LinkUp) else began_s
        return round((time.monotonic() - began_s) * 1000, 1)
    except queue.Empty:
        return -1.0
    finally:
        link.stop()
        outbox.stop()


def _refusal(event: object) -> bool:
    """A refused publish, or, by a broker that compares names, already the connection."""
    return isinstance(event, LinkAlarm) or (isinstance(event, LinkDown) and event.cause == "refused")


def run(n: int, seed: int, bench: Bench) -> dict[str, Any]:
    rng = random.Random(seed)  # noqa: S311  repeatable
    bench.broker.start()
    try:
        attempts = Attempts(bench, rng)
        attempts.own()
        ways: dict[str, Callable[[], bool]] = {
            "publishes": attempts.publish, "subscriptions": attempts.subscribe, "takeovers": attempts.take_over,
        }  # fmt: skip
        counts, refused = dict.fromkeys(ways, 0), 0
        for _ in range(n):
            way = rng.choice([*ways])
            counts[way] += 1
            refused += ways[way]()
        attempts.close()
        return {"tried": n, "refused": refused, **counts, "denied_alarm_ms": denied_alarm_ms(bench)}
    finally:
        bench.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=count, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--root", type=Path, help="on a RabbitMQ cluster, see tests.faults.cluster")
    a = parser.parse_args()
    names = [f"site/{d}" for d in _DOORS]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), doors=_DOORS)
        if a.root:
            bench = Bench(Path(folder), doors=_DOORS, broker=lambda f, ca: Cluster(f / "cluster", ca, names, a.root))
        result = run(a.n, a.seed, bench)
    print(json.dumps(result))  # noqa: T201
    return int(result["refused"] != result["tried"] or not 0 <= result["denied_alarm_ms"] < 1000)


if __name__ == "__main__":
    sys.exit(as_program("strangers", main))
