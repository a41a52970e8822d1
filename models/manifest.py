"""The manifest: which networks are known, and the only bytes that are accepted for each."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from models.errors import ModelFileError
from models.prior import Prior

Part = Literal["detector", "embedder", "liveness"]


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of a network. Exactly one of `url` and `package` says where it is published."""

    name: str
    bytes: int
    sha256: str
    url: str = ""
    package: str = ""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One network. `alignment` to `calibration` matter for embedders only."""

    name: str
    part: Part
    loader: str
    rank: int
    licence: str
    publisher: str
    files: tuple[WeightFile, ...]
    alignment: str = ""
    colour: Literal["bgr", "rgb"] = "bgr"
    metric: Literal["cosine"] = "cosine"
    mirror: bool = False
    same_person: float = 1.0
    baseline: float = 0.0
    usual_length: float | None = None
    clarity_weight: float = 0.0
    reference: tuple[float, ...] = ()
    reference_tolerance: float = 1e-3
    calibration: Prior | None = None  # without one nobody is recognised before 100 people are enrolled
    recommended: bool = True  # an installer is told when it is missing


def parse(text: str) -> tuple[ModelEntry, ...]:
    """Entries of a manifest, best rank first. Raises ModelFileError where the text is not a manifest."""
    try:
        entries = [_entry(row) for row in tomllib.loads(text)["model"]]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ModelFileError(f"the model manifest cannot be read: {error!r}") from error
    return tuple(sorted(entries, key=lambda entry: entry.rank))


def _entry(row: dict[str, Any]) -> ModelEntry:
    if row.get("metric", "cosine") != "cosine":
        raise ModelFileError(
            f"network {row.get('name')}: metric {row['metric']!r} is not known; vectors are compared by cosine alone"
        )
    made = {
        "files": tuple(WeightFile(**one) for one in row["files"]),
        "reference": tuple(row.get("reference", ())),
        "calibration": Prior(**row["calibration"]) if "calibration" in row else None,
    }
    return ModelEntry(**{**row, **made})


@cache
def known() -> tuple[ModelEntry, ...]:
    """The project's own manifest, best rank first."""
    return parse(resources.files("models").joinpath("manifest.toml").read_text(encoding="utf-8"))


def entry(name: str) -> ModelEntry:
    """The entry of this name; the error lists the names there are."""
    for one in known():
        if one.name == name:
            return one
    raise ModelFileError(f"no network is called {name!r}; known are {', '.join(one.name for one in known())}")
