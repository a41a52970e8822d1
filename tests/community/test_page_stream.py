"""The manager's page that does not keep up with its stream, or comes to another run of its server."""

import pytest

from agent.core.events import Kind
from deploy.community.news import News
from deploy.community.office import Role


@pytest.mark.parametrize("missed", ["more than is kept", "another run of the server"])
def test_a_page_that_missed_something_is_sent_away_to_begin_anew(page, missed):
    """That a door went offline was in what fell out: it stood there as connected until somebody reloaded the page."""
    client = page.signed_in(Role.VIEWER)
    number = page.feed.snapshot()["number"]
    if missed == "more than is kept":
        page.feed.add(News("state", "s1/d2", {"online": False}))
        for n in range(600):
            page.event(n, Kind.DOORBELL)
    else:
        number += 5000
    answer = client.ask("GET", f"/api/stream?after={number}")
    assert (answer.status, answer.text.strip()) == (200, "retry: 2000")
