"""The on-device installer, played in a folder: what it refuses, whole or nothing, twice does nothing."""

import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from agent.cli.main import make_parser
from deploy.bundle import sign
from deploy.device import files, install, runner
from deploy.device.commands import InstallError
from deploy.device.signature import check_signature
from deploy.pki import Authority

HERE = {"machine": platform.machine(), "python": f"cp{sys.version_info.major}{sys.version_info.minor}"}
FILES = {
    "wheels/door_agent.whl": b"wheel",
    "weights/net.onnx": b"weights",
    "systemd/door-guard.service": b"[Unit]\n\n[Install]\nWantedBy=multi-user.target\n",
    "systemd/door.sysusers": b"g door -\n",
    "systemd/README.md": b"not installed\n",
}


def make_bundle(path: Path, *, version: str = "1.0+a", where: dict[str, str] = HERE, spoil: str = "") -> Path:
    named = {n: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for n, data in FILES.items()}
    manifest = json.dumps({"version": version, "for": where, "files": named}).encode()
    with tarfile.open(path, "w") as tar:
        for name, data in {**FILES, "manifest.json": manifest}.items():
            content = b"spoilt" if name == spoil else data
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """A root of its own; commands are noted, not run."""
    called: list[tuple[str, ...]] = []

    def note(*words: str) -> None:
        called.append(words)
        if "venv" in words:
            (Path(words[-1]) / "lib" / "python3.13" / "site-packages" / "agent").mkdir(parents=True)

    monkeypatch.setattr(install, "ROOT", tmp_path / "opt")
    monkeypatch.setattr(install, "RESTART_DUE", tmp_path / "opt" / ".restart-due")
    monkeypatch.setattr(install, "CONFIG", tmp_path / "etc" / "door.toml")
    monkeypatch.setattr(install, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setattr(install, "PLACES", dict.fromkeys(install.PLACES, tmp_path / "units"))
    monkeypatch.setattr(install, "UNITS", tmp_path / "units")
    monkeypatch.setattr(install, "COMMAND", tmp_path / "bin" / "door-agent")
    monkeypatch.setattr(install, "call", note)
    monkeypatch.setattr(install, "quiet", lambda *_: True)
    monkeypatch.setattr(install.os, "geteuid", lambda: 0)
    return called


def run(bundle: Path, *more: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object], str]:
    status = install.main([str(bundle), *more])
    out, err = capsys.readouterr()
    return status, json.loads(out.splitlines()[-1]) if status == 0 else {}, err


def test_everything_is_put_in_place_and_a_second_run_does_nothing(tmp_path, device, capsys, monkeypatch):
    config = tmp_path / "door.toml"
    config.write_text("x = 1\n")
    bundle = make_bundle(tmp_path / "b.tar")
    status, facts, _ = run(bundle, "--config", str(config), capsys=capsys)
    assert (status, facts["release"]) == (0, "1.0+a")
    assert (tmp_path / "opt" / "current").readlink() == Path("releases/1.0+a")
    assert (tmp_path / "units" / "door.conf").exists()
    assert not (tmp_path / "units" / "README.md").exists()
    assert (tmp_path / "etc" / "door.toml").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "bin" / "door-agent").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "opt" / "current" / "share" / "doc" / "agent").is_dir()
    assert any("--no-index" in words for words in device)
    device.clear()
    status, facts, _ = run(bundle, "--config", str(config), capsys=capsys)
    assert (status, facts["steps_done"]) == (0, 0)
    assert not any(words[0] == "systemctl" for words in device)


def test_a_run_broken_off_before_the_restart_restarts_the_next_time(tmp_path, device, capsys):
    bundle = make_bundle(tmp_path / "b.tar")
    assert run(bundle, "--no-start", capsys=capsys)[0] == 0
    device.clear()
    status, facts, _ = run(bundle, capsys=capsys)
    assert status == 0
    assert any(words[:2] == ("systemctl", "restart") for words in device)
    device.clear()
    status, facts, _ = run(bundle, capsys=capsys)
    assert (status, facts["steps_done"]) == (0, 0)
    assert not any(words[:2] == ("systemctl", "restart") for words in device)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"spoil": "wheels/door_agent.whl"}, "damaged"),
        ({"where": {"machine": "toaster", "python": "cp313"}}, "toaster"),
    ],
)
def test_a_damaged_or_foreign_bundle_changes_nothing(tmp_path, device, capsys, options, why):
    status, _, err = run(make_bundle(tmp_path / "b.tar", **options), capsys=capsys)
    assert status == 1
    assert why in err
    assert not (tmp_path / "opt" / "current").exists()
    assert not (tmp_path / "units").exists()
    assert device == []


def test_a_run_that_broke_off_in_the_release_starts_it_anew(tmp_path, device, capsys, monkeypatch):
    half = tmp_path / "opt" / "releases" / "1.0+a"
    half.mkdir(parents=True)
    (half / "leftover").touch()
    cleared = []

    def no_room(*words: str) -> None:
        if "venv" in words:
            cleared.append(not (half / "leftover").exists())
            raise InstallError("no room")

    monkeypatch.setattr(install, "call", no_room)
    status, _, err = run(make_bundle(tmp_path / "b.tar"), "--no-start", capsys=capsys)
    assert (status, cleared) == (1, [True])
    assert "no room" in err
    assert not (tmp_path / "opt" / "current").exists()


