"""What a bundle is made of as a CycloneDX 1.6 bill: wheels, the code inside our own, weight files; licence and hash."""

from __future__ import annotations

import email
import hashlib
import re
import tomllib
import zipfile
from pathlib import Path
from typing import Any, Final

SPEC: Final = "1.6"
# packages whose metadata has no field for it: read in the licence file that their wheel carries
_IN_ITS_FILE: Final = {"pyrage": "MIT"}


def bill(name: str, version: str, wheels: list[Path], weights: list[Path], manifest: Path) -> dict[str, Any]:
    """The document. No time and no random number: the same bundle has the same bill.

    `manifest` is models/manifest.toml, which knows the licence of each weight file.
    """
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": name, "name": name, "version": version}},
        "components": [*map(_wheel, sorted(wheels)), _vendored(), *_weights(sorted(weights), manifest)],
    }


def _wheel(path: Path) -> dict[str, Any]:
    facts = _metadata(path)
    name, version = facts["Name"] or path.name.split("-")[0], facts["Version"] or path.name.split("-")[1]
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [_sha256(path)],
        "licenses": [{"license": {"name": licence(facts)}}],
    }


def licence(facts: email.message.Message) -> str:
    """What a package's metadata says of its licence, in one line; `not stated` where it says nothing."""
    said = (
        facts["License-Expression"]
        or facts["License"]
        or _classified(facts)
        or _IN_ITS_FILE.get((facts["Name"] or "").lower())
    )
    # old metadata puts the licence's whole text there; its first line is its name
    return (said or "not stated").strip().splitlines()[0][:200]


def _metadata(path: Path) -> email.message.Message:
    with zipfile.ZipFile(path) as wheel:
        name = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(wheel.read(name))


def _classified(facts: email.message.Message) -> str:
    words = [c.rsplit(" :: ", 1)[-1] for c in facts.get_all("Classifier", []) if c.startswith("License ::")]
    return " AND ".join(words)


def _weights(paths: list[Path], manifest: Path) -> list[dict[str, Any]]:
    entries = tomllib.loads(manifest.read_text())["model"]
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": f"weights/{path.name}",
            "name": path.name,
            "hashes": [_sha256(path)],
            "licenses": [{"license": {"name": _network_licence(path.name, entries)}}],
        }
        for path in paths
    ]


def _network_licence(name: str, entries: list[dict[str, Any]]) -> str:
    """Of a file that the manifest names, or of what was converted from one: `NAME-CHECKSUMS-vN.onnx`."""
    for entry in entries:
        if any(file["name"] == name for file in entry["files"]) or name.startswith(f"{entry['name']}-"):
            return str(entry["licence"])
    return "not stated"


def _vendored() -> dict[str, Any]:
    """The one piece of others' code that lies in a page of ours (deploy/phone/vendor)."""
    folder = Path(__file__).parent / "phone" / "vendor"
    path = folder / "qrcode.js"
    [version] = re.findall(r"`qrcode-generator`[^|]*\| ([0-9.]+) \|", (folder / "README.md").read_text())
    purl = f"pkg:npm/qrcode-generator@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": "qrcode-generator",
        "version": version,
        "purl": purl,
        "hashes": [_sha256(path)],
        "licenses": [{"license": {"id": "MIT"}}],
    }


def _sha256(path: Path) -> dict[str, str]:
    return {"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}
