"""The part of the device tests that continuous integration runs: what fits in the time that is left.

    python -m tests.device.ci [BEGAN]        BEGAN: when the whole run began, in seconds since 1970

Exit 0: every promise held, or it could not be shown on this machine in this time; then it says so and why.
Exit 1: the door did what it must not do. Times are told, and judged by `make rig` on a machine of its own.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any

from tests.device.harness.image import NoDeviceError, why_not
from tests.device.harness.session import SMALL, UNFINISHED, attempt, rig

WHOLE_S = 42 * 60.0  # the whole run, tests before this included, stays below 45 minutes
OURS_S = 20 * 60.0
LEAST_S = 6 * 60.0  # with a cached image; below it nothing can be shown


# told, not judged: a machine whose time others share says nothing about the door's; `make rig` judges them
OF_TIME = {UNFINISHED, "late", "beyond_bound", "fire p99.9", "exit p99.9"}


class OutOfTimeError(Exception):
    """The time for device tests is over, whatever was being done."""


def main(words: list[str]) -> int:
    """The command."""
    began_s = float(words[0]) if words else time.time()
    left_s = min(OURS_S, began_s + WHOLE_S - time.time())
    if reason := why_not(asked=True) or ("" if left_s > LEAST_S else f"only {left_s:.0f} s are left for them"):
        say(f"device tests skipped: {reason}")
        return 0
    results: list[dict[str, Any]] = []
    end_s = time.monotonic() + left_s
    signal.signal(signal.SIGALRM, _over)
    signal.alarm(int(left_s))
    try:
        campaigns(results, end_s)
    except NoDeviceError as error:
        say(f"device tests skipped: {error}")
    except OutOfTimeError:
        say(f"device tests stopped after {left_s:.0f} s: this machine is too slow for the rest")
    finally:
        signal.alarm(0)
    broken = [f"{r['campaign']}: {promise}" for r in results for promise in r["broken_promises"] if counts(promise)]
    say(f"device tests: {len(results)} of {len(SMALL)} campaigns, broken promises: {'; '.join(broken) or 'none'}")
    return 1 if broken else 0


def counts(promise: str) -> bool:
    """Whether it speaks of what the door did, rather than of the time that this machine took."""
    return "not proven" not in promise and promise not in OF_TIME


def campaigns(results: list[dict[str, Any]], end_s: float) -> None:
    """One after the other on one device; one that would not end in time is left out."""
    with rig("guest-ci") as (door, site):
        for name, sizes, takes_s in SMALL:
            if time.monotonic() + 1.5 * takes_s > end_s:
                say(f"{name}: left out, {end_s - time.monotonic():.0f} s are left and it takes about {takes_s:.0f}")
                continue
            results.append(attempt(name, door, site, **sizes))
            say(json.dumps(results[-1]))


def say(line: str) -> None:
    """At once: somebody may be watching."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _over(_number: int, _frame: object) -> None:
    raise OutOfTimeError


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
