"""Which face network the door works with: that of its people, where it is here; and an alarm for whom it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from agent.core.events import Json, Kind, Priority, Record
from agent.core.networks import Network, named, to_use
from agent.core.vision_messages import Hello, ToVision, UseNetwork
from agent.directory import View


class Vision(Protocol):
    """What this needs of the vision link."""

    def send(self, messages: Sequence[ToVision]) -> bool:
        """Send in order."""


class NetworkDesk:
    """Used by the controller's thread only."""

    def __init__(self, vision: Vision, write: Callable[[Record], None]) -> None:
        self._vision, self._write = vision, write
        self._here: tuple[Network, ...] = ()
        self._pid = 0
        self._asked: tuple[int, Network] | None = None  # of which process
        self._left_out = 0
        self.in_use: Network | None = None

    def hello(self, hello: Hello, view: View) -> bool:
        """A vision process says what it works with. False: it is to change first, and says Hello again."""
        self.in_use = (hello.model_id, hello.alignment_id)
        self._here = tuple((one.model_id, one.alignment_id) for one in hello.networks)
        self._pid = hello.pid
        change = self._change(view)
        if not change:
            self._tell(view)
        return not change

    def read(self, view: View) -> None:
        """The roster is another one."""
        if self.in_use is not None and not self._change(view):
            self._tell(view)

    def facts(self) -> dict[str, Json]:
        """For the pages: people who are strangers to the network in use."""
        return {"enrol_again": self._left_out}

    def _change(self, view: View) -> bool:
        """Ask for the network of most people; once, whatever comes of it: one that does not load is not here then."""
        wanted = to_use(view.networks, self._here)
        if wanted is None or wanted == self.in_use or view.networks.get(wanted, 0) == 0:
            return False
        if self._asked == (self._pid, wanted):
            return False
        self._asked = (self._pid, wanted)
        return self._vision.send([UseNetwork(*wanted)])

    def _tell(self, view: View) -> None:
        left_out = view.recognisable - view.networks.get(self.in_use or ("", ""), 0)
        if bool(left_out) is not bool(self._left_out):
            others: dict[str, Json] = {named(one): n for one, n in view.networks.items() if one != self.in_use}
            body: dict[str, Json] = {"state": "EnrolAgain" if left_out else "EveryoneEnrolled", "people": left_out}
            body |= {"network": named(self.in_use or ("", "")), "enrolled_with": others}
            self._write(Record(Kind.VISION, body, Priority.ALARM if left_out else Priority.HIGH))
        self._left_out = left_out