def test_a_file_is_replaced_as_a_whole_or_left(tmp_path):
    path = tmp_path / "f"
    assert files.replace(path, b"one", 0o640)
    assert not files.replace(path, b"one", 0o640)
    assert files.replace(path, b"two", 0o640)
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_without_root_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(install.os, "geteuid", lambda: 1000)
    assert install.main([str(tmp_path / "b.tar")]) == 2
    assert "root" in capsys.readouterr().err


def signed_bundle(path: Path, private: Path | None, serial: int, *, version: str = "1.0+a") -> Path:
    plain = make_bundle(path.with_suffix(".plain"), version=version)
    with tarfile.open(plain) as source, tarfile.open(path, "w") as tar:
        for member in source.getmembers():
            tar.addfile(member, source.extractfile(member))
        if private:
            described = source.extractfile("manifest.json").read()
            data = sign(described, private, serial)
            info = tarfile.TarInfo("signature.json")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def keys(tmp_path, device, monkeypatch) -> tuple[Path, Path]:
    """The site's release key, pinned on the device, and another site's."""
    own, other = (
        Authority(tmp_path / "own").signing_key("release"),
        Authority(tmp_path / "other").signing_key("release"),
    )
    monkeypatch.setattr(install, "RELEASE_KEY", own.cert)
    return own.key, other.key


def test_a_device_with_a_pinned_key_takes_its_own_sites_bundle_and_no_other(tmp_path, keys, capsys):
    own, other = keys
    for private, why in ((None, "not signed"), (other, "not signed by this site's release key")):
        status, _, err = run(signed_bundle(tmp_path / "b.tar", private, 5), "--no-start", capsys=capsys)
        assert status == 1
        assert why in err
    assert not (tmp_path / "opt" / "current").exists()
    assert run(signed_bundle(tmp_path / "b.tar", own, 5), "--no-start", capsys=capsys)[0] == 0


def test_the_serial_number_is_signed_too_and_an_older_release_is_refused(tmp_path, keys, capsys):
    own, _ = keys
    assert run(signed_bundle(tmp_path / "b.tar", own, 5), "--no-start", capsys=capsys)[0] == 0
    older = signed_bundle(tmp_path / "old.tar", own, 4, version="0.9+b")
    status, _, err = run(older, "--no-start", capsys=capsys)
    assert status == 1
    assert "older than what runs here (4 < 5)" in err
    command = re.search(r"`door-agent (.*) … --allow-older`", err)
    assert command, "what to do, in words that can be typed"
    update = [command[1], "pi@door-1.local", "--site", "site.toml", "--door", "door-1", "--allow-older"]
    assert make_parser().parse_args(update).allow_older
    with tarfile.open(older) as tar:
        described = tar.extractfile("manifest.json").read()
    forged = tmp_path / "signature.json"
    forged.write_bytes(sign(described, own, 4).replace(b'"serial": 4', b'"serial": 9'))
    with pytest.raises(InstallError, match="not signed by this site"):
        check_signature(described, forged, install.RELEASE_KEY)


_USER = "--reuid=door-agent --regid=door --groups=video,systemd-journal"


@pytest.mark.parametrize(
    ("uid", "ran"),
    [
        (0, f"setpriv {_USER} -- /opt/door-agent/current/venv/bin/door-agent doctor --json"),
        (1000, "sudo -- {command} doctor --json"),
    ],
)  # fmt: skip
def test_the_command_of_every_page_runs_as_the_agents_user_and_asks_sudo_for_everybody_else(tmp_path, uid, ran):
    tools, command = tmp_path / "tools", tmp_path / "door-agent"
    tools.mkdir()
    command.write_text(install.COMMAND_TEXT)
    for name, text in {"id": f"echo {uid}", "sudo": 'echo "sudo $*"', "setpriv": _SETPRIV}.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    words = ["/bin/sh", str(command), "doctor", "--json"]
    said = subprocess.run(words, env={"PATH": f"{tools}:/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == ran.format(command=command)


_SETPRIV = """case "$*" in
*" test -w .") ;;
*) echo "setpriv $*"; [ "$HOME" = /var/lib/door-agent ] || echo "at home in $HOME";;
esac"""


def test_an_account_whose_umask_keeps_everybody_out_makes_a_release_that_the_doors_users_can_run(
    tmp_path, device, monkeypatch
):
    """Its umask goes through sudo; what root puts in place is not owned by guard, agent and vision."""
    monkeypatch.setattr(sys, "argv", ["runner.pyz", "install", str(make_bundle(tmp_path / "b.tar")), "--no-start"])
    before = os.umask(0o077)
    try:
        with pytest.raises(SystemExit) as end:
            runner.main()
    finally:
        os.umask(before)
    assert end.value.code == 0
    made = [path for top in ("opt", "weights", "units") for path in (tmp_path / top, *(tmp_path / top).rglob("*"))]
    closed = [path for path in made if (want := 0o5 if path.is_dir() else 0o4) & path.stat().st_mode != want]
    assert len(made) > len(FILES)
    assert closed == []


def test_a_file_for_few_is_open_to_nobody_else_from_its_first_byte(tmp_path, monkeypatch):
    """A camera's password stands in the configuration; who opened it in time would go on reading."""
    modes, real = [], os.fchmod

    def fchmod(fd, mode):
        modes.append(os.fstat(fd).st_mode & 0o777)
        real(fd, mode)

    monkeypatch.setattr(files.os, "fchmod", fchmod)
    assert files.replace(tmp_path / "door.toml", b"password", 0o640)
    assert modes == [0o600]
    assert (tmp_path / "door.toml").stat().st_mode & 0o777 == 0o640
