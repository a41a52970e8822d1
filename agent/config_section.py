"""What every section of a configuration file is: strict, frozen, and without unknown keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agent.core.bounded import NAME
from hardware.address import is_host

_NAME: Final = f"^{NAME}$"
_PLACE: Final = r"^/[^\x00]*$"
# patterns as an installer reads them
SAID: Final[Mapping[str, str]] = {
    _NAME: "1 to 63 of a-z, 0-9 and -, the first no -",
    _PLACE: "a path that begins with /, for services and commands do not run in the same folder",
}


def _host(text: str) -> str:
    if not is_host(text):
        raise ValueError(f"{text!r:.80} is not a host's name or address (letters, digits, . : -)")
    return text


Host = Annotated[str, AfterValidator(_host)]
Name = Annotated[str, Field(pattern=_NAME)]
Place = Annotated[str, Field(pattern=_PLACE)]


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not an IANA name such as Asia/Shanghai")
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]


class Section(BaseModel):
    """A section: no unknown key, no silent conversion (the text "False" is not a boolean)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
