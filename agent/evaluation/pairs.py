"""LFW's pairs.txt: folds of pairs of pictures, as far as their pictures are here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from agent.evaluation.skips import Skipped

Pair = tuple[Path, Path, bool]  # two pictures, and whether they are of one person
_PART: Final = "lfw/pairs.txt"
_MALFORMED: Final = "line is neither NAME NUMBER NUMBER nor NAME NUMBER NAME NUMBER"


def read_pairs(
    file: Path, people: Mapping[str, Sequence[Path]], skipped: Skipped
) -> tuple[int, tuple[tuple[Pair, ...], ...]]:
    """How many folds the file has, and the pairs of each that has any with both pictures in `people`.

    The first line holds the number of folds and, of each fold, the number of equal and of different pairs; a single
    number is that of one fold. Without such a line everything is one fold.
    """
    try:
        rows = [line.split() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except FileNotFoundError:
        return 0, ()
    except (OSError, ValueError) as error:
        skipped.add(_PART, "cannot be read as text", error)
        return 0, ()
    folds, size, rows = _folds(rows)
    for row in rows[folds * size :]:
        skipped.add(_PART, "line beyond the folds that the first line states", " ".join(row))
    pictures = {(name, _number(path)): path for name, paths in people.items() for path in paths}
    found = []
    for fold in range(folds):
        pairs = [_pair(row, pictures, skipped) for row in rows[fold * size : (fold + 1) * size]]
        found.append(tuple(pair for pair in pairs if pair is not None))
    return folds, tuple(pairs for pairs in found if pairs)


def _folds(rows: list[list[str]]) -> tuple[int, int, list[list[str]]]:
    """Number of folds, lines of each, and the lines."""
    if rows and len(rows[0]) <= 2 and all(_is_number(word) for word in rows[0]):  # noqa: PLR2004  folds, pairs
        *folds, size = (int(word) for word in rows[0])
        return (folds[0] if folds else 1), 2 * size, rows[1:]
    return 1, len(rows), rows


def _pair(row: Sequence[str], pictures: Mapping[tuple[str, int | None], Path], skipped: Skipped) -> Pair | None:
    match row:
        case [name, first, second] if _is_number(first) and _is_number(second):
            one, other = (name, int(first)), (name, int(second))
        case [name, first, other_name, second] if _is_number(first) and _is_number(second):
            one, other = (name, int(first)), (other_name, int(second))
        case _:
            skipped.add(_PART, _MALFORMED, " ".join(row))
            return None
    if one not in pictures or other not in pictures:
        skipped.add(_PART, "pair with a picture that is not here or not used", " ".join(row))
        return None
    return pictures[one], pictures[other], one[0] == other[0]


def _number(path: Path) -> int | None:
    """The number of NAME_0001.jpg."""
    word = path.stem.rpartition("_")[2]
    return int(word) if _is_number(word) else None


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit()
