from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import main

SHARED = Path(os.environ.get("DOOR_AGENT_SHARED", Path(__file__).parents[3] / "shared"))


@pytest.fixture(scope="session")
def command() -> Callable[..., tuple[int, Any]]:
    """`door-agent ... --json`: exit code and the one document on standard output."""

    def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few hundred pictures of the sets beside the project, laid out like the whole: the same measurement, smaller."""
    data = SHARED / "data"
    if not (data / "lfw").is_dir() or not (data / "nuaa").is_dir():
        pytest.skip(f"{data} holds no lfw/ and nuaa/: nothing to measure with")
    folder = tmp_path_factory.mktemp("data")
    _people(data / "lfw", folder / "lfw")
    _sessions(data / "nuaa", folder / "nuaa")
    lit = sorted((data / "yaleb").rglob("*_P00A*E*.pgm"))
    front = [path for path in lit if "A+000E+00" in path.name or "A+025E+00" in path.name or "A+070E+00" in path.name]
    _link(front[:12], data, folder)
    _link(sorted((data / "masks").rglob("*.jpg"))[::60], data, folder)
    return folder


def _people(lfw: Path, into: Path) -> None:
    """150 people with one picture, 24 with four: enough for N = 100; and two folds of pairs among the latter."""
    counted = [(person, sorted(person.glob("*.jpg"))) for person in sorted(lfw.iterdir()) if person.is_dir()]
    single = list(islice(((person, paths) for person, paths in counted if len(paths) == 1), 150))
    many = list(islice(((person, paths[:4]) for person, paths in counted if len(paths) >= 4), 24))
    for _, paths in (*single, *many):
        _link(paths, lfw, into)
    names = [person.name for person, _ in many]
    lines = ["2\t12"]
    for fold in (names[:12], names[12:]):
        lines += [f"{name}\t1\t2" for name in fold]
        lines += [f"{one}\t1\t{other}\t1" for one, other in zip(fold, fold[1:] + fold[:1], strict=True)]
    (into / "pairs.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _sessions(nuaa: Path, into: Path) -> None:
    """Three people in two sessions of a dozen frames, and six frames of one print of each."""
    found: dict[tuple[str, str], list[Path]] = {}
    for path in sorted((nuaa / "ClientRaw").rglob("*.jpg")):
        person, _, _, session, _ = path.stem.split("_")
        found.setdefault((person, session), []).append(path)
    people = [one for one in sorted({person for person, _ in found}) if sum(key[0] == one for key in found) > 1][:3]
    if len(people) < 3:
        pytest.skip(f"{nuaa} holds fewer than three people in two sessions: nothing to measure with")
    for person in people:
        for session in sorted(key for key in found if key[0] == person)[:2]:
            _link(found[session][:12], nuaa, into)
        _link(sorted((nuaa / "ImposterRaw").rglob(f"{person}_*.jpg"))[:6], nuaa, into)


def _link(paths: Iterable[Path], root: Path, into: Path) -> None:
    for path in paths:
        target = into / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
