"""The page in a real browser; each test has its own server and so its own origin: a phone at its first start."""

import base64
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import zxingcpp
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hand_held import HandHeld

from agent.core.passes import Book, Key, base45_decode, judge, reference

DOOR = "garden/gate-1"


@pytest.fixture(scope="session")
def browser():
    started = HandHeld()
    yield started
    started.close()


class Server:
    def __init__(self, ahead_s: float = 0.0):
        command = [sys.executable, "-m", "tests.phone.page_server", str(ahead_s)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = f"http://localhost:{int(self.process.stdout.readline())}/phone/"

    def stop(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()


def _serving():
    """A function that starts servers; what a test left running is stopped."""
    started = []

    def start(ahead_s: float = 0.0) -> Server:
        started.append(Server(ahead_s))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.stop()


serve = pytest.fixture(_serving)
serve_module = pytest.fixture(scope="module")(_serving)


class Phone:
    """The page as its owner uses it, and the door that judges what the screen shows."""

    def __init__(self, browser: HandHeld, url: str):
        self.browser = browser
        browser.open(url)
        browser.wait("return document.querySelector('#code').textContent.length > 0")

    def register(self) -> bytes:
        """What the manager reads; afterwards the pass is on the screen."""
        code = self.browser.text("#code")
        self.public = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
        self.browser.touch("#to-pass")
        return self.public

    def picture(self) -> np.ndarray:
        return cv2.imdecode(np.frombuffer(self.browser.picture(), np.uint8), cv2.IMREAD_COLOR)

    def code(self, after: bytes = b"", bound_s: float = 8.0) -> bytes:
        """The code on the screen; with `after`, the first one of a later step."""
        end_s = time.monotonic() + bound_s
        while True:
            found = zxingcpp.read_barcodes(self.picture())
            if len(found) == 1 and (not after or step(found[0].bytes) > step(after)):
                return found[0].bytes
            assert time.monotonic() < end_s, f"no new code on the screen within {bound_s} s"

    def judge(self, text: bytes, *, book=Book(), utc_s: float | None = None):  # noqa: B008  frozen
        key = Key(self.public, "p-anna")
        keys = {reference(self.public): key}
        now_s = time.time() if utc_s is None else utc_s
        return judge(text, door=DOOR, keys=keys.get, verify=verify, book=book, utc_s=now_s)


def step(text: bytes) -> int:
    return int.from_bytes(base45_decode(text)[18:22], "big")


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    raw = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        serialization.load_der_public_key(public).verify(raw, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@pytest.fixture(scope="session")
def phone_at():
    """The class, for fixtures that live longer than a test."""
    return Phone


@pytest.fixture
def new_phone(browser):
    """Opens an address as a phone; the browser forgets what a test put before the page."""
    yield lambda url: Phone(browser, url)
    browser.forget()


@pytest.fixture
def phone(new_phone, serve):
    return new_phone(serve().url)
