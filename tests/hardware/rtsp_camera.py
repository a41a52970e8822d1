"""A network camera on the loopback: RTSP 1.0 over TCP, one JPEG picture again and again (RFC 2435)."""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import threading

import cv2
import numpy as np

USER, PASSWORD = "cam", "hunter2"
_SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=door\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
_MEDIA = "m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\na=control:track1\r\n"
_PIECE_BYTES = 1200


class RtspCamera:
    """Serves one viewer at a time, `fps` pictures a second, until `stop`; `hang` keeps the line and sends nothing."""

    def __init__(self, picture: np.ndarray, fps: float = 20.0) -> None:
        self._jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        self._size, self._pause_s = picture.shape[1::-1], 1.0 / fps
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.hang = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"rtsp://{USER}:{PASSWORD}@{self.address}/live"

    def stop(self) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                viewer, _ = self._listener.accept()
            except OSError:
                return
            with viewer, contextlib.suppress(OSError):
                self._talk(viewer)

    def _talk(self, viewer: socket.socket) -> None:
        asked = viewer.makefile("rb")
        while line := asked.readline().decode().split():
            fields = dict(iter(lambda: tuple(asked.readline().decode().strip().split(": ", 1)), ("",)))
            body = ""
            answer = {"CSeq": fields["CSeq"], "Session": "1"}
            status = "200 OK"
            if fields.get("Authorization") != f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}":
                status, answer["WWW-Authenticate"] = "401 Unauthorized", 'Basic realm="camera"'
            elif line[0] == "DESCRIBE":
                body, answer["Content-Type"] = _SDP + _MEDIA, "application/sdp"
            elif line[0] == "SETUP":
                answer["Transport"] = "RTP/AVP/TCP;unicast;interleaved=0-1"
            answer["Content-Length"] = str(len(body))
            head = "".join(f"{name}: {value}\r\n" for name, value in answer.items())
            viewer.sendall(f"RTSP/1.0 {status}\r\n{head}\r\n{body}".encode())
            if line[0] == "PLAY" and status == "200 OK":
                self._play(viewer)
                return

    def _play(self, viewer: socket.socket) -> None:
        tables, scan = _taken_apart(self._jpeg)
        number = 0
        for frame in range(1_000_000):
            if self._stopping.wait(self._pause_s):
                return
            if self.hang.is_set():
                continue
            for offset in range(0, len(scan), _PIECE_BYTES):
                piece = scan[offset : offset + _PIECE_BYTES]
                last = offset + _PIECE_BYTES >= len(scan)
                width, height = self._size
                jpeg = struct.pack(">IBBBB", offset, 1, 255, width // 8, height // 8)
                if offset == 0:
                    jpeg += struct.pack(">BBH", 0, 0, len(tables)) + tables
                stamp = frame * round(90000 * self._pause_s)
                rtp = struct.pack(">BBHII", 0x80, 26 | last << 7, number & 0xFFFF, stamp & 0xFFFFFFFF, 7) + jpeg + piece
                viewer.sendall(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)
                number += 1


def _taken_apart(jpeg: bytes) -> tuple[bytes, bytes]:
    """The two quantisation tables and the scan of a baseline 4:2:0 JPEG with the usual Huffman tables."""
    tables, at = b"", 2
    while jpeg[at + 1] != 0xDA:
        (length,) = struct.unpack(">H", jpeg[at + 2 : at + 4])
        segment = jpeg[at + 4 : at + 2 + length]
        if jpeg[at + 1] == 0xDB:
            tables += b"".join(segment[i + 1 : i + 65] for i in range(0, len(segment), 65))
        at += 2 + length
    (length,) = struct.unpack(">H", jpeg[at + 2 : at + 4])
    return tables, jpeg[at + 2 + length : -2]
