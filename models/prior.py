"""What is known of strangers before a site has people of its own: measured for one network, in the manifest."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prior:
    """Relative similarity that 1 % of strangers reach, and how it moves; measured for one network.

    `location` with ten people enrolled, falling by `per_people` with the logarithm of their number; `scale` is added
    for each factor e of strictness. Where several pictures stand behind each vector, strangers who resemble somebody
    do so more clearly: `many_pictures` is added to the prior and `allowance` to the roster's own tail. `one_picture` is
    added to both where only one does: what a network with a high baseline needs. `many_frames` is added besides where
    several frames of a stranger meet one picture: they come nearer to it than other single pictures do, which is all
    that such a roster can show.
    """

    location: float
    per_people: float
    scale: float
    many_pictures: float
    allowance: float
    one_picture: float = 0.0
    many_frames: float = 0.0

    def similarity(self, rate: float, people: int, pictures: float) -> float:
        """Relative similarity that a share `rate` of strangers reaches."""
        steps = math.log(max(people, 5) / 10)  # fewer than five people have no cohort that would move it further
        return (
            self.location - self.per_people * steps + self.many_pictures * pictures + self.scale * math.log(0.01 / rate)
        )
