"""How every command begins and ends: a terminal, a pipe, a stick and a user's fingers do as they like."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from door_shell import Shell

from agent.cli import doctor
from agent.cli.main import ALL_COMMANDS, main
from agent.command_line import ended
from agent.config import load
from deploy.community import __main__ as server
from deploy.community import manage

NAMED_IN_GB = b"\xc4\xe3.toml"  # a file name from an old Windows, no UTF-8


def process(*words, **more):
    """The command with a buffered standard output, as in a pipe."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"} | more.pop("env", {})
    command = [sys.executable, "-m", "agent.cli.main", *words]
    return subprocess.run(command, stderr=subprocess.PIPE, timeout=90, check=False, env=env, **more)


@pytest.mark.parametrize("asked", [[], ["--json"], ["--help"]], ids=["text", "json", "help"])
def test_a_reader_that_went_away_is_no_fault(shell: Shell, asked):
    """`door-agent … | head -1`: Python complained at exit of a BrokenPipeError when little had been written."""
    read, write = os.pipe()
    os.close(read)
    done = process("check-config", "--config", str(shell.config), *asked, stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_output_that_cannot_be_written_is_said_in_one_line(shell: Shell):
    """A full disk ended in a traceback."""
    with Path("/dev/full").open("w") as full:
        done = process("check-config", "--config", str(shell.config), stdout=full)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "door-agent: output: No space left on device; make room there, or choose another place"
    ]


def test_without_any_stream_a_command_still_does_its_work(shell: Shell):
    """The first file that it opened became its standard output."""
    export = shell.folder / "people.json"
    command = [sys.executable, "-m", "agent.cli.main", "roster", "--config", str(shell.config), "export", str(export)]
    closed = subprocess.run(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], timeout=90, check=False)
    assert closed.returncode == 0
    assert json.loads(export.read_bytes())["persons"] == []


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "utf-8"])
def test_a_name_that_the_terminal_cannot_show_is_escaped(shell: Shell, encoding):
    """It was a UnicodeEncodeError."""
    name = shell.folder / os.fsdecode("门 café ".encode() + NAMED_IN_GB)
    name.write_text(shell.config.read_text())
    done = process("check-config", "--config", name, stdout=subprocess.PIPE, env={"PYTHONIOENCODING": encoding})
    assert done.returncode == 0, done.stderr
    assert "right. Door gate-1" in done.stdout.decode(encoding)
    done = process("roster", "show", "--json", "--config", f"{name}.nix", stdout=subprocess.PIPE,
                   env={"PYTHONIOENCODING": encoding})  # fmt: skip
    assert "门 café" in json.loads(done.stdout)["error"]


def test_json_is_asked_for_and_the_door_named_before_or_behind_an_action(shell: Shell, tmp_path, capsys):
    """`roster show --json` was "unrecognized arguments"."""
    for words in (["show", "--json", "--config"], ["--json", "show", "--config"], ["--json", "--config"]):
        last = [] if "show" in words else ["show"]
        assert main(["roster", *words, str(shell.config), *last]) == 0
        assert json.loads(capsys.readouterr().out)["persons"] == []
    (tmp_path / "site").mkdir()
    assert main(["site", "init", str(tmp_path / "site"), "--name", "garden", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["site_file"].endswith("site.toml")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (main, ["events", "--json", "lsit"]),
        (main, ["roster", "show", "--jsn", "--json"]),
        (main, ["site", "rotate", "--json"]),
        (server.main, ["--config", "x", "manager", "add", "--json"]),
        (manage.main, ["--config", "x", "people", "--json", "--bogus"]),
    ],
)
def test_a_mistake_on_the_command_line_is_json_too(capsys, command, words):
    """It left standard output empty."""
    with pytest.raises(SystemExit, match="2"):
        command(words)
    said = capsys.readouterr()
    assert json.loads(said.out)["exit_code"] == 2
    assert json.loads(said.out)["error"] in said.err


