"""A door's configuration in a folder, and the command on it as a person runs it."""

import subprocess
import sys
from pathlib import Path

CONFIG = """\
[door]
site = "garden"
id = "gate-1"
lock_type = "fail-safe"
[hardware]
backend = "simulated"
[hardware.relay]
pin = 17
[camera]
source = "still:{folder}/absent.jpg"
[store]
state_dir = "{folder}/state"
[runtime]
agent_dir = "{folder}/run"
guard_dir = "{folder}/run"
"""


class Shell:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "door.toml"
        self.config.write_text(CONFIG.format(folder=folder))
        (folder / "state").mkdir()

    def run(self, command: str, *arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "agent.cli.main", command, "--config", str(self.config), *arguments],
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr
