"""hardware/README.md names every file, line, message and bound that is there, and none that is not."""

from __future__ import annotations

import re
from pathlib import Path

from hardware import guard, reflex
from hardware.settings import INPUTS, GuardSettings

FOLDER = Path(guard.__file__).parent
README = (FOLDER / "README.md").read_text()


def test_every_file_has_its_line():
    named = set(re.findall(r"`(\w+\.py)`", README))
    there = {path.name for path in FOLDER.glob("*.py")} - {"__init__.py", "errors.py", "clock.py", "notify.py"}
    assert there <= named
    assert all(list(FOLDER.parent.glob(f"*/**/{name}")) for name in named)


def test_every_input_is_wired():
    assert tuple(re.findall(r"^\| `(\w+)` \| [^|]+ \| `active_low", README, re.MULTILINE)) == INPUTS


def test_every_message_is_described():
    source = (FOLDER / "guard.py").read_text()
    for kind in set(re.findall(r'"type": "(\w+)"', source)):
        assert f'"type":"{kind}"' in README or f"| `{kind}`" in README, kind


def test_its_numbers_are_the_programs():
    assert f"pulses of {GuardSettings.__dataclass_fields__['cap_s'].default:.0f} s" in README
    assert f"with {reflex.FIRE_REST_S:.0f} s of rest" in README
    assert f"({reflex.HEAT_LIMIT_S:.0f} s of energising" in README
    assert f'"lease_ms":1..{reflex.MAX_LEASE_S * 1000:.0f}' in README
    for name in re.findall(r"`([A-Z_]{5,})`", README.split("## The ends of a pulse")[1].split("##")[0]):
        assert hasattr(reflex, name) or hasattr(guard, name), name
