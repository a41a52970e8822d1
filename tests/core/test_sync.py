"""The device's half of the conversation, step by step: whole lists of effects on a virtual clock."""

import pytest

from agent.core.acknowledgement import Ack, Head, Verdict, judge
from agent.core.sync import (
    BACKOFF_CAP_S,
    IDLE_S,
    AckJudged,
    Batch,
    Connected,
    Disconnected,
    HeadMoved,
    Read,
    ReadPreviews,
    Send,
    SendHello,
    Sync,
    Tick,
    step,
)

E, H = "e" * 32, "a" * 64


def head(last: int, acked: int = 0, epoch: str = E) -> Head:
    return Head(epoch, 1, last, acked, H, H)


def run(s: Sync, *events, now_s: float = 0.0, jitter: float = 0.0):
    """Apply events in a row; returns the state and all effects."""
    effects = []
    for n, event in enumerate(events):
        s, more = step(s, event, now_s, nonce=f"n{n}", jitter=jitter)
        effects += more
    return s, effects


def batch(first: int, last: int) -> Batch:
    """What the store answers; the machine only looks at its bounds."""
    return Batch(E, first, last, ("rows",) * (last - first + 1))


def answered(s: Sync, next_: int, verdict=Verdict.HOLDS, **more) -> AckJudged:
    return AckJudged(Ack(E, next_, H, s.hello, **more), verdict, head(s.head.last, next_ - 1))


def greeted(last: int, acked: int = 0) -> Sync:
    s, _ = run(Sync(), HeadMoved(head(last, acked)), Connected())
    s, _ = run(s, answered(s, acked + 1))
    return s


def test_nothing_but_a_hello_is_sent_before_the_server_has_answered_it():
    s, effects = run(Sync(), HeadMoved(head(500)), Connected(), HeadMoved(head(501)), Tick())
    assert effects == [SendHello("n1", head(500))]
    assert run(s, answered(s, 1))[1] == [Read(E, 1, 50)]


def test_the_window_fills_and_opens_with_the_acknowledgements():
    s = greeted(2000)
    sent = []
    for _ in range(20):
        s, effects = run(s, batch(s.sent + 1, s.sent + 50))
        sent += [e for e in effects if isinstance(e, Send)]
    assert (len(sent), s.sent) == (8, 400)
    assert run(s, answered(s, 51))[1] == [Read(E, 401, 50)]


def test_a_batch_read_before_a_rewind_is_not_sent_after_it():
    s = greeted(100)
    s, _ = run(s, Disconnected(), Connected())
    s, _ = run(s, answered(s, 31))
    assert [e for e in run(s, batch(1, 50))[1] if isinstance(e, Send)] == []


def test_without_progress_hellos_back_off_with_full_jitter_up_to_the_cap():
    s = greeted(10)
    s, _ = run(s, batch(1, 10))
    waits, now_s = [], 0.0
    for _ in range(9):
        now_s = s.due_s
        s, effects = run(s, Tick(), now_s=now_s, jitter=1.0)
        assert [type(e) for e in effects] == [SendHello]
        waits.append(s.due_s - now_s)
    assert waits == [1 + min(BACKOFF_CAP_S, 2.0**n) for n in range(1, 10)]
    s, _ = run(s, answered(s, 11), now_s=now_s)
    assert (s.tries, s.due_s) == (0, now_s + IDLE_S)


def test_a_row_after_a_quiet_time_is_waited_for_as_any_other():
    s = greeted(10, acked=10)
    assert s.due_s == IDLE_S
    s, _ = run(s, HeadMoved(head(11, 10)), batch(11, 11), now_s=100.0)
    assert s.due_s == 101.0


def test_a_gap_is_mended_once_and_then_left_to_the_next_hello():
    s = greeted(300)
    for first in (1, 51, 101):
        s, _ = run(s, batch(first, first + 49))
    s, _ = run(s, answered(s, 51, gap=101))
    assert s.sent == 50
    before = s
    s, _ = run(s, answered(s, 51, gap=151))
    assert s == before


def test_an_alarm_behind_a_backlog_is_sent_ahead_and_repeated_until_seen():
    s = greeted(100_000)
    s, effects = run(s, HeadMoved(head(100_001), ((E, 100_001),)))
    assert ReadPreviews(E, (100_001,)) in effects
    s, _ = run(s, Disconnected(), Connected())
    s, effects = run(s, answered(s, 1))
    assert ReadPreviews(E, (100_001,)) in effects
    s, _ = run(s, answered(s, 1, seen=(100_001,)))
    assert s.previews == ()


