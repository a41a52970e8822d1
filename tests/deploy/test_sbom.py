"""A bundle's bill: judged by CycloneDX's own schema, and nothing that a bundle carries is missing in it."""

import json
import zipfile
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource

from deploy.own_wheel import PROJECT
from deploy.sbom import SPEC, bill

SCHEMAS = Path(__file__).parent / "cyclonedx"


def problems(document: dict) -> list[str]:
    """What the specification's schema has against it."""
    schemas = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
    main = schemas[f"bom-{SPEC}.SNAPSHOT.schema.json"]
    base = main["$id"].rsplit("/", 1)[0]
    known = {f"{base}/{name}": Resource.from_contents(schema) for name, schema in schemas.items()}
    validator = jsonschema.Draft7Validator(main, registry=Registry().with_resources(known.items()))
    return [f"{list(error.absolute_path)}: {error.message[:200]}" for error in validator.iter_errors(document)]


def wheel(folder: Path, name: str, metadata: str) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"{name}-1.0.dist-info/METADATA", metadata)
    return path


@pytest.fixture
def document(tmp_path: Path, wheel_file: Path) -> dict:
    wheels = [
        wheel_file,
        wheel(tmp_path, "plain", "Name: plain\nVersion: 1.0\nLicense-Expression: MIT\n"),
        wheel(tmp_path, "old", "Name: old\nVersion: 1.0\nLicense: BSD License\n\twith a second line\n"),
        wheel(tmp_path, "silent", "Name: silent\nVersion: 1.0\n"),
    ]
    weights = [tmp_path / "face_detection_yunet_2023mar.onnx", tmp_path / "reid0095-aaaa-bbbb-v1.onnx"]
    for path in weights:
        path.write_bytes(b"net")
    return bill("door-agent", "0.1.0", wheels, weights, PROJECT / "models" / "manifest.toml")


def test_the_bill_is_one_by_the_specifications_own_schema(document):
    assert problems(json.loads(json.dumps(document))) == []


def test_a_bill_that_is_none_would_be_found(document):
    """The control: the schema is really asked."""
    document["components"][0]["type"] = "thing"
    del document["components"][1]["name"]
    assert len(problems(document)) >= 2


def test_everything_that_is_carried_stands_in_it_with_hash_and_licence(document):
    """Wheels, networks with what was converted from them, and the code that lies in a page of ours."""
    found = {one["name"]: one for one in document["components"]}
    assert {"door-agent", "plain", "old", "silent", "qrcode-generator", "reid0095-aaaa-bbbb-v1.onnx"} <= set(found)
    assert all(one["hashes"][0]["content"] for one in found.values())
    licences = {name: next(iter(one["licenses"][0]["license"].values())) for name, one in found.items()}
    assert licences["reid0095-aaaa-bbbb-v1.onnx"] == "Apache-2.0"
    assert licences["face_detection_yunet_2023mar.onnx"] == "MIT"
    assert licences["old"] == "BSD License"
    assert len({one["bom-ref"] for one in document["components"]}) == len(document["components"])
