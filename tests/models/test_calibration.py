"""The bound is safe on made-up populations, leans on the prior while people are few, and costs little."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from models import calibration
from models.calibration import fit, fit_gallery, fit_in_steps, strangeness, without_doubles
from models.gallery import Gallery
from models.manifest import entry
from models.template import Template

NET = "reid0095"
SHARE = 1.4


def _population(people: int, seed: int = 0, dim: int = 64) -> np.ndarray:
    """Unit vectors in five families of different size that resemble each other more than the rest."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(5, dim))
    family = rng.choice(5, people, p=(0.4, 0.3, 0.2, 0.07, 0.03))
    vectors = rng.normal(size=(people, dim)) + 0.45 * centres[family]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _gallery(vectors: np.ndarray) -> Gallery:
    gallery = Gallery(model_id=NET, alignment_id="cut", dim=vectors.shape[1])
    for number, vector in enumerate(vectors):
        gallery.add(f"p{number}", Template(vector, NET, "cut"))
    return gallery


def _distance(gallery: Gallery, vector: np.ndarray) -> float:
    found = gallery.search(vector)
    return 1 - found.similarity + SHARE * found.cohort_similarity


@pytest.mark.parametrize("people", [40, 100, 500, 1500])
@pytest.mark.parametrize("rate", [0.01, 0.001])
def test_strangers_from_the_same_town_stay_within_the_stated_rate(people, rate):
    everybody = _population(people + 4000, seed=people)
    gallery, strangers = _gallery(everybody[:people]), everybody[people:]
    bound = fit(gallery.matrix, model_id=NET, pictures=1).max_match_distance(rate, people)
    let_in = np.mean([_distance(gallery, vector) <= bound for vector in strangers[:: 1 if rate < 0.01 else 4]])
    assert let_in <= rate


def test_strangeness_is_the_distance_that_the_gallery_finds_without_that_person():
    """What the bound is read from is exactly what the door will compare with it."""
    vectors = _population(40)
    gallery = _gallery(vectors)
    for number in range(40):
        gallery.remove(f"p{number}")
        assert 1 - strangeness(vectors)[number] == pytest.approx(_distance(gallery, vectors[number]), abs=1e-5)
        gallery.add(f"p{number}", Template(vectors[number], NET, "cut"))


def test_the_same_bound_comes_in_small_steps_whatever_happens_to_the_gallery_meanwhile():
    """Somebody before the camera of a door of 2,000 people must not wait for all of them to be compared."""
    people = _population(2500)
    at_once, taken, values, steps = fit(people, model_id=NET), people.copy(), [], 0

    def work():
        values.append((yield from fit_in_steps(taken, model_id=NET)))

    for _ in work():
        taken[:] = 0
        steps += 1
    assert values == [at_once]
    assert steps >= 3 * 20  # three times everybody with everybody, a hundred people in a step


def test_a_stricter_rate_is_a_nearer_bound():
    calibration = fit(_population(200), model_id=NET)
    bounds = [calibration.max_match_distance(rate, 200) for rate in (0.1, 0.01, 0.001, 1e-4, 1e-6, 0.0)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] == bounds[-2] > 0


def test_few_people_are_judged_by_the_prior_and_more_people_less_strictly():
    calibrations = [fit(_population(people), model_id=NET) for people in (0, 1, 5, 29)]
    assert {one.method for one in calibrations} == {"prior"}
    bounds = [one.max_match_distance(0.001, one.people) for one in calibrations]
    assert bounds == sorted(bounds)
    assert bounds[0] == bounds[1] == bounds[2]
    assert fit(_population(30), model_id=NET).method == "roster"


def test_several_pictures_a_person_ask_for_a_nearer_face():
    one, three = (fit(_population(200), model_id=NET, pictures=pictures) for pictures in (1, 3))
    assert three.max_match_distance(0.01, 200) < one.max_match_distance(0.01, 200)


def test_a_network_that_was_never_measured_opens_nothing_until_the_roster_can_speak_for_it():
    few, many = (fit(_population(people), model_id="unheard-of") for people in (99, 105))  # a few may count as doubles
    assert (few.method, few.max_match_distance(0.01, 99)) == ("none", 0.0)
    assert many.method == "roster"
    assert 0 < many.max_match_distance(0.01, 105) < 1


