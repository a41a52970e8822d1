"""Bundles made from a bundle: the next release, a release that cannot live, an unsigned one, another device's."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from deploy import bundle
from deploy.device.unpack import unpack

SICK_AGENT = (
    b"ExecStart=/opt/door-agent/current/venv/bin/python -I -m agent.cli.main",
    b"ExecStart=/bin/false -m agent",
)


def variant(
    source: Path,
    out: Path,
    *,
    key: Path | None,
    serial: int = 0,
    replace: Mapping[str, tuple[bytes, bytes]] | None = None,
    machine: str = "x86_64",
    mark: str = "",
) -> str:
    """`source` with texts in its files replaced, told apart by `mark`, signed with `key`; its release name."""
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        stage = Path(folder)
        unpack(source, stage)
        for name in ("manifest.json", "signature.json"):
            (stage / name).unlink(missing_ok=True)
        for name, (old, new) in (replace or {}).items():
            data = (stage / name).read_bytes()
            if old not in data:
                raise ValueError(f"{name} has no {old!r}")
            (stage / name).write_bytes(data.replace(old, new))
        (stage / "mark.txt").write_text(mark)
        described = bundle.manifest(stage, bundle.Target(machine, "cp313"))
        text = json.dumps(described, indent=1, sort_keys=True).encode()
        (stage / "manifest.json").write_bytes(text)
        if key:
            (stage / "signature.json").write_bytes(bundle.sign(text, key, serial))
        bundle.write_tar(stage, out)
        return str(described["version"])
