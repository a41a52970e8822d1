"""[hardware] and [camera] of a door's configuration: pins, levels, what is wired, where pictures come from."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from agent.config_section import Section

Pin = Annotated[int, Field(ge=0, le=27)]

MAX_WAY_OUT_DEBOUNCE_MS = 50


class Relay(Section):
    """[hardware.relay]."""

    pin: Pin = Field(description="BCM number")
    active_high: bool = Field(default=True, description="false for boards that energise on a low level")


class InputLine(Section):
    """[hardware.inputs.NAME], NAME one of contact, exit, fire, tamper, lock_power, doorbell."""

    pin: Pin = Field(description="BCM number")
    active_low: bool = Field(default=True, description="true: the named thing is so when the line reads low")
    pull: Literal["up", "down", "none"] = Field(default="up", description="the Pi's own resistor at this line")
    debounce_ms: int = Field(default=30, ge=0, le=500, description="exit and fire: at most 50")


class Inputs(Section):
    """[hardware.inputs]."""

    contact: InputLine | None = None
    exit: InputLine | None = None
    fire: InputLine | None = None
    tamper: InputLine | None = None
    lock_power: InputLine | None = None
    doorbell: InputLine | None = None

    @model_validator(mode="after")
    def _in_time(self) -> Inputs:
        for name, line in (("exit", self.exit), ("fire", self.fire)):
            if line is not None and line.debounce_ms > MAX_WAY_OUT_DEBOUNCE_MS:
                raise ValueError(
                    f"{name}.debounce_ms is {line.debounce_ms}, at most {MAX_WAY_OUT_DEBOUNCE_MS} is allowed: the lock "
                    "is released within 100 ms of a press or an alarm"
                )
        return self


class Hardware(Section):
    """[hardware]."""

    backend: Literal["lgpio", "simulated"] = Field(
        default="lgpio", description="simulated: no pins, for demo and tests"
    )
    chip: int = Field(default=0, ge=0, le=9, description="/dev/gpiochipN")
    relay: Relay
    inputs: Inputs = Inputs()
    buzzer_pin: Pin | None = Field(default=None, description="BCM number; none: there is no buzzer")
    buzzer_active_high: bool = Field(default=True, description="false for modules that sound on a low level")
    led_red_pin: Pin | None = Field(default=None, description="BCM number; none: there is no such lamp")
    led_red_active_high: bool = Field(default=True, description="false for a lamp from 3.3 V to the pin")
    led_green_pin: Pin | None = Field(default=None, description="BCM number; none: there is no such lamp")
    led_green_active_high: bool = Field(default=True, description="the same")

    @model_validator(mode="after")
    def _pins_once(self) -> Hardware:
        lines = {k: v.pin for k, v in self.inputs if v is not None}
        outputs = {"buzzer_pin": self.buzzer_pin, "led_red_pin": self.led_red_pin, "led_green_pin": self.led_green_pin}
        used = {"relay": self.relay.pin} | lines | {k: v for k, v in outputs.items() if v is not None}
        seen: dict[int, str] = {}
        for name, pin in used.items():
            if pin in seen:
                raise ValueError(f"pin {pin} is used by both {seen[pin]} and {name}")
            seen[pin] = name
        return self


class Camera(Section):
    """[camera]."""

    source: str = Field(
        min_length=3,
        max_length=500,
        pattern=r"^(v4l2:|/dev/|rtsp://|rtsps://|csi:|file:|still:|none$)",
        description="v4l2:/dev/v4l/by-id/…, rtsp://…, csi:0, file:…, still:…, or none",
    )

    @field_validator("source")
    @classmethod
    def _numbered(cls, source: str) -> str:
        url = urlsplit(source)
        if url.scheme in {"rtsp", "rtsps"}:
            try:
                _ = url.port
            except ValueError as error:
                raise ValueError(
                    "the port in the camera's address is no number up to 65535; a / or @ of its password is written as "
                    "%2F or %40"
                ) from error
            try:
                ip_address(url.hostname or "")
            except ValueError as error:
                raise ValueError(
                    f"write the camera's address as a number, rtsp://user:password@192.0.2.10/…, not {url.hostname!r}: "
                    "the vision process may reach this one address and asks nobody for names"
                ) from error
        return source

    width_px: int = Field(default=1280, ge=160, le=3840, description="of the picture that the camera is asked for")
    height_px: int = Field(default=720, ge=120, le=2160, description="the same")
    fps: int = Field(default=10, ge=1, le=30, description="pictures a second")
