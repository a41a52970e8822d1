"""One JSON line an event: after the journal, without receipts, and never in the controller's way."""

import io
import json
import threading

from agent.core.events import Kind, Priority, Record
from agent.event_log import EventLog


class Rows:
    def __init__(self):
        self.all = []

    def append(self, record, *, token=None):
        self.all.append((record, token))


def record(n=0):
    return Record(Kind.ACCESS_GRANTED, {"person_id": "p-1", "n": n, "receipt": {"frames": [1] * 99}}, Priority.ALARM)


def test_each_row_goes_to_the_journal_and_out_as_one_line_without_its_receipt():
    rows, out = Rows(), io.StringIO()
    log = EventLog(rows, out, lambda: 1_790_000_000_000)
    log.start()
    log.append(record(), token="t")  # noqa: S106  not a password
    log.append(record(1))
    log.stop()
    assert [token for _, token in rows.all] == ["t", None]
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["body"] for line in lines] == [{"person_id": "p-1", "n": 0}, {"person_id": "p-1", "n": 1}]
    assert {line["kind"] for line in lines} == {str(Kind.ACCESS_GRANTED)}
    assert {line["priority"] for line in lines} == {"alarm"}


class Stuck(io.StringIO):
    """A log daemon that takes nothing until it is released."""

    def __init__(self):
        super().__init__()
        self.free = threading.Event()

    def write(self, text):
        self.free.wait(10)
        return super().write(text)


def test_a_stuck_reader_costs_lines_not_time_and_the_gap_is_said():
    rows, out = Rows(), Stuck()
    log = EventLog(rows, out, lambda: 1_790_000_000_000)
    log.start()
    for n in range(2000):
        log.append(record(n))
    assert len(rows.all) == 2000
    out.free.set()
    for _ in range(1000):
        if log._queue.empty():
            break
        threading.Event().wait(0.01)
    log.append(record(9999))
    log.stop()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert 400 < len(lines) < 600
    # told in more than one line where the writer took its first one only after others had been lost
    assert sum(line.get("lines_lost", 0) for line in lines) == 2000 - (len(lines) - 1)


class Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_a_reader_that_went_away_ends_the_lines_and_nothing_else():
    rows = Rows()
    log = EventLog(rows, Gone(), lambda: 0)
    log.start()
    for n in range(10):
        log.append(record(n))
    log.stop()
    assert len(rows.all) == 10
