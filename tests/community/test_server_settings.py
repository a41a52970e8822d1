"""The server's configuration file: where its pages may listen, and what a fault in it is called."""

import pytest

from agent.errors import ConfigError
from deploy.community import settings

FILES = "\n".join(f'{name} = "x"' for name in ("ca_file", "cert_file", "key_file", "signing_key_file"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('http_host = "0.0.0.0"', "in the clear"),
        ('http_host = "192.168.1.5"', "SSH tunnel, or put a TLS proxy"),
        ('http_proxy = "127.0.0.1"', "go together"),
        ('public_url = "https://doors.example"', "go together"),
        ('http_proxy = "127.0.0.1"\npublic_url = "http://doors.example"', "public_url"),
    ],
)
def test_sign_ins_never_cross_the_network_in_the_clear(tmp_path, more, words):
    path = tmp_path / "community.toml"
    path.write_text(f"{FILES}\n{more}\n")
    with pytest.raises(ConfigError, match=words):
        settings.load(path)


def test_a_fault_of_the_servers_configuration_names_line_and_what_was_meant(tmp_path):
    """A file in another encoding was a traceback; a misspelt key "Extra inputs are not permitted"."""
    path = tmp_path / "community.toml"
    path.write_bytes(b"\xef\xbb\xbf" + f'{FILES}\npublic_url = "doors"\nhtp_port = 1\n'.replace("\n", "\r\n").encode())
    with pytest.raises(ConfigError) as told:
        settings.load(path)
    assert f"{path}:5: public_url: is 'doors'; allowed: behind a proxy: what people type, https://" in str(told.value)
    assert f"{path}:6: htp_port: unknown key; remove it or correct its spelling (did you mean http_port?)" in str(
        told.value
    )
    path.write_bytes(f"# 门\n{FILES}".encode("gbk"))
    with pytest.raises(ConfigError, match="save the file as UTF-8"):
        settings.load(path)


@pytest.mark.parametrize(
    "more", ['http_host = "0.0.0.0"\nhttp_port = 0', 'http_host = "0.0.0.0"\nhttp_proxy = "10.0.0.2"\npublic_url = "https://d.example"']
)  # fmt: skip
def test_no_page_or_a_proxy_before_it_may_listen_anywhere(tmp_path, more):
    path = tmp_path / "community.toml"
    path.write_text(f"{FILES}\n{more}\n")
    assert settings.load(path).http_host == "0.0.0.0"  # noqa: S104  what is asked for
