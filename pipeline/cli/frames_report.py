"""The report on a block of frames: as a document, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from pipeline.findings import Catalog
from pipeline.photogrammetry.block import Block
from pipeline.photogrammetry.produce import Product


def of_block(block: Block, catalog: Catalog) -> dict[str, Any]:
    """What can be said of the frames."""
    return {
        "block": block.name,
        "frames": len(block.frames),
        "images": sum(frame.image is not None for frame in block.frames),
        "strips": len(block.strips),
        "scale": [
            round(min(f.scale for f in block.frames)),
            round(max(f.scale for f in block.frames)),
        ],
        "gsd": [
            round(min(f.gsd_m for f in block.frames), 3),
            round(max(f.gsd_m for f in block.frames), 3),
        ],
        "tilt_max": round(max(f.tilt_deg for f in block.frames), 2),
        "forward_overlap": _least([f.forward_pct for f in block.frames]),
        "side_overlap": _least([f.side_pct for f in block.frames]),
        "gaps": len(block.gaps),
        "findings": [
            {
                "code": finding.code,
                "severity": catalog.severity(finding.code),
                "key": finding.key,
                "message": catalog.message(finding),
                "message_fa": catalog.message(finding, "fa"),
                "place": finding.geometry.wkt if finding.geometry else None,
            }
            for finding in block.findings
        ],
    }


def _least(shares: list[float | None]) -> float | None:
    """The smallest overlap of the block, None where no frame has a neighbour."""
    return min((share for share in shares if share is not None), default=None)


def of_product(product: Product) -> dict[str, Any]:
    """What can be said of the orthophoto that was made of them."""
    return {
        "ortho": {
            "gsd": product.gsd_m,
            "columns": product.grid.columns,
            "rows": product.grid.rows,
            "frames": len(product.pieces),
            "rectified_now": product.made,
            "colour_difference_before": round(product.balance.before, 2),
            "colour_difference_after": round(product.balance.after, 2),
            "agreement": [asdict(pair) for pair in product.agreement],
        }
    }


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The report to be read."""
    images = f"{report['images']} of {report['frames']} images"
    yield f"{report['block']}: {images}, {report['strips']} strip(s)"
    low, high = report["gsd"]
    yield f"  scale 1:{report['scale'][0]:,} to 1:{report['scale'][1]:,}, {low} to {high} m a pixel"
    overlap = f"{report['forward_overlap']} % forward, {report['side_overlap']} % side"
    yield f"  overlap at least {overlap}; tilt at most {report['tilt_max']} degrees"
    for finding in report["findings"]:
        yield f"  {finding['severity']:<7} {finding['code']}: {finding['message']}"
    made = report.get("ortho")
    if made:
        size = f"{made['columns']:,} x {made['rows']:,} cells of {made['gsd']:g} m"
        yield f"{report['where']}: {size}"
        if made["rectified_now"] < made["frames"]:
            yield f"  {made['rectified_now']} of {made['frames']} frames rectified, others kept"
        colours = f"{made['colour_difference_before']} -> {made['colour_difference_after']}"
        yield f"  colours of overlapping frames differ by {colours} grey levels"
        for pair in made["agreement"]:
            told = f"RMSE {pair['rmse_px']:.2f} px, median {pair['median_px']:.2f} px"
            yield f"  {pair['one']} on {pair['other']}: {told} ({pair['chips']} chips)"
