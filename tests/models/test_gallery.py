"""The gallery: exact nearest people, whatever was added and removed before, and never two networks in one."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import gallery as module
from models.errors import TemplateMixError
from models.gallery import RIVALS, SHARE, Gallery, Match
from models.scale import Scale
from models.template import Template

DIM = 16
_AT_FIRST = 40  # more than are ever named as neighbours


def _vectors(count: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _template(vector: np.ndarray) -> Template:
    return Template(vector, "net", "cut")


def _gallery(dim: int = DIM) -> Gallery:
    return Gallery(model_id="net", alignment_id="cut", dim=dim)


def _by_hand(people: dict[str, list[np.ndarray]], probe: np.ndarray) -> Match | None:
    means = {person: np.sum(vectors, axis=0) for person, vectors in people.items()}
    rows = {person: mean / np.linalg.norm(mean) for person, mean in means.items()}
    if not rows:
        return None
    best = max(rows, key=lambda person: float(rows[person] @ probe))
    others, crowd = (
        sorted(((float(row @ near), person) for person, row in rows.items() if person != best), reverse=True)[:10]
        for near in (probe, rows[best])
    )
    means_of = [float(np.mean([near for near, _ in one])) for one in (others, crowd) if one]
    cohort = sum(max(0.0, mean) for mean in means_of) / 2
    rivals = tuple((person, near) for near, person in others[:3])
    return Match(best, float(rows[best] @ probe), rivals, cohort, len(others))


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "settle"]), st.integers(0, 30)), max_size=80))
@settings(max_examples=60, deadline=None)
def test_after_any_changes_a_search_finds_what_comparing_one_by_one_finds(steps: list[tuple[str, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LARGE", 12)  # small enough for the coarse index to take part
        gallery, people = _gallery(), {}
        vectors = _vectors(200)
        for number, (step, who) in enumerate(steps):
            person = f"p{who}"
            if step == "add":
                gallery.add(person, _template(vectors[number]))
                people.setdefault(person, []).append(vectors[number])
            elif step == "remove":
                assert gallery.remove(person) == (people.pop(person, None) is not None)
            else:
                gallery.settle()
            for probe in (vectors[150], vectors[150] + vectors[number]):  # what they leave behind must not be believed
                gallery.search(probe)
        expected, found = _by_hand(people, vectors[150]), gallery.search(vectors[150])
        assert len(gallery) == len(people)
        assert gallery.template_count == sum(map(len, people.values()))
        if expected is None or found is None:
            assert expected is found
            return
        assert gallery.nearest(vectors[150]) == expected.person_id
        assert (found.person_id, found.cohort_size) == (expected.person_id, expected.cohort_size)
        assert found.similarity == pytest.approx(expected.similarity, abs=1e-5)
        assert [person for person, _ in found.rivals] == [person for person, _ in expected.rivals]
        assert [near for _, near in found.rivals] == pytest.approx([near for _, near in expected.rivals], abs=1e-5)
        assert found.cohort_similarity == pytest.approx(expected.cohort_similarity, abs=1e-5)


def test_a_baseline_moves_the_numbers_and_never_the_order() -> None:
    """A network whose strangers have a cosine of 0.8 is read on the same scale as one whose strangers have 0."""
    vectors, probe = _vectors(50), _vectors(1, seed=9)[0]
    plain, moved = _gallery(), Gallery(model_id="net", alignment_id="cut", dim=DIM, scale=Scale(0.3))
    for number, vector in enumerate(vectors):
        plain.add(str(number), _template(vector))
        moved.add(str(number), _template(vector))
    one, other = plain.search(probe), moved.search(probe)
    assert one is not None
    assert other is not None
    assert one.person_id == other.person_id
    assert other.similarity == pytest.approx((one.similarity - 0.3) / 0.7, abs=1e-5)


def test_the_clearer_two_faces_are_the_more_alike_they_must_be() -> None:
    """The probe's clarity and the best person's, the mean of his templates, move the distance; never who is nearest."""
    vectors, probe = _vectors(50), _vectors(1, seed=9)[0]
    plain, weighed = _gallery(), Gallery(model_id="net", alignment_id="cut", dim=DIM, scale=Scale(clarity_weight=0.15))
    for number, vector in enumerate(vectors):
        for length in (0.7, 0.9):
            plain.add(str(number), _template(vector * np.float32(length)))
            weighed.add(str(number), _template(vector * np.float32(length)))
    usual = plain.search(probe)
    assert usual is not None
    for length in (0.85, 1.0, 1.25):
        found = weighed.search(probe * np.float32(length))
        assert found is not None
        assert found.person_id == usual.person_id
        assert [person for person, _ in found.rivals] == [person for person, _ in usual.rivals]
        assert found.similarity == pytest.approx(usual.similarity, abs=1e-5)
        owed = 2 * SHARE * (found.cohort_similarity - usual.cohort_similarity)
        assert owed == pytest.approx(0.15 * (length + 0.8 - 2), abs=1e-5)


def test_somebody_enrolled_unclearly_is_as_unclear_after_others_came_and_went() -> None:
    gallery = Gallery(model_id="net", alignment_id="cut", dim=DIM, scale=Scale(clarity_weight=0.15))
    vectors, lengths = _vectors(300), np.linspace(0.7, 1.3, 300, dtype=np.float32)
    for number, vector in enumerate(vectors):
        gallery.add(str(number), _template(vector * lengths[number]))
    for number in range(0, 300, 3):
        gallery.remove(str(number))
    kept = {person: float(np.linalg.norm(row)) for person, row in zip(gallery.people, gallery.matrix, strict=True)}
    assert kept == pytest.approx({str(n): lengths[n] for n in range(300) if n % 3}, abs=1e-5)


def _turned(vector: np.ndarray, similarity: float, seed: int) -> np.ndarray:
    """A unit vector of this cosine to another one."""
    aside = _vectors(1, seed, len(vector))[0]
    aside -= (aside @ vector) * vector
    return np.asarray(similarity * vector + np.sqrt(1 - similarity**2) * aside / np.linalg.norm(aside), np.float32)


@pytest.mark.parametrize("family", [2, 3, 4])
@pytest.mark.parametrize("others", [0, 1, 8, 100])
def test_twins_know_of_each_other_in_a_house_of_any_size_and_do_not_push_each_other_away(family: int, others: int):
    """The look-alike is named with its distance, and counts in no cohort: in a small house it would be all of it."""
    gallery, dim = _gallery(256), 256
    face = _vectors(1, seed=50, dim=dim)[0]
    for number, vector in enumerate(_vectors(others, seed=51, dim=dim)):
        gallery.add(f"other-{number}", _template(vector))
    alone = gallery.look_alikes(face, 0.6)
    for number in range(family):
        gallery.add(f"twin-{number}", _template(_turned(face, 0.9, seed=60 + number)))
    assert alone == ()
    if family <= RIVALS:  # the face is one more of them; a fifth would count as what is usual here
        assert {one.person_id for one in gallery.look_alikes(face, 0.6)} == {f"twin-{n}" for n in range(family)}
    before = gallery.search(face)
    gallery.look_alike_distance = 0.6
    match = gallery.search(face)
    assert before is not None
    assert match is not None
    assert before.look_alike is None
    assert match.look_alike is not None
    assert match.look_alike.person_id.startswith("twin-")
    assert match.look_alike.match_distance < 0.4
    assert match.cohort_similarity < 0.2
    assert match.cohort_size == min(10, others)


def test_who_has_no_look_alike_any_more_is_told_so():
    gallery = _gallery(256)
    face = _vectors(1, seed=50, dim=256)[0]
    for number, vector in enumerate([face, _turned(face, 0.9, 61), *_vectors(20, seed=51, dim=256)]):
        gallery.add(f"p{number}", _template(vector))
    gallery.look_alike_distance = 0.6
    assert [one.person_id for one in gallery.look_alikes(face, 0.6, apart_from="p0")] == ["p1"]
    assert gallery.look_alikes(_vectors(1, seed=51, dim=256)[0], 0.6, apart_from="p2") == ()
    gallery.remove("p1")
    match = gallery.search(face)
    assert match is not None
    assert match.look_alike is None
    assert match.cohort_size == 10


@pytest.mark.parametrize("made_by", [("other", "cut"), ("net", "other")])
def test_templates_of_another_network_or_alignment_raise(made_by: tuple[str, str]) -> None:
    with pytest.raises(TemplateMixError, match="enrol this person again"):
        _gallery().add("p", Template(_vectors(1)[0], *made_by))


def test_a_template_of_another_length_raises() -> None:
    with pytest.raises(TemplateMixError):
        _gallery().add("p", _template(_vectors(1, dim=8)[0]))


def test_a_removed_persons_numbers_are_overwritten() -> None:
    """Withdrawn consent leaves nothing in memory that could be matched or read."""
    gallery = _gallery()
    vectors = _vectors(3)
    for number, vector in enumerate(vectors):
        gallery.add(f"p{number}", _template(vector))
    gallery.remove("p1")
    assert not any(np.allclose(row, vectors[1]) for row in gallery._rows)
    gallery.remove("p0")
    gallery.remove("p2")
    assert not gallery._rows.any()
    assert gallery.search(vectors[0]) is None


@given(
    st.lists(st.tuples(st.sampled_from(["add", "remove", "settle", "bound"]), st.integers(0, 45)), max_size=20),
    st.floats(0.2, 1.6),
)
@settings(max_examples=40, deadline=None)
def test_what_is_kept_of_earlier_searches_says_what_a_new_gallery_says(
    steps: list[tuple[str, int]], distance: float
) -> None:
    """A person's neighbours are looked for once and kept while people come and go who do not concern him."""
    vectors = _vectors(140, dim=4)  # so few numbers that many are near each other
    people = {f"p{number}": [vector] for number, vector in enumerate(vectors[:_AT_FIRST])}
    kept = _house(people, distance)
    for probe in vectors[130:]:
        kept.search(probe)
    for number, (step, who) in enumerate(steps):
        person = f"p{who}"
        if step == "add":
            kept.add(person, _template(vectors[_AT_FIRST + number]))
            people.setdefault(person, []).append(vectors[_AT_FIRST + number])
        elif step == "remove":
            kept.remove(person)
            people.pop(person, None)
        elif step == "bound":
            kept.look_alike_distance = distance + (who - 20) / 100
        else:
            kept.settle()
        fresh = _house(people, kept.look_alike_distance)
        for probe in vectors[130:]:
            _same(kept.search(probe), fresh.search(probe))


