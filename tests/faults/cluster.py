"""A real RabbitMQ cluster of three nodes behind a load balancer, a node killed in mid-stream; the same judgement.

python -m tests.faults.cluster --doors 60 --seconds 60 --root /path/to/a/debian-13
The doors are those of the fleet campaign. Debian 12's RabbitMQ does not speak MQTT 5, Debian 13's does (4.0): `--root`
names a folder with one (README.md has the command that makes it); without it the system's own is used. Needs root
for `--root`, and haproxy. The last line printed is one JSON object: the fleet campaign's keys, nodes, node_kills.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agent.command_line import above_zero, as_program, count
from deploy.broker import free_port
from deploy.fleet.rabbitmq import PLUGINS, conf, definitions, haproxy
from deploy.pki import Authority, device_name
from tests.faults import fleet
from tests.faults.bench import Bench, wait_until

_NEEDED = (3, 13)
_START_S = 180.0
_HOME = Path("/usr/lib/rabbitmq/lib")


class MissingError(RuntimeError):
    """What the campaign needs is not on this machine; the message says what."""


def installed(root: Path | None) -> Path:
    """The folder of a RabbitMQ that speaks MQTT 5, as seen inside `root`. Raises MissingError."""
    inside = Path(f"{root or ''}{_HOME}")
    found = sorted(inside.glob("rabbitmq_server-*"))
    if not found or tuple(map(int, re.findall(r"\d+", found[-1].name)[:2])) < _NEEDED:
        raise MissingError(f"{inside}: no RabbitMQ {_NEEDED[0]}.{_NEEDED[1]} or later (MQTT 5); see --root")
    if shutil.which("haproxy", path="/usr/sbin:/usr/bin") is None:
        raise MissingError("haproxy is not installed")
    if root is not None and os.geteuid() != 0:
        raise MissingError("--root needs root")
    return _HOME / found[-1].name


class Node:
    """One broker node as a child process, in a mount namespace of its own when it lives under another root."""

    def __init__(self, folder: Path, name: str, root: Path | None, environment: dict[str, str], program: Path) -> None:
        self._folder, self._root, self._program = folder, root, program
        self.name = name
        self._environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": str(folder.parent),
            "RABBITMQ_NODENAME": name, "RABBITMQ_MNESIA_BASE": f"{folder}/data", "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf", "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none", **environment,
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "node.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command(f"{self._program}/sbin/rabbitmq-server"), env=self._environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def control(self, *arguments: str) -> bool:
        """rabbitmqctl; True when it went well."""
        command = self._command(f"{self._program}/sbin/rabbitmqctl", "--node", self.name, "--timeout", "60", *arguments)
        return subprocess.run(command, env=self._environment, capture_output=True, check=False).returncode == 0

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _command(self, *words: str) -> list[str]:
        if self._root is None:
            return [*words]
        shared = self._folder.parent
        (self._root / str(shared).lstrip("/")).mkdir(parents=True, exist_ok=True)
        mounts = f"mount --bind /dev $0/dev; mount -t proc proc $0/proc; mount --bind {shared} $0{shared}"
        return ["unshare", "--mount", "sh", "-ec", f'{mounts}; exec chroot "$0" "$@"', str(self._root), *words]


class Cluster:
    """Three nodes and the one address that doors and server use; stands in for Broker in a Bench."""

    def __init__(self, folder: Path, authority: Authority, doors: list[str], root: Path | None, nodes: int = 3) -> None:
        program = installed(root)
        self._folder, self.port = folder, free_port()
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        pair = authority.server("broker", ("127.0.0.1", "localhost"))
        files = {"ca": authority.cert, "cert": pair.cert, "key": pair.key}
        for name, file in files.items():
            files[name] = Path(shutil.copy(file, folder))
        files["definitions"] = folder / "definitions.json"
        files["definitions"].write_text(definitions(doors))
        (folder / ".erlang.cookie").write_text(secrets.token_hex(16))
        (folder / ".erlang.cookie").chmod(0o400)
        names = [f"door{n}@localhost" for n in range(1, nodes + 1)]
        ports, epmd = [free_port() for _ in names], free_port()
        self.nodes = []
        for name, port in zip(names, ports, strict=True):
            own = folder / name.partition("@")[0]
            own.mkdir()
            text = conf(files, address="127.0.0.1", port=port, metrics_port=free_port(), nodes=names)
            (own / "rabbitmq.conf").write_text(text)
            (own / "plugins").write_text(PLUGINS)
            environment = {"RABBITMQ_DIST_PORT": str(free_port()), "ERL_EPMD_PORT": str(epmd),
                           "RABBITMQ_NODE_PORT": str(free_port())}  # fmt: skip
            self.nodes.append(Node(own, name, root, environment, program))
        servers = [(n.name.partition("@")[0], f"127.0.0.1:{p}") for n, p in zip(self.nodes, ports, strict=True)]
        (folder / "haproxy.cfg").write_text(haproxy("127.0.0.1", self.port, servers, 4000))
        self._balancer: subprocess.Popen[bytes] | None = None
        self._ports = ports
        self.killed = 0

    def start(self) -> None:
        """Start what does not run: everything at first, later the node that was killed."""
        for node in self.nodes:
            if node.process is None or node.process.poll() is not None:
                node.start()
        for node, port in zip(self.nodes, self._ports, strict=True):
            wait_until(lambda p=port: _answers(p), _START_S, f"{node.name}, see {self._folder}")
        if self._balancer is None:
            program = shutil.which("haproxy", path="/usr/sbin:/usr/bin")
            command = [str(program), "-db", "-f", str(self._folder / "haproxy.cfg")]
            self._balancer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: _answers(self.port), 20, "the load balancer")
        if not self.nodes[0].control("await_online_nodes", str(len(self.nodes))):
            raise RuntimeError(f"the nodes did not find each other, see {self._folder}")

    def kill(self) -> None:
        """SIGKILL to one node, a different one each time; the others go on."""
        self.nodes[self.killed % len(self.nodes)].kill()
        self.killed += 1

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()
        if self._balancer is not None:
            self._balancer.terminate()
            self._balancer.wait()
            self._balancer = None


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def run(doors: int, seconds: float, every_s: float, folder: Path, root: Path | None) -> dict[str, float]:
    """The fleet campaign on a cluster. Raises MissingError where the cluster can't be had."""
    made: list[Cluster] = []

    def broker(where: Path, authority: Authority) -> Cluster:
        names = [device_name("site", f"d{n}") for n in range(doors)]
        made.append(Cluster(where, authority, names, root))
        return made[0]

    names = tuple(f"d{n}" for n in range(doors))
    result = fleet.run(Bench(folder, doors=names, broker=broker), seconds, every_s)
    return {**result, "nodes": len(made[0].nodes), "node_kills": made[0].killed}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--doors", type=count, default=60)
    parser.add_argument("--seconds", type=above_zero, default=60.0)
    parser.add_argument("--every", type=above_zero, default=0.5, help="seconds between two events of a door")
    parser.add_argument("--root", type=Path, help="folder with a Debian that has RabbitMQ 4")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the nodes' logs")
    a = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    began_s = time.monotonic()
    try:
        result = run(a.doors, a.seconds, a.every, folder, a.root)
    except MissingError as e:
        sys.stderr.write(f"{e}\n")
        return 5
    finally:
        if not a.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({**result, "seconds": round(time.monotonic() - began_s, 1)}))  # noqa: T201
    return int(bool(result["lost"] or result["doubled"] or result["reordered"]))


if __name__ == "__main__":
    sys.exit(as_program("cluster", main))
