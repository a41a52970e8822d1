"""The face networks that the vision process could work with, and changing to one of them."""

from __future__ import annotations

import logging
from dataclasses import replace

from agent.core.networks import Network
from agent.core.vision_messages import NetworkHere
from models.errors import ModelError
from models.pipeline import Pipeline, PipelineSettings, ready_networks, with_embedder

_LOG = logging.getLogger("door-vision")


class Networks:
    """What is on this machine, looked for once. A network that does not load is not offered any more."""

    def __init__(self, settings: PipelineSettings) -> None:
        self._settings = settings
        self._names = {(one.model_id, one.alignment_id): one.name for one in ready_networks(settings)}

    def here(self) -> tuple[NetworkHere, ...]:
        """Best first."""
        return tuple(NetworkHere(*network) for network in self._names)

    def changed(self, pipeline: Pipeline, network: Network) -> Pipeline:
        """The pipeline with this network; as it is where that cannot be had."""
        name = self._names.get(network)
        if name is None:
            return pipeline
        try:
            return with_embedder(pipeline, replace(self._settings, embedder=name), name)
        except ModelError as error:
            _LOG.error("%s does not load, so %s stays: %s", name, pipeline.embedder.model_id, error)
            del self._names[network]
            return pipeline
