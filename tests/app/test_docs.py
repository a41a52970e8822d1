"""The pages say what the code does: every key, command, exit code, event kind and topic stands in a README."""

import argparse
import re
from pathlib import Path

import pytest

from agent.cli.main import ALL_COMMANDS, EXIT_CODES, make_parser
from agent.core.events import Kind
from fixtures.config_table import page_with, table

ROOT = Path(__file__).parent.parent.parent
TOP = ("agent", "hardware", "models", "systemd", "deploy", "tests", "fixtures")


def pages() -> list[Path]:
    found = [*ROOT.glob("*.md"), *(p for part in TOP for p in (ROOT / part).rglob("*.md"))]
    return sorted(p for p in found if ".venv" not in p.parts)


def helps(parser: argparse.ArgumentParser) -> str:
    """The help of a command and of all its subcommands."""
    below = [a.choices.values() for a in parser._actions if isinstance(a.choices, dict)]
    return parser.format_help() + "".join(helps(sub) for subs in below for sub in subs)


def test_the_table_of_configuration_keys_is_todays():
    text = (ROOT / "deploy" / "README.md").read_text()
    assert page_with(text) == text, "run: python -m fixtures.config_table --write"


def test_every_key_says_its_kind_its_default_and_what_it_means():
    rows = [line.strip("| ").split(" | ") for line in table().splitlines()[2:]]
    assert [row for row in rows if len(row) != 4 or not all(cell.strip() for cell in row)] == []
    allowed = {row[0].strip("`"): row[1] for row in rows}
    assert allowed["hardware.buzzer_pin"] == allowed["hardware.relay.pin"] == "whole number 0 to 27"


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


@pytest.mark.parametrize("page", pages(), ids=lambda p: str(p.relative_to(ROOT)))
def test_tables_are_whole(page: Path):
    """A row with another number of cells, or torn off its table, is shown as text full of strokes."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for block in re.findall(r"(?:^ *\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block[:300]
        assert re.fullmatch(r" *\|[-:| ]+\|", block.splitlines()[1] if "\n" in block.strip() else ""), block[:300]


def test_every_python_file_is_placed_by_a_readme():
    """A stranger finds each module named by the README of its folder, or of one above; a test names itself."""
    missing = []
    for path in (p for part in TOP for p in (ROOT / part).rglob("*.py")):
        if path.name in ("__init__.py", "conftest.py") or (path.name.startswith("test_") and "tests" in path.parts):
            continue
        folders = [path.parent, *path.parent.parents]
        texts = [
            (f / "README.md").read_text("utf-8") for f in folders[: folders.index(ROOT)] if (f / "README.md").exists()
        ]
        if not any(re.search(rf"(?<![\w-]){re.escape(path.name)}\b", text) for text in texts):
            missing.append(str(path.relative_to(ROOT)))
    assert missing == []


def test_every_folder_of_tests_stands_in_their_readme():
    text = (ROOT / "tests" / "README.md").read_text()
    folders = {p.parent.relative_to(ROOT / "tests").parts[0] for p in (ROOT / "tests").rglob("*/test_*.py")}
    assert [name for name in folders if f"`{name}/`" not in text] == []


def test_every_measured_figure_names_a_command_that_is_there():
    part = (ROOT / "README.md").read_text().split("## Measured")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")][1:]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = ""
    for what, figure, source in rows:
        assert re.search(r"\d", figure), what
        named = named if source.startswith("the same") else source
        for command in re.findall(r"`([^`]+)`", named) or [named]:
            assert exists(command, targets), f"{what}: {command}"


def exists(command: str, targets: set[str]) -> bool:
    """Whether a command of the table can be typed: its program, its verb, and every option of ours."""
    words = command.split()
    match words:
        case ["make", target, *_]:
            return target in targets
        case ["door-agent", verb, *rest]:
            parser = make_parser(verb.replace("-", "_"))
            options = [word for word in rest if word.startswith("--")]
            return all(option in helps(parser) for option in options)
        case ["python", "-m", module, *rest]:
            source = ROOT / (module.replace(".", "/") + ".py")
            return source.exists() and all(word in source.read_text() for word in rest if word.startswith("--"))
        case ["systemd-analyze", "security", *_]:
            return "systemd-analyze" in (ROOT / "tests" / "systemd" / "test_units.py").read_text()
        case _:
            return command.startswith("[tests/")  # a page of its own, with its commands


def typed(page: Path) -> list[str]:
    """What a page shows between backticks or in a block, a line each."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.split("  #")[0] for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return lines + re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def test_every_option_of_a_command_in_the_pages_is_one_of_that_command():
    """A stranger types what stands there."""
    choices = make_parser()._subparsers._group_actions[0].choices
    told = {name: helps(parser) for name, parser in choices.items()}
    wrong, seen = [], 0
    for page in pages():
        for line in typed(page):
            for name, words in re.findall(r"door-agent ([a-z-]+)([^|&;]*)", line):
                options = re.findall(r"(?<!\S)(--?[a-z][a-z0-9-]*)", words) if name in told else []
                wrong += [f"{page.relative_to(ROOT)}: {line}" for option in options if option not in told[name]]
                seen += len(options)
    assert wrong == []
    assert seen > 80
