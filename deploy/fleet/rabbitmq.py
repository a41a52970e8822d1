"""What a RabbitMQ cluster (4.0 or later, MQTT 5) and the load balancer before it need for a fleet of doors.

The three texts are what the cluster campaign runs (tests/faults/cluster.py) and what a fleet installs:
`python -m deploy.fleet.rabbitmq --doors doors.txt --folder out` writes them, one `site/door` a line in doors.txt.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from agent.command_line import Parser, ended, host
from agent.core.bounded import DEVICE
from agent.errors import ConfigError
from deploy.broker import DASHBOARD_NAME, HOME_NAME, SERVER_NAME

PLUGINS = "[rabbitmq_mqtt,rabbitmq_prometheus].\n"

# the same rules as deploy/broker.py: certificate name = user = client id, own up/ and dn/ only
CONF = """\
listeners.tcp = none
mqtt.listeners.tcp = none
mqtt.listeners.ssl.default = {address}:{port}
ssl_options.cacertfile = {ca}
ssl_options.certfile = {cert}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
ssl_options.versions.1 = tlsv1.3
# who: the certificate's common name; which session: its URI name, so that nobody takes over another's
mqtt.allow_anonymous = false
mqtt.ssl_cert_login = true
ssl_cert_login_from = common_name
mqtt.ssl_cert_client_id_from = subject_alternative_name
mqtt.ssl_cert_login_san_type = uri
# doors start clean, so there is no session to keep or to copy between nodes
mqtt.max_session_expiry_interval_seconds = 0
mqtt.max_packet_size_authenticated = 262144
mqtt.prefetch = 100
# a split leaves doors offline for a while (they keep their rows), never two brokers that disagree
cluster_partition_handling = pause_minority
cluster_formation.peer_discovery_backend = classic_config
{nodes}
load_definitions = {definitions}
log.console = true
log.file = false
log.console.level = warning
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {metrics_port}
"""

HAPROXY = """\
global
    maxconn {connections}
defaults
    mode tcp
    timeout connect 5s
    # above twice the doors' keep-alive of 20 s: the broker notices a dead door first
    timeout client 60s
    timeout server 60s
frontend doors
    bind {address}:{port}
    default_backend nodes
backend nodes
    balance leastconn
    option tcp-check
    default-server inter 1s fall 2 rise 2 on-marked-down shutdown-sessions
    # TLS goes through to the broker: it must see the door's certificate
{servers}
"""


def conf(files: dict[str, Path], *, address: str, port: int, metrics_port: int, nodes: Sequence[str]) -> str:
    """rabbitmq.conf of one node; `files` has ca, cert, key, definitions."""
    lines = "\n".join(f"cluster_formation.classic_config.nodes.{n} = {node}" for n, node in enumerate(nodes, 1))
    return CONF.format(address=address, port=port, metrics_port=metrics_port, nodes=lines, **files)


def haproxy(address: str, port: int, servers: Iterable[tuple[str, str]], connections: int = 120_000) -> str:
    """haproxy.cfg: one address for the doors; `servers` are (name, host:port) of the nodes.

    `connections` takes twice as many file descriptors.
    """
    lines = "\n".join(f"    server {name} {where} check" for name, where in servers)
    return HAPROXY.format(address=address, port=port, servers=lines, connections=connections)


def definitions(doors: Iterable[str], servers: Iterable[str] = (SERVER_NAME,)) -> str:
    """Users and permissions as definitions.json: by certificate name, no passwords; the rules of deploy/broker.py.

    Topics arrive as routing keys with dots; a door's filter is checked like a topic.
    """
    names = [*doors]
    rules = [(n, rf"^doors\.{_key(n)}\.up\.", rf"^doors\.{_key(n)}\.dn\.") for n in names]
    up, home = r"doors\.[^.]+\.[^.]+\.up\.", r"homeassistant\."
    rules += [(n, rf"^(doors\.[^.]+\.[^.]+\.dn\.|{home})", rf"^({up}|{home})") for n in servers]
    orders = rf"{home}door-agent\.[^.]+\.[^.]+\.set"
    rules.append((HOME_NAME, rf"^({home}status|{orders})$", rf"^({up}state$|{home})"))
    rules.append((DASHBOARD_NAME, "^$", rf"^{up}"))
    value: dict[str, Any] = {
        "vhosts": [{"name": "/"}],
        "users": [{"name": n, "password_hash": "", "tags": []} for n, _, _ in rules],
        "permissions": [_permission(n) for n, _, _ in rules],
        "topic_permissions": [
            {"user": n, "vhost": "/", "exchange": "amq.topic", "write": write, "read": read} for n, write, read in rules
        ],
    }
    return json.dumps(value, indent=1)


def _key(name: str) -> str:
    return r"\.".join(re.escape(part) for part in name.split("/"))


def _permission(name: str) -> dict[str, str]:
    own = f"mqtt-subscription-{re.escape(name)}"
    return {"user": name, "vhost": "/", "configure": f"^{own}", "write": rf"^({own}|amq\.topic$)",
            "read": rf"^({own}|amq\.topic$)"}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Write rabbitmq.conf, definitions.json, enabled_plugins and haproxy.cfg for three nodes into a folder."""
    words = sys.argv[1:] if arguments is None else arguments
    return ended("rabbitmq", words, lambda: _write(words))


def _doors(path: Path) -> list[str]:
    """The names in a file. Raises ConfigError: a line that no door's certificate can say would be a user for nobody."""
    lines = path.read_bytes().decode("utf-8-sig", errors="replace").splitlines()
    found = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    for number, name in found:
        if not re.fullmatch(DEVICE, name):
            raise ConfigError(
                f"{path}:{number}: {name!r:.100} is no door's name; write SITE/DOOR, such as garden/gate-1"
            )
    if not found:
        raise ConfigError(f"{path}: names no door; one SITE/DOOR a line is needed")
    return [name for _, name in found]


def _write(words: Sequence[str]) -> int:
    parser = Parser(prog="python -m deploy.fleet.rabbitmq", description=__doc__)
    parser.add_argument("--doors", type=Path, required=True, help="a file with one site/door a line")
    parser.add_argument("--folder", type=Path, required=True, help="where to write")
    parser.add_argument(
        "--hosts", type=host, nargs="+", default=["broker1", "broker2", "broker3"], help="the nodes' host names"
    )
    parser.add_argument("--servers", nargs="+", default=[SERVER_NAME], help="the server processes' certificate names")
    a = parser.parse_args(words)
    doors = _doors(a.doors)
    etc = Path("/etc/rabbitmq")
    files = {
        "ca": etc / "ca.pem",
        "cert": etc / "broker.pem",
        "key": etc / "broker.key",
        "definitions": etc / "definitions.json",
    }
    nodes = [f"rabbit@{name}" for name in a.hosts]
    a.folder.mkdir(parents=True, exist_ok=True)
    text = conf(files, address="0.0.0.0", port=8883, metrics_port=15692, nodes=nodes)  # noqa: S104  the doors' network
    (a.folder / "rabbitmq.conf").write_text(text)
    (a.folder / "definitions.json").write_text(definitions(doors, a.servers))
    (a.folder / "enabled_plugins").write_text(PLUGINS)
    servers = [(name, f"{name}:8883") for name in a.hosts]
    (a.folder / "haproxy.cfg").write_text(haproxy("0.0.0.0", 8883, servers))  # noqa: S104  the doors' network
    return 0


if __name__ == "__main__":
    sys.exit(main())
