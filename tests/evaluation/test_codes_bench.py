"""bench codes: counts what is read, misread and missed, and a phone held up in a scene is read."""

import cv2
import numpy as np
import pytest

from agent.errors import DoorAgentError
from agent.evaluation import codes
from fixtures.scenes import _qr


def test_each_reader_is_scored_on_the_same_photographs_and_a_wrong_text_is_a_misreading(tmp_path):
    for name, drawn, expected in (("1", "OPEN", "OPEN"), ("2", "OPEN", "SHUT"), ("3", "", "OPEN")):
        picture = _qr(drawn) if drawn else np.full((200, 200, 3), 128, np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}.png"), cv2.copyMakeBorder(picture, 40, 40, 40, 40, cv2.BORDER_REPLICATE))
        (tmp_path / f"{name}.txt").write_text(expected + "\r\n")
    photos = [(cv2.imread(str(p)), codes._plain(p.with_suffix(".txt").read_bytes())) for p in tmp_path.glob("*.png")]
    score = codes._score(codes._door, photos)
    assert (score["read"], score["misread"], score["rate"]) == (1, 1, 0.333)


def test_a_phone_at_twenty_centimetres_is_read_tilted_and_in_the_dark():
    for condition in ("tilted 30 degrees", "dim"):
        row = codes._held(0.2, condition)
        assert (row["read"], row["of"], row["cm"]) == (3, 3, 20)


def test_a_folder_without_photographs_is_named(tmp_path):
    with pytest.raises(DoorAgentError, match="no photographs"):
        codes.measure(tmp_path)
