"""A published orthophoto and elevation model over HTTP: the COG itself, whole and in parts."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import httpx2
import pytest

from tests.raster.conftest import Imagery

ORTHO = "/files/orthophoto.tif"


def test_a_file_comes_whole_and_in_parts(imagery: Imagery) -> None:
    whole = imagery.get(ORTHO)
    content = imagery.file("orthophoto").read_bytes()
    assert whole.content == content
    assert whole.headers["content-type"].startswith("image/tiff; application=geotiff")
    assert whole.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    assert whole.headers["accept-ranges"] == "bytes"
    for asked, part in (
        ("bytes=0-99", content[:100]),
        ("bytes=100-", content[100:]),
        ("bytes=-7", content[-7:]),
        (f"bytes=10-{len(content) + 5}", content[10:]),
    ):
        found = imagery.get(ORTHO, {"Range": asked, "Accept-Encoding": "gzip"})
        assert (found.status_code, found.content) == (206, part)
        first = content.find(part) if asked != "bytes=-7" else len(content) - 7
        assert found.headers["content-range"] == (
            f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        )
        assert "content-encoding" not in found.headers


def test_head_tells_the_size_and_sends_nothing(imagery: Imagery) -> None:
    size = str(imagery.file("orthophoto").stat().st_size)
    with httpx2.Client(base_url=imagery.base) as client:
        found = client.head(ORTHO)
        part = client.head(ORTHO, headers={"Range": "bytes=5-9"})
    assert (found.status_code, found.headers["content-length"], found.content) == (200, size, b"")
    assert (part.status_code, part.headers["content-length"], part.content) == (206, "5", b"")


def test_a_file_that_was_replaced_is_not_read_on(imagery: Imagery) -> None:
    tag = imagery.get(ORTHO, {"Range": "bytes=0-0"}).headers["etag"]
    same = imagery.get(ORTHO, {"Range": "bytes=0-9", "If-Range": tag})
    other = imagery.get(ORTHO, {"Range": "bytes=0-9", "If-Range": '"of-yesterday"'})
    weak = imagery.get(ORTHO, {"Range": "bytes=0-9", "If-Range": f"W/{tag}"})
    assert [len(same.content), same.status_code] == [10, 206]
    assert (other.status_code, weak.status_code) == (200, 200)
    assert imagery.get(ORTHO, {"If-None-Match": f'"x", {tag}'}).status_code == 304
    assert imagery.get(ORTHO, {"If-None-Match": '"x"'}).status_code == 200


@pytest.mark.parametrize(
    ("asked", "status"),
    [("bytes=99999999-", 416), ("bytes=9-5", 400), ("lines=1-2", 200), ("bytes=a-b", 400)],
)
def test_parts_that_cannot_be(imagery: Imagery, asked: str, status: int) -> None:
    found = imagery.get(ORTHO, {"Range": asked})
    assert found.status_code == status
    if status == 416:
        size = imagery.file("orthophoto").stat().st_size
        assert found.headers["content-range"] == f"bytes */{size}"


def test_what_is_no_file_is_not_found(imagery: Imagery) -> None:
    for path in (
        "/files/parcels.tif",
        "/files/none.tif",
        "/files/../secret.tif",
        "/files/dem.tiff",
    ):
        assert imagery.get(path).status_code == 404


def test_gdal_reads_the_cog_in_place(imagery: Imagery) -> None:
    address = next(
        link["href"]
        for link in imagery.get("/collections/orthophoto?f=json").json()["links"]
        if link["rel"] == "enclosure"
    )
    assert address == imagery.base + ORTHO
    # In a process of its own: rasterio keeps Python waiting while GDAL reads, the server too.
    program = (
        "import rasterio, sys\n"
        "there, here = rasterio.open('/vsicurl/' + sys.argv[1]), rasterio.open(sys.argv[2])\n"
        "with there, here:"
        "\n    assert there.overviews(1) == here.overviews(1)"
        "\n    assert (there.read(1) == here.read(1)).all()"
    )
    words = [sys.executable, "-W", "error", "-c", program, address, imagery.file("orthophoto")]
    subprocess.run(words, check=True, timeout=60)


def test_the_record_of_a_raster_tells_its_file_with_date_and_checksum(imagery: Imagery) -> None:
    """POR-6: the orthophoto as a dataset; its quality is a page too."""
    record = imagery.get("/collections/catalogue/items/orthophoto?lang=en").json()
    told = record["properties"]
    (file,) = [link for link in record["links"] if link["rel"] == "enclosure"]
    content = imagery.get(ORTHO).content
    assert file["checksum"]["value"] == hashlib.sha256(content).hexdigest()
    assert (file["title"], file["length"]) == ("Orthophoto", len(content))
    assert told["formats"] == [{"mediaType": file["type"]}]
    assert told["updated"][:2] == file["updated"][:2] == "20"
    assert told["crs"][0].endswith("/EPSG/0/32639")
    assert imagery.get("/collections/orthophoto/quality?f=html").status_code == 200
