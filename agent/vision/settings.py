"""What the configuration says to the vision process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.config import load
from agent.site_network import pipeline_settings
from hardware.camera import CameraSettings
from models.pipeline import PipelineSettings


@dataclass(frozen=True, slots=True)
class VisionSettings:
    """What the configuration says to this process."""

    socket: str
    camera: CameraSettings
    pipeline: PipelineSettings


def settings_of(path: Path) -> VisionSettings:
    """From the configuration file of the door. Raises ConfigError."""
    config = load(path)
    return VisionSettings(
        socket=str(Path(config.runtime.agent_dir) / "vision.sock"),
        camera=CameraSettings(config.camera.source, config.camera.width_px, config.camera.height_px, config.camera.fps),
        pipeline=pipeline_settings(config),
    )
