"""Which pictures of several visits are kept, when there are more than a person may have."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import sqrt

from agent.core.roster import MAX_FACES, FaceTemplate
from agent.roster.entries import StoredTemplate


def after_visit(
    listed: Sequence[FaceTemplate], stored: Sequence[StoredTemplate], fresh: Sequence[StoredTemplate]
) -> tuple[tuple[FaceTemplate, ...], list[StoredTemplate]]:
    """A person's faces once `fresh` templates have come, and which of those are among them.

    `stored` are the opened ones of the same network; what the person does not list is gone. The learnt one stays.
    """
    known = {one.template_id: one for one in listed}
    before = [one for one in stored if one.template_id in known and not known[one.template_id].learnt]
    both = [*before, *fresh]
    kept = [both[n] for n in most_different([one.vector for one in both], MAX_FACES)]
    faces = [FaceTemplate(one.template_id, one.model_id, one.alignment_id) for one in kept]
    learnt = [known[one.template_id] for one in stored if one.template_id in known and known[one.template_id].learnt]
    return (*faces, *learnt), [one for one in kept if one in fresh]


def most_different(vectors: Sequence[bytes], keep: int) -> list[int]:
    """Numbers of at most `keep` of these vectors (float32, little endian) that differ most, in their order.

    The two that are farthest apart, then again and again the one that is farthest from all that are kept.
    """
    if len(vectors) <= keep:
        return list(range(len(vectors)))
    units = [_unit(one) for one in vectors]
    apart = [[1.0 - sum(a * b for a, b in zip(one, other, strict=True)) for other in units] for one in units]
    every = range(len(units))
    pairs = [(one, other) for one in every for other in every]
    first, second = max(pairs, key=lambda pair: apart[pair[0]][pair[1]])
    kept = [first, second]
    while len(kept) < keep:
        kept.append(max((one for one in every if one not in kept), key=lambda one: min(apart[one][k] for k in kept)))
    return sorted(kept[:keep])


def _unit(vector: bytes) -> list[float]:
    numbers = array("f")
    numbers.frombytes(vector)
    length = sqrt(sum(one * one for one in numbers)) or 1.0
    return [one / length for one in numbers]
