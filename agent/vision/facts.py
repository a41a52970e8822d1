"""From the numbers of `models/` to the facts that agent/core/recognition.py judges: a frame, and the bound."""

from __future__ import annotations

from dataclasses import replace

from agent.core.recognition import Bound, Frame, Rival, grey_rate
from models.arrays import Floats
from models.calibration import Calibration
from models.embed import Embedder
from models.fusion import Fused
from models.gallery import Gallery


def bound_of(calibration: Calibration, rate: float, gallery: Gallery, epoch: int, network: Embedder) -> Bound:
    """How near is near enough for these people at a stranger rate; `epoch` is their roster's.

    People who would pass for each other at the bound are look-alikes.
    """
    people = len(gallery)
    grey = grey_rate(rate, people)
    nearest = calibration.max_match_distance(rate, people)
    return Bound(
        max_match_distance=nearest,
        max_grey_distance=max(nearest, calibration.max_match_distance(grey, people)),
        max_look_alike_distance=nearest,
        fpir_target=rate,
        grey_target=grey,
        roster_size=people,
        roster_epoch=epoch,
        calibration=calibration.version,
        model=f"{network.model_id}/{network.alignment_id}/{network.weights_sha256[:16]}",
    )


def frame_of(seen: Frame, fused: Fused, own: Floats, gallery: Gallery) -> Frame:
    """`seen` (time, quality, liveness) with what the gallery says of the frame's `own` vector and of the average."""
    seen = replace(seen, agreement=fused.agreement, fused_frames=fused.frames)
    match = gallery.search(fused.vector)
    if match is None:
        return seen
    return replace(
        seen,
        person_id=match.person_id if fused.frames == 1 else gallery.nearest(own),  # one frame is its own average
        fused_person_id=match.person_id,
        fused_similarity=match.similarity,
        rivals=tuple(Rival(*rival) for rival in match.rivals),
        cohort_similarity=match.cohort_similarity,
        cohort_size=match.cohort_size,
        look_alike_distance=match.look_alike.match_distance if match.look_alike is not None else None,
    )
