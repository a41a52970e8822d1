"""The longer documents say what the code does: messages, decisions, worked examples, the pages of a newcomer."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli.main import make_parser

ROOT = Path(__file__).parent.parent.parent
TROUBLE = ROOT / "deploy" / "TROUBLESHOOTING.md"
EXTENDING = ROOT / "agent" / "EXTENDING.md"
# where the messages come from that stop a program or an order; campaigns and converters speak to engineers only
MAIN = [
    *(f"hardware/{name}.py" for name in ("camera_sources", "camera", "ribbon_camera", "chip", "gpio")),
    *(f"agent/{name}.py" for name in ("app", "config", "console/server", "link_settings", "identity")),
    *(
        f"agent/{name}.py"
        for name in ("outbox_disk", "roster_store", "roster_file", "roster_schema", "roster_changes", "roster_verify")
    ),
    *(
        f"deploy/community/{name}.py"
        for name in ("page", "settings", "office", "manager_command", "ledger", "postgres")
    ),
    *(f"models/{name}.py" for name in ("store", "pipeline", "enrol")),
    "deploy/broker.py",
]


def fragments() -> list[list[str]]:
    """Of each row of the tables: the pieces between backticks of its first cell, cut where … stands."""
    cells = re.findall(r"^\| (`[^|]+`) \|", TROUBLE.read_text(), re.MULTILINE)
    return [[p for told in re.findall(r"`([^`]+)`", cell) for p in told.split("…") if p.strip()] for cell in cells]


def texts(tree: ast.AST) -> list[str]:
    """Every text of a module; the changing parts of an f-string are written as dots."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
        elif isinstance(node, ast.JoinedStr):
            found.append("".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values))
    return found


def raised(path: Path) -> list[str]:
    """What a module raises with a text."""
    calls = [n.exc for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Raise)]
    told = [texts(call.args[0]) for call in calls if isinstance(call, ast.Call) and call.args]
    return [max(found, key=len) for found in told if found]


def test_every_message_of_the_troubleshooting_page_exists():
    sources = [p for part in ("agent", "hardware", "models", "deploy") for p in (ROOT / part).rglob("*.py")]
    known = "\n".join(text for path in sources for text in texts(ast.parse(path.read_text())))
    missing = [piece for row in fragments() for piece in row if piece not in known]
    assert missing == []


@pytest.mark.parametrize("module", MAIN)
def test_every_main_message_stands_on_the_troubleshooting_page(module):
    pieces = [piece for row in fragments() for piece in row]
    silent = [text for text in raised(ROOT / module) if not any(p in text for p in pieces) and len(text) > 3]
    assert silent == []


def test_the_index_of_decisions_has_each_with_its_title():
    folder = ROOT / "agent" / "decisions"
    wanted = [f"- [{p.read_text().splitlines()[0][2:]}]({p.name})" for p in sorted(folder.glob("0*.md"))]
    assert re.findall(r"^- .*$", (folder / "README.md").read_text(), re.MULTILINE) == wanted


@pytest.mark.parametrize("page", ["HANDBOOK.md", "TROUBLESHOOTING.md", "UPGRADING.md", "COMPARISON.md"])
def test_the_longer_pages_are_found_from_the_readme(page):
    assert f"(deploy/{page})" in (ROOT / "README.md").read_text()


def test_commands_named_in_the_pages_exist():
    known = set(make_parser()._subparsers._group_actions[0].choices)
    for page in (*ROOT.glob("*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("agent/*.md")):
        named = set(re.findall(r"`(?:sudo )?door-agent ([a-z][a-z-]+)", page.read_text()))
        assert named <= known, page.name


# ---------------------------------------------------------------- the worked examples, literally


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", EXTENDING.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The tree as it stands, to be changed by what the page says."""
    folder = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("needs a git checkout: the page's changes are made on a copy of it")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize("title", list(sections()))
def test_the_worked_example_works_as_it_stands(copy, tmp_path, title):
    ran = 0
    for named, at_end, kind, text in re.findall(
        r"(?:^`([^`\n]+)`(, at the end)?:\n\n)?^```(\w+)\n(.*?)^```$", sections()[title], re.MULTILINE | re.DOTALL
    ):
        if kind == "diff":
            run(["git", "apply", "-C1", "-"], copy, text)
        elif kind == "sh":
            run(["sh", "-e", "-c", text], copy, "", DOOR_AGENT_WEIGHTS=str(tmp_path / "weights"))
            ran += 1
        else:
            with (copy / named).open("a" if at_end else "w") as file:
                file.write(text)
    assert ran


def run(command, folder, text, **more):
    """Run it in the copy with this interpreter as `python`."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "GIT_CEILING_DIRECTORIES": str(folder.parent), **more}
    done = subprocess.run(command, cwd=folder, input=text, text=True, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
