"""Ahead: one question after the other, the next asked while the one before it is worked out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any

Rows = Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]]


async def ahead(
    rows: Rows, asked: list[dict[str, Any]]
) -> AsyncGenerator[tuple[int, dict[str, Any], dict[str, Any] | None]]:
    """The rows of each question of ``asked``, with its number and values."""
    waiting = [asyncio.ensure_future(rows(one)) for one in asked[:1]]
    try:
        for number, values in enumerate(asked, start=1):
            found = await waiting.pop()
            waiting += [asyncio.ensure_future(rows(one)) for one in asked[number : number + 1]]
            yield number, values, found
    finally:
        for task in waiting:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
