"""The laptop's end of the runner: questions are answered, an end is an end, whatever comes is shown, not trusted."""

import contextlib
import subprocess
import sys

import pytest

from deploy.provision.conversation import converse, quote
from deploy.provision.ssh import DeviceError


class Local:
    """A session whose device is a program here."""

    def __init__(self, program: str) -> None:
        self.program = program

    @contextlib.contextmanager
    def open(self, command):
        assert command.startswith("sudo -n python3 ")
        pipe = subprocess.PIPE
        line = [sys.executable, "-u", "-c", self.program]
        with subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1) as process:
            try:
                yield process
            finally:
                process.kill()


def talk(program: str, answers=None):
    shown = []
    head = "import json, sys\nfirst = json.loads(input())\ndef say(t, **k): print(json.dumps({'t': t, **k}))\n"
    outcome = converse(Local(head + program), "runner setup", {"plan": 1}, answers or {}, shown.append)
    return outcome, shown


def test_steps_and_results_are_collected_questions_answered_and_the_end_kept():
    program = (
        "say('step', name='clock', plan=first['plan'])\nsay('ask', what='eyes', words='look')\n"
        "say('result', name=input())\nsay('end', steps=1)"
    )
    outcome, shown = talk(program, {"eyes": lambda said: {"yes": said["words"] == "look"}})
    assert [one["plan"] for one in outcome.steps] == [1]
    assert [one["name"] for one in outcome.results] == ['{"yes": true}']
    assert outcome.end["steps"] == 1
    assert [one["t"] for one in shown] == ["step", "ask", "result", "end"]


def test_a_question_that_nobody_knows_is_refused_and_not_left_open():
    outcome, _ = talk("say('ask', what='colour')\nsay('end', answer=json.loads(input()))")
    assert outcome.end["answer"] == {"refused": "nobody answers colour"}


@pytest.mark.parametrize("noise", ["'not json'", "'[1, 2]'", "'\\\\x00\\\\xff'", "'7'"])
def test_what_is_no_message_is_shown_as_noise(noise):
    outcome, shown = talk(f"print({noise})\nsay('end')")
    assert outcome.end == {"t": "end"}
    assert shown[0]["t"] == "noise"


def test_why_the_device_stopped_is_the_error():
    with pytest.raises(DeviceError, match="the disk is full"):
        talk("say('failed', why='the disk is full')")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("sys.exit(1)", "the device or the network went away"),
        ("sys.exit('sudo: a password is required')", "a password"),
    ],
)
def test_an_end_without_a_word_says_that_the_same_command_goes_on(program, words):
    with pytest.raises(DeviceError, match=f"{words}.*run the same command again"):
        talk(program)


def test_an_answer_to_a_device_that_has_gone_is_said():
    with pytest.raises(DeviceError, match="connection ended"):
        talk(
            "say('ask', what='eyes')\nsys.stdin.close()\nimport os; os._exit(0)",
            {"eyes": lambda _: {"x": "y" * 200_000}},
        )


def test_a_path_is_one_word_for_the_devices_shell():
    said = subprocess.run(["sh", "-c", f"printf %s {quote('a b; $(c)')}"], capture_output=True, text=True, check=True)
    assert said.stdout == "a b; $(c)"
