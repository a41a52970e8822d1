"""A bundle comes over real TLS connections: gone on with after a cut, no faster than allowed, never beyond the disk."""

import errno
import json
import os
import subprocess
import time

import pytest
from update_world import OTHER_MACHINE, BreakingLine, UpdateSite, write_bundle

from agent.core.updates import Bundle
from agent.updates import files as update_files
from agent.updates.fetcher import Fetched, FetchProgress, NotFetched, UpdateFetcher
from deploy.pki import Authority
from tests.stream.conftest import Posts

SIZE = 1_500_000


class World(UpdateSite):
    def __init__(self, folder):
        super().__init__(folder)
        self.posts, self.made = Posts(), []

    def fetch(self, bundle, *, state=None, settings=None, **how):
        files = self.files(state)
        assert files.obstacle(bundle) == ""
        fetcher = UpdateFetcher(settings or self.settings(**how), files, self.posts)
        self.made.append(fetcher)
        fetcher.start()
        fetcher.begin("order-1", bundle)
        return fetcher

    def ended(self):
        self.posts.wait(lambda: bool(self.posts.of(Fetched, NotFetched)), "an end", 60)
        return self.posts.of(Fetched, NotFetched)[-1]

    def left(self, state=None):
        return sorted(p.name for p in ((state or self.state) / "update").iterdir())

    def close(self):
        for one in self.made:
            one.stop()
        super().close()


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def test_a_bundle_is_fetched_judged_and_lies_there_whole(world):
    bundle = world.bundle(size=SIZE)
    world.fetch(bundle)
    assert world.ended() == Fetched("order-1")
    assert world.left() == [f"{bundle.sha256}.tar"]
    percents = [p.percent for p in world.posts.of(FetchProgress)]
    assert (percents[-1], len(percents) <= 21) == (100, True), "said in steps: each is a message to the server"


def test_a_line_that_breaks_again_and_again_costs_only_what_was_under_way(world):
    bundle = world.bundle(size=SIZE)
    line = BreakingLine(world.server.port, 400_000, times=3)
    world.fetch(bundle, port=line.port)
    assert world.ended() == Fetched("order-1")
    line.close()
    assert line.connections == 4, (
        "three parts of 0.4 MB, then the rest: begun anew it would never have got past the first"
    )


def test_an_agent_that_starts_again_goes_on_where_it_was(world):
    bundle = world.bundle(size=SIZE)
    part = world.files().part(bundle)
    first = world.fetch(bundle, bytes_per_s=400_000)
    world.posts.wait(lambda: any(p.percent >= 20 for p in world.posts.of(FetchProgress)), "some of it", 60)
    first.stop(20)
    assert 0 < part.stat().st_size < bundle.size_bytes
    line = BreakingLine(world.server.port, bundle.size_bytes - 100_000, times=1)  # less than the whole
    world.fetch(bundle, port=line.port)
    assert world.ended() == Fetched("order-1")
    line.close()
    assert line.connections == 1


def test_no_more_bytes_a_second_than_allowed(world):
    bundle = world.bundle(size=400_000)
    began_s = time.monotonic()
    world.fetch(bundle, bytes_per_s=400_000)
    assert world.ended() == Fetched("order-1")
    assert time.monotonic() - began_s >= 0.9


def test_another_file_under_its_name_is_fetched_once_more_and_then_given_up(world):
    bundle = world.bundle(size=SIZE)
    world.store.bundle(bundle.sha256).write_bytes(os.urandom(bundle.size_bytes))
    world.fetch(bundle)
    end = world.ended()
    assert (end.why, world.left()) == ("damaged", [])


def test_a_file_that_is_longer_or_shorter_than_announced_never_fills_the_disk(world):
    bundle = world.bundle(size=SIZE)
    world.store.bundle(bundle.sha256).write_bytes(os.urandom(bundle.size_bytes + 500_000))
    world.fetch(bundle, give_up_s=0.3)
    assert world.ended().why == "not-fetched"
    assert world.left() == []
    world.posts.all.clear()
    world.store.bundle(bundle.sha256).write_bytes(b"short")
    world.fetch(bundle, give_up_s=0.3)
    assert world.ended().why == "not-fetched"


