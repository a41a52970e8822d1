"""`door-agent site`: what an installer has written is never taken away."""

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
