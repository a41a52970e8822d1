"""Weight files: only the bytes that the manifest names are ever used, and every message names the cure."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from models import store as module
from models.cache import converted
from models.errors import ModelFileError
from models.manifest import ModelEntry, WeightFile, known, parse
from models.store import Store, default_cache_folder

GOOD = b"weights " * 100


def _entry(url: str = "https://publisher.example/net.onnx") -> ModelEntry:
    file = WeightFile("net.onnx", len(GOOD), hashlib.sha256(GOOD).hexdigest(), url=url)
    return ModelEntry("net", "embedder", "onnx", 1, "MIT", "somebody", (file,))


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    """A manifest of one network, and a store that looks in two folders of this test."""
    monkeypatch.setattr(module, "known", lambda: (_entry(),))
    monkeypatch.setattr(module, "_SYSTEM_WEIGHTS", tmp_path / "nowhere")
    monkeypatch.setattr(module, "_PROJECT", tmp_path / "a" / "b")
    monkeypatch.delenv("DOOR_AGENT_WEIGHTS", raising=False)
    return Store(tmp_path / "weights", tmp_path / "cache")


class _Publisher(BaseHTTPRequestHandler):
    answer = GOOD

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def publisher() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Publisher)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/net.onnx"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_manifest_names_a_licence_a_publisher_and_a_checksum_for_every_file() -> None:
    for entry in known():
        assert entry.licence
        assert entry.publisher
        for file in entry.files:
            assert len(file.sha256) == 64
            assert file.bytes > 0
            assert file.url.startswith("https://") != bool(file.package)
    assert {entry.name for entry in known()} >= {"yunet", "reid0095", "sface", "minifasnet", "dlib-resnet", "hog"}


@pytest.mark.parametrize("text", ["not toml [", "[[model]]\nname = 'x'", "[[model]]\nnames = 'x'", "x = 1"])
def test_a_broken_manifest_is_told_not_raised_through(text: str) -> None:
    with pytest.raises(ModelFileError, match="manifest"):
        parse(text)


def test_missing_then_added_then_damaged(only: Store, tmp_path: Path) -> None:
    """The three states of a network, and what each message says to do."""
    (status,) = only.verify()
    assert (status.state, status.detail) == ("missing", "not on this machine: net.onnx")
    with pytest.raises(ModelFileError, match="models pull net"):
        only.read(_entry())
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "net.onnx").write_bytes(GOOD)
    assert only.add(stick) == ["net.onnx"]
    assert only.verify()[0].state == "ready"
    assert only.read(_entry()) == (GOOD,)
    (tmp_path / "weights" / "net.onnx").write_bytes(GOOD[:-1] + b"!")
    (status,) = only.verify()
    assert status.state == "damaged"
    assert "delete it" in status.detail


def test_a_wrong_file_on_the_stick_is_not_copied(only: Store, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"something else")
    with pytest.raises(ModelFileError, match="not the file that the manifest names"):
        only.add(tmp_path)
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("folder", ["empty", "absent"])
def test_a_folder_without_known_files_says_which_names_are_known(only: Store, tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileError, match=r"net\.onnx|not a folder"):
        only.add(tmp_path / folder)


def test_pull_keeps_only_what_has_the_pinned_checksum(
    only: Store, publisher: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "known", lambda: (_entry(publisher),))
    for answer in (b"<html>log in first</html>", GOOD + b"more", GOOD[:-1] + b"!"):
        monkeypatch.setattr(_Publisher, "answer", answer)
        with pytest.raises(ModelFileError, match=r"something else than net\.onnx"):
            only.pull()
        assert not (tmp_path / "weights").exists()
    monkeypatch.setattr(_Publisher, "answer", GOOD)
    assert only.pull() == ["net.onnx"]
    assert only.pull() == []
    assert (tmp_path / "weights" / "net.onnx").read_bytes() == GOOD


def test_a_closed_line_says_how_to_bring_the_file(only: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "known", lambda: (_entry("http://127.0.0.1:9/net.onnx"),))
    with pytest.raises(ModelFileError, match=r"no line to the publisher.*models add FOLDER"):
        only.pull(["net"])


def test_pull_takes_what_is_recommended_and_one_that_cannot_be_had_costs_no_other(
    only: Store, publisher: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is used only when asked for is no reason to fail; a closed line to one is told after the others."""
    here, elsewhere = _entry(publisher), _named("other", "http://127.0.0.1:9/other.onnx")
    optional = replace(_named("optional", "http://127.0.0.1:9/optional.onnx"), recommended=False)
    packaged = _packaged()
    monkeypatch.setattr(module, "known", lambda: (elsewhere, optional, packaged, here))
    with pytest.raises(ModelFileError, match=r"other\.onnx could not be fetched from.*; fetched: net") as caught:
        only.pull()
    assert "optional" not in str(caught.value)
    assert (tmp_path / "weights" / "net.onnx").read_bytes() == GOOD
    monkeypatch.setattr(module, "known", lambda: (optional, packaged, here))
    assert only.pull() == []
    with pytest.raises(ModelFileError, match=r"optional\.onnx could not be fetched"):
        only.pull(["optional"])
    with pytest.raises(ModelFileError, match="install the Python package no_such_package"):
        only.pull(["packaged"])


