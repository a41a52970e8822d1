"""What the figures mean, on numbers that can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.core.recognition import Recognised
from agent.evaluation.groups import probably_east_asian
from agent.evaluation.open_set import Trials, row
from agent.evaluation.stats import by_person95, interval95, upper95, upper95_over
from agent.evaluation.verification import by_group, verification
from agent.evaluation.walkups import walk_ups


def _trials(*each: tuple[float, bool, str]) -> Trials:
    return Trials([d for d, _, _ in each], [r for _, r, _ in each], [p for _, _, p in each], [0] * len(each))


def test_open_set_counts_wrong_names_as_refused_and_near_strangers_as_let_in() -> None:
    residents = _trials((0.2, True, "a"), (0.2, False, "b"), (0.9, True, "c"), (0.4, True, "d"))
    strangers = _trials(*[(0.3 if n == 0 else 0.95, False, f"s{n}") for n in range(10)])
    found = row(residents, strangers, 0.01, np.array([0.5]))
    assert found["fnir"] == 0.5  # b was taken for somebody else, c was too far
    assert found["fpir"] == 0.1
    assert found["residents"] == 4
    assert found["strangers_tried"] == 10


def test_each_draw_is_judged_by_its_own_bound() -> None:
    strangers = Trials([0.3, 0.3], [False, False], ["s", "t"], [0, 1])
    found = row(_trials((0.1, True, "a")), strangers, 0.01, np.array([0.2, 0.5]))
    assert found["fpir"] == 0.5


@pytest.mark.parametrize(("hits", "tried", "expected"), [(0, 10, 0.2589), (0, 493, 0.00606), (10, 10, 1.0), (0, 0, 1)])
def test_upper_bounds_are_clopper_and_pearsons(hits: int, tried: int, expected: float) -> None:
    assert upper95(hits, tried) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize(
    ("units", "hits", "tried", "same_as"),
    [(45, 0, 493, (0, 45)), (45, 1, 493, (1, 45)), (9, 9, 9, (9, 9)), (10, 50, 100, (5, 10)), (10, 0, 0, (0, 0))],
)
def test_a_bound_over_units_never_takes_frames_for_observations(
    units: int, hits: int, tried: int, same_as: tuple[int, int]
) -> None:
    """Ten attempts at one print are one print: the bound is that of so many prints, with the share rounded up."""
    assert upper95_over(units, hits, tried) == upper95(*same_as)


def test_verification_by_group_reads_both_groups_at_one_similarity() -> None:
    """Two people of one group who are alike are false accepts of that group alone."""
    names = ["Zhang_Li", "Zhang_Li", "Wang_Wei", "Wang_Wei", "Ann_Lee", "Ann_Lee", "Bob_Ray", "Bob_Ray"]
    axes = [0, 0, 0, 0, 1, 1, 2, 2]
    vectors = {Path(f"{n}"): np.eye(3, dtype=np.float32)[axis] for n, axis in enumerate(axes)}
    folds = [((Path("4"), Path("5"), True), (Path("4"), Path("6"), False), (Path("0"), Path("2"), False))]
    rows = {row["group"]: row for row in by_group(folds, vectors, names)}
    assert rows["others"]["accuracy"] == 1.0
    assert rows["East-Asian-named"]["accuracy"] == 0.0
    assert (rows["others"]["people"], rows["others"]["pairs"]) == (2, 2)


def test_an_interval_over_people_is_wider_than_one_over_pictures() -> None:
    """One person who fails ten times is one observation, not ten."""
    failed, tried = np.array([10.0] + [0.0] * 9, np.float32), np.full(10, 10.0, np.float32)
    by_person, by_picture = by_person95(failed, tried), interval95(10, 100)
    assert by_person[1] - by_person[0] > by_picture[1] - by_picture[0]


def test_verification_takes_its_bound_from_the_other_folds() -> None:
    """Nine of ten pairs are clear, one is as far apart as strangers: by the other fold's bound it alone is wrong."""
    here = {Path(f"{person}{n}"): vector for person, n, vector in _pictures()}
    fold = tuple((Path(f"{p}0"), Path(f"{p}1"), True) for p in "abcde") + tuple(
        (Path(f"{one}0"), Path(f"{other}0"), False) for one, other in zip("abcde", "bcdea", strict=True)
    )
    names = [path.name[0] for path in here]
    assert verification([fold, fold], here, names)["accuracy"] == 0.9
    assert verification([], {}, [])["accuracy"] is None


def test_a_set_without_pairs_of_two_people_has_no_rate_rather_than_an_error() -> None:
    here = {Path(f"{person}{n}"): vector for person, n, vector in _pictures()}
    found = verification([((Path("a0"), Path("a1"), True),)], here, [path.name[0] for path in here])
    assert found["tar_at_far_1e3"] is None


def _pictures() -> list[tuple[str, int, np.ndarray]]:
    rows = []
    for number, person in enumerate("abcde"):
        for picture in (0, 1):
            vector = np.zeros(8, np.float32)
            vector[number if not (person == "e" and picture) else 7] = 1.0  # e's second picture is like nobody's
            rows.append((person, picture, vector))
    return rows


def test_a_walk_up_lasts_three_seconds_at_most_and_is_never_shorter_than_asked() -> None:
    found = list(walk_ups("p", range(100, 140), every=3, shortest=9))
    assert found[0].rows == range(100, 130)
    assert all(9 <= len(one.rows) <= 30 and one.rows.stop <= 140 for one in found)
    assert [one.rows.start for one in found][:3] == [100, 103, 106]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Zhang_Ziyi", True), ("Junichiro_Koizumi", True), ("Lee_Tae-sik", True), ("Bruce_Lee", False), ("Ann_Li", False),
     ("Colin_Powell", False), ("Abdullah", False)],
)  # fmt: skip
def test_the_guess_at_a_group_follows_family_names(name: str, expected: bool) -> None:  # noqa: FBT001  a table
    assert probably_east_asian(name) is expected


def test_only_a_match_counts_as_let_in() -> None:
    from agent.evaluation.attacks import _opens

    assert _opens(Recognised("p", needs_phone=False, receipt={}))
    assert not _opens(Recognised("p", needs_phone=True, receipt={}))
