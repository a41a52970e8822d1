"""The vision socket: what comes is parsed and posted, who goes is noticed, nonsense costs nothing."""

import queue
from pathlib import Path

import pytest

from agent.core.vision_messages import Alive, EnrolCancel, encode
from agent.vision_link import VisionGone, VisionLink, VisionNonsense
from hardware.seqpacket import connect

ALIVE = Alive(frames=1, fps=10.0, camera_state="ok", at_s=5.0)


@pytest.fixture
def link(tmp_path: Path):
    news: queue.Queue[object] = queue.Queue()
    pictures: queue.Queue[bytes] = queue.Queue()
    link = VisionLink(tmp_path / "v.sock", news.put, pictures.put, silent_s=1.0)
    link.news, link.pictures, link.path = news, pictures, str(tmp_path / "v.sock")
    link.start()
    yield link
    link.stop()


def test_messages_are_parsed_pictures_handed_on_and_the_end_is_noticed(link):
    vision = connect(link.path)
    vision.send_json(encode(ALIVE))
    vision.send_picture(b"\xff\xd8\xff rest")
    assert link.news.get(timeout=5) == ALIVE
    assert link.pictures.get(timeout=5) == b"\xff\xd8\xff rest"
    vision.close()
    assert isinstance(link.news.get(timeout=5), VisionGone)


def test_nonsense_is_told_once_and_the_connection_goes_on(link):
    vision = connect(link.path)
    for _ in range(50):
        vision.send_json({"type": "finding", "verdict": "open"}, 1.0)
    vision.send_json(encode(ALIVE), 1.0)
    assert isinstance(link.news.get(timeout=5), VisionNonsense)
    assert link.news.get(timeout=5) == ALIVE
    vision.close()


def test_a_silent_process_counts_as_gone(link):
    vision = connect(link.path)
    assert "nothing for 1 s" in link.news.get(timeout=5).detail
    vision.close()


def test_orders_reach_whoever_is_connected_and_nobody_is_no_error(link):
    assert not link.send([EnrolCancel()])
    vision = connect(link.path)
    vision.send_json(encode(ALIVE))
    link.news.get(timeout=5)
    assert link.send([EnrolCancel()])
    assert vision.recv(5) == {"type": "enrol_cancel"}
    vision.close()
