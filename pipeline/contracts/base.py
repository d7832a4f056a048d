"""What every file of schemas/ has in common: frozen, unknown keys refused, bilingual titles."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
CollectionId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,40}$")]


class Frozen(BaseModel):
    """A value object read from TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Text(Frozen):
    """A text for people, in English and Persian."""

    en: str
    fa: str

    def of(self, language: str) -> str:
        """The text in ``language``; English for any that is not Persian."""
        return self.fa if language.startswith("fa") else self.en
