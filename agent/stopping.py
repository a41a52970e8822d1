"""Asked to stop by a signal, however often: what `systemctl stop`, Ctrl-C and a parent's end may send at once."""

from __future__ import annotations

import queue
import signal
import threading


def stop_on_signal() -> threading.Event:
    """Set once SIGTERM or SIGINT came. To be called in the main thread.

    `Event.set` takes a lock, and a handler can interrupt a handler: a second signal in mid-`set` would wait for ever
    in the main thread. `SimpleQueue.put` may be interrupted by itself (Python's documentation of `queue`), so handlers
    only put, and a thread sets.
    """
    stop = threading.Event()
    asked: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda found, _frame: asked.put(found))

    def tell() -> None:
        asked.get()
        stop.set()

    threading.Thread(target=tell, name="signals", daemon=True).start()
    return stop
