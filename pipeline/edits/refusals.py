"""Why an edit is not made; every refusal leaves everything as it was."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.findings import Finding


class Refused(Exception):  # noqa: N818 - a refusal is no error of ours
    """The row is not as the contract or its neighbours ask; ``findings`` tell each reason."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__(", ".join(sorted({found.code for found in findings})))
        self.findings = findings


class Taken(Refused):
    """Another row has the key."""


class Missing(Exception):  # noqa: N818
    """There is no such row."""


class Overtaken(Exception):  # noqa: N818
    """The row is not the one that the client has seen; ``version`` is the one in force."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.version = version


class Busy(Exception):  # noqa: N818
    """A load holds the layer."""


class Malformed(Exception):  # noqa: N818
    """The body is no feature."""


@dataclass(frozen=True)
class Done:
    """What an edit did. ``run`` is the version of the row from now on, None where it is gone;
    ``changed`` False: the row was so already. ``findings`` do not stand in its way."""

    id: int
    run: int | None
    changed: bool
    findings: list[Finding] = field(default_factory=list)
