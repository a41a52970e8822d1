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
