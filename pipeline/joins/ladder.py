"""Ladder: each subject gets the one object that the first able rung gives it, or none.

A rung that gives several decides nothing, but those are then the only ones in question: a later
rung may choose among them. What no rung decides stays ambiguous or unmatched, and is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.contracts.fact import Rung
from pipeline.geo import Floats, Mask
from pipeline.joins.pairs import Pairs
from pipeline.joins.side import Ints

UNDECIDED = -1
Find = Callable[[Rung, Ints], Pairs]


@dataclass
class Climb:
    """How far ``count`` subjects have come. ``rung`` (n,) is the place of the rung that decided,
    ``object`` the id it gave (-1: it told only how well the place is known), ``candidates`` how
    many objects came into question, ``distance`` in units of the CRS, ``run`` the latest run of
    what led there (0: nothing did)."""

    rung: Ints
    object: Ints
    candidates: Ints
    distance: Floats
    run: Ints

    @staticmethod
    def start(count: int) -> Climb:
        """Nobody has climbed yet."""
        return Climb(
            np.full(count, UNDECIDED, dtype=np.int64),
            np.full(count, -1, dtype=np.int64),
            np.zeros(count, dtype=np.int64),
            np.full(count, np.nan),
            np.zeros(count, dtype=np.int64),
        )

    @property
    def undecided(self) -> Mask:
        """Subjects that no rung has decided."""
        return np.asarray(self.rung == UNDECIDED)


def climb(count: int, rungs: tuple[Rung, ...], find: Find) -> Climb:
    """Leads ``count`` subjects up the ``rungs``; ``find`` gives the pairs of a rung."""
    state = Climb.start(count)
    doubtful = Pairs.of(*(np.zeros(0, dtype=np.int64),) * 2)
    for place, rung in enumerate(rungs):
        waiting = np.flatnonzero(state.undecided)
        if not len(waiting):
            break
        found = find(rung, waiting)
        if rung.layer:
            _tell_place(state, place, found)
            continue
        found = _among(found, doubtful, state)
        times = np.bincount(found.subject, minlength=count)
        _decide(state, place, found.take(times[found.subject] == 1))
        several = found.take(times[found.subject] > 1)
        state.candidates[several.subject] = times[several.subject]
        kept = doubtful.take(state.undecided[doubtful.subject] & (times[doubtful.subject] == 0))
        doubtful = Pairs.of(
            np.concatenate([kept.subject, several.subject]),
            np.concatenate([kept.object, several.object]),
        )
    return state


def _among(found: Pairs, doubtful: Pairs, state: Climb) -> Pairs:
    """Pairs that an earlier rung has not ruled out."""
    if not len(doubtful.subject) or not len(found.subject):
        return found
    open_to_all = state.candidates[found.subject] == 0
    most = int(max(found.object.max(), doubtful.object.max())) + 1
    known = np.isin(found.subject * most + found.object, doubtful.subject * most + doubtful.object)
    return found.take(open_to_all | known)


def _decide(state: Climb, place: int, sure: Pairs) -> None:
    state.rung[sure.subject] = place
    state.object[sure.subject] = sure.object
    state.distance[sure.subject] = sure.distance
    state.run[sure.subject] = sure.run
    state.candidates[sure.subject] = np.maximum(state.candidates[sure.subject], 1)


def _tell_place(state: Climb, place: int, found: Pairs) -> None:
    """The rung knows no object; a subject with several in question stays ambiguous."""
    told = np.unique(found.subject[state.candidates[found.subject] == 0])
    state.rung[told] = place
