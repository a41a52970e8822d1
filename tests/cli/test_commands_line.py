"""The command line as a person meets it: looking, checking; every mistake is one message and a code."""

import json
from pathlib import Path

import pytest
from door_shell import Shell

from agent.cli import doctor
from agent.cli.main import main
from agent.core.events import Kind, Record
from agent.core.journal import ClockQuality
from agent.journal.opening import open_journal
from agent.journal.schema import Moment


def test_check_config_says_right_or_wrong(shell: Shell):
    assert shell.run("check-config")[0] == 0
    shell.config.write_text(shell.config.read_text().replace("pin = 17", "pin = 99"))
    code, _, err = shell.run("check-config")
    assert code == 3
    assert "hardware.relay.pin: is 99; allowed: less than or equal to 27" in err


@pytest.mark.parametrize("options", [(), ("--json",), ("--camera-network",)])
def test_check_config_keeps_a_network_cameras_password_to_itself(shell: Shell, options):
    text = shell.config.read_text()
    source = next(line for line in text.splitlines() if line.startswith("source"))
    shell.config.write_text(text.replace(source, 'source = "rtsp://cam:hunter2@192.0.2.10/live"'))
    code, out, err = shell.run("check-config", *options)
    assert (code, err) == (0, "")
    assert "192.0.2.10" in out
    assert "hunter2" not in out
    shell.config.write_text(text.replace(source, 'source = "rtsp://cam:hunter2@camera.local/live"'))
    code, out, err = shell.run("check-config", *options)
    assert code == 3
    assert "as a number" in out + err
    assert "hunter2" not in out + err


def test_doctor_finds_the_missing_camera_and_the_empty_roster(shell: Shell):
    code, out, _ = shell.run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert code == 1
    assert not checks["roster"]["ok"]
    assert "door-agent enroll" in checks["roster"]["do_this"]
    camera = next(check for name, check in checks.items() if "camera" in name)
    assert not camera["ok"]
    assert camera["do_this"]


def test_relay_off_works_on_a_simulated_door(shell: Shell):
    assert shell.run("relay-off")[0] == 0


def test_events_without_a_journal_says_where_it_should_be(shell: Shell):
    code, _, err = shell.run("events", "list")
    assert code == 4
    assert "store.state_dir" in err


def test_errors_are_json_too(shell: Shell):
    code, out, _ = shell.run("events", "verify", "--json")
    assert json.loads(out)["exit_code"] == code == 4


def test_the_day_is_a_page_and_a_wrong_day_or_zone_is_the_users(shell: Shell, capsys):
    """`events report` prints one self-contained page; what it can't understand exits 2."""
    moment = Moment("boot", 1, 1_790_000_000_000, ClockQuality.NTP)  # 2026-09-21 in Xiamen
    store = open_journal(shell.folder / "state" / "journal.db", "garden/gate-1", moment).store
    store.append([(moment, Record(Kind.DOORBELL, {"state": "Ring"}))])
    store.close()
    report = ["events", "report", "--config", str(shell.config)]
    assert main([*report, "--day", "2026-09-21"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("<!doctype html>")
    assert "Door/Doorbell" in page
    assert main([*report, "--day", "2026-09-20", "--timezone", "UTC", "--json"]) == 0
    assert "Door/Doorbell" not in json.loads(capsys.readouterr().out)["page"]
    assert main([*report, "--timezone", "Mars/Base"]) == 2
    assert "IANA" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*report, "--day", "yesterday"])
    assert "not a day" in capsys.readouterr().err


def test_doctor_says_what_disk_the_journal_is_on(tmp_path: Path):
    """Room for the quota is expected; a quota larger than the disk is named with what to do."""
    disk = doctor._disk(tmp_path, 8)
    assert disk.ok == (not disk.found.startswith("tmpfs"))
    assert "store.quota_mib" in doctor._disk(tmp_path, 2**40).do_this


def test_the_cameras_drop_in_can_be_had_as_json(shell: Shell):
    """`--camera-network --json` printed the file itself, which is no JSON."""
    text = shell.config.read_text()
    source = next(line for line in text.splitlines() if line.startswith("source"))
    shell.config.write_text(text.replace(source, 'source = "rtsp://192.0.2.10/live"'))
    plain, given = (shell.run("check-config", "--camera-network", *more)[1] for more in ([], ["--json"]))
    assert "192.0.2.10" in plain
    assert json.loads(given) == {"drop_in": plain}


def test_doctor_reads_a_table_of_mounts_with_a_remark_in_any_encoding(tmp_path: Path):
    table = tmp_path / "fstab"
    table.write_bytes("# 门的分区\n/dev/x /var/lib/door-agent ext4 defaults 0 2\n".encode("gbk"))
    assert doctor.holds_up_the_boot(Path("/var/lib/door-agent"), table)