def test_twins_in_the_roster_hardly_move_the_bound():
    """They have a rule of their own (look-alikes); at their own distance of 0.6 nobody else would get in."""
    vectors = _population(200)
    twin = vectors[:1] + 0.03 * _population(1, seed=7)
    with_twins = np.concatenate([vectors, twin / np.linalg.norm(twin)])
    without, including = (fit(rows, model_id=NET).max_match_distance(0.001, 200) for rows in (vectors, with_twins))
    assert including == pytest.approx(without, abs=0.06)


@pytest.mark.parametrize("net", [NET, "unheard-of"])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 1.0])
def test_people_who_are_enrolled_twice_do_not_close_the_door_to_everybody(net: str, share: float):
    """Two of a hundred used to cost 0.2 of the bound, five opened it to nobody: each was read as a stranger so near."""
    people = _population(200)
    again = people[: round(200 * share)] + 0.04 * _population(round(200 * share), seed=9)
    both = np.concatenate([people, again / np.linalg.norm(again, axis=1, keepdims=True)]).astype(np.float32)
    clean, doubled = (fit(rows, model_id=net) for rows in (people, both))
    for rate in (0.01, 0.001, 1e-4):
        assert doubled.max_match_distance(rate, 200) == pytest.approx(clean.max_match_distance(rate, 200), abs=0.02)
    assert (doubled.method, doubled.people) == ("roster", len(both))


def test_who_is_enrolled_twice_counts_once_towards_the_people_that_a_tail_is_read_off():
    people = _population(20)
    twice = np.concatenate([people, people + 0.02 * _population(20, seed=9)])
    twice = (twice / np.linalg.norm(twice, axis=1, keepdims=True)).astype(np.float32)
    assert fit(twice, model_id=NET).method == "prior"
    assert len(without_doubles(twice, model_id=NET, pictures=3)) == 20
    assert len(without_doubles(people, model_id=NET, pictures=3)) == 20


def test_the_version_names_the_numbers():
    vectors = _population(100)
    assert fit(vectors, model_id=NET).version == fit(vectors.copy(), model_id=NET).version
    assert fit(vectors, model_id=NET).version != fit(vectors[:-1], model_id=NET).version


@pytest.mark.alone
def test_a_hundred_thousand_people_cost_no_more_than_two_thousand():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((100_000, 64), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    fit(rows[:2000], model_id=NET)
    started_s = time.process_time()
    calibration = fit(rows, model_id=NET)
    assert time.process_time() - started_s < 3.0
    assert calibration.people == 100_000


@pytest.mark.parametrize(("net", "always", "besides"), [("dlib-resnet", 0.06, 0.0), ("reid0095", 0.0, 0.02)])
def test_one_picture_a_person_is_judged_more_strictly_as_the_network_needs_it(monkeypatch, net, always, besides):
    """With dlib's network always, with reid0095 where several frames of a stranger meet the one picture."""
    people, rates = _population(200), (0.01, 0.001)

    def bounds(pictures: float, *frames: float) -> np.ndarray:
        fitted = fit(people, model_id=net, pictures=pictures)
        return np.array([fitted.max_match_distance(rate, 200, *frames) for rate in rates])

    one_frame, one, several = bounds(1, 1), bounds(1), bounds(3)
    assert np.array_equal(one, bounds(1, 3))  # what a door decides on, if nobody says otherwise
    assert np.array_equal(several, bounds(3, 1))
    known = entry(net)
    lenient = replace(known, calibration=replace(known.calibration, one_picture=0.0, many_frames=0.0))
    monkeypatch.setattr(calibration, "known", lambda: (lenient,))
    assert bounds(1) - one == pytest.approx(always + besides)
    assert bounds(1) - one_frame == pytest.approx(always)
    assert bounds(3) == pytest.approx(several)


def test_some_of_very_many_people_give_the_bound_that_all_of_them_give():
    """What the vision process hands over, so that no copy of everybody holds up a frame."""
    gallery = _gallery(_population(2500))
    some = fit_gallery(gallery)
    assert some == fit(gallery.matrix, model_id=NET, pictures=1)
    assert some.people == 2500