def test_a_word_that_a_command_does_not_know_leads_to_that_commands_help(capsys):
    """The usage of the whole program was shown, which has none of the options."""
    with pytest.raises(SystemExit, match="2"):
        main(["events", "list", "--newst", "3"])
    assert "--newst 3: not known here; see door-agent events --help" in capsys.readouterr().err


@pytest.mark.parametrize("command", [server.main, manage.main])
def test_the_servers_commands_have_the_same_ends(tmp_path, capsys, command):
    """A wrong configuration was text where JSON was asked for; a folder that may not be entered was a traceback."""
    words = ["manager", "list", "--json"] if command is server.main else ["people", "--json"]
    assert command(["--config", str(tmp_path / "absent.toml"), *words]) == 3
    assert json.loads(capsys.readouterr().out)["exit_code"] == 3
    parts = "".join(f'{key}_file = "x"\n' for key in ("ca", "cert", "key", "signing_key"))
    (tmp_path / "file").write_text("")
    (tmp_path / "c.toml").write_text(parts + 'people_dir = "file/people"\nmanagers_database = "file/managers.db"\n')
    assert command(["--config", str(tmp_path / "c.toml"), *words]) in (1, 4)
    assert str(tmp_path / "file") in json.loads(capsys.readouterr().out)["error"]


def test_the_systems_refusal_names_the_file_and_what_to_do(capsys):
    def refused(number):
        raise OSError(number, os.strerror(number), "/media/stick/x")

    for number, hint in ((errno.EACCES, "sudo"), (errno.ENOSPC, "room"), (errno.EROFS, "read-only")):
        assert ended("door-agent", [], lambda number=number: refused(number)) == 1
        said = capsys.readouterr().err
        assert said.startswith("door-agent: /media/stick/x: ")
        assert hint in said


def test_a_fault_of_the_program_is_not_dressed_up():
    """What nobody at the command line can mend keeps its traceback; a broken connection is no broken pipe."""
    for fault in (ValueError("x"), BrokenPipeError(errno.EPIPE, "gone"), ConnectionResetError(errno.ECONNRESET, "x")):

        def fails(fault=fault):
            raise fault

        with pytest.raises(type(fault)):
            ended("door-agent", [], fails)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_command_is_still_being_loaded_is_130_without_a_word(shell: Shell, number):
    """Ctrl-C in the first half second was a traceback."""
    program = (
        "import os, signal, sys, importlib\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a test in the background was told to ignore it
        "from agent.cli import main\n"
        f"importlib.import_module = lambda name: os.kill(os.getpid(), {int(number)})\n"
        "sys.argv[1:] = ['check-config']\n"
        "sys.exit(main.main())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=90, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize("name", ALL_COMMANDS)
def test_every_command_says_what_it_takes(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([name.replace("_", "-"), "--help"])
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["events", "list", "-n", "0"],
        ["events", "list", "-n", "-5"],
        ["demo", "--rounds", "-1"],
        ["demo", "--port", "99999"],
        ["bench", "faces", "--frames", "0"],
        ["bench", "openings", "--rounds", "0"],
        ["evaluate", "faces", "--data", ".", "--draws", "0"],
        ["explain", "thresholds", "--strangers-per-year", "nan"],
        ["explain", "thresholds", "--stranger-passages-per-day", "-1"],
        ["provision", "pi@door", "--site", "x", "--door", "d", "--port", "0"],
    ],
)
def test_a_number_that_means_nothing_is_refused_before_anything_is_done(words, capsys):
    """They ran without an end, listed everything, or answered with NaN, which is no JSON."""
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--json"])
    assert " is not a " in json.loads(capsys.readouterr().out)["error"]


def test_a_campaign_of_nothing_finds_nothing_noticed():
    """`--n -1` ended with 0 and "noticed": -1, and chaos of no events with nothing at all."""
    for words in (["tamper", "--n", "-1"], ["chaos", "--events", "0"]):
        done = subprocess.run(
            [sys.executable, "-m", f"tests.faults.{words[0]}", *words[1:]], capture_output=True, timeout=90, check=False
        )
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"is not a whole number from 1" in done.stderr


