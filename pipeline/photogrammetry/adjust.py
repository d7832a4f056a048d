"""A bundle block adjustment: orientation of frames and points from what was measured in images.

Unknown are six numbers a frame and three a point. Points are eliminated first (Schur complement),
so that what is solved is as large as the frames alone. Measurements that are grossly
wrong lose their weight (Huber), and in the end take no part.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import MatrixRankWarning, spsolve

from pipeline.errors import ArrivalError
from pipeline.photogrammetry.collinear import Pose
from pipeline.terrain.grid import Floats

Whole = NDArray[np.int64]
_ROUNDS, _STEPS = 4, 40
_DONE = 1e-10  # relative change of the sum of squares
_DOUBTFUL, _GROSS = 2.5, 4.5  # robust deviations from which a measurement loses weight, and all
_MEDIAN = 1.1774  # of the length of a deviation in two axes, for a deviation of 1 in each
_LEAST_CONTROL = 3


@dataclass(frozen=True, slots=True)
class Observed:
    """What was measured: ``pixels`` (k, 2), column and row, of ``point`` (k,) in ``frame`` (k,);
    ``known`` (m, 3) coordinates of control, NaN where there are none, and their ``sigma`` in m,
    infinite where a coordinate does not take part: of ties and of check points."""

    points: tuple[str, ...]
    frame: Whole
    point: Whole
    pixels: Floats
    known: Floats
    sigma: Floats


@dataclass(frozen=True, slots=True)
class Precision:
    """A priori: of image measurements in pixels; of given projection centres (m) and angles
    (degrees), None where they are starting values only."""

    pixels: float = 0.5
    centres_m: float | None = None
    angles_deg: float | None = None


@dataclass(frozen=True, slots=True)
class Adjusted:
    """``poses``; ``places`` (m, 3); ``residuals`` (k, 2) in pixels, measured less computed;
    ``weights`` (k,) 0 for gross errors; ``sigma0_px`` of an image measurement."""

    poses: list[Pose]
    places: Floats
    residuals: Floats
    weights: Floats
    sigma0_px: float
    redundancy: int
    steps: int


@dataclass(frozen=True, slots=True)
class _State:
    centres: Floats
    rotations: Floats
    places: Floats


def adjust(poses: list[Pose], observed: Observed, precision: Precision) -> Adjusted:
    """The block that fits best. Raises ArrivalError where nothing holds it."""
    held = int(np.isfinite(observed.sigma).all(axis=1).sum())
    if held < _LEAST_CONTROL and precision.centres_m is None:
        raise ArrivalError(
            f"{held} control points hold the block, {_LEAST_CONTROL} are needed",
            todo="Measure more, or give the precision of the orientation (--sigma-centre).",
        )
    start = _State(
        np.array([pose.centre for pose in poses]),
        np.array([pose.rotation for pose in poses]),
        np.empty((0, 3)),
    )
    state = replace(start, places=_intersected(poses, observed))
    weights, steps = np.ones(len(observed.frame)), 0
    for round_ in range(_ROUNDS):
        problem = _Problem(poses, observed, precision, start, weights)
        state, taken = problem.solved(state)
        steps += taken
        residuals = problem.residuals(state)
        if round_ < _ROUNDS - 1:
            weights = _weighed(residuals, last=round_ == _ROUNDS - 2)
    count = 2 * int((weights > 0).sum()) + int(np.isfinite(observed.sigma).sum())
    count += len(poses) * (3 * bool(precision.centres_m) + 3 * bool(precision.angles_deg))
    redundancy = count - 6 * len(poses) - 3 * len(observed.points)
    sigma0 = float(np.sqrt(problem.cost(state) / max(redundancy, 1))) * precision.pixels
    made = [
        replace(pose, centre=centre, rotation=rotation)
        for pose, centre, rotation in zip(poses, state.centres, state.rotations, strict=True)
    ]
    return Adjusted(made, state.places, residuals, weights, sigma0, redundancy, steps)


def _weighed(residuals: Floats, *, last: bool) -> Floats:
    """1 for what fits, less for what is far beyond the usual; none for that in the ``last``."""
    length = np.hypot(*residuals.T)
    far = length / max(float(np.median(length)) / _MEDIAN, 1e-6)
    if last:
        return np.where(far > _GROSS, 0.0, 1.0)
    return np.asarray(np.minimum(1.0, _DOUBTFUL / np.maximum(far, 1e-12)))


def _intersected(poses: list[Pose], observed: Observed) -> Floats:
    """Where the rays of each point come nearest to each other, (m, 3)."""
    count = len(observed.points)
    normal, right = np.zeros((count, 3, 3)), np.zeros((count, 3))
    for number, pose in enumerate(poses):
        of = observed.frame == number
        rays = pose.rays(observed.pixels[of])
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        across = np.eye(3) - rays[:, :, None] * rays[:, None, :]
        np.add.at(normal, observed.point[of], across)
        np.add.at(right, observed.point[of], across @ pose.centre)
    # Of a point that one frame shows only the coordinates that are known are used.
    shift = np.nan_to_num(observed.known)
    held = np.isfinite(observed.known).all(axis=1)
    normal[~held] += 1e-9 * np.eye(3)
    found = np.array(shift)
    found[~held] = np.linalg.solve(normal[~held], right[~held, :, None])[..., 0]
    return found


@dataclass(frozen=True, slots=True)
class _Problem:
    """One weighting of the measurements."""

    poses: list[Pose]
    observed: Observed
    precision: Precision
    start: _State
    weights: Floats

    def solved(self, state: _State) -> tuple[_State, int]:
        """Levenberg and Marquardt, until the sum of squares stays."""
        damping, cost = 1e-6, self.cost(state)
        for step in range(1, _STEPS + 1):
            tried = self._moved(state, damping)
            reached = self.cost(tried)
            if reached > cost:
                damping *= 10
                if damping > 1e6:
                    return state, step
                continue
            done = cost - reached <= _DONE * max(cost, 1e-12)
            state, cost, damping = tried, reached, max(damping / 10, 1e-12)
            if done:
                return state, step
        return state, _STEPS

    def residuals(self, state: _State) -> Floats:
        """Measured less computed, pixels (k, 2)."""
        found = np.empty_like(self.observed.pixels)
        for number, pose in enumerate(self.poses):
            of = self.observed.frame == number
            moved = replace(pose, centre=state.centres[number], rotation=state.rotations[number])
            found[of] = moved.pixels(state.places[self.observed.point[of]])
        return np.nan_to_num(self.observed.pixels - found, nan=1e6)

    def cost(self, state: _State) -> float:
        """The weighted sum of squares."""
        image = self.residuals(state) / self.precision.pixels
        total = float((self.weights[:, None] * image**2).sum())
        control = (state.places - np.nan_to_num(self.observed.known)) / self.observed.sigma
        total += float((control**2).sum())
        centres, angles = self._away(state)
        return total + float((centres**2).sum() + (angles**2).sum())

    def _away(self, state: _State) -> tuple[Floats, Floats]:
        """Of the given orientation, in units of its precision; zero where it has none."""
        centres, angles = np.zeros((2, len(self.poses), 3))
        if self.precision.centres_m is not None:
            centres = (state.centres - self.start.centres) / self.precision.centres_m
        if self.precision.angles_deg is not None:
            turned = np.swapaxes(self.start.rotations, 1, 2) @ state.rotations
            angles = _vector(turned) / np.radians(self.precision.angles_deg)
        return centres, angles

    def _moved(self, state: _State, damping: float) -> _State:
        """One step: the normal equations, without the points, solved; then the points."""
        frames, points, mixed, right_f, right_p = self._normal(state)
        for blocks in (frames, points):
            places = np.arange(blocks.shape[1])
            blocks[:, places, places] *= 1 + damping
            blocks[:, places, places] += 1e-12
        inverse = _blocks(np.linalg.inv(points))
        over = mixed @ inverse
        reduced = (_blocks(frames) - over @ mixed.T).tocsc()
        with warnings.catch_warnings():
            warnings.simplefilter("error", MatrixRankWarning)
            try:
                turn = spsolve(reduced, right_f.ravel() - over @ right_p.ravel())
            except MatrixRankWarning:
                raise ArrivalError("nothing holds some of the frames: too few points") from None
        move = inverse @ (right_p.ravel() - mixed.T @ turn)
        step = turn.reshape(-1, 6)
        return _State(
            state.centres + step[:, :3],
            state.rotations @ _turn(step[:, 3:]),
            state.places + move.reshape(-1, 3),
        )

    def _normal(self, state: _State) -> tuple[Floats, Floats, sparse.csr_matrix, Floats, Floats]:
        """Normal equations: blocks of frames (n, 6, 6) and points (m, 3, 3), what mixes them, and
        both right sides."""
        seen = self.observed
        by_frame, by_point = self._derivatives(state)
        weight = (self.weights / self.precision.pixels**2)[:, None, None]
        apart = self.residuals(state)[:, :, None]
        frames, points = np.zeros((len(self.poses), 6, 6)), np.zeros((len(seen.points), 3, 3))
        right_f, right_p = np.zeros((len(self.poses), 6)), np.zeros((len(seen.points), 3))
        turned_f, turned_p = (np.swapaxes(a, 1, 2) * weight for a in (by_frame, by_point))
        np.add.at(frames, seen.frame, turned_f @ by_frame)
        np.add.at(points, seen.point, turned_p @ by_point)
        np.add.at(right_f, seen.frame, (turned_f @ apart)[..., 0])
        np.add.at(right_p, seen.point, (turned_p @ apart)[..., 0])
        self._hold(state, frames, points, right_f, right_p)
        mixed = turned_f @ by_point
        rows = (6 * seen.frame[:, None] + np.arange(6))[:, :, None] + np.zeros(3, np.int64)
        columns = (3 * seen.point[:, None] + np.arange(3))[:, None, :] + np.zeros((6, 1), np.int64)
        shape = (6 * len(self.poses), 3 * len(seen.points))
        between = sparse.csr_matrix((mixed.ravel(), (rows.ravel(), columns.ravel())), shape=shape)
        return frames, points, between, right_f, right_p

    def _hold(
        self, state: _State, frames: Floats, points: Floats, right_f: Floats, right_p: Floats
    ) -> None:
        """Adds what is known beforehand: control points and given orientation."""
        weight, three = 1 / self.observed.sigma**2, np.arange(3)
        points[:, three, three] += weight
        right_p += weight * (np.nan_to_num(self.observed.known) - state.places)
        centres, angles = self._away(state)
        for first, given, away in (
            (0, self.precision.centres_m, centres),
            (3, np.radians(self.precision.angles_deg or 0) or None, angles),
        ):
            if given is not None:
                frames[:, first + three, first + three] += 1 / given**2
                right_f[:, first : first + 3] -= away / given

    def _derivatives(self, state: _State) -> tuple[Floats, Floats]:
        """Of pixels: by centre and turn of the frame (k, 2, 6), by the point (k, 2, 3)."""
        seen = self.observed
        inward = np.swapaxes(state.rotations, 1, 2)[seen.frame]
        d = np.einsum("kij,kj->ki", inward, state.places[seen.point] - state.centres[seen.frame])
        x, y, z = d.T
        flat = np.zeros((len(d), 2, 3))
        flat[:, 0, 0], flat[:, 0, 2] = -1 / z, x / z**2
        flat[:, 1, 1], flat[:, 1, 2] = 1 / z, -y / z**2
        bent = self._lens(np.column_stack([-x / z, y / z])) @ flat
        by_point = bent @ inward
        # d turns to d + d x turn for a small turn of the camera about its own axes.
        return np.concatenate([-by_point, bent @ _cross(d)], axis=2), by_point

    def _lens(self, direction: Floats) -> Floats:
        """Pixels by direction (k, 2, 2), by differences: lenses bend smoothly."""
        found, step = np.empty((len(direction), 2, 2)), 1e-6
        for number, pose in enumerate(self.poses):
            of = self.observed.frame == number
            for axis in range(2):
                aside = step * np.eye(2)[axis]
                ends = [pose.camera.pixels(direction[of] + sign * aside) for sign in (1, -1)]
                found[of, :, axis] = (ends[0] - ends[1]) / (2 * step)
        return found


def _blocks(values: Floats) -> sparse.csr_matrix:
    """A matrix with these square blocks on its diagonal."""
    count = np.arange(len(values) + 1)
    return sparse.bsr_matrix((values, count[:-1], count)).tocsr()


def _cross(vectors: Floats) -> Floats:
    """Matrices whose product with a turn is ``vectors`` x turn, (n, 3, 3)."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return np.asarray(np.moveaxis(np.array(rows), -1, 0))


def _turn(vectors: Floats) -> Floats:
    """Rotations about vectors by their length (Rodrigues), (n, 3, 3)."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    cross = _cross(vectors)
    first = np.sinc(angle / np.pi)
    second = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.asarray(np.eye(3) + first * cross + second * (cross @ cross))


def _vector(rotations: Floats) -> Floats:
    """The vectors of small rotations, (n, 3)."""
    skew = rotations - np.swapaxes(rotations, 1, 2)
    return np.column_stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]]) / 2
