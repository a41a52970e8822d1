"""door-agent explain thresholds: from the operator's numbers to the bound, in words."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_command, print_json
from agent.command_line import above_zero

if TYPE_CHECKING:
    from agent.cli.calibrate import Site

_SIZES = (5, 20, 100, 500, 1000)
_DAYS = 365


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(subparsers, "explain", "Explain how near a face must be at this door, and why.")
    parser.add_argument("what", choices=("thresholds",), help="thresholds: the bound and everything it follows from")
    for number in ("--strangers-per-year", "--stranger-passages-per-day"):
        parser.add_argument(number, type=above_zero, metavar="X", help="instead of the configured number")


def run(arguments: argparse.Namespace) -> int:
    """0 done; 3 the configuration is wrong; 4 the roster is unusable; 6 no face models."""
    from agent.cli.calibrate import read_site

    site = read_site(arguments.config)
    faces = site.config.faces if site.config is not None else None
    per_year = _number(arguments.strangers_per_year, faces.strangers_per_year if faces else 1.0)
    per_day = _number(arguments.stranger_passages_per_day, faces.stranger_passages_per_day if faces else 20.0)
    report = _report(site, per_year, per_day)
    if arguments.json:
        print_json(report)
    else:
        _print(report)
    return 0


def _number(given: float | None, configured: float) -> float:
    return configured if given is None else given


def _report(site: Site, per_year: float, per_day: float) -> dict[str, Any]:
    from agent.core.recognition import Level, rules_for, stranger_rate
    from agent.vision.facts import bound_of

    rate, people = stranger_rate(per_year, per_day), len(site.gallery)
    bound = bound_of(site.calibration, rate, site.gallery, site.roster_epoch, site.pipeline.embedder)
    level = Level(site.config.faces.policy) if site.config is not None else Level.STANDARD
    rules = rules_for(
        level,
        liveness_available=site.pipeline.liveness is not None,
        min_agreement=site.pipeline.embedder.same_person_similarity,
    )
    return {
        "configured": site.config is not None,
        "engine": site.pipeline.engine,
        "missing": site.pipeline.missing,
        "strangers_per_year": per_year,
        "stranger_passages_per_day": per_day,
        "fpir_target": rate,
        "expected_strangers_let_in_per_year": round(rate * per_day * _DAYS, 4),
        "roster_size": people,
        "max_match_distance": round(bound.max_match_distance, 4),
        "max_grey_distance": round(bound.max_grey_distance, 4),
        "max_look_alike_distance": round(bound.max_look_alike_distance, 4),
        "grey_target": bound.grey_target,
        "retries": _retries(site, rate),
        "model": bound.model,
        "calibration": asdict(site.calibration),
        "rules": {**asdict(rules), "level": str(rules.level)},
        "needs_phone": rules.needs_phone,
        "with_other_numbers": _others(site, rate),
    }


def _retries(site: Site, rate: float) -> dict[str, Any]:
    """How often one who is refused may look in again, and what that would come to if each look were a new chance."""
    from agent.config import Door

    door = site.config.door if site.config is not None else Door(site="none", id="none", lock_type="fail-safe")
    looks = door.lockout_refusals * 3600.0 / door.lockout_s
    return {
        "refusals": door.lockout_refusals,
        "pause_s": door.lockout_s,
        "looks_per_hour": round(looks, 1),
        "let_in_per_hour_at_most": round(1.0 - (1.0 - rate) ** looks, 5),
    }


def _others(site: Site, rate: float) -> list[dict[str, Any]]:
    """What the prior alone says for other roster sizes, and this roster for other rates."""
    from models.calibration import fit

    nobody = fit(site.gallery.matrix[:0], model_id=site.pipeline.embedder.model_id, pictures=3)
    sizes = [
        {"roster_size": size, "fpir_target": rate, "max_match_distance": nobody.max_match_distance(rate, size)}
        for size in _SIZES
    ]
    people = len(site.gallery)
    rates = [
        {
            "roster_size": people,
            "fpir_target": other,
            "max_match_distance": site.calibration.max_match_distance(other, people),
        }
        for other in (rate * 10, rate / 10)
    ]
    return [{**one, "max_match_distance": round(one["max_match_distance"], 4)} for one in (*sizes, *rates)]


def _print_retries(again: dict[str, Any]) -> None:
    one_in = 1 / max(again["let_in_per_hour_at_most"], 1e-9)
    print(
        f"That is for each passage. Who is refused may look in again: {again['refusals']} refusals in a row pause"
        f" faces for {again['pause_s']:g} s,\nso {again['looks_per_hour']:g} looks an hour at most. If each were a new"
        f" chance, one in {one_in:,.0f} who try for an hour would be let in.\nIt is not: four or five looks of one face"
        " came through about twice as often as one (models/EVALUATION.md).\n"
    )


def _print_phones(report: dict[str, Any]) -> None:
    if report["max_grey_distance"] > report["max_match_distance"]:
        print(
            f"From there to {report['max_grey_distance']:.3f} lies the grey zone: {report['grey_target']:.2%} of"
            " strangers come so near to somebody. There the face opens only together with\n"
            "the phone of the person it resembles; who holds somebody's phone resembles just that resident in 1 of"
            " 10,000 cases.\nAt a standard door the phone opens alone; the zone matters at high-security doors.\n"
        )
    print(
        f"Two people enrolled who are nearer to each other than {report['max_look_alike_distance']:.3f} are"
        " look-alikes: neither comes in by the face alone.\n`door-agent calibrate` lists them.\n"
    )


def _print(report: dict[str, Any]) -> None:
    rules, calibration = report["rules"], report["calibration"]
    if not report["configured"]:
        print("no configuration here: nobody enrolled, and the usual numbers")
    passages = report["stranger_passages_per_day"] * _DAYS
    print(
        f"You accept {report['strangers_per_year']:g} stranger(s) a year let in by mistake.\n"
        f"{report['stranger_passages_per_day']:g} strangers a day look into the camera, {passages:,.0f} a year,\n"
        f"so {report['fpir_target']:.4%} of them may be taken for somebody enrolled"
        f" (never more than 1 %): {report['expected_strangers_let_in_per_year']:g} expected a year.\n"
        f"With {report['roster_size']} people enrolled that is a match distance of at most"
        f" {report['max_match_distance']:.3f} (0: the same picture; the plain similarity counts less the more\n"
        f"everybody here looks alike). Calibration {calibration['version']}, method {calibration['method']},"
        f" {calibration['weight']:.0%} from your own people.\n"
    )
    _print_retries(report["retries"])
    _print_phones(report)
    print(
        f"Policy {rules['level']}: at least {rules['min_frames']} frames in a row must agree on the person, and in most"
        f" of them he must be nearer than anybody\nelse by {rules['min_margin']};"
        + (
            f" the face must look alive ({rules['min_liveness']} on average);"
            if rules["min_liveness"] is not None
            else " nothing checks for prints and screens;"
        )
        + f" after {rules['give_up_s']:g} s of usable frames the door gives up."
    )
    if report["needs_phone"]:
        print("The face alone does not open: the phone is needed as well.")
    print("\nroster   strangers let in   largest distance")
    for one in report["with_other_numbers"]:
        print(f"{one['roster_size']:6}   {one['fpir_target']:16.4%}   {one['max_match_distance']:.3f}")
    print(f"\n{report['engine']}")
    if report["missing"]:
        print(f"missing: {report['missing']}")