@pytest.mark.parametrize("kind", ["folder", "fifo", "loop"])
def test_what_is_no_file_is_no_journal(tmp_path, kind, capsys):
    """A FIFO was waited for, and neither Ctrl-C nor SIGTERM ended that."""
    path = tmp_path / kind
    {"folder": path.mkdir, "fifo": lambda: os.mkfifo(path), "loop": lambda: path.symlink_to(path)}[kind]()
    for words in (["events", "list"], ["events", "verify"], ["replay"]):
        assert main([*words, "--journal", str(path)]) == 4
        assert "there is no journal" in capsys.readouterr().err


def test_an_export_onto_a_link_that_leads_to_itself_replaces_it(shell: Shell, capsys):
    """It was a RuntimeError."""
    link = shell.folder / "people.json"
    link.symlink_to(link)
    assert main(["roster", "export", str(link), "--config", str(shell.config)]) == 0
    assert json.loads(link.read_bytes())["persons"] == []


@pytest.mark.parametrize("words", [["--second-factor", "on"], ["--remove-phone", "abc"]])
def test_what_is_asked_of_nobody_says_that_a_person_is_missing(shell: Shell, capsys, words):
    """It asked for pictures."""
    assert main(["enroll", *words, "--config", str(shell.config)]) == 2
    assert "--person ID" in capsys.readouterr().err


def test_a_bundle_that_cannot_be_written_is_said_before_anything_is_fetched(tmp_path, capsys):
    assert main(["bundle", "--for", "aarch64-cp313", "--out", str(tmp_path / "absent" / "b.tar")]) == 1
    assert f"{tmp_path / 'absent'}" in capsys.readouterr().err


@contextlib.contextmanager
def somebody_else(folder: Path):
    """As a user who may not look into a folder; root may everywhere, and is nobody meanwhile."""
    folder.chmod(0o700 if os.geteuid() == 0 else 0)
    if root := os.geteuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)


def test_a_store_that_this_user_may_not_read_is_4_and_one_bad_check_of_the_doctors(capsys):
    """`door-agent` without sudo: it was 1, and the doctor ended in the middle of its checks."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o755)
        shell = Shell(folder)
        asked = (["enroll", "--list"], ["events", "list"], ["replay"])
        for words in asked:  # once with every right, so that all is imported
            main([*words, "--config", str(shell.config)])
        assert {check.name for check in doctor._stores(load(shell.config))} == {"state disk", "roster"}
        capsys.readouterr()
        with somebody_else(folder / "state"):
            for words in asked:
                assert main([*words, "--config", str(shell.config), "--json"]) == 4
                said = json.loads(capsys.readouterr().out)["error"]
                assert "cannot be read (Permission denied)" in said
                assert "agent's user" in said
            checks = {check.name: check for check in doctor._stores(load(shell.config))}
        assert "Permission denied" in checks["roster"].found


def test_a_receipt_that_cannot_be_written_does_not_have_its_key_moved_away(shell: Shell, capsys):
    """On a full or read-only card the advice was to move the door's key for receipts away."""
    (shell.folder / "state" / "receipt.key").mkdir()
    assert main(["enroll", "--withdraw", "nobody", "--config", str(shell.config)]) == 4
    said = capsys.readouterr().err
    assert "receipt.key: cannot be read or made (Is a directory)" in said
    assert "move it away" not in said


def test_a_name_typed_in_another_encoding_is_the_terminals_fault(shell: Shell, tmp_path, capsys):
    """A name in GBK was a traceback: Python gives its bytes as halves of characters, which no database takes."""
    name = os.fsdecode(NAMED_IN_GB)
    server_file = tmp_path / "c.toml"
    server_file.write_text("".join(f'{key}_file = "x"\n' for key in ("ca", "cert", "key", "signing_key")))
    for command, words in (
        (main, ["enroll", "--withdraw", name, "--config", str(shell.config)]),
        (server.main, ["--config", str(server_file), "manager", "add", name]),
        (manage.main, ["--config", str(server_file), "remove", name]),
    ):
        assert command([*words, "--json"]) == 2
        assert "is not UTF-8" in json.loads(capsys.readouterr().out)["error"]
