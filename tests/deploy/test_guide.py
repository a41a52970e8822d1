"""The guide's pictures are those of the script; the first-boot file is YAML with public keys only."""

import json
import xml.dom.minidom

import pytest

from agent.cli.main import main
from deploy.guide.draw import HERE, WORDS, pictures


@pytest.mark.parametrize(("name", "svg"), list(pictures()))
def test_committed_pictures_are_the_scripts(name, svg):
    assert (HERE / name).read_text() == svg, "run: python -m deploy.guide.draw"
    xml.dom.minidom.parseString(svg)  # noqa: S318  our own


def test_every_word_on_the_pictures_is_there_in_both_languages():
    for english, chinese in WORDS.values():
        assert english != chinese
        assert any(ord(c) > 0x3000 for c in chinese)


def test_user_data_names_the_door_and_holds_no_private_key(tmp_path, capsys):
    assert main(["site", "init", str(tmp_path), "--name", "garden"]) == 0
    capsys.readouterr()
    assert main(["site", "user-data", "--site", str(tmp_path / "site.toml"), "door-1"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("#cloud-config\n")
    assert "hostname: door-1" in text
    assert "ssh-ed25519 " in text
    assert "PRIVATE" not in text
    assert main(["site", "user-data", "--site", str(tmp_path / "site.toml"), "door-9"]) == 3


def test_the_sites_verbs_make_show_and_take_back(tmp_path, capsys):
    site = str(tmp_path / "site.toml")
    assert main(["site", "init", str(tmp_path), "--name", "garden"]) == 0
    (tmp_path / "stick").mkdir()
    assert main(["site", "broker", "--site", site, "--host", "10.0.0.5"]) == 0
    assert "tls_version tlsv1.3" in (tmp_path / "broker" / "door.conf").read_text()
    assert main(["site", "server", "--site", site]) == 3  # nobody said where the broker is
    assert main(["site", "server", "--site", site, "--host", "10.0.0.5"]) == 0
    config = tmp_path / "server" / "community.toml"
    config.write_text(config.read_text() + "http_port = 0\n")
    assert main(["site", "server", "--site", site, "--host", "10.0.0.6"]) == 0  # again: a new certificate
    assert "http_port = 0" in config.read_text()
    assert main(["site", "client", "--site", site, "homeassistant"]) == 0
    assert (tmp_path / "homeassistant" / "homeassistant.key").stat().st_mode & 0o777 == 0o600
    lists = (tmp_path / "broker" / "crl.pem").read_bytes()
    assert main(["site", "offline", "--site", site, str(tmp_path / "stick")]) == 0
    assert main(["site", "rotate", "--site", site, "online"]) == 1
    assert main(["site", "rotate", "--site", site, "online", "--root", str(tmp_path / "stick" / "root.key")]) == 0
    assert (tmp_path / "broker" / "crl.pem").read_bytes().count(b"BEGIN") == 2 * lists.count(b"BEGIN") == 2
    before = (tmp_path / "pki" / "release.pub.pem").read_bytes()
    assert main(["site", "rotate", "--site", site, "release"]) == 0
    assert (tmp_path / "pki" / "release.pub.pem").read_bytes() != before
    assert main(["site", "revoke", "--site", site, "door-1"]) == 0
    capsys.readouterr()
    assert main(["site", "--json", "revoke", "--site", site, "community"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "community", "revoked": 2}
    capsys.readouterr()
    assert main(["site", "show", "--site", site]) == 0
    assert "root_key: offline" in capsys.readouterr().out
