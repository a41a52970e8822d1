"""Keeps the vision process's gallery like the roster: everything once at its Hello, then only what changed."""

from __future__ import annotations

from agent.residents import Residents
from agent.vision_link import VisionLink


class GalleryFeed:
    """Used by the controller's thread only."""

    def __init__(self, residents: Residents, vision: VisionLink) -> None:
        self._residents, self._vision = residents, vision
        self._networks: tuple[str, str] | None = None
        self._told: dict[str, frozenset[str]] | None = None  # templates of each person that vision has
        self.behind = False  # what was sent last did not arrive

    def begin(self, networks: tuple[str, str]) -> None:
        """A vision process with these networks (model and alignment id) said Hello: it knows nobody yet."""
        self._networks, self._told = networks, None
        self.update()

    def update(self) -> None:
        """Send what differs from what was sent before. Where sending fails, everything is due again."""
        if self._networks is None:
            return
        faces = self._residents.faces()
        messages = (
            self._residents.gallery(*self._networks)
            if self._told is None
            else self._residents.gallery_changes(*self._networks, self._told)
        )
        self.behind = not self._vision.send(messages)
        self._told = None if self.behind else faces
