"""Memory of a worker: what one task has given back is there for the next one.

Dask tells the C library of its workers to give memory back at once (MALLOC_TRIM_THRESHOLD_ of 64
KiB): each array of a raster is then asked of the kernel anew and filled with zeros, page by page,
which costs 40 to 80 % of the time. The setting is changed from within, since no worker's
configuration then has to say so.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

_TRIM, _MMAP = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
_MUCH = 2**30
_MOST_BEFORE_2_35 = 32 * 2**20


@cache
def keep() -> bool:
    """Lets this process keep up to a gigabyte that is free; False where its C library cannot."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    large = mallopt(_MMAP, _MUCH) or mallopt(_MMAP, _MOST_BEFORE_2_35)
    return bool(mallopt(_TRIM, _MUCH) and large)


def keeping[T, R](work: Callable[[T], R], task: T) -> R:
    """The result of ``work``, in a process that keeps its memory."""
    keep()
    return work(task)
