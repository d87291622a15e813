"""Damaged files never crash, hang or fill the memory: each is a valid picture, or a DataError that names the file.

Thousands of copies of the sample's files, each damaged by a seeded hand, go through the readers, the generator and
the audit, in a process of its own with limits to its memory and its time.
"""

import io
import json
import random
import struct
import subprocess
import sys
import zlib
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from segfeed.audit import FATAL_FINDINGS, audit
from utils import SAMPLE, DataError, Pair, read_image, read_mask, read_pair

PER_GENERATOR = 50  # every so many files go through the generator and the audit together
# a GIF of 13,000 × 13,000 takes 0.8 GB, which the C library keeps for the thread that decoded it
MEMORY = 3_000_000_000
HANGS = 3600  # seconds; 5,000 files take half a minute on a quiet machine


# --- Damages: bytes → bytes ------------------------------------------------------------------


def flip(data, rng):
    """Some bits are the other way round, anywhere."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 3, 30])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def flip_start(data, rng):
    """Bits of the header."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 2, 8])):
        data[rng.randrange(min(len(data), 700 if data[0] == 0xFF else 60))] ^= 1 << rng.randrange(8)
    return bytes(data)


def cut(data, rng):
    """The end is missing."""
    return data[: rng.randrange(len(data))]


ENDS = {0xFF: b"\xff\xd9", 0x89: b"\0\0\0\0IEND\xaeB`\x82", ord("G"): b"\0;"}


def cut_and_end(data, rng):
    """The end is missing, but for the mark of it, or zeros are in its place."""
    start = rng.randrange(len(data))
    return data[:start] + rng.choice([ENDS.get(data[0], b""), bytes(len(data) - start)])


def join(data, rng):
    """The picture comes twice, or another follows."""
    return data + rng.choice([data, b"\n" + data, STARTS[0], STARTS[1]])


def cut_out(data, rng):
    """A piece in the middle is missing."""
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randrange(1, 3000) :]


def repeat(data, rng):
    """A piece comes twice."""
    start = rng.randrange(len(data))
    end = start + rng.randrange(1, 3000)
    return data[:end] + data[start:]


STARTS = [
    b"\xff\xd8\xff\xe0\0\x10JFIF",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a\0\1\0\1\xf7",
    b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"RIFF\0\1\0\0WEBPVP8L",
    b"RIFF\0\1\0\0WEBPVP8X",
    b"P6 70000 70000 255\n",
    b"P5 256 256 65535\n",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"\0\0\0\x1cftypavif",
    b"#?RADIANCE\n\n-Y 99999 +X 99999\n",
    b"\x76\x2f\x31\x01",
    b"\x59\xa6\x6a\x95",
    b"",
]


def swap_start(data, rng):
    """The header of another kind of file."""
    start = rng.choice(STARTS)
    return start + data[rng.choice([0, len(start), rng.randrange(len(data))]) :]


def lie(data, rng):
    """Another size, depth or kind of pixel in the header; sealed as if it were true."""
    sizes = [0, 1, 7, 255, 257, 300, 1500]
    height, width = rng.choice(sizes), rng.choice(sizes)
    if rng.random() < 0.03:  # slow: the decoders fill it
        height, width = rng.choice([(13_000, 13_000), (65_500, 255), (255, 65_500), (65_500, 65_500)])
    data = bytearray(data)
    if data[0] == 0x89:
        huge = rng.random() < 0.2
        data[16:24] = struct.pack(">II", *((2**31 - 1, rng.choice([1, 2**31 - 1])) if huge else (width, height)))
        if rng.random() < 0.4:
            data[24:29] = bytes(rng.choice(values) for values in ([1, 2, 8, 16], [0, 2, 3, 4, 6], [0], [0], [0, 1]))
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        return bytes(data)
    if data[0] != 0xFF:
        return lie_of_others(data, rng, height, width)
    start = next(at for at in range(len(data)) if data[at] == 0xFF and data[at + 1] in (0xC0, 0xC1, 0xC2))
    data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    if rng.random() < 0.3:
        data[start + 1] = rng.choice([0xC0, 0xC1, 0xC2, 0xC3, 0xC9])
    return bytes(data)


def lie_of_others(data, rng, height, width):
    """The same for BMP, GIF, TIFF and WebP."""
    if data[:2] == b"BM":
        data[18:26] = struct.pack("<ii", width, rng.choice([height, -height]))
        data[28] = rng.choice([data[28], 1, 4, 8, 24, 32])
    elif data[:3] == b"GIF":
        data[6:10] = struct.pack("<HH", width, height)
    elif data[:2] == b"II":
        start = struct.unpack("<I", data[4:8])[0]
        for _ in range(rng.choice([1, 2])):
            entry = start + 2 + 12 * rng.randrange(struct.unpack("<H", data[start : start + 2])[0])
            data[entry + 8 : entry + 12] = struct.pack("<I", rng.choice([height, width, 0, 1, 2, 3, 16, 2**32 - 1]))
    else:
        data[21:25] = struct.pack("<I", (max(width, 1) - 1) & 0x3FFF | ((max(height, 1) - 1) & 0x3FFF) << 14)
    return bytes(data)


