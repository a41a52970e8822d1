"""What the memory of the running vision process still holds of somebody who was taken out of it (root or same user)."""

from __future__ import annotations

import base64
import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.core.vision_messages import GalleryAdd, GalleryCommit, GalleryLoaded, GalleryRemove, GalleryRow, Hello
from models.pipeline import Pipeline
from tests.vision.test_process import _Door

UNIT = Path(__file__).parents[2] / "systemd" / "door-vision.service"
GONE, STAYS = "gone", "stays"
_CHUNK = 48  # bytes that are looked for; twelve numbers of one person


def places(pid: int, needles: dict[str, bytes]) -> dict[str, int]:
    """How often each needle stands in a process's writable memory."""
    found = dict.fromkeys(needles, 0)
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            begin, end = (int(one, 16) for one in span.split("-"))
            with contextlib.suppress(OSError, OverflowError):
                data = os.pread(memory.fileno(), end - begin, begin)
                for name, needle in needles.items():
                    found[name] += data.count(needle)
    return found


def needles(row: GalleryRow) -> dict[str, bytes]:
    """Parts from begin, middle and end of a vector, as numbers and as the text that crossed the socket."""
    text = base64.b64encode(row.vector)
    return {
        f"{form} {part}": data[at : at + _CHUNK]
        for form, data in (("numbers", row.vector), ("text", text))
        for part, at in (("begin", 64), ("middle", len(data) // 2), ("end", len(data) - 2 * _CHUNK))
    }


@pytest.fixture
def door(tmp_path: Path, cache: Path, roster: list[Any]) -> Iterator[_Door]:
    door = _Door(tmp_path, cache, roster)
    yield door
    door.close()


@pytest.mark.slow
def test_nothing_of_a_person_taken_out_stays_in_the_memory_of_the_vision_process(
    door: _Door, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the allocator as the unit sets it; without, one copy of the numbers and three of their text stayed."""
    [tunables] = re.findall(r"^Environment=GLIBC_TUNABLES=(\S+)$", UNIT.read_text(), re.MULTILINE)
    monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    vectors = np.random.default_rng(9).normal(size=(2, pipeline.embedder.dim)).astype("<f4")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    gone, stays = (GalleryRow(who, f"t-{who}", row.tobytes()) for who, row in zip((GONE, STAYS), vectors, strict=True))
    door.start()
    assert door.process is not None
    door.wait(Hello)
    door.wait(GalleryLoaded)
    door.forget()
    door.link.send([GalleryAdd((gone, stays)), GalleryCommit(8)])
    door.wait(GalleryLoaded, lambda one: one.epoch == 8)
    before = places(door.process.pid, needles(gone))
    assert any(before[f"numbers {part}"] for part in ("begin", "middle", "end")), before
    door.forget()
    door.link.send([GalleryRemove((GONE,)), GalleryCommit(9)])
    door.wait(GalleryLoaded, lambda one: one.epoch == 9)
    after = places(door.process.pid, needles(gone))
    kept = places(door.process.pid, needles(stays))
    assert any(kept[f"numbers {part}"] for part in ("begin", "middle", "end")), kept  # the search does find
    assert not any(after.values()), f"{before} before, {after} after"
