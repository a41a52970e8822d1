"""What a data folder holds: people, sessions and pictures of lfw/, nuaa/, yaleb/ and masks/. Each may be missing."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2

from agent.errors import DoorAgentError
from agent.evaluation.pairs import Pair, read_pairs
from agent.evaluation.skips import Skipped

_PICTURE_ENDINGS: Final = (".jpg", ".jpeg", ".png", ".pgm")
DECIDING: Final = 3  # frames that a door decides by: a shorter session is none


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
    glasses: str  # "with glasses", "without glasses" or "with and without glasses"


@dataclass(frozen=True, slots=True)
class Lit:
    """One picture under one lamp: azimuth (left is negative) and elevation of the lamp, in degrees."""

    person: str
    azimuth: int
    elevation: int
    path: Path


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Everything found under one folder. `pairs`: folds of (path, path, same person), of `stated_folds` in the file."""

    people: dict[str, tuple[Path, ...]]
    stated_folds: int
    pairs: tuple[tuple[Pair, ...], ...]
    sessions: tuple[Session, ...]
    lit: tuple[Lit, ...]
    masks: tuple[Path, ...]
    skipped: Skipped

    def used(self) -> dict[str, dict[str, int]]:
        """What was found, for the report."""
        live = [one for one in self.sessions if one.live]
        return {
            "lfw": {"people": len(self.people), "pictures": sum(map(len, self.people.values()))},
            "lfw_pairs": {
                "folds_stated": self.stated_folds,
                "folds": len(self.pairs),
                "pairs": sum(map(len, self.pairs)),
            },
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
    """List the pictures that can be read; what cannot is counted in `skipped`.

    `quick` takes a fifth of the people, `leave_out` names people of lfw/ who are not used. Raises NoPicturesError where
    nothing is there.
    """
    skipped = Skipped()
    people = _people(folder / "lfw", skipped, quick=quick)
    people = {name: paths for name, paths in people.items() if name not in leave_out}
    folds, pairs = read_pairs(folder / "lfw" / "pairs.txt", people, skipped)
    masks = list(_pictures(folder / "masks", "masks", skipped))[:: 6 if quick else 1]
    found = DataFolder(
        people=people,
        stated_folds=folds,
        pairs=pairs,
        sessions=_sessions(folder / "nuaa", skipped, quick=quick),
        lit=_lit(folder / "yaleb", skipped, quick=quick),
        masks=_readable("masks", masks, skipped),
        skipped=skipped,
    )
    if not (found.people or found.sessions or found.lit or found.masks):
        why = "; ".join(f"{row['count']} in {row['set']}: {row['why']}" for row in skipped.rows())
        raise NoPicturesError(
            f"{folder} holds no usable picture in lfw/, nuaa/, yaleb/ or masks/{f' ({why})' if why else ''}; "
            "name the folder that holds them with --data"
        )
    return found


def _pictures(folder: Path, part: str, skipped: Skipped) -> Iterator[Path]:
    """Files that are named like pictures, in this folder and all below it, links to folders included, in order."""
    walked: set[tuple[int, int]] = set()

    def told(error: OSError) -> None:
        skipped.add(part, "folder cannot be read", error.filename)

    for place, folders, names in os.walk(folder, followlinks=True, onerror=told if folder.exists() else None):
        info = Path(place).stat()
        if (info.st_dev, info.st_ino) in walked:
            skipped.add(part, "link to a folder that was read already", place)
            folders.clear()
            continue
        walked.add((info.st_dev, info.st_ino))
        folders.sort()
        yield from sorted(Path(place, name) for name in names if name.lower().endswith(_PICTURE_ENDINGS))


def _readable(part: str, paths: Sequence[Path], skipped: Skipped) -> tuple[Path, ...]:
    """Those that can be decoded, the others counted."""
    found = []
    for path in paths:
        if _decodes(path):
            found.append(path)
        else:
            skipped.add(part, "picture cannot be read or decoded", path)
    return tuple(found)


def _decodes(path: Path) -> bool:
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)  # a pipe would wait for ever
        return is_file and cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_8) is not None
    except (OSError, cv2.error):
        return False


def _people(folder: Path, skipped: Skipped, *, quick: bool) -> dict[str, tuple[Path, ...]]:
    """One folder a person. In a quick run every fifth person with one picture, every other one with more."""
    people = defaultdict(list)
    for path in _pictures(folder, "lfw", skipped):
        if path.parent == folder:
            skipped.add("lfw", "picture that is in no person's folder", path)
        else:
            people[path.parent.name].append(path)
    few = [name for name, paths in sorted(people.items()) if len(paths) == 1]
    many = [name for name, paths in sorted(people.items()) if len(paths) > 1]
    kept = [*few[::5], *many[::2]] if quick else [*few, *many]
    found = {name: _readable("lfw", people[name][: 6 if quick else None], skipped) for name in sorted(kept)}
    return {name: paths for name, paths in found.items() if paths}


def _sessions(folder: Path, skipped: Skipped, *, quick: bool) -> tuple[Session, ...]:
    """NUAA's raw frames: person_glasses_position_session_number.jpg under ClientRaw and ImposterRaw."""
    found = defaultdict(list)
    for kind in ("ClientRaw", "ImposterRaw"):
        for path in _pictures(folder / kind, "nuaa", skipped):
            match path.stem.split("_"):
                case [person, glasses, position, session, number] if number.isascii() and number.isdigit():
                    name = session if kind == "ClientRaw" else f"{session}-{position}"
                    found[person, kind == "ClientRaw", name].append((int(number), path, glasses))
                case _:
                    skipped.add("nuaa", "name is not person_glasses_position_session_number", path)
    sessions = []
    for (person, live, name), frames in sorted(found.items()):
        kept = sorted(frames)[: 16 if quick else None]
        paths = _readable("nuaa", [path for _, path, _ in kept], skipped)
        if len(paths) < DECIDING:
            skipped.add("nuaa", f"session of fewer than {DECIDING} frames", f"{person} {name}")
            continue
        worn = {glasses.strip("0") != "" for _, path, glasses in kept if path in paths}
        both, one = "with and without glasses", "with glasses" if worn == {True} else "without glasses"
        sessions.append(Session(person, live, name, paths, both if len(worn) > 1 else one))
    return tuple(sessions)


def _lit(folder: Path, skipped: Skipped, *, quick: bool) -> tuple[Lit, ...]:
    """Extended Yale B, cropped: person_P00A+azimuthE+elevation.pgm; the ambient pictures are left out."""
    found = []
    for path in _pictures(folder, "yaleb", skipped):
        person, _, lamp = path.stem.partition("_P00A")
        azimuth, _, elevation = lamp.partition("E")
        try:
            found.append(Lit(person, int(azimuth), int(elevation), path))
        except ValueError:
            skipped.add("yaleb", "name states no lamp (person_P00A+azimuthE+elevation)", path)
    kept = found[:: 3 if quick else 1]
    paths = set(_readable("yaleb", [one.path for one in kept], skipped))
    return tuple(one for one in kept if one.path in paths)
