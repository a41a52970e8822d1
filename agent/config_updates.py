"""[updates] of a door's configuration: releases from afar, off unless the section is there."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from agent.config_section import Host, Place, Section

RELEASES_DIR: Final = "/opt/door-agent"


class Updates(Section):
    """[updates]; without this section every release from afar is refused. Needs [server]: the order comes that way."""

    host: Host = Field(description="where bundles are fetched; nowhere else")
    port: int = Field(default=8482, ge=1, le=65535, description="TLS, with the door's certificate")
    kib_per_s: int = Field(
        default=256, ge=16, le=65536, description="bound of the fetching, so that the line stays free"
    )
    max_mib: int = Field(default=512, ge=1, le=2047, description="a larger bundle is refused")
    quiet_s: float = Field(default=30.0, ge=1.0, le=3600.0, description="installed when nobody was there for so long")
    release_key_file: Place = Field(
        default="/etc/door-agent/release.pub.pem", description="the site's public Ed25519 key that signs bundles, PEM"
    )
    releases_dir: Place = Field(default=RELEASES_DIR, description="releases, and what the updater says of them")
