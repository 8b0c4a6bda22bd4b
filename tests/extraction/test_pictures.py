"""The one decoder of pictures: what it reads, and what it refuses without harm to the run."""

import base64
import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from extraction.data.pictures import MAX_PIXELS, load_picture, pixels_digest
from redundancy.errors import InvalidInputError

PIXELS = np.random.default_rng(3).integers(0, 256, (7, 5, 3), dtype=np.uint8)


def encoded(kind, image=None, **options):
    buffer = io.BytesIO()
    (Image.fromarray(PIXELS) if image is None else image).save(buffer, kind, **options)
    return buffer.getvalue()


def png(width, height, body):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF", "WEBP", "JPEG"])
def test_raster_formats_are_read_from_bytes_paths_and_uris_alike(tmp_path, kind):
    raw = encoded(kind, **({"lossless": True} if kind == "WEBP" else {}))
    path = tmp_path / "ein Bild %25 ä.UPPER"
    path.write_bytes(raw)
    uri = f"data:image/x;base64,{base64.b64encode(raw).decode()}"
    read = [np.asarray(load_picture(s)) for s in (raw, path, str(path), path.as_uri(), uri)]
    assert all(np.array_equal(read[0], one) for one in read)
    if kind in ("PNG", "TIFF", "BMP", "WEBP"):
        np.testing.assert_array_equal(read[0], PIXELS)


def test_pictures_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held on its side: the viewer turns it by 90 degrees clockwise
    raw = encoded("PNG", exif=exif)
    np.testing.assert_array_equal(load_picture(raw), np.rot90(PIXELS, -1))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_cut(kind):
    grey = np.linspace(0, 65535, 12).reshape(3, 4).astype(np.uint16)
    read = np.asarray(load_picture(encoded(kind, Image.fromarray(grey))))
    np.testing.assert_array_equal(read[..., 0], np.rint(grey / 257))
    assert read[..., 0].max() == 255


def test_floats_are_scaled_by_their_range_and_refused_outside():
    values = np.array([[0.0, 0.5], [0.25, 1.0]], dtype=np.float32)
    assert np.asarray(load_picture(encoded("TIFF", Image.fromarray(values))))[..., 0].tolist() == [[0, 128], [64, 255]]
    assert np.asarray(load_picture(values * 200))[..., 0].tolist() == [[0, 100], [50, 200]]
    for wrong in (values * 300, values - 0.5, np.full((2, 2), np.nan)):
        with pytest.raises(InvalidInputError, match=r"neither in \[0, 1\] nor"):
            load_picture(wrong)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I"])
def test_other_modes_are_read_as_pillow_reads_them(mode):
    image = Image.fromarray(PIXELS).convert("L").convert("I") if mode == "I" else Image.fromarray(PIXELS).convert(mode)
    np.testing.assert_array_equal(load_picture(image), image.convert("RGB"))


def test_arrays_of_both_channel_orders_are_one_picture():
    for array in (PIXELS, np.moveaxis(PIXELS, 2, 0), np.dstack([PIXELS, np.full((7, 5), 9, np.uint8)])):
        np.testing.assert_array_equal(load_picture(array), PIXELS)
    assert np.asarray(load_picture(np.array([[True, False]])))[0, :, 0].tolist() == [255, 0]
    for wrong in (
        np.zeros(3),
        np.zeros((0, 4), np.uint8),
        np.zeros((2, 2), np.int64),
        np.zeros((2, 2, 2, 3), np.uint8),
    ):
        with pytest.raises(InvalidInputError, match="an array of"):
            load_picture(wrong)


def test_nothing_that_is_no_raster_picture_is_opened(tmp_path):
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(touched) (w) file\n"
    os.mkfifo(tmp_path / "fifo")
    wrong = {
        "cannot identify": eps,
        "empty": b"",
        "html": b"<html>404</html>",
        "torn": encoded("PNG")[:60],
        "a folder": tmp_path,
        "no regular file": tmp_path / "fifo",
        "device": "/dev/zero",
        "No such file": tmp_path / "none.png",
        "nothing is fetched": "https://example.org/a.png",
        "null": "a\0.png",
        "data URI": "data:image/png;base64",
        "base64": "data:image/png;base64,@@@",
        "NoneType": None,
    }
    for source in wrong.values():
        with pytest.raises(InvalidInputError, match="readable image for sample 'x'") as caught:
            load_picture(source, where="sample 'x'")
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 700


def test_bombs_are_refused_before_they_unpack():
    for side in (20_000, 12_000):
        raw = png(side, side, zlib.compress(b"\0" * 100))
        assert side * side > MAX_PIXELS
        with pytest.raises(InvalidInputError, match="pixels"):
            load_picture(raw)


def test_the_digest_is_of_pixels_and_their_order():
    other = 255 - PIXELS
    same = pixels_digest([load_picture(encoded("PNG")), other])
    assert same == pixels_digest([load_picture(encoded("BMP")), load_picture(other)])
    assert (
        len({same, pixels_digest([other, PIXELS]), pixels_digest([PIXELS]), pixels_digest([PIXELS[:1], PIXELS[1:]])})
        == 4
    )
    assert pixels_digest([PIXELS.reshape(5, 7, 3)]) != pixels_digest([PIXELS])
