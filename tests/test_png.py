"""The fast decoder of PNG changes nothing but the time: the same pixels and the same verdicts as without it."""

import random
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import Image
from test_files import chunk
from test_mutated import cut, cut_out, flip, flip_start, lie, repeat

from segfeed import DataError, decode, read_image, read_mask

pytestmark = pytest.mark.skipif(
    decode.decode_image_png_u8 is None, reason="kornia-rs is not installed: there is one way of decoding"
)
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of each colour type
DEPTHS = {0: [1, 2, 4, 8, 8, 8, 16], 2: [8, 8, 16], 3: [1, 2, 4, 8, 8, 8], 4: [8, 16], 6: [8, 8, 16]}
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
COLOURS = {(255, 0, 0): 1, (0, 0, 0): 0}


def packed(row, bits):
    """Samples of one row as bytes."""
    if bits == 16:
        return row.astype(">u2").tobytes()
    return np.packbits(np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :]).tobytes()


def filtered(rows, step, rng):
    """Rows of bytes, each by a filter of its own, as in the PNG specification, section 9."""
    above = bytes(len(rows[0])) if rows else b""
    for row in rows:
        kind = rng.randrange(5)
        out = bytearray([kind])
        for at, value in enumerate(row):
            left, corner = (row[at - step], above[at - step]) if at >= step else (0, 0)
            up = above[at]
            nearest = min((left, up, corner), key=lambda near: abs(left + up - corner - near))
            out.append((value - (0, left, up, (left + up) // 2, nearest)[kind]) % 256)
        yield bytes(out)
        above = row


def make_png(rng):
    """A PNG of any kind."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    colour = rng.choice(list(CHANNELS))
    bits, channels, interlaced = rng.choice(DEPTHS[colour]), CHANNELS[colour], rng.random() < 0.2
    height, width = rng.randint(1, 40), rng.randint(1, 40)
    top = rng.choice([2**bits, 2])
    pixels = numbers.integers(0, top, (height, width, channels))
    if colour in (4, 6) and rng.random() < 0.7:
        pixels[..., -1] = 2**bits - 1  # opaque
    if colour in (2, 6) and rng.random() < 0.5:
        pixels[..., :3] = rng.choice([pixels[..., :1], (pixels[..., :1] > 0) * np.array([2**bits - 1, 0, 0])])
    extra = []
    if rng.random() < 0.2:
        extra.append(chunk(b"gAMA", rng.choice([45455, 100000, 22000]).to_bytes(4, "big")))
    if rng.random() < 0.1:
        extra.append(chunk(b"sRGB", b"\0"))
    if colour == 3:
        count = rng.choice([2**bits, 2**bits, rng.randint(1, 2**bits)])
        palette = numbers.integers(0, 256, (count, 3), np.uint8)
        if rng.random() < 0.4:
            palette = np.repeat(np.arange(count, dtype=np.uint8)[:, None], 3, axis=1)
        extra.append(chunk(b"PLTE", palette.tobytes()))
    if colour != 4 and colour != 6 and rng.random() < 0.2:
        size = {0: 2, 2: 6, 3: rng.randint(1, 2**bits)}[colour]
        extra.append(chunk(b"tRNS", numbers.integers(0, 2, size, np.uint8).tobytes()))
    if rng.random() < 0.1:
        extra.append(
            chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0" + bytes([rng.randint(1, 8)]) + bytes(6))
        )
    step = max(1, channels * bits // 8)
    parts = [pixels[y::down, x::across] for y, x, down, across in ADAM7] if interlaced else [pixels]
    rows = b"".join(
        line for part in parts if part.size for line in filtered([packed(row.ravel(), bits) for row in part], step, rng)
    )
    body = zlib.compress(rows, rng.randrange(10))
    halves = [body[: len(body) // 2], body[len(body) // 2 :]] if rng.random() < 0.3 else [body]
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits, colour, 0, 0, interlaced])
    chunks = [chunk(b"IHDR", header), *extra, *(chunk(b"IDAT", half) for half in halves), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + (b"rest" if rng.random() < 0.05 else b"")


def verdict(read, path):
    """The pixels of a file, or the message and the kind of its error."""
    try:
        return read(path).tolist()
    except DataError as error:
        return str(error), error.kind


# Pixels that were damaged before the checksums were made are left out: zlib has one more, which kornia-rs passes over.
@pytest.mark.parametrize("damages", [[], [flip, flip_start, cut, cut_out, repeat, lie]], ids=["whole", "damaged"])
@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_the_same_pixels_and_verdicts_without_the_fast_decoder(tmp_path, monkeypatch, damages, count):
    fast, used = decode.decode_image_png_u8, 0
    monkeypatch.setattr(decode, "CORES", 1)  # else it is left to OpenCV on many
    for number in range(count):
        rng = random.Random(f"{bool(damages)} {number}")
        data = make_png(rng)
        if damages:
            data = damages[number % len(damages)](data, rng)
        path = tmp_path / f"{number}.png"
        path.write_bytes(data)
        for read in (read_image, read_mask, partial(read_mask, colours=COLOURS)):
            calls = []
            monkeypatch.setattr(decode, "decode_image_png_u8", lambda *a: calls.append(pixels := fast(*a)) or pixels)  # noqa: B023
            with_it = verdict(read, path)
            used += len(calls)
            monkeypatch.setattr(decode, "decode_image_png_u8", None)
            assert with_it == verdict(read, path), path
    assert used > count / 10  # else this would compare one way with itself


@pytest.mark.parametrize(("colour", "most"), [(0, 6), (3, 6), (2, 2), (6, 2)])
def test_where_opencv_is_faster_on_all_cores_it_decodes(tmp_path, monkeypatch, colour, most):
    mode, pixels = {0: "L", 3: "P", 2: "RGB", 6: "RGBA"}[colour], np.zeros((4, 5, 4), np.uint8)
    Image.fromarray(pixels).convert(mode).save(tmp_path / "a.png", bits=8)
    called, fast = [], decode.decode_image_png_u8
    monkeypatch.setattr(decode, "decode_image_png_u8", lambda *given: called.append(given) or fast(*given))
    for cores in (most, most + 1):
        monkeypatch.setattr(decode, "CORES", cores)
        verdict(read_mask, tmp_path / "a.png")
        assert bool(called) == (cores == most)
        called.clear()
