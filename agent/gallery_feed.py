"""Keeps the vision process's gallery like the roster: everything once at its Hello, then only what changed.

Lives on the roster's thread and sends as much as fits: a vision process that is slow to read holds up neither the
controller nor a change of the roster. Somebody who loses the face while everybody is being sent is taken out first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from agent.core.networks import Network
from agent.core.roster import MAX_TEMPLATES
from agent.core.vision_messages import (
    MAX_TEMPLATES_PER_MESSAGE,
    GalleryAdd,
    GalleryBegin,
    GalleryCommit,
    GalleryRemove,
    GalleryRow,
    ToVision,
)
from agent.residents import Residents
from hardware.errors import PeerGoneError

FULL_S: Final = 0.02  # how long a peer that has no room is left alone
_GONE_AT_ONCE: Final = 400
_PEOPLE_AT_ONCE: Final = MAX_TEMPLATES_PER_MESSAGE // MAX_TEMPLATES  # one message: read, sent and told together
_MESSAGES_AT_ONCE: Final = 20


class Vision(Protocol):
    """What this needs of the vision link."""

    @property
    def peer(self) -> object | None:
        """Who is connected now."""

    def offer(self, message: ToVision, peer: object) -> bool:
        """Send without waiting. False: no room now. Raises PeerGoneError when `peer` is not connected any more."""


class GalleryFeed:
    """Used by one thread, with the residents that it has read; only `begin` may be called from any."""

    def __init__(self, vision: Vision) -> None:
        self._vision = vision
        self._greeted: deque[tuple[object | None, Network]] = deque(maxlen=1)  # the last Hello, until the next step
        self._peer: object | None = None
        self._network: Network = ("", "")
        self._told: dict[str, frozenset[str]] = {}  # templates of each person that vision has
        self._sending: Iterator[ToVision] | None = None
        self._next: ToVision | None = None  # what found no room
        self._epoch: int | None = None  # what vision was brought to last, None: not begun
        self._removed_at: int | None = None
        self.unreadable: set[str] = set()  # people of whom a template does not open

    def begin(self, network: Network) -> None:
        """A vision process with this network said Hello: it knows nobody yet."""
        self._greeted.append((self._vision.peer, network))

    def step(self, residents: Residents) -> float | None:
        """Send what fits. Seconds after which to call again; None: everything is told."""
        if self._greeted:
            self._begin(*self._greeted.popleft())
        if self._peer is None:
            return None
        try:
            for _ in range(_MESSAGES_AT_ONCE):
                message = self._next or self._take(residents)
                if message is None:
                    return None
                self._next = None if self._vision.offer(message, self._peer) else message
                if self._next is not None:
                    return FULL_S
        except PeerGoneError:  # the next one says Hello
            self._peer = None
            return None
        return 0.0

    def _begin(self, peer: object | None, network: Network) -> None:
        self._peer, self._network = peer, network
        self._told, self._epoch, self._sending, self._next = {}, None, None, None
        self.unreadable = set()

    def _take(self, residents: Residents) -> ToVision | None:
        """The next message; None when vision has everything."""
        if self._sending is not None and self._removed_at != residents.roster.epoch:
            self._removed_at = residents.roster.epoch
            if gone := self._changed(residents, added=False):
                self._sending = _before(self._remove(gone), self._sending)
        if self._sending is None:
            if self._epoch == residents.roster.epoch:
                return None
            self._removed_at = residents.roster.epoch
            self._sending = self._everybody(residents) if self._epoch is None else self._changes(residents)
        message = next(self._sending, None)
        if message is None:
            self._sending = None
            return self._take(residents)
        return message

    def _everybody(self, residents: Residents) -> Iterator[ToVision]:
        yield GalleryBegin(residents.roster.epoch, *self._network)
        yield from self._people(residents, sorted(residents.faces()))
        yield self._commit(residents)

    def _changes(self, residents: Residents) -> Iterator[ToVision]:
        changed = self._changed(residents)
        yield from self._remove([one for one in changed if one in self._told])
        yield from self._people(residents, changed)
        yield self._commit(residents)

    def _commit(self, residents: Residents) -> GalleryCommit:
        self._epoch = residents.roster.epoch if not self._changed(residents) else -1
        return GalleryCommit(residents.roster.epoch)

    def _changed(self, residents: Residents, *, added: bool = True) -> list[str]:
        now: Mapping[str, frozenset[str]] = residents.faces()
        people: Iterable[str] = self._told.keys() | now.keys() if added else self._told
        return sorted(one for one in people if self._told.get(one) != now.get(one))

    def _remove(self, people: Sequence[str]) -> Iterator[ToVision]:
        for at in range(0, len(people), _GONE_AT_ONCE):
            some = people[at : at + _GONE_AT_ONCE]
            for one in some:
                self._told.pop(one, None)
            yield GalleryRemove(tuple(some))

    def _people(self, residents: Residents, people: Sequence[str]) -> Iterator[ToVision]:
        """Templates of these people, as they are when their message is made."""
        for at in range(0, len(people), _PEOPLE_AT_ONCE):
            allowed = residents.faces()
            some = {one: allowed[one] for one in people[at : at + _PEOPLE_AT_ONCE] if one in allowed}
            found = residents.templates(*self._network, some.keys(), self.unreadable)
            rows = [GalleryRow(t.person_id, t.template_id, t.vector) for t in found]
            self._told |= some
            if listed := tuple(row for row in rows if row.template_id in some[row.person_id]):
                yield GalleryAdd(listed)


def _before(first: Iterator[ToVision], then: Iterator[ToVision]) -> Iterator[ToVision]:
    yield from first
    yield from then
