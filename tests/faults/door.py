"""A door without a door: the real outbox and the real link, numbering events. Made to be killed at any moment.

The number of the newest event is a fact stored with its row, so a run goes on exactly where the last one's disk says.
Exits 0 once the server has acknowledged every row.
"""

from __future__ import annotations

import json
import queue
import sys
import time
from pathlib import Path

from agent.clock import SystemClock
from agent.core.events import Kind, Priority, Record
from agent.core.stream import Committed
from agent.link.settings import Backoff, LinkSettings
from agent.mqtt_link import MqttLink
from agent.outbox import Outbox, OutboxSettings

_PATHS = ("ca", "cert", "key", "server_key")


def main(config: dict) -> None:
    given = {k: Path(v) if k in _PATHS else v for k, v in config["link"].items()}
    link_settings = LinkSettings(**given, backoff=Backoff(first_s=0.2, cap_s=2.0, good_after_s=0.5))
    mailbox: queue.SimpleQueue[object] = queue.SimpleQueue()
    clock = SystemClock()
    settings = OutboxSettings(Path(config["path"]), link_settings.site, link_settings.door)
    outbox = Outbox(settings, mailbox.put, clock)
    outbox.start()
    link = MqttLink(link_settings, mailbox.put, outbox)
    link.start()
    n = int(outbox.facts().get("n", 0))
    while n < config["events"]:
        n += 1
        priority = Priority.ALARM if n % 97 == 0 else Priority.NORMAL
        record = Record(Kind.DOOR_PHYSICAL, {"n": n, "state": "Open" if n % 2 else "Closed"}, priority, {"n": n})
        outbox.append(record, token=str(n))
        time.sleep(1 / config["per_s"])
    while True:
        event = mailbox.get(timeout=60)
        if isinstance(event, Committed) and event.token == str(n):
            break
    while outbox.status().depth:
        time.sleep(0.02)
    link.stop()
    outbox.stop()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
