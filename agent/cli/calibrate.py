"""door-agent calibrate: what this site's own people say about how near a face must be."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import DEFAULT_CONFIG, add_command, print_json

if TYPE_CHECKING:
    from agent.config import Config
    from agent.residents import Residents
    from models.calibration import Calibration
    from models.gallery import Gallery
    from models.pipeline import Pipeline

RATES = (0.01, 0.003, 0.001, 3e-4, 1e-4, 3e-5)
_LOOK_ALIKES = 20


@dataclass(frozen=True, slots=True)
class Site:
    """The roster of a configuration (nobody, without one), and what it is recognised with."""

    config: Config | None
    pipeline: Pipeline
    gallery: Gallery
    calibration: Calibration
    roster_epoch: int


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    add_command(subparsers, "calibrate", "Show the bound that follows from the people enrolled here.")


def run(arguments: argparse.Namespace) -> int:
    """0 done; 3 the configuration is wrong; 4 the roster cannot be used; 6 no face models."""
    site = read_site(arguments.config)
    report = _report(site)
    if arguments.json:
        print_json(report)
        return 0
    print(_words(report["calibration"]))
    print("\nshare of strangers let in   largest distance of a match")
    for point in report["curve"]:
        print(f"{point['fpir']:25.5%}   {point['max_match_distance']:.3f}")
    if report["look_alikes"]:
        print("\nalready nearer to each other than a match may be; they should use face and phone:")
    for pair in report["look_alikes"]:
        print(f"  {pair['person']} and {pair['other']} ({pair['match_distance']:.3f})")
    return 0


def read_site(path: str) -> Site:
    """The site of a configuration file. Without one at the default place: an empty roster and default numbers."""
    from agent.config import load
    from agent.site_network import load_for, pipeline_settings
    from models.calibration import fit_gallery

    config = load(path) if path != DEFAULT_CONFIG or Path(path).exists() else None
    with _residents(config) as residents:
        pipeline = load_for(pipeline_settings(config), residents.view.networks if residents is not None else {})
        gallery, epoch = _gallery(residents, pipeline)
    return Site(config, pipeline, gallery, fit_gallery(gallery), epoch)


@contextlib.contextmanager
def _residents(config: Config | None) -> Iterator[Residents | None]:
    from agent.residents import Residents
    from agent.roster.store import RosterStore

    if config is None or not (Path(config.store.state_dir) / "roster.db").exists():
        yield None
        return
    with contextlib.closing(RosterStore(Path(config.store.state_dir))) as store:
        yield Residents(store)


def _gallery(residents: Residents | None, pipeline: Pipeline) -> tuple[Gallery, int]:
    import numpy as np

    from models.template import Template

    gallery, net = pipeline.gallery(), pipeline.embedder
    if residents is None:
        return gallery, 0
    for row in residents.store.templates(net.model_id, net.alignment_id, unreadable=set()):
        gallery.add(row.person_id, Template(np.frombuffer(row.vector, "<f4"), net.model_id, net.alignment_id))
    return gallery, residents.roster.epoch


def _report(site: Site) -> dict[str, Any]:
    people = len(site.gallery)
    curve = [
        {"fpir": rate, "max_match_distance": round(site.calibration.max_match_distance(rate, people), 4)}
        for rate in RATES
    ]
    return {
        "engine": site.pipeline.engine,
        "roster_epoch": site.roster_epoch,
        "calibration": asdict(site.calibration),
        "curve": curve,
        "look_alikes": _look_alikes(site, curve[0]["max_match_distance"]),
    }


def _look_alikes(site: Site, limit: float) -> list[dict[str, Any]]:
    """Pairs that would pass for each other at the loosest bound, nearest first; the first few of them."""
    from models.calibration import nearest_others

    names = site.gallery.people
    found: dict[tuple[str, ...], float] = {}
    for row, (other, relative) in enumerate(nearest_others(site.gallery.matrix, site.gallery.scale)):
        pair = tuple(sorted((names[row], names[other])))
        found[pair] = min(1.0 - relative, found.get(pair, 2.0))
    near = sorted((distance, pair) for pair, distance in found.items() if distance <= limit)
    return [
        {"person": one, "other": other, "match_distance": round(distance, 4)}
        for distance, (one, other) in near[:_LOOK_ALIKES]
    ]


def _words(calibration: dict[str, Any]) -> str:
    people, pictures = calibration["people"], calibration["pictures"]
    head = f"{people} people enrolled, {pictures:.1f} pictures each; calibration {calibration['version']}: "
    match calibration["method"]:
        case "prior":
            return head + "too few to calibrate on (30 are needed), so the safe prior of this network is used"
        case "none":
            return head + "nobody has measured this network; faces open nothing until 100 people are enrolled"
        case _:
            own = calibration["weight"]
            return head + f"{own:.0%} from these people's resemblance to each other, the rest from the safe prior"
