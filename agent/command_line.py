"""How every command line of this project begins and ends: one message, one exit code, whatever becomes of its output.

`--json` means one document on standard output for a mistake too, and in UTF-8. A name that a terminal cannot show is
escaped, never a reason to fail; a reader that has gone, a full disk and a closed descriptor are no faults of ours.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import json
import math
import os
import re
import select
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn

from agent.core.bounded import NAME
from agent.errors import DoorAgentError
from hardware.address import is_host
from hardware.errors import HardwareError
from models.errors import ModelError, PictureUnusableError

INTERRUPTED: Final = 130
MOST: Final = 2**53  # of anything that a command is told to count
_JSON: Final = "--json"
_WHAT_NEXT: Final[Mapping[int, str]] = {
    errno.ENOENT: "is the name right, the stick there?",
    errno.EACCES: "this user may not; use sudo, or another place",
    errno.EPERM: "this user may not; use sudo, or another place",
    errno.EROFS: "nothing can be written there; choose another place, or look why it is mounted read-only",
    errno.ENOSPC: "make room there, or choose another place",
    errno.EDQUOT: "make room there, or choose another place",
    errno.EIO: "the disk or stick has a fault; use another",
    errno.EISDIR: "a file is needed",
    errno.ENOTDIR: "a folder is needed",
    errno.EEXIST: "something else is there; choose another name",
}
# what the world does to us without a file's name; anything else without one is a fault of this program
_OF_THE_OUTPUT: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})


class MisuseError(SystemExit):
    """The command line is wrong; argparse has said so on standard error."""

    def __init__(self, message: str) -> None:
        super().__init__(2)
        self.message = message


class Parser(argparse.ArgumentParser):
    """argparse's, whose complaint can be had as JSON too."""

    def error(self, message: str) -> NoReturn:
        """As argparse: usage and message on standard error, exit code 2."""
        self.print_usage(sys.stderr)
        sys.stderr.write(f"{self.prog}: error: {message}\n")
        raise MisuseError(message)


def add_action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str, *, epilog: str | None = None
) -> argparse.ArgumentParser:
    """A part of a command: takes --json behind its name too."""
    described = f"{summary[0].upper()}{summary[1:]}."
    parser = actions.add_parser(name, help=summary, description=described, epilog=epilog)
    unless_before = argparse.SUPPRESS
    parser.add_argument(_JSON, action="store_true", default=unless_before, help="print one JSON document, not text")
    return parser


def count(text: str) -> int:
    """For argparse: a number of things to do or to show."""
    return _whole(text, 1, MOST)


def port(text: str) -> int:
    """For argparse."""
    return _whole(text, 1, 65535)


def _whole(text: str, least: int, most: int) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) else -1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r:.50} is not a whole number from {least} to {most}")
    return number


def host(text: str) -> str:
    """For argparse: a machine's name or address, as in `server.host` of a door's configuration."""
    if not is_host(text):
        raise argparse.ArgumentTypeError(f"{text!r:.50} is not a host's name or address (letters, digits, . : -)")
    return text


def name_of_one(text: str) -> str:
    """For argparse: a short name, as certificates, topics and folders have it."""
    if not re.fullmatch(NAME, text):
        raise argparse.ArgumentTypeError(f"{text!r:.50} is not a short name (1 to 63 of a-z, 0-9 and -)")
    return text


def above_zero(text: str) -> float:
    """For argparse: a finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r:.50} is not a number above zero")
    return number


def own_streams(words: Sequence[str]) -> None:
    """At a process's start: no descriptor is missing, no character cannot be printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # or else the next file that is opened would be taken for it
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or open(0, closefd=False, encoding="utf-8")  # noqa: SIM115  for the process's whole life
    sys.stdout = sys.stdout or open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8" if asks_for_json(words) else None, errors="backslashreplace")


def asks_for_json(words: Sequence[str]) -> bool:
    """Whether these words of a command line ask for JSON."""
    return _JSON in words


def ended(name: str, words: Sequence[str], command: Callable[[], int]) -> int:
    """Do `command`, which parses `words`, and return the exit code. `name` stands before messages.

    Raises:
        SystemExit: argparse has answered (help, version, a mistake).
    """
    stopped: SystemExit | None = None
    try:
        try:
            code = _answered(name, words, command)
        except SystemExit as e:
            stopped, code = e, 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        if not _reader_gone():
            raise
        _leave_output()  # no complaint at exit either
        return 1
    except OSError as e:
        if e.errno not in _OF_THE_OUTPUT:
            raise
        _leave_output()
        sys.stderr.write(f"{name}: output: {_mended(e)}\n")
        return 1
    if stopped is not None:
        raise stopped
    return code


def as_program(name: str, main: Callable[[], int]) -> int:
    """The exit code of a program without commands, whose `main` parses the process's own words."""
    own_streams(sys.argv[1:])
    return ended(name, sys.argv[1:], main)


def _answered(name: str, words: Sequence[str], command: Callable[[], int]) -> int:
    """The exit code; what a person can mend is said."""
    as_json = asks_for_json(words)
    try:
        return command()
    except MisuseError as e:
        if as_json:
            _print_fault(e.message, 2)
        raise
    except (DoorAgentError, HardwareError, ModelError) as e:
        return _complain(name, e, as_json=as_json)
    except UnicodeEncodeError:
        torn = [word for word in words if not word.isascii() and word != word.encode(errors="replace").decode()]
        if not torn:
            raise
        said = f"{torn[0]!r:.80}: is not UTF-8; type it in a terminal with UTF-8 (LANG=C.UTF-8)"
        return _complain(name, DoorAgentError(said, exit_code=2), as_json=as_json)
    except OSError as e:
        if e.filename is None:
            raise
        return _complain(name, DoorAgentError(f"{e.filename}: {_mended(e)}"), as_json=as_json)


def _mended(error: OSError) -> str:
    """What the system says, and what to do."""
    return f"{error.strerror}; {_WHAT_NEXT.get(error.errno or 0, 'is that the right place?')}"


def _complain(name: str, error: Exception, *, as_json: bool) -> int:
    usual = 7 if isinstance(error, PictureUnusableError) else 6
    code = int(getattr(error, "exit_code", usual))
    if as_json:
        _print_fault(str(error), code)
    else:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201  a command prints
    return code


def _print_fault(message: str, code: int) -> None:
    print(json.dumps({"error": message, "exit_code": code}, ensure_ascii=False))  # noqa: T201  a command prints


def _reader_gone() -> bool:
    """Whether standard output or error is a pipe that nobody reads any more."""
    waiting = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            waiting.register(stream.fileno(), select.POLLOUT)
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in waiting.poll(0))


def _leave_output() -> None:
    """What is still to be written goes nowhere."""
    with contextlib.suppress(OSError, ValueError):  # a test's own stream has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
