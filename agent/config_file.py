"""Reading a configuration file, the door's, the site's or the server's: text, TOML, then what it may say.

Editors on Windows end lines with two characters and may begin a file with a mark (BOM): both are taken.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from agent.config_errors import explain
from agent.errors import ConfigError

MAX_BYTES: Final = 256 * 1024

File = TypeVar("File", bound=BaseModel)


def read(model: type[File], path: Path, *, otherwise: str, max_bytes: int = MAX_BYTES) -> File:
    """A file as a `model`; `otherwise`: what to do where it cannot be read.

    Raises:
        ConfigError: with one line per fault: file, line, key, value and what is allowed.
    """
    try:
        with path.open("rb") as f:
            raw = f.read(max_bytes + 1)
    except OSError as e:
        raise ConfigError(f"{path}: cannot be read ({e.strerror}); {otherwise}") from e
    except ValueError as e:
        raise ConfigError(f"{str(path)!r}: is not a file's name ({e}); {otherwise}") from e
    if len(raw) > max_bytes:
        raise ConfigError(f"{path}: larger than {max_bytes} bytes; this is not a configuration")
    return parse(model, raw, str(path))


def parse(model: type[File], raw: bytes, name: str) -> File:
    """The same from the bytes of a file that messages call `name`. Raises ConfigError."""
    try:
        text = raw.decode("utf-8-sig")
        data = tomllib.loads(text)
    except UnicodeDecodeError as e:
        raise ConfigError(f"{name}: byte {e.start} is not UTF-8 text; save the file as UTF-8") from e
    except (tomllib.TOMLDecodeError, RecursionError) as e:
        raise ConfigError(f"{name}: not valid TOML: {str(e) or 'nested too deeply'}") from e
    try:
        return model.model_validate(data)
    except ValidationError as e:
        faults = [explain(model, name, text, fault) for fault in e.errors(include_url=False)]
        raise ConfigError("\n".join(faults)) from e
