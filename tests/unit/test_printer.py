"""PDFs made beside, by several processes."""

from __future__ import annotations

import asyncio

from pipeline.documents.pdf import Job, Printer

PAGE = "<html lang='en'><head><title>A</title></head><body><p>A</p></body></html>"


def test_documents_at_work_when_printers_are_killed_are_made_once_more() -> None:
    """Of several at once each is made: none ends what another has begun anew."""

    async def printed() -> list[bytes]:
        printer = Printer(processes=2)
        try:
            job = Job(PAGE, b"0" * 32, ("a.json", b"{}"))
            await printer.pdf(job)
            making = [asyncio.ensure_future(printer.pdf(job)) for _ in range(4)]
            await asyncio.sleep(0.02)
            pool = printer._pool
            assert pool is not None
            for one in list(pool._processes.values()):
                one.kill()
            made = await asyncio.gather(*making)
            assert printer._pool is not pool
            return made
        finally:
            printer.close()

    assert [content[:5] for content in asyncio.run(printed())] == [b"%PDF-"] * 4
