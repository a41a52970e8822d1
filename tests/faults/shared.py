"""Several server processes on one PostgreSQL: which way of sharing the doors out keeps each door's order?

python -m tests.faults.shared --database postgresql://user@host/name --doors 12 --rows 400 --servers 3 --way parts
`parts`: each process subscribes to its own doors. `shared`: `$share/servers/doors/+/+/up/#` at mosquitto, which deals
the messages out in turn whoever sent them. Each door sends its rows as fast as it can. The last line printed is one
JSON object: way, servers, doors, rows, seconds, rows_per_s, lost, doubled, reordered, chain_breaks, alarms (of the
servers), went_back (how often a late acknowledgement made a door believe that the server had lost rows).
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from agent.clock import SystemClock
from agent.command_line import as_program, count
from agent.core.events import Kind, Record
from agent.core.stream import StoreReported
from agent.link.settings import LinkSettings
from agent.mqtt_link import MqttLink
from agent.outbox import Outbox, OutboxSettings
from deploy.broker import Broker
from deploy.community.postgres import PostgresConnection
from deploy.pki import device_name
from tests.faults.bench import Bench, Child, wait_until

_WITHIN = ("ca", "cert", "key", "server_key")
WAYS = ("parts", "shared")


def run(way: str, servers: int, doors: int, rows: int, database: str, folder: Path) -> dict[str, object]:
    """One burst of every door against `servers` processes. `database` must be empty."""
    names = tuple(f"community-{n}" for n in range(servers))
    door_names = tuple(f"d{n}" for n in range(doors))
    bench = Bench(folder, doors=door_names, broker=lambda where, ca: Broker(where, ca, servers=names))
    children = [_server(bench, name, database, way, n) for n, name in enumerate(names)]
    news: queue.SimpleQueue[object] = queue.SimpleQueue()
    pairs = [_door(bench, name, f"part{n % servers}", news) for n, name in enumerate(door_names)]
    bench.broker.start()
    try:
        for outbox, _ in pairs:
            outbox.start()
            for n in range(1, rows + 1):
                outbox.append(Record(Kind.DOOR_PHYSICAL, {"n": n, "state": "Open"}))
        wait_until(lambda: all(o.status().head_seq == rows + 1 for o, _ in pairs), 120, "the backlog")
        for child in children:
            child.start()
        log = bench.broker._files.folder / "broker.log"
        wait_until(lambda: all(f" as {name}" in log.read_text() for name in names), 60, "the servers at the broker")
        began_s = time.monotonic()
        for _, link in pairs:
            link.start()
        wait_until(lambda: all(o.status().depth == 0 for o, _ in pairs), 300, "every row acknowledged")
        seconds = time.monotonic() - began_s
    finally:
        for outbox, link in pairs:
            link.stop()
            outbox.stop()
        for child in children:
            child.stop()
        bench.stop()
    reported = [news.get() for _ in range(news.qsize())]
    back = sum(isinstance(r, StoreReported) and r.word == "server-went-back" for r in reported)
    speed = {"seconds": round(seconds, 1), "rows_per_s": round(doors * rows / seconds)}
    size = {"way": way, "servers": servers, "doors": doors, "rows": rows}
    return {**size, **speed, **_judged(database, doors, rows), "went_back": back}


def _server(bench: Bench, name: str, database: str, way: str, number: int) -> Child:
    pair = bench.authority.device(name)
    subscription = f"doors/part{number}/+/up/#" if way == "parts" else "$share/servers/doors/+/+/up/#"
    config = bench.folder / f"{name}.toml"
    config.write_text(
        f'broker_port = {bench.broker.port}\nca_file = "{bench.authority.cert}"\ncert_file = "{pair.cert}"\n'
        f'key_file = "{pair.key}"\nsigning_key_file = "{bench.signing.key}"\ndatabase = "{database}"\nname = "{name}"\n'
        f'people_dir = "{name}"\nmanagers_database = "{name}.db"\nsubscription = "{subscription}"\nhttp_port = 0\n'
    )
    return Child(["-m", "deploy.community", "--config", str(config)], bench.folder / f"{name}.log")


def _door(bench: Bench, door: str, site: str, news: queue.SimpleQueue[object]) -> tuple[Outbox, MqttLink]:
    pair = bench.authority.device(device_name(site, door))
    given = {**bench.link_config(door), "site": site, "cert": pair.cert, "key": pair.key}
    settings = LinkSettings(**{k: Path(str(v)) if k in _WITHIN else v for k, v in given.items()})  # type: ignore[arg-type]
    outbox = Outbox(OutboxSettings(bench.folder / site / door / "journal.db", site, door), news.put, SystemClock())
    return outbox, MqttLink(settings, news.put, outbox)


def _judged(database: str, doors: int, rows: int) -> dict[str, object]:
    """What the database holds against what the doors wrote; every chain once more from its first row."""
    db = PostgresConnection(database)
    stored: dict[str, list[int]] = {}
    for device, seq in db.execute("SELECT device, seq FROM events ORDER BY id"):
        stored.setdefault(device, []).append(seq)
    words = Counter(word for (word,) in db.execute("SELECT word FROM alarms"))
    ends = db.execute("SELECT count(*) FROM chains WHERE next = ? AND fork = 0", (rows + 2,))[0][0]
    db.close()
    return {
        "lost": doors * (rows + 1) - sum(len(set(s)) for s in stored.values()),
        "doubled": sum(len(s) - len(set(s)) for s in stored.values()),
        "reordered": sum(s != sorted(s) for s in stored.values()),
        "chain_breaks": doors - ends,
        "alarms": dict(words),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", required=True, help="URL of an empty PostgreSQL database")
    parser.add_argument("--way", choices=WAYS, default="parts")
    parser.add_argument("--servers", type=count, default=3)
    parser.add_argument("--doors", type=count, default=12)
    parser.add_argument("--rows", type=count, default=400)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(a.way, a.servers, a.doors, a.rows, a.database, Path(folder))
    print(json.dumps(result))  # noqa: T201
    return int(any(result[k] for k in ("lost", "doubled", "reordered", "chain_breaks")))


if __name__ == "__main__":
    sys.exit(as_program("shared", main))
