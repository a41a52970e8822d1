"""A door may have no camera at all."""

import signal
import socket
import subprocess
import sys

from fixtures.plain_door import plain_door


def test_vision_without_a_camera_is_ready_stays_alive_and_ends_when_asked(tmp_path):
    config = tmp_path / "door.toml"
    config.write_text(plain_door(tmp_path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        command = [sys.executable, "-m", "agent.vision_worker", "--config", str(config)]
        with subprocess.Popen(command, env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as vision:
            assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"WATCHDOG=1"]
            vision.send_signal(signal.SIGTERM)
            assert vision.wait(10) == 0
