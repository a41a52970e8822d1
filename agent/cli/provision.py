"""door-agent provision: from a bare Raspberry Pi to a door that was seen to open, over SSH."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_command, add_device, print_json
from agent.errors import PictureError

if TYPE_CHECKING:
    from deploy.provision.provision import Done, Wish

_EPILOG = """\
The first contact shows the device's host key as eight words and pins it beside the site file; a password, if one is
needed then, is asked by ssh itself. Broken off? Run the same command again. A second run does nothing.

exit codes: 0 done; 1 a step failed; 2 the command line; 3 the site file; 9 the device cannot be reached, is not the one
that was pinned, or cannot be set up; 130 stopped by Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(subparsers, "provision", "Set up a door over SSH and test it before your eyes.", config=False)
    parser.epilog, parser.formatter_class = _EPILOG, argparse.RawDescriptionHelpFormatter
    add_device(parser)
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="the first contact's password, for scripts")
    parser.add_argument("--host-key", metavar="WORDS", help="the eight words (or SHA256:…) that the device must show")
    parser.add_argument(
        "--forget-host-key", action="store_true", help="the device was replaced or its card written anew"
    )
    parser.add_argument("--dry-run", action="store_true", help="look and say what would be done, change nothing")
    parser.add_argument("--undo", action="store_true", help="take back boot, log, watchdog and SSH settings")
    parser.add_argument("--no-open", action="store_true", help="do not open the door in the self-test")
    parser.add_argument("--open-now", action="store_true", help="open it without asking: for scripts; somebody watches")
    parser.add_argument("--now", action="store_true", help="do not wait until nobody is at a door that is in use")
    parser.add_argument("--wires", action="store_true", help="try every wire by hand: contact, button, fire, tamper")
    parser.add_argument(
        "--ways", nargs="+", default=[], choices=("face", "phone", "remote"), help="come in that way, and see the row"
    )
    parser.add_argument("--test-again", action="store_true", help="self-test even if nothing changed since the last")
    parser.add_argument("--enrol", nargs="+", metavar=("NAME", "PICTURE"), help="the first resident; who has agreed")
    parser.add_argument("--consent", action="store_true", help="that resident agreed to be recognised at this door")
    parser.add_argument("--report", type=Path, metavar="STEM", help="write STEM.html and STEM.json (default: by door)")


def run(arguments: argparse.Namespace) -> int:
    """As in the epilog; a self-test that found something to mend still ends with 0, the report says what."""
    from deploy.provision import report
    from deploy.provision.provision import Provision

    screen = Screen(quiet=arguments.json)
    confirm = ask if sys.stdin.isatty() and not arguments.json else None
    done = Provision(_wish(arguments), screen.show, confirm).run()
    if arguments.undo or arguments.dry_run:
        return _short(done, as_json=arguments.json)
    stem = arguments.report or arguments.site.parent / f"report-{arguments.door}"
    html_path, json_path = report.write(done, stem)
    if arguments.json:
        print_json(report.as_json(done) | {"report": [str(html_path), str(json_path)]})
        return 0
    _verdict(done, html_path)
    return 0


def _wish(arguments: argparse.Namespace) -> Wish:
    from deploy.provision.provision import Wish

    enrol = None
    if arguments.enrol:
        if not arguments.consent:
            raise PictureError("no consent record, no face: ask the person, then add --consent")
        enrol = (arguments.enrol[0], tuple(map(Path, arguments.enrol[1:])))
    return Wish(
        host=arguments.host,
        site_file=arguments.site,
        door=arguments.door,
        port=arguments.port,
        bundle=arguments.bundle,
        identity=arguments.identity,
        password_file=arguments.password_file,
        host_key=arguments.host_key,
        forget_host_key=arguments.forget_host_key,
        dry_run=arguments.dry_run,
        undo=arguments.undo,
        open_door=not arguments.no_open,
        open_now=arguments.open_now,
        now=arguments.now,
        ways=tuple(arguments.ways),
        wires=arguments.wires,
        test_again=arguments.test_again,
        enrol=enrol,
    )


def _short(done: Done, *, as_json: bool) -> int:
    end = {key: value for key, value in done.outcome.end.items() if key not in {"t", "tested"}}
    would = sum(one["state"] == "would" for one in done.outcome.steps)
    if as_json:
        print_json({**end, "steps_to_do": would, "steps_taken": done.outcome.steps})
    else:
        print(f"restored {', '.join(end['restored']) or 'nothing'}" if "restored" in end else f"{would} steps to do")
    return 0


def _verdict(done: Done, html_path: Path) -> None:
    end = done.outcome.end
    results = end.get("tested", {}).get("results", [])
    to_mend = [one for one in results if not one["ok"]]
    print(f"\n{end['steps_done']} of {end['steps']} steps done in {end['seconds']} s; report: {html_path}")
    for one in to_mend:
        print(f"  look: {one['name']}: {one['found']}\n        do this: {one['do_this']}")
    if not to_mend:
        print("every check is well" if results else "the door was not tested: run the same command again")


_COPY_EVERY_S = 2.0


def ask(question: str) -> bool:
    """Yes or no of the person at the terminal."""
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes", "j", "是", "好"}


class Screen:
    """What the installer sees as it goes."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._copied_s = 0.0

    def show(self, said: Mapping[str, Any]) -> None:
        """One line for each thing worth one."""
        if not self._quiet and (words := self._words(said)):
            print(words, flush=True)

    def _words(self, said: Mapping[str, Any]) -> str:
        kind = said["t"]
        if kind == "copy":
            return self._copy(said)
        shape = _SHAPES.get(kind)
        return shape(said) if shape else ""

    def _copy(self, said: Mapping[str, Any]) -> str:
        now_s = time.monotonic()
        if now_s - self._copied_s < _COPY_EVERY_S and said["done"] < said["of"]:
            return ""
        self._copied_s = now_s
        return f"       copied {said['done'] >> 20} of {said['of'] >> 20} MiB"


def _step(said: Mapping[str, Any]) -> str:
    if said["state"] == "ok":
        return f"  ok   {said['name']}: {said['found']}"
    if said["state"] == "did":
        return f"  did  {said['name']}: {said['did']}"
    return f"  would {said['name']}: found {said['found']}, expected {said['expected']}\n        why: {said['why']}"


def _result(said: Mapping[str, Any]) -> str:
    line = f"  {'ok ' if said['ok'] else 'BAD'}  {said['name']}: {said['found']}"
    return line if said["ok"] else f"{line}\n       expected {said['expected']}; do this: {said['do_this']}"


_SHAPES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "host-key": lambda said: f"host key: {said['words']}\n          {said['fingerprint']}",
    "device": lambda said: f"device:   {said['board']}, {said['system']}, {said['for']}",
    "resumed": lambda said: f"the last run ended in '{said['step']}'; going on",
    "begin": lambda said: f"  …    {said['name']}: found {said['found']}",
    "step": _step,
    "result": _result,
    "hand": lambda said: f"\n  >>> please {said['words']} (within {said['within_s']:.0f} s)",
    "progress": lambda said: f"       {said['what']}",
    "note": lambda said: f"       {said['words']}",
}