def _house(people: dict[str, list[np.ndarray]], distance: float) -> Gallery:
    gallery = _gallery(4)
    gallery.look_alike_distance = distance
    for name, templates in people.items():
        for vector in templates:
            gallery.add(name, _template(vector))
    return gallery


def _same(one: Match | None, other: Match | None) -> None:
    if one is None or other is None:
        assert one is other
        return
    assert (one.person_id, one.cohort_size) == (other.person_id, other.cohort_size)
    assert one.cohort_similarity == pytest.approx(other.cohort_similarity, abs=1e-4)
    alike = [match.look_alike and match.look_alike.person_id for match in (one, other)]
    assert alike[0] == alike[1]
    if one.look_alike and other.look_alike:
        assert one.look_alike.match_distance == pytest.approx(other.look_alike.match_distance, abs=1e-4)


@pytest.mark.alone
@pytest.mark.slow
def test_a_settled_search_of_a_hundred_thousand_people_is_much_faster_than_the_plain_product() -> None:
    """A ratio in one run, and the same people are found."""
    gallery, vectors = _gallery(256), _vectors(100_000, dim=256)
    for number, vector in enumerate(vectors):
        gallery.add(str(number), _template(vector))
    probes = vectors[:20] + 0.1 * vectors[20:40]
    plain = [gallery.search(probe) for probe in probes]
    plain_s = min(_seconds(gallery, probe) for probe in probes)
    gallery.settle()
    assert [found and found.person_id for found in map(gallery.search, probes)] == [
        found and found.person_id for found in plain
    ]
    assert min(_seconds(gallery, probe) for probe in probes) < 0.7 * plain_s


def _seconds(gallery: Gallery, probe: np.ndarray) -> float:
    began_s = time.process_time()
    gallery.search(probe)
    return time.process_time() - began_s