def seal(data, rng):
    """Damaged inside a PNG chunk whose checksum is made to fit; a JPEG gets a wrong table, others a wrong end."""
    if data[0] not in (0x89, 0xFF):
        return data[:-300] + flip(data[-300:], rng)
    if data[0] != 0x89:
        at = data.index(rng.choice([b"\xff\xdb", b"\xff\xc4"])) + rng.randrange(2, 60)
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    out, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        body = bytearray(data[at + 4 : at + 8 + length])
        if body[:4] == b"IDAT":
            body[rng.randrange(4, len(body))] ^= 1 << rng.randrange(8)
            if rng.random() < 0.3:
                extra = rng.choice([b"tRNS", b"PLTE", b"acTL", b"fcTL", b"eXIf", b"iCCP", b"zTXt", b"sBIT"])
                extra += rng.randbytes(rng.choice([0, 2, 8, 26, 300]))
                out.append(struct.pack(">I", len(extra) - 4) + extra + struct.pack(">I", zlib.crc32(extra)))
        out.append(struct.pack(">I", length) + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + length
    return b"".join(out)


DAMAGES = [flip, flip_start, cut, cut_and_end, cut_out, repeat, join, swap_start, lie, seal]


# --- The process that reads them -------------------------------------------------------------


def saved_as(kind, data, mode):
    """A quarter of a picture, as a file of another kind."""
    file = io.BytesIO()
    options = {"png": {"compress_level": 1}, "tiff": {"compression": "tiff_lzw"}, "webp": {"lossless": True}}
    picture = Image.open(io.BytesIO(data)).crop((0, 0, 128, 128)).convert(mode)
    picture.save(file, kind, **options.get(kind, {}))
    return file.getvalue()


def outcome(read, *names):
    """Read; the message of what is refused, which names the file."""
    try:
        read()
    except DataError as error:
        assert any(name in str(error) for name in names), f"{names} is not named in: {error}"
        return str(error)
    return ""


def read_them(folder, count, seed):
    """Damage and read `count` files below `folder`; returns how many were read and refused, by damage."""
    import resource  # not on Windows

    from segfeed import DataGenerator

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    stems = [f"{number:04d}" for number in range(1, 97)]
    tally = {}
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        damage, place = DAMAGES[number % len(DAMAGES)], number % PER_GENERATOR
        if place == 0:
            root = folder / str(number)
            images, masks = root / "images", root / "masks"
            images.mkdir(parents=True)
            masks.mkdir()
        stem, name = rng.choice(stems), f"{number:05d}"
        sources = (SAMPLE / "images" / f"{stem}.jpg").read_bytes(), (SAMPLE / "masks" / f"{stem}.png").read_bytes()
        kind = [None, "png", "tiff", "png", "gif", "png", "bmp", "png", "webp"][number // (2 * len(DAMAGES)) % 9]
        if kind:
            sources = saved_as(kind, sources[0], "RGB"), saved_as(kind, sources[1], "RGB" if kind == "webp" else "P")
        image, mask = images / f"{name}.{kind or 'jpg'}", masks / f"{name}.{kind or 'png'}"
        which = number // len(DAMAGES) % 2
        print(f"{number} {damage.__name__} {which}", file=sys.stderr, flush=True)  # the last line names a crash
        for index, (path, data) in enumerate(zip((image, mask), sources, strict=True)):
            path.write_bytes(damage(data, rng) if index == which else data)
        size = rng.choice([None, (32, 32)])
        read, damaged = (read_mask, mask) if which else (partial(read_image, for_size=size), image)
        single = outcome(lambda: _check(read(damaged), 1 if which else 3), str(damaged))  # noqa: B023
        both = outcome(lambda: read_pair(Pair(name, image, mask), size), str(image), str(mask))  # noqa: B023
        assert both or not single
        tally.setdefault(damage.__name__, []).append(single)
        if place == PER_GENERATOR - 1:
            findings = audit(images, masks, progress=False)
            fatal = {Path(finding.file).stem for finding in findings if finding.kind in FATAL_FINDINGS}
            names = sorted(path.stem for path in images.iterdir())
            generator = DataGenerator(names, images, masks, batch_size=1, img_size=32, shuffle=False)
            for index, name in enumerate(names):
                result = outcome(lambda: generator[index], name)  # noqa: B023
                assert bool(result) == (name in fatal), f"{root} {name}: {result or 'read'}; not so by the audit"
    return {name: [results.count(""), len(results) - results.count("")] for name, results in tally.items()}


def _check(pixels, channels):
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == channels and pixels.size


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory is limited on Linux only")
@pytest.mark.parametrize("count", [1000, pytest.param(5000, marks=pytest.mark.long)])
def test_damaged_files_are_read_or_refused_by_name(tmp_path, count):
    command = [sys.executable, __file__, str(tmp_path), str(count), "2026"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, errors="replace")
    assert run.returncode == 0, run.stderr[-3000:]
    tally = json.loads(run.stdout.splitlines()[-1])
    assert sum(map(sum, tally.values())) == count and set(tally) == {damage.__name__ for damage in DAMAGES}
    refused = {name: results[1] / sum(results) for name, results in tally.items()}
    assert refused["cut"] > 0.9 and refused["cut_and_end"] > 0.8 and refused["join"] > 0.5, tally
    assert refused["swap_start"] > 0.5 and refused["lie"] > 0.5, tally


@pytest.mark.parametrize("error", [struct.error("short"), EOFError("end"), KeyError("tag")])
def test_whatever_a_decoder_raises_becomes_an_error_that_names_the_file(tmp_path, monkeypatch, error):
    def imdecode(*arguments):
        raise error

    path = tmp_path / "동전.bmp"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    monkeypatch.setattr("cv2.imdecode", imdecode)
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=r"동전\.bmp: cannot be decoded"):
            read(path)


@pytest.mark.parametrize("error", [MemoryError(), cv2.error("Failed to allocate 9 bytes")])
def test_without_memory_the_file_is_not_blamed(tmp_path, monkeypatch, error):
    def imdecode(*arguments):
        error.code = cv2.Error.StsNoMem
        raise error

    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path := tmp_path / "4.bmp")
    monkeypatch.setattr("cv2.imdecode", imdecode)
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=r"4\.bmp: too little memory to decode it"):
            read(path)


if __name__ == "__main__":
    print(json.dumps(read_them(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))
