"""The page's code as a door's camera gets it: small, tilted, blurred, dim, with a lamp's glare on the glass."""

import cv2
import numpy as np
import pytest
import zxingcpp

FRAME = (720, 1280)
SEED = 20261123


@pytest.fixture(scope="module")
def screen(browser, serve_module, phone_at):
    """A gray screenshot, where its code is, and what it says."""
    phone = phone_at(browser, serve_module().url)
    phone.register()
    phone.code()
    picture = cv2.cvtColor(phone.picture(), cv2.COLOR_BGR2GRAY)
    found = zxingcpp.read_barcodes(picture)[0]
    return picture, found.position, found.bytes


def photographed(screen, width_px: int, *, tilt: float, blur: float, light: float, glare: float) -> np.ndarray:
    """A gray 1280x720 door frame with the phone; `width_px` is the code's, `light` 1 is full, `glare` is added."""
    picture, position, _ = screen
    code_px = position.top_right.x - position.top_left.x
    height, width = picture.shape
    w, h = width * width_px / code_px, height * width_px / code_px
    x, y = 640 - w / 2, 360 - position.top_left.y * width_px / code_px - width_px / 2
    lean, far = tilt * w, tilt * 0.4 * h
    target = np.float32([[x, y + far], [x + w, y - far / 2], [x + w - lean, y + h], [x - lean, y + h - far]])
    matrix = cv2.getPerspectiveTransform(np.float32([[0, 0], [width, 0], [width, height], [0, height]]), target)
    random = np.random.default_rng(SEED)
    hall = cv2.GaussianBlur(random.integers(40, 200, FRAME).astype(np.float32), (0, 0), 25) * 1.1
    mask = cv2.warpPerspective(np.ones((height, width), np.float32), matrix, FRAME[::-1], flags=cv2.INTER_AREA)
    shown = cv2.warpPerspective(picture.astype(np.float32), matrix, FRAME[::-1], flags=cv2.INTER_AREA)
    frame = hall * (1 - mask) + shown * mask
    spot = np.zeros(FRAME, np.float32)
    cv2.circle(spot, (640 + width_px // 4, 360 - width_px // 5), width_px // 5, 1.0, -1)
    frame += glare * cv2.GaussianBlur(spot, (0, 0), width_px / 8)
    frame = cv2.GaussianBlur(frame, (0, 0), blur) * light + 12 * (1 - light) + random.normal(0, 4, frame.shape)
    return np.clip(frame, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("width_px", [140, 180, 250])
@pytest.mark.parametrize(
    "how",
    [
        {"tilt": 0.0, "blur": 0.8, "light": 1.0, "glare": 0.0},
        {"tilt": 0.15, "blur": 1.0, "light": 0.9, "glare": 0.0},
        {"tilt": -0.2, "blur": 0.8, "light": 0.8, "glare": 0.0},
        {"tilt": 0.1, "blur": 1.0, "light": 0.3, "glare": 0.0},
        {"tilt": 0.1, "blur": 0.8, "light": 0.8, "glare": 90.0},
    ],
    ids=["straight", "tilted", "tilted the other way", "dim", "glare"],
)
def test_the_door_s_reader_gets_the_code_from_a_photographed_screen(screen, width_px: int, how: dict[str, float]):
    frame = photographed(screen, width_px, **how)
    found = zxingcpp.read_barcodes(frame, formats=zxingcpp.BarcodeFormat.QRCode)
    assert [one.bytes for one in found] == [screen[2]]
