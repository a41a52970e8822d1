"""The feed of the page at the door: what the journal got, with names, without receipts."""

from __future__ import annotations

from collections.abc import Mapping

from agent.clock import rfc3339
from agent.core.events import Json
from agent.core.stream import RowsShown
from agent.directory import Directory
from agent.status import StatusBoard


class ConsoleFeed:
    """Used by the controller's thread only."""

    def __init__(self, board: StatusBoard, residents: Directory) -> None:
        self._board, self._residents = board, residents

    def show(self, shown: RowsShown) -> None:
        """Rows of the journal, oldest first."""
        for row in shown.rows:
            body = {key: value for key, value in row.body.items() if key not in ("receipt", "detail")}
            event = {"at_utc": rfc3339(row.utc_ms), "kind": row.kind, "priority": int(row.priority)}
            self._board.add_event({**event, "body": self._named(body | _visits(row.body))})

    def _named(self, body: Mapping[str, Json]) -> dict[str, Json]:
        """The page at the door may show a name; the journal and the wire never do."""
        person_id = body.get("person_id")
        person = self._residents.person(person_id) if isinstance(person_id, str) else None
        return {**body, "name": person.name} if person is not None else dict(body)


def _visits(body: Mapping[str, Json]) -> dict[str, Json]:
    """Of a refusal's detail only how often the stranger was here before."""
    detail = body.get("detail")
    visits = detail.get("seen_before") if isinstance(detail, Mapping) else None
    return {"detail": {"seen_before": visits}} if visits else {}
