"""The console's page in a real browser: what people read, see, press and hear."""

import os
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from page_eyes import health, live, reads
from scripted import CALM, ScriptedDoor, face

from agent.console.server import Console, ConsoleSettings

pytestmark = pytest.mark.slow
RESIDENT = {"person_id": "p1", "name": "陈美玲"}


def test_a_calm_door_reads_calm(page):
    assert page.text("h1") == "kangle-garden / north-gate"
    assert page.text("#sentence") == "The door is locked"
    assert page.text("#queue-sentence") == "All 412 events have reached the server."
    assert {dot for dot, _ in health(page).values()} == {"dot good"}
    assert page.text("#people") == "Nobody in view"
    assert page.js("document.querySelector('#door-title').textContent") == "The leaf is closed, the lock is locked"


def test_a_resident_is_welcomed_by_name_and_the_opening_counts_down(page, door):
    door.event("AccessControl/AccessGranted/Credential", credential="face", **RESIDENT)
    door.door(lock="released", relay="energised", mode="Accessed", indication="welcome", released_for_s=2.0)
    reads(page, "#sentence", "Come in, 陈美玲: the door is unlocked (2 s)")
    reads(page, "#sentence", "(1 s)")
    door.door(contact="open")
    reads(page, "#door-title", "The leaf is open, the lock is unlocked")
    assert page.js("document.querySelector('#sentence').classList.contains('good')")


@pytest.mark.parametrize(
    ("facts", "sentence", "tone"),
    [
        ({"fire": True, "lock": "released", "mode": "LockedOpen"}, "Fire alarm: the door is unlocked", "bad"),
        ({"alarms": ["DoorForcedOpen"], "contact": "open"}, "The door was forced open!", "bad"),
        ({"alarms": ["DoorOpenTooLong"], "contact": "open"}, "open too long", "bad"),
        ({"tamper": True}, "tampering", "bad"),
        ({"faults": ["relay-stuck", "lock-power-lost"]}, "the relay is stuck, the lock has no power", "bad"),
        ({"mode": "LockedDown"}, "nobody is let in", "bad"),
        ({"lockout_for_s": 21.4}, "faces wait for 22 s", "warn"),
        ({"indication": "uncover-face"}, "uncover your face", "warn"),
        ({"indication": "look-here"}, "look into the camera", "warn"),
        ({"indication": "turn-from-light"}, "the light is behind you", "warn"),
        ({"indication": "show-again"}, "take it away for 5 seconds", "warn"),
        ({"indication": "look-again"}, "step out of view for two seconds", "warn"),
        ({"indication": "refused"}, "Not let in", "warn"),
        ({"lock": "unknown"}, "state is not known", "warn"),
    ],
)
def test_the_banner_says_what_matters_most(page, door, facts, sentence, tone):
    door.door(**facts)
    reads(page, "#sentence", sentence)
    assert page.js("document.querySelector('#sentence').className") == f"banner {tone}"


def test_events_come_on_top_in_plain_words_and_are_spoken_once(page, door):
    door.event("Agent/Started", release="0.1.0")
    door.event("Door/State/LockPhysicalState", state="Unlocked")
    door.event("AccessControl/Denied/Credential", credential="face", reason="Spoof", frames=9)
    reads(page, "#events", "A picture was held up; not let in")
    rows = page.js("[...document.querySelectorAll('#events summary')].map(s => s.lastChild.textContent)")
    assert rows == ["A picture was held up; not let in", "The door's program started: 0.1.0"]
    assert page.text("#heard") == "A picture was held up; not let in"
    page.js("document.querySelector('#all').click()")
    assert page.js("document.querySelectorAll('#events li').length") == 3


def test_an_opened_event_stays_open_when_others_come(page, door):
    door.event("AccessControl/Denied/CredentialNotFound", credential="face", reason="CredentialNotFound", frames=7)
    reads(page, "#events", "A stranger was not let in")
    page.js("document.querySelector('#events summary').click()")
    door.event("Door/Doorbell")
    reads(page, "#events", "The bell rang")
    assert page.js("document.querySelectorAll('#events details')[1].open")
    assert "frames\n7" in page.text("#events li:nth-child(2) dl")


def test_what_a_row_says_is_text_never_markup(page, door):
    door.event("Door/<img src=x onerror=alert(1)>", state="<script>document.title='owned'</script>")
    door.event("AccessControl/AccessGranted/Credential", credential="face", name="<b>x</b>", person_id="p9")
    door.door(mode="<i>odd</i>")
    reads(page, "#events", "<b>x</b> may come in")
    reads(page, "#door-facts", "<i>odd</i>")
    assert page.js("document.querySelectorAll('#events img, #events b, #events script, #door-facts i').length") == 0


