"""What a data folder holds: people, sessions and pictures of lfw/, nuaa/, yaleb/ and masks/. Each may be missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.errors import DoorAgentError

_PICTURE_ENDINGS: Final = (".jpg", ".jpeg", ".png", ".pgm")


class NoPicturesError(DoorAgentError, FileNotFoundError):
    """The folder named has none of the sets that can be measured."""

    exit_code = 7


@dataclass(frozen=True, slots=True)
class Session:
    """Consecutive frames of one person before one camera. `live` False: a printed photograph of the person."""

    person: str
    live: bool
    name: str  # session, and for prints how they were held
    frames: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Lit:
    """One picture under one lamp: azimuth (left is negative) and elevation of the lamp, in degrees."""

    person: str
    azimuth: int
    elevation: int
    path: Path


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Everything found under one folder. `pairs`: folds of (path, path, same person)."""

    people: dict[str, tuple[Path, ...]]
    pairs: tuple[tuple[tuple[Path, Path, bool], ...], ...]
    sessions: tuple[Session, ...]
    lit: tuple[Lit, ...]
    masks: tuple[Path, ...]

    def used(self) -> dict[str, dict[str, int]]:
        """What was found, for the report."""
        live = [one for one in self.sessions if one.live]
        return {
            "lfw": {"people": len(self.people), "pictures": sum(map(len, self.people.values()))},
            "lfw_pairs": {"folds": len(self.pairs), "pairs": sum(map(len, self.pairs))},
            "nuaa": {
                "people": len({one.person for one in live}),
                "sessions": len({(one.person, one.name) for one in live}),
                "live_frames": sum(len(one.frames) for one in live),
                "print_frames": sum(len(one.frames) for one in self.sessions if not one.live),
            },
            "yaleb": {"people": len({one.person for one in self.lit}), "pictures": len(self.lit)},
            "masks": {"pictures": len(self.masks)},
        }


def read_folder(folder: Path, *, quick: bool, leave_out: frozenset[str] = frozenset()) -> DataFolder:
    """List the pictures; `quick` takes a fifth of the people, `leave_out` names people of lfw/ who are not used.

    Raises NoPicturesError where nothing is there.
    """
    people = _people(folder / "lfw", quick=quick)
    found = DataFolder(
        people={name: paths for name, paths in people.items() if name not in leave_out},
        pairs=_pairs(folder / "lfw"),
        sessions=_sessions(folder / "nuaa", quick=quick),
        lit=_lit(folder / "yaleb", quick=quick),
        masks=tuple(_pictures(folder / "masks"))[:: 6 if quick else 1],
    )
    if not (found.people or found.sessions or found.lit or found.masks):
        raise NoPicturesError(
            f"{folder} holds none of lfw/, nuaa/, yaleb/, masks/; name the folder that holds them with --data"
        )
    return found


def _pictures(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURE_ENDINGS)


def _people(folder: Path, *, quick: bool) -> dict[str, tuple[Path, ...]]:
    """One folder a person. In a quick run every fifth person with one picture, every other one with more."""
    people = defaultdict(list)
    for path in _pictures(folder):
        people[path.parent.name].append(path)
    few = [name for name, paths in sorted(people.items()) if len(paths) == 1]
    many = [name for name, paths in sorted(people.items()) if len(paths) > 1]
    kept = [*few[::5], *many[::2]] if quick else [*few, *many]
    return {name: tuple(people[name][: 6 if quick else None]) for name in sorted(kept)}


def _pairs(folder: Path) -> tuple[tuple[tuple[Path, Path, bool], ...], ...]:
    """LFW's pairs.txt: a line "folds pairs", then for each fold so many same and so many different pairs."""
    try:
        first, *lines = (folder / "pairs.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ()
    rows = [line.split() for line in lines if line.strip()]
    folds, size = (int(word) for word in first.split())
    return tuple(
        tuple(_pair(folder, row) for row in rows[fold * 2 * size : (fold + 1) * 2 * size]) for fold in range(folds)
    )


def _pair(folder: Path, row: list[str]) -> tuple[Path, Path, bool]:
    same = len(row) == 3  # noqa: PLR2004  name, number, number
    one, other = (row[0], row[1]), (row[0], row[2]) if same else (row[2], row[3])
    first, second = (folder / name / f"{name}_{int(number):04d}.jpg" for name, number in (one, other))
    return first, second, same


def _sessions(folder: Path, *, quick: bool) -> tuple[Session, ...]:
    """NUAA's raw frames: person_glasses_position_session_number.jpg under ClientRaw and ImposterRaw."""
    found = defaultdict(list)
    for kind in ("ClientRaw", "ImposterRaw"):
        for path in _pictures(folder / kind):
            person, _, position, session, number = path.stem.split("_")
            name = session if kind == "ClientRaw" else f"{session}-{position}"
            found[person, kind == "ClientRaw", name].append((int(number), path))
    return tuple(
        Session(*key, tuple(path for _, path in sorted(frames))[: 16 if quick else None])
        for key, frames in sorted(found.items())
    )


def _lit(folder: Path, *, quick: bool) -> tuple[Lit, ...]:
    """Extended Yale B, cropped: person_P00A+azimuthE+elevation.pgm; the ambient pictures are left out."""
    found = []
    for path in _pictures(folder):
        person, _, lamp = path.stem.partition("_P00A")
        azimuth, _, elevation = lamp.partition("E")
        if elevation:
            found.append(Lit(person, int(azimuth), int(elevation), path))
    return tuple(found[:: 3 if quick else 1])