def test_an_alarm_overtakes_an_older_chain_that_drains_and_is_repeated_until_seen():
    """The acknowledgement of a preview speaks of a chain that is not the one being sent."""
    s, new = greeted(100), "f" * 32
    s, effects = run(s, HeadMoved(head(100), ((new, 2),)))
    assert effects[0] == ReadPreviews(new, (2,))
    preview = Batch(new, 0, 0, ("row",), preview=True)
    assert run(s, preview)[1] == [Send(preview)]
    s, _ = run(s, Disconnected(), Connected())
    s, effects = run(s, answered(s, 1))
    assert effects[0] == ReadPreviews(new, (2,))
    s, _ = run(s, AckJudged(Ack(new, 1, H, "", seen=(2,)), Verdict.STALE, s.head))
    assert s.previews == ()


def test_alarms_of_an_earlier_run_that_nobody_has_seen_go_ahead_after_the_first_hello():
    s, _ = run(Sync(), HeadMoved(head(500), ((E, 3), (E, 400), ("f" * 32, 1))), Connected())
    assert run(s, answered(s, 1))[1][:2] == [ReadPreviews(E, (400,)), ReadPreviews("f" * 32, (1,))]


def test_a_read_that_the_store_never_answered_is_asked_for_again_after_the_next_hello():
    """The disk failed in between: without this the link would wait for its answer for ever."""
    s = greeted(100)
    assert s.reading
    s, effects = run(s, Tick(), now_s=s.due_s)
    assert [type(e) for e in effects] == [SendHello]
    assert run(s, answered(s, 1), now_s=2.0)[1] == [Read(E, 1, 50)]


def test_rows_that_were_pruned_are_not_asked_for():
    """A server put back to an old backup wants rows that are gone: it is told so by the next hello."""
    s, _ = run(Sync(), HeadMoved(Head(E, 301, 900, 600, H, H)), Connected())
    went_back = AckJudged(Ack(E, 101, H, s.hello), Verdict.WENT_BACK, Head(E, 301, 900, 300, H, H))
    assert run(s, went_back)[1] == [Read(E, 301, 50)]


def test_an_alarm_without_a_backlog_needs_no_preview():
    s = greeted(10, acked=10)
    assert run(s, HeadMoved(head(11, 10), ((E, 11),)))[1] == [Read(E, 11, 50)]


def test_another_epoch_starts_the_conversation_anew():
    s = greeted(100)
    assert run(s, HeadMoved(head(1, epoch="f" * 32)))[1] == [SendHello("n0", head(1, epoch="f" * 32))]


@pytest.mark.parametrize(
    ("ack", "own", "fresh", "verdict"),
    [
        (Ack(E, 6, H, "n"), H, False, Verdict.HOLDS),
        (Ack(E, 6, H, "n"), None, False, Verdict.HOLDS),  # the row has been folded away meanwhile
        (Ack(E, 6, H, "n"), "b" * 64, False, Verdict.FORK),
        (Ack(E, 6, H, "n", fork=6), H, True, Verdict.FORK),
        (Ack(E, 12, H, "n"), None, False, Verdict.RESTORED),
        (Ack(E, 3, H, "n"), H, True, Verdict.WENT_BACK),
        (Ack(E, 3, H, "n"), H, False, Verdict.STALE),  # may be an old one played again
        (Ack(E, 3, H, "n", fork=4), H, False, Verdict.STALE),
        (Ack("f" * 32, 6, H, "n"), H, True, Verdict.STALE),
    ],
)
def test_an_acknowledgement_is_weighed_against_the_store(ack, own, fresh, verdict):
    assert judge(head(10, acked=4), ack, own, fresh=fresh) is verdict


def test_an_event_that_does_not_fit_changes_nothing():
    s = greeted(5, acked=5)
    for event in (
        Tick(),
        Batch("f" * 32, 1, 2, ()),
        AckJudged(Ack("f" * 32, 3, H, ""), Verdict.HOLDS, head(5, epoch="f" * 32)),
    ):
        assert run(s, event) == (s, [])
