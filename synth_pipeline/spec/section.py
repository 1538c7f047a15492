"""What every section of a specification shares."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """What every section of a specification shares."""

    model_config = ConfigDict(frozen=True, extra="forbid")
