"""The longer documents say what the code does: messages, decisions, worked examples, the pages of a newcomer."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli.main import EXIT_CODES, make_parser
from agent.errors import DoorAgentError
from deploy.device.commands import InstallError
from deploy.device.unpack import UnpackError
from hardware.errors import HardwareError
from models.errors import ModelError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
TROUBLE = ROOT / "deploy" / "TROUBLESHOOTING.md"
EXTENDING = ROOT / "agent" / "EXTENDING.md"
PARTS = ("agent", "hardware", "models", "deploy")
SHORTEST = 6
# measuring programs and converters speak to engineers, who have the source
ENGINEERS = re.compile(r"agent/evaluation/|agent/cli/bench|models/(convert_|reference)")
# an end of a socket that goes away is met by the program, which tries again
NEVER_SHOWN = {"PeerGoneError"}


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


def errors() -> set[str]:
    """The names of what a person can meet: every error that a program ends with, as one message."""
    for path in (p for part in PARTS for p in (ROOT / part).rglob("*.py")):
        if "Error(" in path.read_text() and path.name != "__main__.py":
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found, new = set(), {DoorAgentError, HardwareError, ModelError, InstallError, UnpackError}
    while new:
        found |= new
        new = {kind for parent in new for kind in parent.__subclasses__()} - found
    return {kind.__name__ for kind in found} - NEVER_SHOWN


def told(path: Path, kinds: set[str]) -> list[str]:
    """What a module says when it raises one of these, or when the manager's page refuses a request."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            refused = node.func.id == "abort" and ast.unparse(node.args[0]) != "400"  # 400: a script's own mistake
            if node.func.id in kinds or refused:
                found.append(max(texts(node.args[-1 if refused else 0]), key=len, default=""))
    return [text for text in found if re.search("[a-z]{4}", text)]


def test_every_message_of_the_troubleshooting_page_exists():
    sources = [p for part in PARTS for p in (ROOT / part).rglob("*.py")]
    known = "\n".join(text for path in sources for text in texts(ast.parse(path.read_text())))
    missing = [piece for row in fragments() for piece in row if piece not in known]
    assert missing == []
    assert [p for row in fragments() for p in row if len(p.strip()) < SHORTEST] == []  # shorter says nothing


def test_every_message_of_the_programs_stands_on_the_troubleshooting_page():
    """Add a row to deploy/TROUBLESHOOTING.md, and to its Chinese twin, for a new message."""
    pieces, kinds = [piece for row in fragments() for piece in row], errors()
    sources = [p for part in PARTS for p in (ROOT / part).rglob("*.py")]
    silent = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in sources
        if not ENGINEERS.search(str(path.relative_to(ROOT)))
        for text in told(path, kinds)
        if not any(piece in text for piece in pieces)
    ]
    assert silent == []


@pytest.mark.parametrize("page", [TROUBLE, TROUBLE.with_name("TROUBLESHOOTING.zh-CN.md")], ids=lambda p: p.name)
def test_every_exit_code_has_its_section(page: Path):
    heads = " ".join(re.findall(r"^## .*$", page.read_text("utf-8"), re.MULTILINE))
    codes = re.findall(r"^  (\d+)  ", EXIT_CODES, re.MULTILINE)
    assert [code for code in codes if code != "0" and not re.search(rf"\b{code}\b", heads, re.ASCII)] == []


def test_the_index_of_decisions_has_each_with_its_title():
    folder = ROOT / "agent" / "decisions"
    wanted = [f"- [{p.read_text().splitlines()[0][2:]}]({p.name})" for p in sorted(folder.glob("0*.md"))]
    assert re.findall(r"^- .*$", (folder / "README.md").read_text(), re.MULTILINE) == wanted


@pytest.mark.parametrize("page", ["HANDBOOK.md", "TROUBLESHOOTING.md", "UPGRADING.md", "COMPARISON.md"])
def test_the_longer_pages_are_found_from_the_readme(page):
    assert f"(deploy/{page})" in (ROOT / "README.md").read_text()


def test_the_comparison_names_its_source_for_each_alternative_and_leaves_no_cell_empty():
    tables = re.findall(r"(?:^\|.*\n)+", (ROOT / "deploy" / "COMPARISON.md").read_text(), re.MULTILINE)
    assert len(tables) == 2
    for rows in ([[c.strip() for c in line.split("|")[1:-1]] for line in table.splitlines()] for table in tables):
        assert all(all(row) for row in rows[1:])
        read = next(row for row in rows if row[0] == "read")
        assert read[1] == "this tree"
        assert all("](https://" in cell for cell in read[2:])


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