def test_faces_are_framed_where_they_are(page, door):
    seen = face((0.25, 0.5, 0.1, 0.2), "recognised", person_id="p1", match_distance=0.214, live=0.99)
    door.event("AccessControl/AccessGranted/Credential", credential="face", **RESIDENT)
    door.faces(seen, face((0.7, 0.4, 0.1, 0.2), "spoof"))
    reads(page, "#people", "2 in view: 陈美玲, a picture, not a person")
    boxes = page.js(
        "[...document.querySelectorAll('.face')].map(f => { const a = f.getBoundingClientRect(),"
        " b = document.querySelector('#frame').getBoundingClientRect();"
        " return [(a.left - b.left) / b.width, (a.top - b.top) / b.height, a.width / b.width, f.className]; })"
    )
    assert boxes[0][:3] == pytest.approx([0.25, 0.5, 0.1], abs=0.005)
    assert [box[3] for box in boxes] == ["face good", "face bad right"]
    assert page.text(".face small") == "distance 0.21 · live 0.99"
    door.faces()
    reads(page, "#people", "Nobody in view")


def test_a_cut_line_shows_what_waits_and_loses_nothing(page, door):
    door.board.update(link={"up": False, "reason": "network: no route", "since_s": 0.0})
    door.board.update(queue={**CALM["queue"], "head_seq": 430, "depth": 18})
    reads(page, "#queue-sentence", "18 events wait at the door; none is lost.")
    assert page.js("document.querySelector('#cut').getAttribute('opacity')") == "1"
    dot, said = health(page)["Link"]
    assert dot == "dot warn"
    assert said.endswith("the server cannot be reached · no route")


def test_a_fault_is_told_in_the_pages_language_and_then_in_the_programs_own_words(page, door):
    door.board.update(link={"up": False, "reason": "network: no route", "since_s": 0.0})
    door.board.update(vision={**CALM["vision"], "camera_state": "missing", "camera_detail": "not there: /dev/video0"})
    page.js("document.querySelector('#language').click()")
    reads(page, "#health", "/dev/video0")
    told = health(page)
    assert told["线路"][1].endswith("连不上服务器 · no route")
    assert told["摄像头"][1] == "没有接上 · not there: /dev/video0"


def test_parts_that_are_down_say_so_and_missing_sections_are_unknown(page, door):
    door.board.update(vision={"up": False, "faces": []}, guard={"up": False}, clock=None, store=None, roster=None)
    reads(page, "#sentence", "hardware program is not running")
    told = health(page)
    assert told["Lock guard"] == ["dot bad", "not running"]
    assert told["Recognition"] == ["dot bad", "not running"]
    assert told["Camera"][1] == told["Clock"][1] == told["Residents"][1] == "unknown"
    assert "Recognition is restarting" in page.text("#no-picture")


def test_an_unreachable_door_is_not_shown_as_it_was_and_comes_back_by_itself(browser, hall_picture, key):
    door = ScriptedDoor()
    door.board.put_picture(hall_picture)
    console = Console(ConsoleSettings(0, key), door)
    console.start()
    browser.enter(console)
    live(browser)
    console.stop()
    reads(browser, "#sentence", "This door cannot be seen right now")
    assert browser.js("document.querySelector('#door-title').textContent") == "The leaf is unknown, the lock is unknown"
    assert {said for _, said in health(browser).values()} == {"unknown"}
    assert browser.js("document.querySelector('#picture').style.opacity") == "0.25"
    again = Console(ConsoleSettings(urlsplit(console.url).port, key), door)
    again.start()
    try:
        reads(browser, "#sentence", "The door is locked")
    finally:
        browser.leave()
        again.stop()


def test_a_door_that_only_fell_silent_is_not_shown_as_if_it_were_seen(page, door, monkeypatch):
    """A tunnel that went away brings no error for minutes: “locked” stood there and was called live."""
    reads(page, "#sentence", "The door is locked")
    hush = threading.Event()
    monkeypatch.setattr(door, "wait", lambda *_: hush.wait(30) and None)
    page.js("window.fetch = () => Promise.reject(new TypeError('Failed to fetch')); 0")
    page.js("const real = Date.now; let ahead = 0; Date.now = () => real() + (ahead += 3000); 0")
    try:
        reads(page, "#sentence", "This door cannot be seen right now")
        reads(page, "#live", "does not answer")
    finally:
        hush.set()


def test_what_did_not_happen_today_has_its_date(page, door):
    """A stranger of last week stood there with nothing but 08:15."""
    door.event("AccessControl/Denied/CredentialNotFound", credential="face", reason="CredentialNotFound")
    reads(page, "#events", "11/23 ")


def test_times_are_the_doors_own_wherever_the_readers_device_believes_to_be(page, door):
    door.board.update(timezone="Asia/Shanghai")
    door.event("AccessControl/Denied/CredentialNotFound", credential="face", reason="CredentialNotFound")
    reads(page, "#events", "11/23 16:15:00")  # 08:15 UTC


def test_whoever_does_not_want_a_face_is_told_the_other_way_in(page):
    page.js("document.querySelector('#enrol-name').value = '林阿婆'; document.querySelector('#enrol-start').click()")
    reads(page, "#enrol-result", "comes in by phone")


