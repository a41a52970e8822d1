"""The page knows every word that the agent can say, in both languages, in colours that can be read."""

import re

import pytest

from agent.console.server import STATIC
from agent.core import commands, passes
from agent.core.access import Denial
from agent.core.events import Credential, Kind, Mode, Order

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


def test_every_hint_of_the_enrolment_is_translated(page):
    from agent.enrolment import Trouble
    from agent.vision_enrolment import _WORDS

    assert {*_WORDS.values(), *Trouble} <= set(page.js("Object.keys(WORDS)"))


def test_every_word_has_both_languages(page):
    """Words that come as English sentences from the agent have only their translation."""
    lone = page.js("Object.entries(WORDS).filter(([, pair]) => pair.length !== 2 || pair.includes('')).map(([k]) => k)")
    assert [key for key in lone if " " not in key] == []


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