def test_a_server_of_another_site_is_not_spoken_with(world, tmp_path):
    bundle = world.bundle(size=1000)
    settings = world.settings(give_up_s=0.3)
    other = Authority(tmp_path / "other").cert
    files = world.files()
    files.obstacle(bundle)
    fetcher = UpdateFetcher(
        type(settings)(*(settings.host, settings.port, other, settings.cert, settings.key, 10**6, settings.patience)),
        files,
        world.posts,
    )
    world.made.append(fetcher)
    fetcher.start()
    fetcher.begin("order-1", bundle)
    end = world.ended()
    assert (end.why, "certificate" in end.detail) == ("not-fetched", True)


def test_a_server_that_does_not_have_it_yet_is_asked_again(world):
    bundle = world.bundle(size=1000)
    world.allowed = False
    world.fetch(bundle)
    world.allowed = True
    assert world.ended() == Fetched("order-1")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"signed": False}, "unsigned"),
        ({"serial": 0}, "older"),
        ({"where": OTHER_MACHINE}, "other-machine"),
        ({"spoil": True}, "damaged"),
        ({"more": ("evil",)}, "damaged"),
        ({"release": "another"}, "damaged"),
    ],
)
def test_what_may_not_be_installed_here_is_refused_and_goes(world, how, why):
    bundle = world.bundle(size=1000, **how)
    if "release" in how:
        bundle = Bundle("0.1.1+aaaaaaaaaa", bundle.sha256, bundle.size_bytes, "r1")
    world.fetch(bundle)
    assert (world.ended().why, world.left()) == (why, [])


def test_a_bundle_of_another_site_is_refused(world, tmp_path):
    bundle = world.bundle(size=1000, key=Authority(tmp_path / "other").signing_key("release").key)
    world.fetch(bundle)
    assert world.ended().why == "bad-signature"


def test_called_off_it_says_no_more_and_another_one_may_follow(world):
    bundle = world.bundle(size=600_000)
    fetcher = world.fetch(bundle, bytes_per_s=300_000)
    world.posts.wait(lambda: bool(world.posts.of(FetchProgress)), "some of it", 60)
    fetcher.call_off()
    world.files().keep_only(None)
    fetcher.begin("order-2", bundle)
    assert world.ended() == Fetched("order-2")


# ---------------------------------------------------------------- the disk


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MiB of its own."""
    where = tmp_path / "small"
    where.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(where)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("mounting takes root")
    yield where
    subprocess.run(["umount", "--lazy", str(where)], check=True)


def filled(path):
    """Write until the disk takes no more; why it did not."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError as error:
            return error.errno


def test_too_little_room_is_said_before_a_byte_is_fetched(world, small_disk):
    """The journal lies on the same disk: 64 MiB are never touched."""
    assert world.files(small_disk).obstacle(world.bundle(size=1000)) == "no-room"


def test_a_disk_that_somebody_else_fills_meanwhile_ends_it_and_gets_its_room_back(world, small_disk, monkeypatch):
    monkeypatch.setattr(update_files, "RESERVE_BYTES", 0)
    bundle = world.bundle(size=SIZE)
    world.fetch(bundle, state=small_disk, bytes_per_s=400_000)
    world.posts.wait(lambda: bool(world.posts.of(FetchProgress)), "some of it", 60)
    assert filled(small_disk / "forgotten") == errno.ENOSPC
    end = world.ended()
    assert (end.why, world.left(small_disk)) == ("no-room", [])


def test_a_key_that_is_not_there_is_said_before_a_byte_is_fetched(world):
    bundle = world.bundle(size=1000)
    world.release_key.cert.unlink()
    assert world.files().obstacle(bundle) == "no-release-key"


def test_the_request_to_the_updater_names_the_file(world, tmp_path):
    from agent.core.updates import Stage, Update

    bundle = world.offer(write_bundle(tmp_path / "b.tar", world.release_key.key))
    files = world.files()
    files.obstacle(bundle)
    files.hand_over(Update("order-1", bundle, Stage.INSTALLING, handed="h1"))
    assert json.loads((world.state / "update" / "request.json").read_text()) == {"order": "h1", **bundle.to_json()}
    assert files.withdraw()
    assert not files.withdraw(), "one of the two removes it"