def test_a_door_that_cannot_be_asked_says_so_in_words(page):
    """It said: Failed to fetch."""
    page.js("window.fetch = () => Promise.reject(new TypeError('Failed to fetch')); 0")
    page.js("document.querySelector('#enrol-name').value = 'x'; document.querySelector('#enrol-consent').click()")
    page.js("document.querySelector('#enrol-start').click()")
    reads(page, "#enrol-result", "Not enrolled: the door's program does not answer")


def test_the_thresholds_are_explained_with_the_last_look(page, door):
    rules = {"min_frames": 3, "min_margin": 0.06, "min_liveness": 0.2, "needs_phone": False}
    rate = {"strangers_per_year": 1.0, "passages_per_day": 20.0, "rate": 0.000137, "policy": "standard"}
    door.board.update(thresholds={**rules, **rate})
    look = {"frames": 5, "distance": 0.412, "max_distance": 0.388, "people": 214, "reason": "not-enrolled"}
    door.board.update(last_look=look)
    reads(page, "#why", "1 stranger(s) a year may be let in by mistake; with 20 looking in a day that is 0.014 %")
    reads(page, "#why", "distance 0.412, at most 0.388 with 214 people, 5 pictures: nobody enrolled")


def test_how_fast_it_opened_stands_there_by_way_as_bars_and_in_words(page, door):
    """One median over faces and codes was called faces."""
    assert page.js("document.querySelector('#times-box').hidden")
    face, code = [180, 190, 240, 1500], [12, 15]
    openings = [{"way": "face", "ms": ms} for ms in face] + [{"way": "pass", "ms": ms} for ms in code]
    door.board.update(openings=openings)
    reads(page, "#times", "face: median 240 ms of 4")
    reads(page, "#times", "phone or visitor pass: median 15 ms of 2")
    pictures = page.names("image")
    assert (
        "face: median 240 ms of 4. below 100 ms: 0; below 200 ms: 2; below 300 ms: 1; below 500 ms: 0; "
        "below 1000 ms: 0; 1000 ms and above: 1"
    ) in pictures
    heights = (
        "[...document.querySelectorAll('#times figure:first-child rect')].map((r) => Number(r.getAttribute('height')))"
    )
    assert page.js(heights) == [0, 44, 22, 0, 0, 22]
    page.js("document.querySelector('#language').click()")
    reads(page, "#times", "手机或访客通行码：中位 15 毫秒，共 2 次")  # noqa: RUF001  Chinese punctuation


def test_a_screen_reader_gets_a_name_for_everything(page, door):
    door.event("Door/Doorbell")
    reads(page, "#events", "The bell rang")
    for role in ("button", "checkbox", "textbox", "image", "region", "status"):
        names = page.names(role)
        assert names, role
        if role != "status":
            assert "" not in names, (role, names)
    headings = page.names("heading")
    assert headings[0] == "kangle-garden / north-gate"
    assert {"Camera", "Door", "Parts", "What happened"} <= set(headings)


@pytest.mark.parametrize(("width", "phone"), [(320, True), (390, True), (860, False), (1360, False)])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_nothing_runs_off_the_side_and_language_follows_the_address(browser, console, door, width, phone, language):
    door.event("AccessControl/AccessGranted/Credential", credential="face", **RESIDENT)
    browser.enter(console, f"lang={language}", width=width, height=800, phone=phone)
    browser.until("document.querySelector('#live-dot').classList.contains('good')")
    assert browser.js("document.documentElement.scrollWidth") <= width
    assert browser.js("document.documentElement.lang") == language
    assert browser.text("#h-door") == ("Door" if language == "en" else "门")


@pytest.mark.parametrize(("language", "dark"), [("en", False), ("en", True), ("zh-CN", False), ("zh-CN", True)])
def test_screenshots(browser, console, door, hall_picture, tmp_path, language, dark):
    """Kept in the folder DOOR_AGENT_SCREENSHOTS where that is set; the hall in them is drawn, nobody is in it."""
    folder = Path(os.environ.get("DOOR_AGENT_SCREENSHOTS", tmp_path))
    door.board.put_picture(hall_picture)
    door.event("AccessControl/Denied/CredentialNotFound", credential="face", reason="CredentialNotFound")
    door.event("AccessControl/AccessGranted/Credential", credential="face", **RESIDENT)
    door.event("AccessControl/AccessTaken/Credential", credential="face", **RESIDENT)
    openings = [{"way": "face", "ms": ms} for ms in (182.0, 196.0, 205.0, 340.0)] + [{"way": "pass", "ms": 12.0}] * 3
    door.board.update(openings=openings, last_opening=openings[-1])
    shade = "dark" if dark else "light"
    for name, width, phone in (("desktop", 1360, False), ("phone", 390, True)):
        browser.enter(console, f"lang={language}", width=width, height=860, phone=phone, dark=dark)
        live(browser)
        reads(browser, "#events", "陈美玲")
        reads(browser, "#times", "205")
        path = browser.screenshot(folder / f"console-{name}-{shade}-{language}.png")
        assert path.stat().st_size > 20_000
