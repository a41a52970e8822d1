"""The page knows every word that the agent can say, in both languages, in colours that can be read."""

import ast
import inspect
import json
import re
from pathlib import Path

import pytest
from manager_hands import sign_in

import agent
from agent.console.server import STATIC
from agent.core import commands, door_table, passes, roster_feed
from agent.core.access import Denial
from agent.core.acknowledgement import Verdict
from agent.core.events import Credential, Indication, Kind, Mode, Order
from agent.diagnostics import FIELDS
from agent.journal.quota import level
from deploy.community.office import Role

AGENT = Path(agent.__file__).parent
COMMUNITY = AGENT.parent / "deploy/community"

THEME = (STATIC / "theme.css").read_text()


@pytest.fixture
def page(browser, console):
    browser.enter(console)
    return browser


def test_every_kind_of_row_has_its_sentence(page):
    assert set(page.js("Object.keys(KINDS)")) == {kind.value for kind in Kind}
    for language in ("en", "zh-CN"):
        page.js(f"language = '{language}'")
        empty = page.js("Object.keys(KINDS).map(kind => [kind, describe({kind, body: {}}).text])")
        assert [kind for kind, text in empty if not text or "undefined" in text] == []


def test_every_word_of_the_core_is_translated(page):
    tables = [("REASON", Denial), ("REASON", passes.Refusal), ("REASON", commands.Refusal)]
    tables += [("BY", Credential), ("ORDER", Order), ("ORDER", commands.Action)]
    for table, words in tables:
        missing = {word.value for word in words} - set(page.js(f"Object.keys({table})"))
        assert missing == set(), table
    assert {mode.value for mode in Mode} <= set(page.js("Object.keys(WORDS)"))


def written_states() -> set[str]:
    """Every word that the agent's code writes as the `state` of a row."""
    found: set[str] = set()
    for path in AGENT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "state":
                        words = (part.value for part in ast.walk(value) if isinstance(part, ast.Constant))
                        found |= {word for word in words if isinstance(word, str)}
    # how the page is told of parts, not rows; what is said by naming the faults, or needs no word; the other of two
    return found - {"ok", "running", "failing"} - {"FaultDetected", "Rung"} - {"Ended", "Normal", "NotInTamper"}


def test_every_state_of_a_row_has_words_of_its_own_in_both_languages(page):
    """A roster that was refused, a withdrawn face that was purged: the page said "The list of residents changed"."""
    states = written_states()
    assert {"Refused", "FacePurged", "Stale", "Fresh", "Drift", "Reported", "Nonsense"} <= states
    for language in ("en", "zh-CN"):
        page.js(f"language = '{language}'")
        said = "(state) => Object.keys(KINDS).map(kind => describe({kind, body: {state}}).text)"
        unknown = page.js(f"({said})('Nobody wrote this')")
        for state in states:
            own = [text for text in page.js(f"({said})({state!r})") if text not in unknown and state not in text]
            assert own, (language, state)
            assert not [text for text in own if "Nobody wrote this" in text]


def test_the_words_of_the_journal_and_of_the_roster_are_translated(page):
    journal = {*map(str, Verdict)} - {"holds"} | {level(share) for share in (0, 0.7, 0.8, 1)}
    assert journal | {"created", "quarantined", "dead"} <= set(page.js("Object.keys(STORE)"))
    assert {*map(str, roster_feed.Refusal)} <= set(page.js("Object.keys({...REASON, ...UNFIT})"))
    tree = ast.walk(ast.parse(inspect.getsource(door_table.faults)))
    (faults,) = [node for node in tree if isinstance(node, ast.Dict)]
    assert {key.value for key in faults.keys if isinstance(key, ast.Constant)} <= set(page.js("Object.keys(FAULT)"))


def test_every_hint_of_the_enrolment_is_translated(page):
    from agent.enrolment import Trouble
    from agent.vision.enrolment import _WORDS
    from agent.withdrawal_desk import WhyNot

    assert {*_WORDS.values(), *Trouble, *WhyNot} <= set(page.js("Object.keys(WORDS)"))


def test_a_door_that_is_asked_how_its_parts_are_answers_in_words(browser, site):
    """The list stood there as vision.camera_state and true, in English only."""
    told = {f"{part}.{name}".removeprefix("."): 1 for part, names in FIELDS.items() for name in names}
    sign_in(browser, site, Role.MANAGER)
    for language in ("en", "zh-CN"):
        browser.js(f"language = '{language}'")
        shown = browser.js(f"diagnosticsOf({json.dumps(told)}).innerText")
        assert [name for name in told if name in shown.split()] == []
        assert [h for h in Indication if browser.js(f"factWords('door_state.indication', '{h}')") == h] == []
    facts = {"vision.up": False, "roster.usable": True, "vision.camera_state": "dark", "clock.quality": "ntp",
             "door_state.mode": "LockedDown", "link.reason": "network: timed out", "vision.fps": 9.5,
             "vision.engine": "yunet+w600k"}  # fmt: skip
    said = browser.js(
        "[...diagnosticsOf(" + json.dumps(facts) + ").querySelectorAll('dd')].map(one => one.textContent)"
    )
    assert said == ["没有运行", "是", "太暗", "已同步", "封锁", "连不上服务器: timed out", "9.5", "yunet+w600k"]
    browser.leave()


def test_every_word_has_both_languages(page):
    """Words that come as English sentences from the agent have only their translation."""
    lone = page.js("Object.entries(WORDS).filter(([, pair]) => pair.length !== 2 || pair.includes('')).map(([k]) => k)")
    assert [key for key in lone if " " not in key] == []


def test_the_managers_page_has_words_for_every_alarm_and_everything_in_the_record(browser, site):
    """`duress`, `roster` and `roster-drift` were shown as these words, in both languages."""
    code = "".join(path.read_text() for path in COMMUNITY.glob("*.py"))
    alarms = set(re.findall(r'(?:Alarm\(|alarm\([a-z.A-Z\[\]0 ]+(?: or SERVER)?, )"([a-z-]+)"', code))
    table = (COMMUNITY / "README.md").read_text().split("## What a manager hears of")[1].split("\n\nOf one alarm")[0]
    assert alarms == set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))
    actions = set(re.findall(r'note\(\s*(?:session\(\)\.manager|manager|opened\.manager), "([a-z-]+)"', code))
    actions |= set(re.findall(r'_with_link\([^\n]+, "([a-z-]+)"\)', code))
    assert {"set-door", "acknowledge-alarm", "export", "add-manager"} <= actions
    sign_in(browser, site, Role.OWNER)
    orders = {f"a_{action}" for action in commands.Action}
    for language in ("en", "zh-CN"):
        browser.js(f"language = '{language}'")
        assert [w for w in sorted(alarms | actions | orders) if browser.js(f"say({w!r})") == w] == []
    lone = browser.js("Object.entries(WORDS).filter(([, p]) => p.length !== 2 || p.includes('')).map(([k]) => k)")
    assert [key for key in lone if " " not in key] == []
    browser.leave()


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_that_old_eyes_need(scheme):
    blocks = re.findall(r":root \{(.*?)\n\s*\}", THEME, re.DOTALL)
    colour = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[scheme]))
    for back in ("paper", "card", "sunk"):
        for text in ("ink", "quiet", "good", "warn", "bad", "accent"):
            assert contrast(colour[text], colour[back]) >= 4.5, (text, back)
    for tone in ("good", "warn", "bad"):
        assert contrast(colour[tone], colour[f"{tone}-soft"]) >= 4.5, tone


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two #rrggbb colours."""
    lights = sorted(luminance(colour) for colour in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
