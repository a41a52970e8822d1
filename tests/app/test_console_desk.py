"""What the console may ask: a relay test is an opening like any other, and the numbers of a look name nobody."""

from types import SimpleNamespace

from agent.console_desk import ConsoleDesk
from agent.core.events import Credential
from agent.core.vision_messages import FindingKind, Settings
from agent.enrolment import ConsoleAsked
from agent.status import StatusBoard

SETTINGS = Settings("standard", 1.0, 20.0)


class Desk:
    def __init__(self):
        self.admitted, self.asked_of_enrolment = [], []
        self.board = StatusBoard({})
        enrolment = SimpleNamespace(asked=self.asked_of_enrolment.append)
        self.desk = ConsoleDesk(SimpleNamespace(admit=self.admitted.append), enrolment, None, self.board, SETTINGS)

    def shown(self, section):
        return self.board.snapshot()[section]


def test_a_relay_test_goes_the_way_of_every_opening_and_takes_the_times():
    d = Desk()
    d.desk.asked(ConsoleAsked("relay_test", {}), 100.0)
    intent = d.admitted[0]
    assert (intent.then.credential, intent.body) == (Credential.REMOTE, {"actor": "console"})
    d.desk.stage("somebody-else", "energised", 100.01, None)
    d.desk.moved(100.02, energised=False)  # not on yet: no time
    d.desk.stage(intent.request_id, "accepted", 100.01, None)
    d.desk.stage(intent.request_id, "energised", 100.05, None)
    d.desk.moved(100.06, energised=True)
    d.desk.moved(105.05, energised=False)
    d.desk.stage(intent.request_id, "not-taken", 105.05, None)
    times = {"stage": "not-taken", "energised_ms": 50, "dropped_ms": 5050}
    assert d.shown("relay_test") == {"id": intent.request_id, **times}


def test_a_refused_test_says_why_and_has_no_times():
    d = Desk()
    d.desk.asked(ConsoleAsked("relay_test", {}), 100.0)
    d.desk.stage(d.admitted[0].request_id, "refused", 100.0, "LockedDown")
    assert d.shown("relay_test")["reason"] == "LockedDown"
    assert "energised_ms" not in d.shown("relay_test")


def test_enrolment_is_still_the_enrolments_business():
    d = Desk()
    asked = ConsoleAsked("enrol_cancel", {})
    d.desk.asked(asked, 1.0)
    assert (d.asked_of_enrolment, d.admitted) == ([asked], [])


def test_rules_follow_the_policy_and_a_look_is_told_without_its_person():
    d = Desk()
    d.desk.explain(liveness=False)
    assert (d.shown("thresholds")["min_liveness"], d.shown("thresholds")["needs_phone"]) == (None, True)
    d.desk.explain(liveness=True)
    assert (d.shown("thresholds")["min_liveness"], d.shown("thresholds")["needs_phone"]) == (0.2, False)
    bound = {"max_match_distance": 0.39, "roster_size": 214}
    receipt = {"person": "p-1", "match_distance": 0.41, "bound": bound}
    d.desk.looked(SimpleNamespace(receipt=receipt, verdict=FindingKind.STRANGER, reason="not-enrolled", frames=5))
    assert "p-1" not in str(d.shown("last_look"))
    assert d.shown("last_look")["max_distance"] == 0.39
