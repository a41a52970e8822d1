"""The face network of a configuration: what a command that reads pictures or templates must work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from agent.config import Config
from agent.core.networks import Network, to_use
from models.pipeline import Pipeline, PipelineSettings, load_pipeline, ready_networks


def pipeline_settings(config: Config | None) -> PipelineSettings:
    """Where the files lie, and which network the operator wants."""
    if config is None:
        return PipelineSettings()
    folder = Path(config.faces.weights_dir) if config.faces.weights_dir else None
    return PipelineSettings(weights_folder=folder, embedder=config.faces.network)


def load_for(settings: PipelineSettings, enrolled: Mapping[Network, int]) -> Pipeline:
    """The networks that a door with these people works with (core/networks.py). Raises ModelFileError."""
    here = {(one.model_id, one.alignment_id): one.name for one in ready_networks(settings)}
    chosen = to_use(enrolled, tuple(here))
    return load_pipeline(settings if chosen is None else replace(settings, embedder=here[chosen]))
