"""Existing engines beside the server: Node-RED for real, the files of those that do not install here by their text."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from deploy.broker import DASHBOARD_NAME, free_port
from deploy.community.postgres import PostgresConnection
from tests.programs import needed
from tests.stream.conftest import record, until

ENGINES = Path(__file__).resolve().parents[2] / "deploy" / "community" / "engines"
TOPIC = "doors/+/+/up/events"
COLUMNS = ["device", "epoch", "seq", "at", "kind", "priority", "body"]
HOLES = """SELECT count(*) FROM (SELECT seq, lead(seq) OVER (PARTITION BY device, epoch ORDER BY seq) AS following
    FROM door_events) AS x WHERE following > seq + 1"""


@pytest.fixture
def node_red():
    """A folder with node_modules of node-red and pg; DOOR_AGENT_NODE_RED names it, else the one beside the flow."""
    folder = Path(os.environ.get("DOOR_AGENT_NODE_RED", ENGINES / "node-red"))
    missing = [m for m in ("node-red", "pg") if not (folder / "node_modules" / m).is_dir()]
    needed("node")
    if missing:
        pytest.skip(f"{folder}: npm install node-red@4 pg")
    return folder / "node_modules"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_node_red_has_every_event_once_beside_the_server(node_red, postgres, site, linked, tmp_path):
    """The shipped flow and settings, a certificate that may only read, a PostgreSQL of its own."""
    url, pair, user = postgres(), site.authority.device(DASHBOARD_NAME), tmp_path / "node-red"
    shutil.copytree(ENGINES / "node-red", user, ignore=shutil.ignore_patterns("node_modules"))
    (user / "node_modules").symlink_to(node_red)
    environment = {
        **os.environ, "DOOR_BROKER": "localhost", "DOOR_BROKER_PORT": str(site.broker.port), "DOOR_POSTGRES": url,
        "DOOR_CA": str(site.authority.cert), "DOOR_CERT": str(pair.cert), "DOOR_KEY": str(pair.key),
        "DOOR_NODE_RED_PORT": str(free_port()),
    }  # fmt: skip
    command = ["node", str(node_red / "node-red" / "red.js"), "--userDir", str(user), "-s", str(user / "settings.js")]
    with (tmp_path / "node-red.log").open("wb") as log:
        engine = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=user)
    database = PostgresConnection(url)
    try:
        ready = "SELECT count(*) FROM pg_tables WHERE tablename = 'door_events'"
        until(lambda: database.execute(ready) == [(1,)], "the engine's table", 90)
        log = site.broker._files.folder / "broker.log"
        until(lambda: " as dashboard" in log.read_text(), "the engine at the broker", 60)
        site.serve()
        _, outbox, _ = linked()
        for n in range(1, 300):
            outbox.append(record(n))
        until(lambda: outbox.status().acked_seq == 300, "every row at the server", 60)
        rows = "SELECT count(*), min(seq), max(seq) FROM door_events"
        until(lambda: database.execute(rows) == [(300, 1, 300)], "every row at the engine", 60)
        assert database.execute(HOLES) == [(0,)]
        assert database.execute("SELECT (body->>'n')::int FROM door_events WHERE seq = 300") == [(299,)]
    finally:
        engine.terminate()
        engine.wait(10)
        database.close()


def test_redpanda_connect_reads_the_right_topics_and_keys():
    text = (ENGINES / "connect.yaml").read_text()
    for part in (
        f'topics: ["{TOPIC}"]', f"client_id: {DASHBOARD_NAME}", 'urls: ["ssl://', f"columns: [{', '.join(COLUMNS)}]",
        "PRIMARY KEY (device, epoch, seq)", "suffix: ON CONFLICT DO NOTHING",
    ):  # fmt: skip
        assert part in text


def test_telegraf_reads_the_right_topics_over_tls():
    config = tomllib.loads((ENGINES / "telegraf.conf").read_text())
    (source,) = config["inputs"]["mqtt_consumer"]
    assert (source["topics"], source["client_id"], source["protocol"]) == ([TOPIC], DASHBOARD_NAME, "5")
    assert source["servers"][0].startswith("ssl://")
    assert config["outputs"]["postgresql"]
