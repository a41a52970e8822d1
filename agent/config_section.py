"""What every section of a configuration file is: strict, frozen, and without unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class Section(BaseModel):
    """A section: no unknown key, no silent conversion (the text "False" is not a boolean)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
