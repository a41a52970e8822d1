"""What is asked of the door on its page, in a real browser: enrolling, the relay test, a withdrawal, the keyboard."""

import pytest
from page_eyes import reads

pytestmark = pytest.mark.slow


def test_nobody_is_enrolled_without_consent_and_hints_come_in_the_readers_language(page, door):
    page.js("document.querySelector('#enrol-name').value = ' 林阿婆 '")
    page.js("document.querySelector('#enrol-start').click()")
    reads(page, "#enrol-result", "Without the person's consent nothing is enrolled.")
    assert door.asked == []
    page.js("document.querySelector('#enrol-consent').click(); document.querySelector('#enrol-start').click()")
    page.until("document.querySelector('#enrol-result').textContent === ''")
    assert door.somebody_asked.wait(10)
    page.js("document.querySelector('#enrol-under-14').click(); document.querySelector('#enrol-start').click()")
    reads(page, "#enrol-result", "Under 14, without a guardian's consent nothing is enrolled.")
    page.js("document.querySelector('#enrol-under-14').click()")
    door.board.update(enrolment={"state": "collecting", "hint": "Come closer", "collected": 2, "wanted": 5})
    reads(page, "#enrol-hint", "Come closer")
    assert door.somebody_asked.wait(10)
    assert door.asked == [("enrol_start", {"name": "林阿婆", "consent": True})]
    assert page.js("document.querySelectorAll('#enrol-dots .done').length") == 2
    page.js("document.querySelector('#language').click()")
    reads(page, "#enrol-hint", "请走近一点")
    door.board.update(enrolment={"state": "done", "hint": None, "collected": 5, "wanted": 5})
    reads(page, "#enrol-result", "录入完成：林阿婆")  # noqa: RUF001  Chinese punctuation


def test_the_page_asks_whose_face_it_is_before_anything_is_stored(page, door):
    page.js("document.querySelector('#enrol-visit').click()")
    assert door.somebody_asked.wait(10)
    near = {"state": "near", "hint": None, "collected": 3, "wanted": 5, "near": [{"id": "p-1", "name": "李梅"}]}
    door.board.update(enrolment={**near, "again": True})
    reads(page, "#enrol-near-what", "This face looks like 李梅. Who is it?")
    assert page.js("document.querySelectorAll('#enrol-near-who button').length") == 2  # hers, or cancel
    door.board.update(enrolment={**near, "again": False})
    page.until("document.querySelectorAll('#enrol-near-who button').length === 3")
    page.js("document.querySelector('#language').click()")
    reads(page, "#enrol-near-who button", "是 李梅：补充这次的模板")  # noqa: RUF001  Chinese punctuation
    assert door.somebody_asked.wait(10)
    assert door.asked == [("enrol_again", {})]
    door.somebody_asked.clear()
    page.js("document.querySelector('#enrol-near-who button').click()")
    assert door.somebody_asked.wait(10)
    assert door.asked[1:] == [("enrol_same", {"person": "p-1"})]
    door.board.update(enrolment={"state": "done", "hint": None, "collected": 3, "wanted": 5})
    reads(page, "#enrol-result", "已补充这次的人脸模板")
    page.until("document.querySelector('#enrol-near').hidden")


def test_the_relay_test_asks_twice_and_tells_the_doors_own_times(page, door):
    page.js("document.querySelector('#test-start').click()")
    assert door.asked == []
    page.js("document.querySelector('#test-yes').click()")
    assert door.somebody_asked.wait(10)
    assert door.asked == [("relay_test", {})]
    door.board.update(relay_test={"id": "t", "stage": "energised", "energised_ms": 41})
    reads(page, "#test-told", "the relay energised after 41 ms")
    door.board.update(relay_test={"id": "t", "stage": "not-taken", "energised_ms": 41, "dropped_ms": 5043})
    reads(page, "#test-told", "dropped after 5043 ms, nobody opened the leaf")
    door.board.update(relay_test={"id": "u", "stage": "refused", "reason": "LockedDown"})
    reads(page, "#test-told", "refused: locked down")


def test_a_consent_is_withdrawn_at_the_door_and_the_person_gets_the_receipt(page, door):
    page.js("window.confirm = (question) => { window.asked = question; return true; }")
    door.board.update(withdrawal={"state": "done", "templates": 9, "receipt": {"person_id": "p-other"}, "number": 1})
    page.js("document.querySelector('#withdraw-who').value = ' 林阿婆 '")
    page.until("now.withdrawal?.number === 1")
    page.js("document.querySelector('#withdraw-start').click()")
    page.until("window.asked !== undefined")
    assert "林阿婆" in page.js("window.asked")
    page.until("document.querySelector('#withdraw-receipt').hidden")  # not somebody else's
    door.board.update(withdrawal={"state": "done", "templates": 3, "receipt": {"person_id": "p-1"}, "number": 2})
    reads(page, "#withdraw-result", "The face is forgotten (3 templates)")
    reads(page, "#withdraw-receipt", '{"person_id":"p-1"}')
    assert door.somebody_asked.wait(10)
    assert door.asked == [("withdraw", {"person": "林阿婆"})]
    page.js("document.querySelector('#withdraw-who').value = 'x'; document.querySelector('#withdraw-start').click()")
    page.until("document.querySelector('#withdraw-receipt').hidden")
    why = "nobody with a face here has this name or number"
    door.board.update(withdrawal={"state": "failed", "why": why, "number": 3})
    reads(page, "#withdraw-result", f"Not withdrawn: {why}")


def test_everything_can_be_reached_and_pressed_with_the_keyboard(page, door):
    door.event("Door/Doorbell")
    reads(page, "#events", "The bell rang")
    reached = []
    for _ in range(12):
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.append(page.js("document.activeElement.id || document.activeElement.tagName"))
    assert [name for name in reached if name not in ("BODY", "events")][:7] == [
        "language",
        "all",
        "SUMMARY",
        "enrol-name",
        "enrol-consent",
        "enrol-under-14",
        "enrol-start",
    ]
    page.js("document.querySelector('#events summary').focus()")
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13)
    assert page.js("document.querySelector('#events details').open")
