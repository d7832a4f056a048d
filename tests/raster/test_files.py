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
    # Parts are of GET alone (RFC 9110, 14.2).
    assert (part.status_code, part.headers["content-length"], part.content) == (200, size, b"")


def test_a_file_that_was_replaced_is_not_read_on(imagery: Imagery) -> None:
    tag = imagery.get(ORTHO, {"Range": "bytes=0-0"}).headers["etag"]
    same = imagery.get(ORTHO, {"Range": "bytes=0-9", "If-Range": tag})
    other = imagery.get(ORTHO, {"Range": "bytes=0-9", "If-Range": '"of-yesterday"'})
    weak = imagery.get(ORTHO, {"Range": "bytes=0-9", "If-Range": f"W/{tag}"})
    assert [len(same.content), same.status_code] == [10, 206]
    assert (other.status_code, weak.status_code) == (200, 200)
    assert imagery.get(ORTHO, {"If-None-Match": f'"x", {tag}'}).status_code == 304
    assert imagery.get(ORTHO, {"If-None-Match": '"x"'}).status_code == 200


def test_conditions_of_a_file_hold_in_their_order(imagery: Imagery) -> None:
    """RFC 9110, 13.2.2; of dates that of the file, and only without tags."""
    whole = imagery.get(ORTHO)
    tag, then = whole.headers["etag"], whole.headers["last-modified"]
    before, after = "Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    for said, status in (
        ({"If-Match": '"x"', "Range": "bytes=99999999-"}, 412),
        ({"If-Match": '"x"', "If-None-Match": tag}, 412),
        ({"If-Match": tag, "If-None-Match": tag}, 304),
        ({"If-Match": tag, "If-Unmodified-Since": before}, 200),
        ({"If-Match": tag.replace('"', '-gzip"', 1)}, 412),
        ({"If-Match": f'{tag[:-1]}-gzip"'}, 200),
        ({"If-Match": f'{tag[:-1]}-gzip"', "Range": "bytes=0-9"}, 412),
        ({"If-Unmodified-Since": before, "Range": "bytes=0-9"}, 412),
        ({"If-Unmodified-Since": then, "Range": "bytes=0-9"}, 206),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": f"W/{tag}"}, 304),
        ({"If-None-Match": '"x"', "If-Modified-Since": after}, 200),
        ({"If-Modified-Since": then}, 304),
        ({"If-Modified-Since": after}, 304),
        ({"If-Modified-Since": before}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Range": then, "Range": "bytes=0-9"}, 206),
        ({"If-Range": before, "Range": "bytes=0-9"}, 200),
    ):
        assert imagery.get(ORTHO, said).status_code == status, said
    assert imagery.get("/files/none.tif", {"If-Match": '"x"'}).status_code == 404


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
