"""What is served at /phone/, without a browser: named files only, each with the policy."""

import hashlib
import re

import pytest
from flask import Flask

from deploy.phone import draw_icons, serve


@pytest.fixture
def client():
    app = Flask("host")
    app.register_blueprint(serve.blueprint())
    return app.test_client()


def test_the_page_and_its_worker_come_with_a_strict_policy_and_are_asked_anew_each_time(client):
    for name, kind in (
        ("", "text/html"),
        ("sw.js", "text/javascript"),
        ("manifest.webmanifest", "application/manifest"),
    ):
        answer = client.get(f"/phone/{name}")
        assert answer.status_code == 200
        assert answer.content_type.startswith(kind)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-cache"
        again = client.get(f"/phone/{name}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    "name", ["serve.py", "README.md", "__init__.py", "../serve.py", "%2e%2e/pki.py", "vendor/", "x"]
)
def test_nothing_but_the_page_s_own_files_is_served(client, name: str):
    assert client.get(f"/phone/{name}").status_code == 404


def test_the_worker_keeps_every_file_of_the_page_and_no_other():
    files = serve.page_files()
    listed = re.search(rb"FILES = \[(.*?)\]", files["sw.js"], re.DOTALL)[1]
    names = {name.decode() for name in re.findall(rb'"([^"]+)"', listed)}
    assert names == {"./", *files} - {"sw.js", "index.html"}


def test_a_changed_file_changes_the_worker_so_that_installed_phones_fetch_it(monkeypatch, tmp_path):
    before = serve.page_files()
    assert b"__VERSION__" not in before["sw.js"]
    for name, data in {**before, "sw.js": (serve._FOLDER / "sw.js").read_bytes()}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(serve, "_FOLDER", tmp_path)
    assert serve.page_files() == before
    (tmp_path / "words.js").write_bytes(before["words.js"] + b"\n")
    assert serve.page_files()["sw.js"] != before["sw.js"]


def test_nothing_on_the_page_comes_from_elsewhere_or_stands_inline():
    for name, data in serve.page_files().items():
        if name.startswith("vendor/"):
            continue
        text = data.decode(errors="replace").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, name
        assert "https://" not in text, name
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=|innerHTML|eval\(", text), name


def test_the_vendored_file_is_the_one_that_its_table_names():
    folder = serve._FOLDER / "vendor"
    digest = hashlib.sha256((folder / "qrcode.js").read_bytes()).hexdigest()
    assert digest in (folder / "README.md").read_text()
    assert "MIT License" in (folder / "LICENSE.md").read_text()


def test_the_icons_are_what_the_script_draws():
    for name, data in draw_icons.icons().items():
        assert (serve._FOLDER / name).read_bytes() == data
