"""Work that goes on when the laptop is closed: in a process of its own, told to a file that the connection's end reads.

A broken SSH connection ends what sudo started on it. An update may stand between its switch and its verdict then, and
nobody would lead it back.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.device.commands import InstallError
from deploy.device.steps import Talk

TOLD = Path("/run/door-agent-work.jsonl")
_LOOK_EVERY_S = 0.2
Work = Callable[[Talk], Mapping[str, Any]]


def detached(work: Work, talk: Talk) -> dict[str, Any]:
    """What `work` returns. It may tell, but not ask: nobody may be there.

    Raises:
        InstallError: with its words, when it raised; or it ended without a word.
    """
    TOLD.write_bytes(b"")
    if (child := os.fork()) == 0:
        _be_alone(work)
    end = _follow(child, talk)
    if not talk.gone():
        TOLD.unlink()
    if end.get("t") != "returned":
        raise InstallError(str(end.get("why", "the work on the device ended without a word; look at its journal")))
    facts: dict[str, Any] = end["facts"]
    return facts


def unheard() -> str:
    """How the last work ended if nobody was there to hear it; empty otherwise. Said once."""
    try:
        last: dict[str, Any] = json.loads(TOLD.read_text().splitlines()[-1])
        TOLD.unlink()
    except (OSError, ValueError, IndexError):
        return ""
    if last.get("t") == "returned":
        return "ended well"
    return str(last.get("why") or last.get("words") or last.get("what") or last)


def _be_alone(work: Work) -> None:
    """The child: a session of its own, no terminal, no pipe that can break. Never returns."""
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        out, nowhere = os.open(TOLD, os.O_WRONLY | os.O_APPEND), os.open(os.devnull, os.O_RDONLY)
        for end, to in ((0, nowhere), (1, out), (2, out)):
            os.dup2(to, end)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        talk = Talk()
        try:
            talk.tell("returned", facts=dict(work(talk)))
        except BaseException as error:  # noqa: BLE001  whatever it was, the end that listens must hear of it
            talk.tell("raised", why=str(error) or repr(error))
    finally:
        os._exit(0)


def _said(line: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        if isinstance(said, dict) and isinstance(said.get("t"), str):
            return said
    return {"t": "noise", "words": line.decode(errors="replace")}


def _follow(child: int, talk: Talk) -> dict[str, Any]:
    """Pass on what is told, line by line, until the child has ended; its last word."""
    read, over = 0, False
    while True:
        data = TOLD.read_bytes()[read:]
        whole = data[: data.rfind(b"\n") + 1]
        read += len(whole)
        for line in whole.splitlines():
            said = _said(line)
            if said["t"] in ("returned", "raised"):
                if not over:
                    os.waitpid(child, 0)
                return said
            talk.tell(said.pop("t"), **said)
        if over:
            return {}
        over = os.waitpid(child, os.WNOHANG)[0] == child
        if not over:
            time.sleep(_LOOK_EVERY_S)
