"""One to one: are two pictures of the same person? LFW's protocol, for comparison with what others publish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agent.evaluation.groups import GROUPS, group_of
from models.arrays import Floats

_RATES: Final = (1e-3, 1e-4, 1e-5)
_GROUP_RATE: Final = 1e-3
_BLOCK: Final = 500


def verification(
    folds: Sequence[Sequence[tuple[Path, Path, bool]]], vectors: Mapping[Path, Floats], person: Sequence[str]
) -> dict[str, Any]:
    """Accuracy as in LFW's protocol, and true accept rates at fixed false accept rates.

    `vectors` holds every picture's unit vector in the order of `person`, the names. Pairs with a picture that is not
    there are left out, and so are folds of which nothing is left.
    """
    report = _all_pairs(np.stack(list(vectors.values())), np.array(person)) if vectors else {}
    scores, same = [], []
    for fold in folds:
        known = [(one, other, truth) for one, other, truth in fold if one in vectors and other in vectors]
        scores.append(np.array([float(vectors[one] @ vectors[other]) for one, other, _ in known], np.float32))
        same.append(np.array([truth for _, _, truth in known], np.bool_))
    left = [at for at, fold in enumerate(scores) if len(fold)]
    scores, same = [scores[at] for at in left], [same[at] for at in left]
    if not left:
        return {"accuracy": None, "tar_at_far_1e3": None, "pairs": 0, "folds": 0, "all_pairs": report}
    accuracies = [_fold_accuracy(scores, same, at) for at in range(len(left))]
    every, truth = np.concatenate(scores), np.concatenate(same)
    return {
        "accuracy": round(float(np.mean(accuracies)), 5),
        "accuracy_standard_error": _standard_error(accuracies),
        "tar_at_far_1e3": _rate(every[truth], every[~truth], 1e-3),
        "pairs": len(every),
        "pairs_without_a_face": sum(map(len, folds)) - len(every),
        "folds": len(left),
        "all_pairs": report,
    }


def by_group(
    folds: Sequence[Sequence[tuple[Path, Path, bool]]], vectors: Mapping[Path, Floats], person: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of `groups`: what the similarity that a share of 0.1 % of all different pairs reaches means to each group.

    All pairs within a group count, and of pairs.txt those of whom both are in it (accuracy at the similarity that is
    best for all pairs of the file).
    """
    if not vectors:
        return []
    rows, names = np.stack(list(vectors.values())), np.array(person)
    limit = _limit(_scores(rows, names)[1], _GROUP_RATE)
    of_path = dict(zip(vectors, person, strict=True))
    pairs = [
        (float(vectors[one] @ vectors[other]), truth, {group_of(of_path[one]), group_of(of_path[other])})
        for fold in folds
        for one, other, truth in fold
        if one in vectors and other in vectors
    ]
    best = _best([score for score, _, _ in pairs], [truth for _, truth, _ in pairs]) if pairs else 0.0
    found = []
    for group in GROUPS:
        member = np.array([group_of(name) == group for name in person], np.bool_)
        if not member.any():
            continue
        same, different = _scores(rows[member], names[member])
        own = [(score >= best) == truth for score, truth, groups in pairs if groups == {group}]
        found.append(
            {
                "evaluation": "verification",
                "group": group,
                "people": len(set(names[member].tolist())),
                "pairs": len(own),
                "accuracy": round(float(np.mean(own)), 5) if own else None,
                "far_where_all_are_1e3": _share(different, limit),
                "tar_where_all_are_1e3": _share(same, limit),
            }
        )
    return found


def _share(scores: Floats, limit: float | None) -> float | None:
    return round(float((scores > limit).mean()), 6) if limit is not None and len(scores) else None


def _standard_error(accuracies: Sequence[float]) -> float | None:
    """Of their mean; None for a single fold, which cannot show any."""
    return round(float(np.std(accuracies, ddof=1) / np.sqrt(len(accuracies))), 5) if len(accuracies) > 1 else None


def _fold_accuracy(scores: Sequence[Floats], same: Sequence[NDArray[np.bool_]], held_out: int) -> float:
    """Accuracy in one fold at the similarity that is best in all the others."""
    rest = [at for at in range(len(scores)) if at != held_out] or [held_out]
    best = _best(np.concatenate([scores[at] for at in rest]), np.concatenate([same[at] for at in rest]))
    return float(((scores[held_out] >= best) == same[held_out]).mean())


def _best(scores: ArrayLike, same: ArrayLike) -> float:
    """The similarity from which on pairs are taken for one person, so that most are right."""
    others, truth = np.asarray(scores, np.float32), np.asarray(same, np.bool_)
    order = np.argsort(-others)
    right = np.cumsum(np.where(truth[order], 1, -1))
    ranked = others[order]
    right[:-1][ranked[1:] == ranked[:-1]] = -len(right)  # pairs of equal similarity are accepted together
    return float(ranked[int(np.argmax(right))])


def _rate(genuine: Floats, impostor: Floats, rate: float) -> float | None:
    """Share of genuine pairs above what a share `rate` of the others reaches; None where either kind is missing."""
    limit = _limit(impostor, rate)
    return None if limit is None or not len(genuine) else round(float((genuine > limit).mean()), 5)


def _limit(impostor: Floats, rate: float) -> float | None:
    if not len(impostor):
        return None
    allowed = int(rate * len(impostor))
    return float(np.sort(impostor)[::-1][min(allowed, len(impostor) - 1)])


def _all_pairs(vectors: Floats, person: NDArray[np.str_]) -> dict[str, Any]:
    """Every picture with every other one: millions of different pairs, so that small rates can be read."""
    mates, others = _scores(vectors, person)
    rates = {f"tar_at_far_{rate:.0e}": _rate(mates, others, rate) for rate in _RATES}
    return {"same": len(mates), "different": len(others), **rates}


def _scores(vectors: Floats, person: NDArray[np.str_]) -> tuple[Floats, Floats]:
    """Similarities of all pairs of one person, and of two (in half precision: there are millions)."""
    genuine, impostor = [], []
    for start in range(0, len(vectors), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(vectors)))
        scores = vectors[rows] @ vectors.T
        later = np.arange(len(vectors))[None] > rows[:, None]
        same = person[rows][:, None] == person[None]
        genuine.append(scores[later & same])
        impostor.append(scores[later & ~same].astype(np.float16))
    return np.concatenate(genuine), np.concatenate(impostor)
