"""One JSON line an event: without receipts, and never in the way of the thread that stores the rows."""

import io
import json
import threading

from agent.core.events import Kind, Priority
from agent.core.stream import RowShown, RowsShown
from agent.event_log import EventLog


def row(n=0):
    body = {"person_id": "p-1", "n": n, "receipt": {"frames": [1] * 99}}
    return RowsShown((RowShown(1_790_000_000_000, str(Kind.ACCESS_GRANTED), Priority.ALARM, body),))


def test_each_row_is_one_line_with_its_own_time_and_without_its_receipt():
    out = io.StringIO()
    log = EventLog(out)
    log.start()
    log.show(row())
    log.show(row(1))
    log.stop()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["body"] for line in lines] == [{"person_id": "p-1", "n": 0}, {"person_id": "p-1", "n": 1}]
    assert {line["kind"] for line in lines} == {str(Kind.ACCESS_GRANTED)}
    assert {line["priority"] for line in lines} == {"alarm"}
    assert {line["at"] for line in lines} == {"2026-09-21T14:13:20.000Z"}


def test_a_name_that_is_no_text_does_not_end_the_log():
    """Bytes that are no UTF-8, in a row shown while the disk takes nothing: its line and all after it."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    log = EventLog(out)
    log.start()
    log.show(RowsShown((RowShown(0, str(Kind.STORE), Priority.ALARM, {"detail": "门 \udcff"}),)))
    log.show(row())
    log.stop()
    bodies = [json.loads(line)["body"] for line in out.buffer.getvalue().splitlines()]
    assert bodies == [{"detail": "门 \udcff"}, {"person_id": "p-1", "n": 0}]


class Stuck(io.StringIO):
    """A log daemon that takes nothing until it is released."""

    def __init__(self):
        super().__init__()
        self.free = threading.Event()

    def write(self, text):
        self.free.wait(10)
        return super().write(text)


def test_a_stuck_reader_costs_lines_not_time_and_the_gap_is_said():
    out = Stuck()
    log = EventLog(out)
    log.start()
    for n in range(2000):
        log.show(row(n))
    out.free.set()
    for _ in range(1000):
        if log._queue.empty():
            break
        threading.Event().wait(0.01)
    log.show(row(9999))
    log.stop()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert 400 < len(lines) < 600
    # told in more than one line where the writer took its first one only after others had been lost
    assert sum(line.get("lines_lost", 0) for line in lines) == 2000 - (len(lines) - 1)


class Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_a_reader_that_went_away_ends_the_lines_and_nothing_else():
    log = EventLog(Gone())
    log.start()
    log.show(row())
    log._thread.join(10)
    for n in range(1000):  # more than its queue takes: nobody waits
        log.show(row(n))
    log.stop()
    assert not log._thread.is_alive()
