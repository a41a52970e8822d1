"""The library's client as the link uses it: reads what has come, and looks at no message that nobody will hear.

A message costs the library an object, its properties and a line of log for whoever asks; somebody who sends a thousand
a second must not have all that.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode

from agent.link.publish_packet import CORRELATION_DATA, with_properties

_READ_AT_ONCE: Final = 50  # packets; then everything else has its turn


class Client(mqtt.Client):
    """MQTT 5, each connection asked for by its owner. `heard`: whether a message of this topic will be looked at.

    Of a message that will be, no property is seen but the one that is read here.
    """

    def __init__(self, name: str, heard: Callable[[bytes], bool]) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5, reconnect_on_failure=False)
        self._heard = heard

    def read(self, sock: Any) -> None:  # noqa: ANN401  a TLS socket; the library calls it something more abstract
        """What has come by this socket, up to a bound."""
        for _ in range(_READ_AT_ONCE):
            self.loop_read()
            lives = self.socket() is sock
            if not lives or not (sock.pending() or select.select([sock], [], [], 0)[0]):
                return

    def _handle_publish(self) -> MQTTErrorCode:
        packet = self._in_packet
        raw, qos = bytes(packet["packet"]), packet["command"] & 0x06
        after_topic = 2 + int.from_bytes(raw[:2])
        if not self._heard(raw[2:after_topic]):
            number = int.from_bytes(raw[after_topic : after_topic + 2])
            return self._send_puback(number) if qos else MQTTErrorCode.MQTT_ERR_SUCCESS
        packet["packet"] = bytearray(with_properties(raw, qos, frozenset({CORRELATION_DATA})))
        return super()._handle_publish()

    def _easy_log(self, level: LogLevel, fmt: str, *args: Any) -> None:  # noqa: ANN401  as the library has it
        if level is LogLevel.MQTT_LOG_ERR:
            super()._easy_log(level, fmt, *args)