def _named(name: str, url: str) -> ModelEntry:
    entry = _entry(url)
    return replace(entry, name=name, files=(replace(entry.files[0], name=f"{name}.onnx"),))


def _packaged() -> ModelEntry:
    file = replace(_entry().files[0], name="packaged.dat", url="", package="no_such_package")
    return replace(_entry(), name="packaged", files=(file,))


def test_every_key_of_the_manifest_does_something() -> None:
    """A metric that is not there is refused, an unknown key too, and a calibration becomes the network's prior."""
    row = 'name = "n"\npart = "embedder"\nloader = "onnx"\nrank = 1\nlicence = "MIT"\npublisher = "p"\nfiles = []\n'
    with pytest.raises(ModelFileError, match="metric 'euclid' is not known"):
        parse(f'[[model]]\n{row}metric = "euclid"\n')
    with pytest.raises(ModelFileError, match="input"):
        parse(f'[[model]]\n{row}input = "x"\n')
    numbers = "location = 0.3, per_people = 0.1, scale = 0.1, many_pictures = 0.1, allowance = 0.1"
    (entry,) = parse(f"[[model]]\n{row}calibration = {{ {numbers} }}\n")
    assert entry.calibration is not None
    assert entry.calibration.similarity(0.01, 10, 0.0) == pytest.approx(0.3)
    assert {one.name for one in known() if one.calibration} == {"reid0095", "dlib-resnet", "dlib-resnet-8bit"}


def test_pull_of_an_unknown_name_lists_the_known(only: Store) -> None:
    with pytest.raises(ModelFileError, match="known are net"):
        only.pull(["nett"])


def test_a_conversion_is_made_once_and_again_when_its_file_was_damaged(only: Store, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "net.onnx").write_bytes(GOOD)
    made = []

    def convert(data: bytes) -> bytes:
        made.append(len(data))
        return data[::-1]

    def get() -> bytes:
        return converted(only, _entry(), convert, version=1)

    assert (get(), get(), made) == (GOOD[::-1], GOOD[::-1], [len(GOOD)])
    (kept,) = (tmp_path / "cache" / "converted").iterdir()
    for damage in (b"", kept.read_bytes()[:-5], kept.read_bytes() + b"x"):
        made.clear()
        kept.write_bytes(damage)
        assert (get(), made) == (GOOD[::-1], [len(GOOD)])


def test_a_cache_that_cannot_be_written_costs_only_time(only: Store, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "net.onnx").write_bytes(GOOD)
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert converted(only, _entry(), lambda data: data, version=1) == GOOD


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOOR_AGENT_CACHE", str(tmp_path))
    assert default_cache_folder() == tmp_path


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may look into any folder, so for a moment it is not root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_may_not_be_looked_into_has_no_files(only: Store, tmp_path: Path) -> None:
    """The agent's user began with root's home folder as its own: enrolling at a new door ended with a traceback."""
    closed = tmp_path / "cache" / "weights"
    closed.mkdir(parents=True)
    (closed / "net.onnx").write_bytes(GOOD)
    closed.chmod(0)
    with as_nobody():
        state = only.status(_entry()).state
    closed.chmod(0o700)
    assert state == "missing"
    assert only.status(_entry()).state == "ready"


def test_a_user_without_a_home_is_told_where_networks_may_be_kept(monkeypatch):
    """A container's user with no entry in the list of users: it was a RuntimeError."""
    monkeypatch.delenv("DOOR_AGENT_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", lambda: Path("~nobody-of-this-name").expanduser())
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    with pytest.raises(ModelFileError, match="DOOR_AGENT_CACHE"):
        default_cache_folder()
