"""`door-agent site`: what an installer has written is never taken away."""

import json

import pytest

from agent.cli.main import main


def test_site_init_beside_a_site_file_with_a_mistake_leaves_it_as_it_is(tmp_path, capsys):
    """Every door of the community stands in it, and messages name this command to whoever looks for help."""
    path = tmp_path / "site.toml"
    path.write_text('[site]\nname = "garden"\n[doors.door-1.hardware.relay]\npin = 17\nmistake\n')
    before = path.read_bytes()
    assert main(["site", "init", str(tmp_path), "--name", "garden"]) == 3
    assert "site.toml" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert not (tmp_path / "pki").exists()


def test_site_init_with_a_name_that_is_none_leaves_nothing_behind(tmp_path, capsys):
    assert main(["site", "init", str(tmp_path), "--name", "Our Garden"]) == 3
    assert "name" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_stick_that_is_not_there_or_a_key_that_is_none_is_told_in_a_line_and_nothing_is_lost(tmp_path, capsys):
    """Both ended with a traceback."""
    assert main(["site", "init", str(tmp_path), "--name", "garden"]) == 0
    site, root = str(tmp_path / "site.toml"), tmp_path / "pki" / "root.key"
    key = root.read_bytes()
    stick = tmp_path / "media" / "stick"
    assert main(["site", "offline", "--site", site, str(stick)]) == 1
    assert f"{stick}" in capsys.readouterr().err
    assert root.read_bytes() == key
    root.write_bytes(key[:60])
    assert main(["site", "rotate", "server", "--site", site]) == 1
    assert "root.key: cannot be read as a key (" in capsys.readouterr().err


def test_a_site_is_not_made_anew_under_another_name(tmp_path, capsys):
    """It said that it had made it."""
    assert main(["site", "init", str(tmp_path), "--name", "garden"]) == 0
    assert main(["site", "init", str(tmp_path), "--name", "orchard"]) == 3
    assert "is of the site garden" in capsys.readouterr().err
    assert main(["site", "init", str(tmp_path), "--name", "garden"]) == 0
    assert "there already" in capsys.readouterr().out


def test_a_certificate_to_take_back_that_never_was_is_a_failure_and_any_servers_can_be_taken_back(tmp_path, capsys):
    """A stolen door's name with a letter wrong ended with 0; of servers only `community` could be taken back."""
    assert main(["site", "init", str(tmp_path), "--name", "garden"]) == 0
    site = ["--site", str(tmp_path / "site.toml")]
    assert main(["site", "server", *site, "--host", "10.0.0.5", "--name", "east"]) == 0
    capsys.readouterr()
    for name in ("dor-1", "garden/door-1", "community"):
        assert main(["site", "revoke", *site, name, "--json"]) == 1
        said = json.loads(capsys.readouterr().out)["error"]
        assert name in said
        assert "there are east, garden/door-1" in said
    assert main(["site", "revoke", *site, "door-1"]) == 0  # one that is in the site file, though nothing was issued yet
    capsys.readouterr()
    assert main(["site", "revoke", *site, "east", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["revoked"] == 1


@pytest.mark.parametrize(
    "words",
    [
        ["broker", "--host", "a b"],
        ["broker", "--host", ""],
        ["server", "--host", "mqtt://b"],
        ["server", "--host", "b", "--name", "../x"],
    ],
)
def test_no_certificate_is_made_for_what_no_machine_is_called(tmp_path, words):
    """`--name ../x` wrote a folder beside the site's."""
    assert main(["site", "init", str(tmp_path / "s"), "--name", "garden"]) == 0
    with pytest.raises(SystemExit, match="2"):
        main(["site", words[0], "--site", str(tmp_path / "s" / "site.toml"), *words[1:]])
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_dir()) == ["pki", "s"]


def test_a_servers_configuration_in_another_encoding_is_left_to_the_server_to_refuse(tmp_path, capsys):
    """`site server`, which only looks whether something is in it, ended in a traceback."""
    assert main(["site", "init", str(tmp_path), "--name", "garden"]) == 0
    site = tmp_path / "site.toml"
    site.write_text(site.read_text() + '[all.updates]\nhost = "10.0.0.5"\n')
    words = ["site", "server", "--site", str(site), "--host", "10.0.0.5"]
    assert main(words) == 0
    mine = tmp_path / "server" / "community.toml"
    mine.write_bytes("# 我们的门\n".encode("gbk"))
    assert main(words) == 0
    assert mine.read_bytes() == "# 我们的门\n".encode("gbk")
