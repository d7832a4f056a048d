"""Why a question gets no answer: what was asked wrongly, what is not there, what is too much."""

from __future__ import annotations

from typing import Any

from pipeline.contracts.base import Text


class Refusal(Exception):  # noqa: N818 - it is the client's matter, not an error of ours
    """A question that is not answered; ``told`` are the members that say why, for programs."""

    def __init__(self, detail: str, **told: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.told = told


class WrongInputError(Refusal):
    """An input cannot be: its ``field``, the ``rule`` it breaks, an ``example`` of a right one, if
    there is such an input at all."""

    def __init__(self, field: str, rule: str, example: Any, detail: str) -> None:
        told = {"field": field, "rule": rule} | ({} if example is None else {"example": example})
        super().__init__(f"{field}: {detail}", **told)


class NothingFoundError(Refusal):
    """There is no such thing; ``near`` are those that may have been meant."""

    def __init__(self, said: Text, near: list[Any]) -> None:
        super().__init__(said.en, message=said.model_dump(), near=near)


def no_such(title: Text) -> Text:
    """What is told where an input ``title`` names nothing that is there."""
    return Text(en=f"{title.en}: there is no such one", fa=f"{title.fa}: چنین چیزی نیست")


class TooMuchError(Refusal):
    """The answer would hold ``found`` of ``unit``, which is more than ``most``; a job may be about
    ``in_background`` of them."""

    def __init__(self, found: int, most: int, unit: Text, in_background: int | None) -> None:
        detail = f"the question meets {found} {unit.en}; at most {most} are answered at once"
        if in_background and found <= in_background:
            detail += "; ask in the background (Prefer: respond-async)"
        super().__init__(detail, found=found, most=most, most_in_background=in_background)


class NotDerivedError(Exception):
    """Facts that the answer needs were never worked out."""
