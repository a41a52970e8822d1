"""Orders: written down before and after, all doors at once, doors that were away, Home Assistant's as well."""

import threading

import pytest

from agent.core.commands import Action
from deploy.community.database import SqliteConnection
from deploy.community.news import News
from deploy.community.office import Office, Role
from deploy.community.orders import Orders
from tests.community.manager_site import OPEN
from tests.stream.conftest import until

ALL = "/api/orders"
DOWN = {"action": "lock-down", "reason": "a stranger inside"}
UP = {"action": "release-lock-down", "reason": "over"}


@pytest.fixture
def many(page):
    """Forty doors, of which two are away."""
    for n in range(2, 41):
        page.door(f"garden/gate-{n}")
    page.away = {"garden/gate-7", "garden/gate-20"}
    for device in page.away:
        page.feed.add(News("state", device, {"online": False}))
    page.come_back = threading.Event()

    def order(device, action, actor, for_s):
        page.ordered.append((device, str(action), actor))
        if device in page.away:
            return {"stage": "not-sent", "reason": "the door is not connected or did not answer"}
        page.come_back.set()
        return {"stage": "done", "id": device}

    page.orders._order = order
    return page


def acts(page):
    return [(a.action, a.target, a.reason, a.outcome) for a in reversed(page.office.acts())]


def back(page, device):
    """The door says that it is there, and the order that waited has been answered."""
    page.away.discard(device)
    page.come_back.clear()
    state = News("state", device, {"online": True, "door": {"mode": "Locked"}})
    page.feed.add(state)
    page.orders.hear(state)


def test_a_lock_down_of_all_reaches_every_door_and_names_those_that_are_away(many):
    """Thirty orders a minute were the page's bound, and doors that were away were left out without a word."""
    client = many.signed_in(Role.MANAGER, "Lin")
    told = client.ask("POST", ALL, DOWN).json["answers"]
    assert {device for device, answer in told.items() if answer["stage"] == "done"} == set(told) - many.away
    assert {device for device, answer in told.items() if answer.get("waits")} == many.away
    assert len(told) == len(many.ordered) == 40
    assert acts(many)[1:] == [
        ("lock-down", "all doors", "a stranger inside", "asked"),
        ("lock-down", "all doors", "a stranger inside", "done 38; not-sent 2: garden/gate-20 garden/gate-7"),
    ]
    assert client.ask("POST", ALL, OPEN).status == 400
    assert many.signed_in(Role.VIEWER).ask("POST", ALL, DOWN).status == 403


def test_a_door_that_was_away_is_locked_down_when_it_is_back_and_the_record_says_so(many):
    many.signed_in(Role.MANAGER, "Lin").ask("POST", ALL, DOWN)
    assert many.feed.snapshot()["doors"]["garden/gate-7"]["waits"] == "lock-down"
    many.ordered.clear()
    back(many, "garden/gate-7")
    assert many.come_back.wait(5)
    until(lambda: [e for e in many.feed.after(0, 0) if e["type"] == "reply"], "the door's answer on the page")
    assert [order[:2] for order in many.ordered] == [("garden/gate-7", "lock-down")]
    assert acts(many)[-1] == ("lock-down", "garden/gate-7", "a stranger inside", "done")
    assert many.feed.snapshot()["doors"]["garden/gate-7"]["waits"] is None


def test_what_waits_outlives_a_restart_and_ends_with_the_lock_down(many):
    client = many.signed_in(Role.MANAGER, "Lin")
    client.ask("POST", ALL, DOWN)
    again = Office(SqliteConnection(many.folder / "managers.db"))
    Orders(many.order, again, many.feed)
    assert set(again.waiting()) == many.away
    client.ask("POST", ALL, UP)
    assert again.waiting() == {}
    many.ordered.clear()
    back(many, "garden/gate-7")
    assert many.ordered == []
    again.close()


def test_one_door_that_waits_can_be_let_off(many):
    client = many.signed_in(Role.MANAGER, "Lin")
    client.ask("POST", ALL, DOWN)
    client.ask("POST", "/api/doors/garden/gate-7/orders", UP)
    assert set(many.office.waiting()) == {"garden/gate-20"}


def test_a_lock_down_taken_back_while_it_is_carried_out_is_ended_there_too(many):
    many.signed_in(Role.MANAGER, "Lin").ask("POST", ALL, DOWN)
    many.ordered.clear()
    ended, order = threading.Event(), many.orders._order

    def slow(device, action, actor, for_s):
        if action is Action.LOCK_DOWN:
            many.orders._wait_no_longer(device)  # what a colleague presses meanwhile
        elif device == "garden/gate-7":
            ended.set()
        return order(device, action, actor, for_s)

    many.orders._order = slow
    back(many, "garden/gate-7")
    assert ended.wait(5)


def test_an_order_through_home_assistant_stands_in_the_managers_record(page):
    answered = threading.Event()
    page.orders._order = lambda *_order: answered.set() or {"stage": "energised"}
    page.orders.hear(News("order", "garden/gate-1", {"action": "open", "actor": "home-assistant"}))
    assert answered.wait(5)
    until(lambda: page.office.acts()[0].outcome == "energised", "the answer in the record")
    client = page.signed_in(Role.MANAGER)
    told = [a for a in client.ask("GET", "/api/acts").json["acts"] if a["action"] == "open"]
    assert {(a["name"], a["target"]) for a in told} == {("Home Assistant", "garden/gate-1")}
    assert [a["outcome"] for a in told] == ["energised", "asked"]
    assert client.ask("GET", "/api/me").json["names"]["home-assistant"] == "Home Assistant"


def test_an_order_under_way_when_the_server_ends_still_gets_its_outcome_into_the_record(page):
    """The record was closed under the order: the door opened, and nobody could read it."""
    sent, answer = threading.Event(), threading.Event()
    page.orders._order = lambda *_order: (sent.set(), answer.wait(10), {"stage": "energised"})[-1]
    page.orders.hear(News("order", "garden/gate-1", {"action": "open", "actor": "home-assistant"}))
    assert sent.wait(5)
    threading.Timer(0.2, answer.set).start()
    page.orders.close()
    assert page.office.acts()[0].outcome == "energised"
    page.orders.hear(News("order", "garden/gate-1", {"action": "open", "actor": "home-assistant"}))
    assert len(page.office.acts()) == 2, "nothing is begun after the end"


def test_too_many_orders_from_home_assistant_fall_away_and_the_record_says_so(page):
    going = threading.Event()
    page.orders._order = lambda *_order: {"stage": "done"} if going.wait(10) else {}
    for _ in range(6):
        page.orders.hear(News("order", "garden/gate-1", {"action": "open", "actor": "home-assistant"}))
    outcomes = [a.outcome for a in page.office.acts()]
    assert outcomes.count("refused: too-many") == 2
    going.set()
