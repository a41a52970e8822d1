"""The pages say what the code does: every key, command, exit code, event kind and topic stands in a README."""

import re
from pathlib import Path

import pytest

from agent.cli.main import ALL_COMMANDS, EXIT_CODES, make_parser
from agent.core.events import Kind
from fixtures.config_table import page_with

ROOT = Path(__file__).parent.parent.parent


def test_the_table_of_configuration_keys_is_todays():
    text = (ROOT / "deploy" / "README.md").read_text()
    assert page_with(text) == text, "run: python -m fixtures.config_table --write"


def test_every_command_stands_in_the_readme_and_has_help_and_json():
    text = (ROOT / "README.md").read_text()
    choices = make_parser()._subparsers._group_actions[0].choices
    assert set(choices) == {name.replace("_", "-") for name in ALL_COMMANDS}
    for name, parser in choices.items():
        assert f"`door-agent {name}" in text, name
        assert "--json" in parser.format_help() + "".join(
            sub.format_help()
            for action in parser._actions
            if hasattr(action, "choices") and isinstance(action.choices, dict)
            for sub in action.choices.values()
        ), name


def test_every_exit_code_stands_in_the_readme():
    text = (ROOT / "README.md").read_text()
    for code, meaning in re.findall(r"^  (\d+)  (.+)$", EXIT_CODES, re.MULTILINE):
        assert f"| {code} | {meaning} |" in text


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_event_stands_in_the_communitys_readme(kind: Kind):
    assert f"`{kind.value}`" in (ROOT / "deploy" / "community" / "README.md").read_text()


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_between_pages_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("*/**/*.md")]:
        if ".venv" in page.parts:
            continue
        for target, anchor in re.findall(r"\]\((?!https?:|mailto:)([^)#]*)(?:#([^)]+))?\)", page.read_text("utf-8")):
            there = page.parent / target if target else page
            assert there.exists(), f"{page.relative_to(ROOT)} links to {target}"
            if anchor:
                assert anchor in anchors(there), f"{page.relative_to(ROOT)} links to {target}#{anchor}"
