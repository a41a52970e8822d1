"""Puts the agent together from its configuration, runs it, takes it apart again."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Self

from agent.clock import SystemClock
from agent.config import Config, Privacy
from agent.config_parts import (
    door_settings,
    fetch_settings,
    first_facts,
    link_settings,
    outbox_settings,
    vision_settings,
)
from agent.config_updates import RELEASES_DIR
from agent.console_desk import INSTALLER_TEST
from agent.console_source import open_console
from agent.controller import Controller
from agent.core.events import Kind, Priority, Record
from agent.diagnostics import diagnostics
from agent.directory import Directory
from agent.door_facts import DoorFacts
from agent.enrolment import ConsoleAsked
from agent.errors import HardwareMissingError, StoreError
from agent.event_log import EventLog
from agent.guard_link import GuardLink
from agent.health import Health
from agent.identity import Identity
from agent.link.settings import pinned_key
from agent.mailbox import Mailbox
from agent.mqtt_link import MqttLink
from agent.notify import ServiceManager
from agent.occupied import QUIET, occupied, standing, status
from agent.outbox import Outbox
from agent.reception import Reception
from agent.remote import RemoteDesk
from agent.residents import Residents, forget_expired, forget_watched
from agent.roster.clerk import FirstLook, RosterClerk, look_at_roster
from agent.roster.desk import RosterDesk, stored_floor
from agent.roster.news import RosterRead
from agent.site_trust import Believed, SiteTrust
from agent.status import StatusBoard
from agent.updates.desk import UpdateDesk
from agent.updates.fetcher import UpdateFetcher
from agent.updates.files import UpdateFiles, running_release
from agent.vision_link import VisionLink


class DoorAgent:
    """One door's agent. Use as a context manager; `run` returns when it is asked to stop."""

    def __init__(self, config: Config, release: str) -> None:
        self._config, self._release = config, release
        self._stop_asked = False
        self._stack = ExitStack()
        self.mailbox = Mailbox()
        self.board = StatusBoard(first_facts(config, release))
        self._clock = SystemClock(Path(config.runtime.agent_dir) / "clock")
        self._name = f"{config.door.site}/{config.door.id}"

    def __enter__(self) -> Self:
        """Open the store and the sockets. Raises DoorAgentError for what a person must mend."""
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        """Close everything, the journal last."""
        self._stack.close()

    def ask_to_stop(self) -> None:
        """Safe from a signal handler and any thread."""
        self._stop_asked = True

    def run(self) -> None:
        """Decide until asked to stop. Must be the main thread. SIGUSR1, which only root can send, is the relay test.

        Raises:
            StoreError: the journal's thread died of a fault of ours; only a new process can go on.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.ask_to_stop())
        tests: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, _: tests.append(number))
        manager = ServiceManager()
        self._controller.write(Record(Kind.STARTED, {"release": self._release, "boot_id": self._clock.boot_id()}))
        manager.tell("READY=1")
        while not self._stop_asked and not self._outbox.dead():
            self._controller.turn()
            if tests:
                tests.clear()
                self.mailbox.post(ConsoleAsked(INSTALLER_TEST, {}))
            manager.alive(self._clock.now_s())
            manager.say(status(self.board.snapshot(), ordered=self._controller.busy))
        manager.tell("STOPPING=1")
        self._guard.let_go()
        self._controller.write(Record(Kind.STOPPED, {"release": self._release}, Priority.LOW))
        if self._outbox.dead():
            raise StoreError("what keeps the journal failed, see the line before; door-agent ends to be started again")

    def _open(self) -> None:
        config, post = self._config, self.mailbox.post
        state_dir, runtime_dir = Path(config.store.state_dir), Path(config.runtime.agent_dir)
        _need_folder(state_dir, "store.state_dir")
        _need_folder(runtime_dir, "runtime.agent_dir")
        log = EventLog(sys.stdout)
        log.start()
        self._stack.callback(log.stop)  # behind the journal: its last rows are lines too
        self._outbox = Outbox(outbox_settings(config), post, self._clock)
        self._outbox.watch(log.show, post)
        self._outbox.start()
        self._stack.callback(self._outbox.stop)
        self._guard = GuardLink(Path(config.runtime.guard_dir) / "guard.sock", post)
        self._vision = VisionLink(runtime_dir / "vision.sock", post, self.board.put_picture)
        settings, facts = door_settings(config), self._outbox.facts()
        self._controller = Controller(settings, self.mailbox, self._outbox, self._guard, self._clock.now_s, facts)
        link = self._open_link()
        first = look_at_roster(state_dir)
        identity, clerk = self._open_clerk(facts, first.residents)
        self._join(first, link, facts, identity, clerk)
        for part in (self._guard, self._vision, clerk, *((link,) if link else ())):
            part.start()
            self._stack.callback(part.stop)
        console = open_console(config, self.board, post, self._controller.write, self._clock)
        if console is not None:
            self._stack.callback(console.stop)

    def _open_clerk(self, facts: Mapping[str, Any], known: Residents | None) -> tuple[Identity | None, RosterClerk]:
        settings, folder = link_settings(self._config, self._release), Path(self._config.store.state_dir)
        identity = Identity(self._name, settings.cert, settings.key, folder) if settings is not None else None
        clerk = RosterClerk(
            self._name,
            folder,
            self.mailbox.post,
            self._vision,
            known=known,
            key=pinned_key(settings) if settings is not None else None,
            identity=identity,
            floor=stored_floor(facts),
            expired=partial(_forget, privacy=self._config.privacy),
        )
        return identity, clerk

    def _open_link(self) -> MqttLink | None:
        settings = link_settings(self._config, self._release)
        return MqttLink(settings, self.mailbox.post, self._outbox) if settings is not None else None

    def _join(
        self,
        first: FirstLook,
        link: MqttLink | None,
        facts: Mapping[str, Any],
        identity: Identity | None,
        clerk: RosterClerk,
    ) -> None:
        config, name = self._config, self._name
        lease_s = config.roster.lease_hours * 3600
        trust = _site_trust(config, facts)
        high = config.faces.policy == "high"
        updates = self._open_updates(facts)
        remote = (
            RemoteDesk(
                *(name, trust.believed.orders, link, self._controller, facts),
                face_needed=high,
                updates=updates,
                diagnostics=lambda: diagnostics(self.board.snapshot()),
                trust=trust,
            )
            if link is not None
            else None
        )
        roster = RosterDesk(
            self._controller,
            clerk,
            self._clock,
            held=first.held,
            heard_utc_s=first.heard_utc_s,
            facts=facts,
            fresh=remote.fresh if remote is not None else lambda _challenge, _now_s: False,
            identity=identity,
            lease_s=lease_s,
        )
        reception = Reception(
            DoorFacts(
                door=name,
                stored=facts,
                timezone=config.door.timezone,
                pass_keys=list(trust.believed.passes.values()),
                high_security=high,
                vision=vision_settings(config),
                preview=config.console is not None,
                has_server=link is not None,
                lease_s=lease_s,
                release=running_release(
                    Path(config.updates.releases_dir if config.updates is not None else RELEASES_DIR), self._release
                ),
            ),
            self._controller,
            updates=updates,
            residents=Directory(first.residents.view if first.residents is not None else None),
            vision=self._vision,
            board=self.board,
            health=Health(
                *(self.board, self._clock, self._controller.write, self._outbox.status),
                has_camera=config.camera.source != "none",
                dropped=lambda: self.mailbox.dropped,
                ends_utc_s=identity.ends_utc_s if identity is not None else inf,
            ),
            remote=remote,
            roster=roster,
            clerk=clerk,
            identity=identity,
            clock=self._clock,
            publish_state=link.set_state if link is not None else lambda _: None,
            floor_utc_s=lambda: self._outbox.status().floor_ms / 1000,
        )
        self._follow(trust, link, remote, clerk, reception)
        reception.remember(self._outbox.newest())
        self._controller.join(reception)
        if first.residents is not None:
            roster.read(RosterRead(first.residents.view))

    def _follow(
        self, trust: SiteTrust, link: MqttLink | None, remote: RemoteDesk | None, clerk: RosterClerk,
        reception: Reception,
    ) -> None:  # fmt: skip
        """Every part believes the same keys, from the start and when the site's root replaces some."""

        def tell(believed: Believed) -> None:
            if believed.server is not None and link is not None:
                link.believe(believed.server)
                clerk.believe(believed.server)
            if remote is not None:
                remote.believe(believed.orders)
            reception.believe(believed.passes.values())

        trust.tell = tell
        tell(trust.believed)

    def _open_updates(self, facts: Mapping[str, Any]) -> UpdateDesk | None:
        fetching, asked = fetch_settings(self._config), self._config.updates
        if fetching is None or asked is None:
            return None
        folder, releases = Path(self._config.store.state_dir) / "update", Path(asked.releases_dir)
        files = UpdateFiles(folder, releases, Path(asked.release_key_file), self._release)
        fetcher = UpdateFetcher(fetching, files, self.mailbox.post)
        fetcher.start()
        self._stack.callback(fetcher.stop)
        return UpdateDesk(
            *(self._controller.write, fetcher, files, self._clock, facts),
            waits_for=self._waits_for,
            max_bytes=asked.max_mib << 20,
            quiet_s=asked.quiet_s,
        )

    def _waits_for(self) -> str:
        """What keeps the door from being updated now, in words."""
        board = self.board.snapshot()
        said = occupied(board, ordered=self._controller.busy)
        return standing(board) if said == QUIET else said.partition(": ")[2]


def _site_trust(config: Config, facts: Mapping[str, Any]) -> SiteTrust:
    root = orders = None
    if config.server is not None:
        root, orders = Path(config.server.ca_file), Path(config.server.command_keys_dir)
    return SiteTrust(config.door.site, root, orders, Path(config.passes.keys_dir), facts)


def _forget(residents: Residents, sure_utc_s: float, privacy: Privacy) -> None:
    """What may not be kept any longer."""
    forget_expired(residents, sure_utc_s, privacy.expired_keep_days)
    if privacy.watch_list_legal_basis is None:
        forget_watched(residents)


def _need_folder(folder: Path, key: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as e:
        raise HardwareMissingError(
            f"{folder}: cannot be made ({e.strerror}); create it for the agent's user or change {key}", exit_code=4
        ) from e
