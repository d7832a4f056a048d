"""What a question that got no answer is told: HTTP status, code, words and members for programs."""

from __future__ import annotations

from typing import Any

import psycopg

from pipeline.answers.refusals import (
    NotDerivedError,
    NothingFoundError,
    Refusal,
    TooMuchError,
    WrongInputError,
)

_STATUS: dict[type[Refusal], tuple[int, str]] = {
    WrongInputError: (400, "InvalidParameterValue"),
    NothingFoundError: (404, "NotFound"),
    TooMuchError: (413, "TooMuch"),
}


def status_of(refusal: Refusal) -> tuple[int, str]:
    """The HTTP status and the code of a refusal."""
    return _STATUS[type(refusal)]


def not_derived(error: NotDerivedError) -> str:
    """What is said where facts are missing."""
    return f"the facts {error} were not worked out yet (`makan derive`); try again later"


def problem_of(error: BaseException) -> dict[str, Any]:
    """What a job that failed keeps of ``error``: never more than its client may know."""
    if isinstance(error, Refusal):
        status, code = status_of(error)
        return {"status": status, "code": code, "detail": error.detail, **error.told}
    if isinstance(error, NotDerivedError):
        return {"status": 503, "code": "ServiceUnavailable", "detail": not_derived(error)}
    if isinstance(error, TimeoutError | psycopg.errors.QueryCanceled):
        said = "the answer takes longer than a job may"
        return {"status": 503, "code": "ServiceUnavailable", "detail": said}
    if isinstance(error, psycopg.DataError):
        said = f"a value cannot be used: {error.diag.message_primary or 'out of range'}"
        return {"status": 400, "code": "InvalidParameterValue", "detail": said}
    said = "the server made an error; it has been logged"
    return {"status": 500, "code": "NoApplicableCode", "detail": said}
