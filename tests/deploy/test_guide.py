"""The guide's pictures are those of the script; the first-boot file is YAML with public keys only."""

import ast
import json
import re
import xml.dom.minidom
from pathlib import Path

import jinja2
import pytest
import yaml
from cryptography import x509

from agent.cli.main import main, make_parser
from agent.core.site_keys import number_of
from agent.errors import ConfigError
from deploy.community import settings as community_settings
from deploy.guide.draw import HERE, WORDS, pictures
from deploy.provision.sitefile import door_config, load


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
    assert "PRIVATE" not in text
    said = yaml.safe_load(text)
    assert (said["hostname"], said["ssh_pwauth"], said["disable_root"]) == ("door-1", False, True)
    [user] = said["users"]
    assert (user["name"], user["lock_passwd"]) == ("pi", True)
    public = (tmp_path / "installer_ed25519.pub").read_text().strip()
    assert user["ssh_authorized_keys"] == [public]
    assert "NOPASSWD" in user["sudo"], "the runner asks for no password"
    assert all(isinstance(command, str) for command in said["runcmd"])
    assert main(["site", "user-data", "--site", str(tmp_path / "site.toml"), "door-9"]) == 3


def load_server(config, more):
    """The server's configuration with what the verb said to add; its certificate is for the name that doors use."""
    config.write_text(config.read_text() + more)
    settings = community_settings.load(config)
    certificate = x509.load_pem_x509_certificate(settings.bundles_cert_file.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name) for name in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]
    assert settings.bundles_key_file.stat().st_mode & 0o777 == 0o600
    return settings


def test_a_new_site_guesses_no_lock_and_has_the_pins_of_the_picture(tmp_path, capsys):
    """lock_type has no default: what `site init` writes makes no door until somebody said which lock it is."""
    assert main(["site", "init", str(tmp_path), "--name", "garden"]) == 0
    path = tmp_path / "site.toml"
    with pytest.raises(ConfigError, match="lock_type"):
        door_config(load(path), "door-1", path)
    text = path.read_text().replace('#lock_type = "fail-safe"', 'lock_type = "fail-safe"')
    path.write_text(re.sub(r"^#(\[all\.hardware|pin|active_low)", r"\1", text, flags=re.MULTILINE))
    inputs = door_config(load(path), "door-1", path)[1].hardware.inputs
    drawn = (HERE / "pins.svg").read_text()
    for line in (inputs.contact, inputs.exit, inputs.fire, inputs.tamper):
        assert f">GPIO{line.pin}<" in drawn
    assert [one.active_low for one in (inputs.contact, inputs.exit, inputs.fire, inputs.tamper)] == [
        False,
        True,
        False,
        False,
    ]


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
    assert not (tmp_path / "server" / "bundles.pem").exists()
    text = (tmp_path / "site.toml").read_text()
    (tmp_path / "site.toml").write_text(text + '[all.server]\nhost = "10.0.0.5"\n[all.updates]\nhost = "10.0.0.7"\n')
    capsys.readouterr()
    assert main(["site", "server", "--site", site]) == 0
    told = capsys.readouterr().out
    assert "bundles_port = 8482" in told, "a configuration that is there is not changed; it says what to add"
    assert load_server(config, told.partition("community.toml:\n")[2]).bundles_port == 8482
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
    root = ["--root", str(tmp_path / "stick" / "root.key")]
    assert main(["site", "rotate", "--site", site, "manager"]) == 1  # the doors would not believe it
    assert not (tmp_path / "server" / "site.keys").exists()
    assert main(["site", "rotate", "--site", site, "manager", *root]) == 0
    assert main(["site", "server", "--site", site]) == 0
    assert community_settings.load(config).keys_file == tmp_path / "server" / "site.keys"
    signed = (tmp_path / "server" / "site.keys").read_bytes()
    assert signed == (tmp_path / "pki" / "site.keys").read_bytes()
    capsys.readouterr()
    assert main(["site", "show", "--site", site]) == 0
    assert f"site_keys: {number_of(signed)}" in capsys.readouterr().out
    assert main(["site", "revoke", "--site", site, "door-1"]) == 0
    capsys.readouterr()
    assert main(["site", "--json", "revoke", "--site", site, "community"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "community", "revoked": 4}
    capsys.readouterr()
    assert main(["site", "show", "--site", site]) == 0
    assert "root_key: offline" in capsys.readouterr().out


ROLE = Path(__file__).parents[2] / "deploy" / "ansible" / "roles" / "door_agent"


def role(expression: str, **variables: object) -> str:
    """What Ansible makes of an expression of the role, with its defaults."""
    known = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text()) | {"inventory_hostname": "door-3"}
    environment = jinja2.Environment(autoescape=False)  # noqa: S701  a command line, no page
    environment.filters["from_json"] = json.loads
    for name, value in list(known.items()):
        known[name] = environment.from_string(value).render(known) if isinstance(value, str) else value
    return environment.from_string(expression).render(known | variables)


@pytest.mark.parametrize("check", [False, True])
def test_the_role_calls_the_command_that_there_is_and_tells_what_it_changed_or_would(check):
    [task] = yaml.safe_load((ROLE / "tasks" / "main.yml").read_text())
    line = ast.literal_eval(
        role(task["ansible.builtin.command"]["argv"], ansible_check_mode=check, ansible_host="10.0.0.13")
    )
    assert line[:3] == ["door-agent", "provision", "pi@10.0.0.13"]
    parsed = make_parser("provision").parse_args(line[1:])
    assert (parsed.door, parsed.dry_run, parsed.json) == ("door-3", check, True)
    for done, to_do in ((0, 0), (0, 3), (3, 0)):
        said = {"stdout": json.dumps({"steps_done": done, "steps_to_do": to_do})}
        changed = role("{{ " + task["changed_when"] + " }}", door_agent_said=said, ansible_check_mode=check)
        assert changed == str((to_do if check else done) > 0)
