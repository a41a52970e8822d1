"""What the flood's figures say: a slow-down with its interval, never more than the rounds show."""

from tests.attack.flood import slower


def test_a_slow_down_is_told_with_its_interval_and_judged_by_that_alone():
    """A median that looks fine in four noisy rounds shows nothing; the same in many steady ones does."""
    steady = [(200.0 + n % 5, 206.0 + n % 5) for n in range(40)]
    told = slower(steady)
    low, high = told["slower_percent_95"]
    assert low <= told["slower_percent"] <= high < 10.0
    assert told["below_bound"] is True
    assert slower([(210.0, 390.0), (180.0, 190.0), (390.0, 200.0), (240.0, 260.0)])["below_bound"] is None
    assert slower([(quiet, with_junk * 1.5) for quiet, with_junk in steady])["below_bound"] is False
    assert slower([]) == {"slower_percent": None, "slower_percent_95": None, "below_bound": None}
