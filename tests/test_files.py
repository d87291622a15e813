"""A file is read exactly as it was written, or refused by name; and no picture of a folder is lost in silence."""

import io
import os
import signal
import struct
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from test_audit import STEMS, disc, look, make_folder, picture, saved, seen, tiff

from segfeed import DataError, DataGenerator, Pair, find_pairs, read_image, read_mask, read_pair, split_ids
from segfeed.audit import audit


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(values, bits, colour=0, *chunks):
    """A PNG of `bits` a pixel, grey (colour 0) or of a palette (3), with other chunks before the pixels."""
    rows = (b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :]).tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], len(values), bits, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(b"".join(rows))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def colour_map(bits):
    """A palette of reds, as PNG and TIFF store it."""
    reds = (np.arange(2**bits) * 7 + 3).astype(np.uint8)
    table = np.zeros((3, 2**bits), np.uint16)
    table[0] = reds.astype(np.uint16) * 257
    return b"".join(bytes([red, 0, 0]) for red in reds), table.astype("<u2").tobytes()


WRITERS = {  # values below 2**bits, uint8 (H, W), to the bytes of a file that holds them
    "grey PNG": png,
    "palette PNG": lambda values, bits: png(values, bits, 3, chunk(b"PLTE", colour_map(bits)[0])),
    "PNG with a transparent value": lambda values, bits: png(values, bits, 0, chunk(b"tRNS", b"\0\0")),
    "grey TIFF": lambda values, bits: tiff(values, bits=bits),
    "palette TIFF": lambda values, bits: tiff(values, {262: (3, 3), 320: (3, colour_map(bits)[1])}, bits),
    "PGM": lambda values, bits: b"P5 %d %d %d\n" % (*values.shape[::-1], 2**bits - 1) + values.tobytes(),
}


@given(st.sampled_from(list(WRITERS)), st.sampled_from([1, 2, 4, 8]), st.integers(1, 40), st.integers(0, 2**32))
def test_a_mask_gives_the_values_that_were_written(tmp_path_factory, kind, bits, side, seed):
    path = tmp_path_factory.mktemp("m") / "동전"
    values = np.random.default_rng(seed).integers(0, 2**bits, (side, 13), np.uint8)
    path.write_bytes(WRITERS[kind](values, bits))
    assert np.array_equal(read_mask(path)[..., 0], values)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int16", "uint32", "int32", "float32", "float64", "int64"])
def test_a_tiff_of_any_number_gives_its_values(tmp_path, dtype):
    values = disc(value=3).astype(dtype)
    forms = {"u": 1, "i": 2, "f": 3}
    wide = {256: (3, 56), 258: (3, values.itemsize * 8), 339: (3, forms[values.dtype.kind])}
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(values.view(np.uint8).reshape(40, -1), wide))
    assert np.array_equal(read_mask(path)[..., 0], disc(value=3))
    with pytest.raises(DataError, match=f"{dtype} pixels up to 3"):
        read_image(path)
    path.write_bytes(tiff((values + 1000 if values.itemsize > 1 else values - 4).view(np.uint8).reshape(40, -1), wide))
    with pytest.raises(DataError, match=f"a.tif: {dtype} values from"):
        read_mask(path)


@pytest.mark.parametrize("kind", ["png", "tiff", "jpeg", "webp"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_mask_is_turned_as_its_image(tmp_path, kind, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    shown = {}
    for name, pixels in (("image", picture(1)), ("mask", disc(value=0) + np.eye(40, 56, dtype=np.uint8) * 255)):
        exact = {"webp": {"lossless": True}, "jpeg": {"quality": 100, "subsampling": 0}}.get(kind, {})
        (tmp_path / name).write_bytes(saved(pixels, kind, exif=exif, **exact))
        with Image.open(tmp_path / name) as opened:
            shown[name] = np.array(ImageOps.exif_transpose(opened))
        unturned = np.array(Image.open(io.BytesIO(saved(pixels, kind, **exact))))
        if kind == "tiff":  # by Pillow's own functions, from the picture that carries no tag
            exif_only = Image.fromarray(unturned)
            exif_only.getexif()[0x0112] = turn
            shown[name] = np.array(ImageOps.exif_transpose(exif_only))
    mask = shown["mask"] if shown["mask"].ndim == 2 else shown["mask"][..., 0]
    image = read_image(tmp_path / "image")
    assert np.abs(image.astype(int) - shown["image"]).max() <= (0 if kind != "jpeg" else 3)  # two decoders of JPEG
    if kind == "jpeg":
        (tmp_path / "mask").write_bytes(saved(np.full((40, 56), 255, np.uint8), kind, exif=exif))
        assert read_mask(tmp_path / "mask").shape[:2] == image.shape[:2]
    else:
        image, read = read_pair(Pair("a", tmp_path / "image", tmp_path / "mask"))
        assert np.array_equal(read[..., 0], mask) and image.shape[:2] == read.shape[:2]


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("bits", [2, 8])
def test_a_turned_palette_tiff_keeps_its_values(tmp_path, turn, bits):
    values = np.random.default_rng(0).integers(0, 2**bits, (9, 13), np.uint8)
    (tmp_path / "a").write_bytes(tiff(values, {262: (3, 3), 320: (3, colour_map(bits)[1]), 274: (3, turn)}, bits))
    (tmp_path / "b").write_bytes(tiff(values, {274: (3, turn)}))
    assert np.array_equal(read_mask(tmp_path / "a"), read_mask(tmp_path / "b"))


REFUSED = {
    "Git LFS": (
        b"version https://git-lfs.example/spec/v1\noid sha256:0\nsize 1\n",
        "a pointer of Git LFS.* `git lfs pull`",
    ),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC. Convert it"),
    "12 bits": (b"\xff\xd8\xff\xc1\0\x0b\x0c\0\x10\0\x10\1\1\x11\0\xff\xda\xff\xd9", "a JPEG of 12 bits"),
    "lossless": (b"\xff\xd8\xff\xc3\0\x0b\x08\0\x10\0\x10\1\1\x11\0\xff\xda\xff\xd9", "a JPEG that is lossless"),
    "Zstandard": (tiff(disc(), {259: (3, 50000)}), "TIFF with compression 50000 Zstandard"),
    "a web page": (b"<!DOCTYPE html><html>", "a web page"),
    "Lab": (tiff(np.zeros((40, 56 * 3), np.uint8), {256: (3, 56), 262: (3, 8), 277: (3, 3)}), "of kind 8"),
    "a sensor": (tiff(disc(), {262: (3, 32803)}), "of kind 32803"),
    "a preview": (tiff(disc(), {254: (4, 1)}), "a camera's raw file"),
    "infrared": (tiff(np.zeros((40, 56 * 4), np.uint8), {256: (3, 56), 262: (3, 2), 277: (3, 4)}), "4 channels"),
    "a width that is no number": (tiff(disc(), {256: (7, 200)}), "cannot be decoded"),
    "a volume": (tiff(disc(), {32997: (3, 9)}), "holds 9 pictures"),
}


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("read", [read_image, read_mask])
def test_what_cannot_be_read_rightly_is_named(tmp_path, read, data, words):
    (tmp_path / "동전.png").write_bytes(data)
    with pytest.raises(DataError, match=f"동전.png: .*{words}"):
        read(tmp_path / "동전.png")


def test_a_smaller_copy_behind_the_picture_is_no_second_picture(tmp_path):
    first = tiff(disc())
    small = tiff(disc()[::2, ::2].copy(), {254: (4, 1)})
    at = len(first) + len(first) % 2
    shifted = bytearray(small)
    start = struct.unpack("<I", small[4:8])[0]
    count = struct.unpack("<H", small[start : start + 2])[0]
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        number, _, _, value = struct.unpack("<HHII", small[entry : entry + 12])
        if number == 273:
            shifted[entry + 8 : entry + 12] = struct.pack("<I", value + at)
    data = first[:-4] + struct.pack("<I", at + start) + bytes(at - len(first)) + bytes(shifted)
    (tmp_path / "a.tif").write_bytes(data)
    assert np.array_equal(read_mask(tmp_path / "a.tif")[..., 0], disc())
    (tmp_path / "a.tif").write_bytes(
        data.replace(struct.pack("<HHII", 254, 4, 1, 1), struct.pack("<HHII", 254, 4, 1, 0))
    )
    with pytest.raises(DataError, match="holds 2 pictures"):
        read_mask(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["gif", "png", "bmp"])
@pytest.mark.parametrize("values", [(0, 2), (1, 3), (255,), (0, 128, 254), (0, 100)])
def test_a_mask_in_a_palette_of_other_greys_is_refused(tmp_path, kind, values):
    """As Pillow makes it of a grey picture that it saves as GIF."""
    classes = np.arange(40 * 56, dtype=np.uint8).reshape(40, 56) % len(values)
    image = Image.fromarray(classes, "P")
    image.putpalette([value for value in values for _ in range(3)])
    (tmp_path / "a").write_bytes(saved(image, kind))
    with pytest.raises(DataError, match=r"the value \d as the grey \d+|the scale is inverted") as refused:
        read_mask(tmp_path / "a")
    assert refused.value.kind == "palette of greys"


@pytest.mark.parametrize("kind", ["gif", "png", "bmp", "tiff"])
def test_black_and_white_in_a_palette_is_ground_and_object(tmp_path, kind):
    image = Image.fromarray(disc(value=1), "P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    (tmp_path / "a").write_bytes(saved(image, kind))
    assert np.array_equal(read_mask(tmp_path / "a")[..., 0] > 0, disc() > 0)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_bmp_of_black_and_white_alone_is_read_by_its_bits(tmp_path, bits):
    rows = np.packbits(np.unpackbits(disc(value=1)[::-1, :, None], axis=2)[..., 8 - bits :].reshape(40, -1), axis=1)
    size = struct.pack("<IiiHHIIiiII", 40, 56, 40, 1, bits, 0, rows.size, 0, 0, 2, 2)
    start = 14 + 40 + 8
    data = b"BM" + struct.pack("<IHHI", start + rows.size, 0, 0, start) + size + bytes([0, 0, 0, 0, 255, 255, 255, 0])
    (tmp_path / "a.bmp").write_bytes(data + rows.tobytes())
    assert np.array_equal(read_mask(tmp_path / "a.bmp")[..., 0] > 0, disc() > 0)
    assert np.array_equal(read_image(tmp_path / "a.bmp"), np.repeat(disc()[..., None], 3, axis=2))


MASKS_REFUSED = {
    "P2": (b"P2 2 2 3\n0 1 2 3\n", r"numbers as text \(P2\)"),
    "12 bits": (tiff(np.zeros((40, 84), np.uint8), {256: (3, 56), 258: (3, 12)}), "a TIFF of 12 bits, which"),
    "16 bits and alpha": (
        tiff(np.zeros((40, 56 * 4), np.uint8), {256: (3, 56), 258: (3, 16), 277: (3, 2), 338: (3, 2)}),
        "a TIFF of 16 bits and transparency",
    ),
    "Sun raster": (struct.pack(">8I", 0x59A66A95, 56, 40, 8, 2240, 1, 0, 0) + disc().tobytes(), "of the kind SUN"),
    "tifffile, cut": (tiff(disc(), {270: (2, b'{"shape": [3, 40, 56]}\0\0')}), "holds 3 pictures"),
    "MetaMorph": (tiff(disc(), {33629: (3, bytes(8))}), "holds 4 pictures"),
    "grey with alpha": (
        tiff(np.full((40, 112), 9, np.uint8), {256: (3, 56), 277: (3, 2), 338: (3, 2)}),
        "100.0% of the mask's pixels are transparent",
    ),
}


@pytest.mark.parametrize(("data", "words"), MASKS_REFUSED.values(), ids=MASKS_REFUSED)
def test_a_mask_of_which_no_decoder_gives_the_values_is_refused(tmp_path, data, words):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(DataError, match=words):
        read_mask(tmp_path / "a")


def test_an_image_of_16_bits_in_ppm_is_not_made_8(tmp_path):
    (tmp_path / "a").write_bytes(b"P6 # a camera\n2 1\n65535\n" + bytes(range(12)))
    with pytest.raises(DataError, match="uint16 pixels up to") as refused:
        read_image(tmp_path / "a")
    assert refused.value.kind == "image not of 8 bits"


@pytest.mark.parametrize(("order", "kind"), [("big", 4), ("little", 4), ("little", 1), ("big", 3)])
def test_a_jpeg_is_turned_as_its_mask_whatever_the_form_of_the_tag(tmp_path, order, kind):
    """Decoders disagree about an orientation that is no SHORT."""
    short, long, mark = (">H", ">I", b"MM\0*\0\0\0\x08") if order == "big" else ("<H", "<I", b"II*\0\x08\0\0\0")
    value = {1: bytes([6, 0, 0, 0]), 3: struct.pack(short, 6) + bytes(2), 4: struct.pack(long, 6)}[kind]
    tag = struct.pack(short, 1) + struct.pack(short, 0x0112) + struct.pack(short, kind) + struct.pack(long, 1) + value
    exif = b"Exif\0\0" + mark + tag + bytes(4)
    for name, pixels in (("image", picture(1)), ("mask", np.full((40, 56), 255, np.uint8))):
        (tmp_path / name).write_bytes(saved(pixels, "jpeg", exif=exif))
    image, mask = read_pair(Pair("a", tmp_path / "image", tmp_path / "mask"))
    assert image.shape[:2] == mask.shape[:2]
    assert read_image(tmp_path / "image", (8, 8)).shape[:2] == (image.shape[0] // 2, image.shape[1] // 2)


def tiff_of(pixels, order, big, tile=None):
    """A TIFF or BigTIFF of uint8 (H, W) or (H, W, 3), "<" or ">", in one strip or in tiles of (height, width)."""
    height, width = pixels.shape[:2]
    samples, (rows, columns) = pixels[0, 0].size, tile or (height, width)
    padded = np.pad(pixels, ((0, -height % rows), (0, -width % columns), *[(0, 0)] * (pixels.ndim - 2)))
    parts = [
        padded[row : row + rows, column : column + columns].tobytes()
        for row in range(0, height, rows)
        for column in range(0, width, columns)
    ]
    start, word = (16, "Q") if big else (8, "I")
    offsets = [start + sum(map(len, parts[:number])) for number in range(len(parts))]
    tags = {256: [width], 257: [height], 258: [8] * samples, 259: [1], 262: [1 if samples == 1 else 2], 277: [samples]}
    if tile:
        tags |= {322: [columns], 323: [rows], 324: offsets, 325: list(map(len, parts))}
    else:
        tags |= {273: offsets, 278: [rows], 279: list(map(len, parts))}
    body, entries = b"".join(parts), b""
    for number, values in sorted(tags.items()):
        data = struct.pack(f"{order}{len(values)}I", *values)
        if len(data) > len(struct.pack(word, 0)):
            body, data = body + data, struct.pack(order + word, start + len(body))
        entries += struct.pack(f"{order}HH{word}", number, 4, len(values)) + data.ljust(8 if big else 4, b"\0")
    mark = b"II" if order == "<" else b"MM"
    head = (
        struct.pack(f"{order}HHHQ", 43, 8, 0, 16 + len(body)) if big else struct.pack(f"{order}HI", 42, 8 + len(body))
    )
    return mark + head + body + struct.pack(order + ("Q" if big else "H"), len(tags)) + entries + bytes(8)


TILES = st.tuples(st.sampled_from([16, 32, 48]), st.sampled_from([16, 64, 112]))


@given(st.sampled_from("<>"), st.booleans(), st.none() | TILES, st.sampled_from([1, 3]), st.integers(1, 70))
def test_a_tiff_of_any_order_and_tiles_is_read_or_has_a_true_cure(tmp_path_factory, order, big, tile, samples, side):
    path = tmp_path_factory.mktemp("tiff") / "동전.tif"
    pixels = np.random.default_rng(side).integers(0, 256, (side, 50, samples), np.uint8)
    path.write_bytes(tiff_of(pixels if samples == 3 else pixels[..., 0], order, big, tile))
    if big and order == ">" and tile and tile[0] * tile[1] % 1024:
        with pytest.raises(DataError, match=r"동전\.tif: a BigTIFF in big-endian order.*Save it again as PNG"):
            read_image(path)
        return
    assert np.array_equal(read_image(path), np.broadcast_to(pixels, (side, 50, 3)))
    if samples == 1:
        assert np.array_equal(read_mask(path), pixels)


PNM = {"P1": (1, 1), "P2": (1, 255), "P3": (3, 255), "P4": (1, 1), "P5": (1, 255), "P6": (3, 255)}


@given(st.sampled_from(list(PNM)), st.integers(1, 20), st.integers(1, 20), st.binary(max_size=9), st.data())
def test_two_pictures_in_one_pnm_are_refused(tmp_path_factory, magic, width, height, comment, data):
    samples, most = PNM[magic]
    most = data.draw(st.sampled_from([most] if most == 1 else [15, 255, 65535]))
    values = np.random.default_rng(width).integers(0, most + 1, (height, width * samples))
    if magic in ("P1", "P2", "P3"):
        body = b" ".join(b"%d" % value for value in values.ravel()) + b"\n"
    else:
        body = (
            np.packbits(values, axis=1).tobytes()
            if most == 1
            else values.astype(">u2" if most > 255 else "u1").tobytes()
        )
    remark = b"#" + comment.replace(b"\n", b"").replace(b"\r", b"") + b"\n"
    one = magic.encode() + b"\n" + remark + b"%d %d\n" % (width, height) + (b"" if most == 1 else b"%d\n" % most) + body
    path = tmp_path_factory.mktemp("pnm") / "동전.pnm"
    for read in (read_image, read_mask):
        for tail in (b"", b"\n", b"the end"):
            path.write_bytes(one + tail)
            try:
                read(path)
            except DataError as error:
                assert error.kind != "several pictures"
        for joint in (b"", b"\n"):
            path.write_bytes(one + joint + one)
            with pytest.raises(DataError, match=r"동전\.pnm: holds more than one picture") as refused:
                read(path)
            assert refused.value.kind == "several pictures"


JOINED = {
    **{kind: saved(disc(), kind) for kind in ("png", "gif", "bmp", "tiff", "jpeg2000")},
    "TIFF with its tags behind": tiff(disc()),
    "TIFF in tiles": tiff_of(disc(), ">", True, (32, 32)),
    "webp": saved(picture(1), "webp"),
    "WebP without loss": saved(picture(1), "webp", lossless=True),
    "a raw code stream": saved(picture(1), "jpeg2000", no_jp2=True),
}


@pytest.mark.parametrize("one", JOINED.values(), ids=JOINED)
@pytest.mark.parametrize("read", [read_image, read_mask])
def test_joined_files_hold_more_than_one_picture(tmp_path, read, one):
    (tmp_path / "a").write_bytes(one + one)
    with pytest.raises(DataError, match=r"holds (more than one picture|2 pictures)") as refused:
        read(tmp_path / "a")
    assert refused.value.kind == "several pictures"


HALVES = {
    "colour": (picture(1, 80, 112), {}),
    "grey": (picture(1, 80, 112)[..., 0], {}),
    "with restarts": (picture(1, 80, 112), {"restart_marker_rows": 1}),
    "inks": (Image.fromarray(picture(1, 80, 112)).convert("CMYK"), {}),
}


@given(st.sampled_from(list(HALVES)), st.floats(0, 1), st.sampled_from([None, (10, 14), (20, 28)]))
def test_a_jpeg_that_was_cut_and_given_an_end_is_refused(tmp_path_factory, kind, share, size):
    path = tmp_path_factory.mktemp("cut") / "동전.jpg"
    pixels, options = HALVES[kind]
    whole = saved(pixels, "jpeg", **options)
    start = whole.rindex(b"\xff\xda") + 2
    start += int.from_bytes(whole[start : start + 2], "big")
    path.write_bytes(whole[: start + round(share * (len(whole) - start - 20))] + b"\xff\xd9")
    with pytest.raises(DataError, match=r"동전\.jpg: the file is cut off or damaged: pixels are missing") as refused:
        read_image(path, size)
    assert refused.value.kind == "truncated file"


def test_what_a_camera_puts_behind_a_jpeg_is_no_second_picture(tmp_path):
    """A preview, a map of brightness for other screens, the other view of a stereo camera."""
    whole = saved(picture(1), "jpeg")
    for behind in (saved(picture(1, 20, 28), "jpeg"), saved(picture(2), "jpeg"), b"\xff\xd8\xff"):
        (tmp_path / "a.jpg").write_bytes(whole + behind)
        assert read_image(tmp_path / "a.jpg").shape == (40, 56, 3)


# --- Folders ---------------------------------------------------------------------------------


def lose(folder, kind):
    """Put something into a folder that would not be read; its name."""
    images = folder / "images"
    if kind == "dead link":
        (images / "링크.jpg").symlink_to(images / "gone.jpg")
        return "링크.jpg"
    if kind == "hidden file":
        (images / ".숨은.jpg").write_bytes(saved(picture(50), "jpeg"))
        return ".숨은.jpg"
    if kind == "hidden file, by its contents":
        (images / ".숨은").write_bytes(saved(picture(50), "jpeg"))
        return ".숨은"
    if kind == "special file":
        os.mkfifo(images / "관.png")
        return "관.png"
    if kind == "special file, behind a link":
        os.mkfifo(folder / "pipe")
        (images / "관.png").symlink_to(folder / "pipe")
        return "관.png"
    deep = images / "day2" / "deep"
    deep.mkdir(parents=True)
    if kind == "subfolder, behind a link":
        (deep / "up").symlink_to(folder)  # it leads to the images and the masks, which are read, and to itself
        (deep / "further").symlink_to(folder / "elsewhere")
        deep = folder / "elsewhere"
        deep.mkdir()
    for number in range(3):
        (deep / f"{number}.JPG").write_bytes(saved(picture(60 + number), "jpeg"))
        if kind == "subfolder, by their contents":
            (deep / f"{number}.JPG").rename(deep / f"{number}")
    for side in (".ipynb_checkpoints", "__MACOSX"):
        (deep / side).mkdir()
        (deep / side / "0.JPG").write_bytes(saved(picture(60), "jpeg"))
    (deep / "notes.txt").write_text("BMW, P1")
    os.mkfifo(deep / "pipe")
    return "day2"


@pytest.mark.parametrize(
    "case",
    [
        *("dead link", "special file", "special file, behind a link", "hidden file", "hidden file, by its contents"),
        *("subfolder", "subfolder, by their contents", "subfolder, behind a link"),
    ],
)
def test_what_would_not_be_read_stops_and_is_audited(tmp_path, case):
    folder = make_folder(tmp_path)
    name, kind = lose(folder, case), case.partition(",")[0]
    assert seen(look(folder), folder) == [(kind, f"images/{name}")]
    with pytest.raises(DataError, match=f"{name}: {kind}, ") as stopped:
        find_pairs(folder / "images", folder / "masks")
    assert stopped.value.kind == kind
    measured = {"subfolder": "it holds 3 pictures", "special file": "a named pipe"}.get(kind, "")
    assert measured in str(stopped.value)
    stems = [path.stem for path in (folder / "masks").iterdir()]
    assert len(find_pairs(folder / "images", folder / "masks", stems)) == 8, "these ids leave it out"


@pytest.mark.parametrize(
    "name", [".DS_Store", "._동전 3.jpg", "Thumbs.db", "desktop.ini", "Icon\r", "동전 3.jpg:Zone.Identifier"]
)
def test_side_files_are_passed_over(tmp_path, name):
    folder = make_folder(tmp_path)
    (folder / "images" / name).write_bytes(b"\0\5\x16\7")
    for side in (".ipynb_checkpoints", "__MACOSX", "@eaDir", "notes"):
        (folder / "masks" / side).mkdir()
        (folder / "masks" / side / ("a.txt" if side == "notes" else "a.png")).write_bytes(b"")
    assert look(folder) == [] and len(find_pairs(folder / "images", folder / "masks")) == 8


@pytest.mark.parametrize("masks", ["masks", "sub/masks", "a/b/c"])
def test_masks_may_lie_in_a_folder_of_the_images_at_any_depth(tmp_path, masks):
    folder = make_folder(tmp_path)
    inner = folder / "images" / masks
    inner.parent.mkdir(parents=True, exist_ok=True)
    (folder / "masks").rename(inner)
    for link in (inner / "up", folder / "images" / "itself"):
        link.symlink_to(folder / "images")
    assert len(find_pairs(folder / "images", inner)) == 8
    assert len(find_pairs(inner, folder / "images")) == 8
    assert audit(folder / "images", inner, progress=False) == []
    inner.with_name("third").mkdir()
    (inner.with_name("third") / "a.png").write_bytes(saved(disc()))
    with pytest.raises(DataError, match=r"subfolder, it holds 1 picture\. "):
        find_pairs(folder / "images", inner)


@pytest.fixture
def alarm():
    """Ends a test that waits at a pipe for ever."""
    signal.alarm(300)
    yield
    signal.alarm(0)


def test_a_pipe_is_never_opened(tmp_path, alarm):
    os.mkfifo(tmp_path / "관.png")
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=r"관\.png: cannot be opened \(it is a named pipe, not a file\)"):
            read(tmp_path / "관.png")
    folder = make_folder(tmp_path)
    (folder / "images" / "동전 3.jpg").unlink()
    os.mkfifo(folder / "images" / "동전 3.jpg")
    with pytest.raises(DataError, match=r"동전 3\.jpg: special file, a named pipe"):
        DataGenerator(["동전 3"], folder / "images", folder / "masks")


def test_a_stem_that_is_the_name_of_another_image_is_refused(tmp_path):
    folder = make_folder(tmp_path)
    images, masks = folder / "images", folder / "masks"
    (images / "동전 3.jpg.jpg").write_bytes(saved(picture(50), "jpeg"))
    (masks / "동전 3.jpg.png").write_bytes(saved(disc()))
    assert seen(look(folder), folder) == [("ambiguous name", "images/동전 3.jpg.jpg")]
    for ids in (None, ["동전 3.jpg"], ["동전 3.jpg.jpg"], [images / "동전 3.jpg.jpg"]):
        with pytest.raises(
            DataError, match=r"the id '동전 3\.jpg' may mean the file 동전 3\.jpg or 동전 3\.jpg\.jpg"
        ) as one:
            find_pairs(images, masks, ids)
        assert one.value.kind == "ambiguous name"
    for path in (images / "동전 3.jpg", str(images / "동전 3.jpg"), "동전 3"):
        (pair,) = find_pairs(images, masks, [path])
        assert pair.image == images / "동전 3.jpg", "a path means the file"
    (images / "동전 3.jpg").rename(images / "동전 9.jpg")
    (masks / "동전 3.png").rename(masks / "동전 9.png")
    assert look(folder) == [] and len(find_pairs(images, masks)) == 9, "a stem may hold a dot"


def test_one_folder_given_twice_is_refused(tmp_path):
    folder = make_folder(tmp_path)
    (folder / "link").symlink_to(folder / "images")
    for masks in ("images", "link"):
        with pytest.raises(DataError, match="given for the images and for the masks"):
            find_pairs(folder / "images", folder / masks)


def test_an_id_behind_a_dead_link_or_in_a_subfolder_says_so(tmp_path):
    folder = make_folder(tmp_path)
    lose(folder, "subfolder")
    with pytest.raises(DataError, match=r"no image for the id '0'\. .*day2: subfolder, it holds 3 pictures"):
        find_pairs(folder / "images", folder / "masks", ["0"])
    (folder / "masks" / "동전 3.png").unlink()
    (folder / "masks" / "동전 3.png").symlink_to(folder / "nowhere.png")
    with pytest.raises(
        DataError, match=r"동전 3\.png: dead link, a link to .*nowhere.png, which cannot be opened \(No such"
    ):
        find_pairs(folder / "images", folder / "masks", ["동전 3"])


def test_a_link_to_itself_is_a_dead_link(tmp_path):
    folder = make_folder(tmp_path)
    (folder / "images" / "loop.jpg").symlink_to("loop.jpg")
    assert seen(look(folder), folder) == [("dead link", "images/loop.jpg")]
    with pytest.raises(DataError, match=r"loop\.jpg: dead link"):
        find_pairs(folder / "images", folder / "masks")


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    folder = make_folder(tmp_path)

    def scandir(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", scandir)  # root may open every folder
    with pytest.raises(DataError, match=r"images: cannot be opened \(Permission denied\)"):
        find_pairs(folder / "images", folder / "masks")


# --- Ids -------------------------------------------------------------------------------------


def test_ids_may_be_names_paths_or_lines(tmp_path):
    folder = make_folder(tmp_path)
    images, masks = folder / "images", folder / "masks"
    expected = ["동전 2", "동전 0"]
    (tmp_path / "train.txt").write_text("동전 2\n동전 0.jpg\n", encoding="utf-8")
    paths = [images / "동전 2.jpg", images / "동전 0.jpg"]
    with open(tmp_path / "train.txt", encoding="utf-8") as lines:
        for ids in (expected, paths, map(str, paths), [os.fsencode(p.name) for p in paths], np.array(expected), lines):
            assert [pair.stem for pair in find_pairs(images, masks, ids)] == expected


def test_a_listed_name_in_another_unicode_form_is_an_id(tmp_path):
    folder = make_folder(tmp_path)
    name = unicodedata.normalize("NFD", "동전 3.jpg")
    (folder / "images" / "동전 3.jpg").rename(folder / "images" / name)
    for one in (name, folder / "images" / name, "동전 3.jpg"):
        assert [pair.stem for pair in find_pairs(folder / "images", folder / "masks", [one])] == ["동전 3"]


def test_splits_of_the_audit_take_the_same_ids(tmp_path):
    folder = make_folder(tmp_path)
    (folder / "images" / "동전 5.jpg").write_bytes((folder / "images" / "동전 1.jpg").read_bytes())
    others = [stem for stem in STEMS if stem not in ("동전 1", "동전 5")]
    ids = {"train": ["동전 1.jpg", *others], "test": [folder / "images" / "동전 5.jpg"]}
    assert seen(look(folder, splits=ids), folder) == [("same picture in two splits", "images/동전 5.jpg")]
    with pytest.raises(DataError, match="one text"):
        look(folder, splits={"train": "동전 1"})


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([0, 1], "the id 0 is of type int, expected text such as '0007'.*dtype=str"),
        (np.arange(2), r"the id np\.int64\(0\) is of type int64, expected text"),
        (None, "the ids are None. Give a list"),
        (Path("동전 1"), "Give a list of texts"),
        ([1.0], "of type float"),
        (["동전 1", float("nan")], "of type float"),
        ([None], "of type NoneType"),
        ([Pair("동전 1", Path("a.jpg"), Path("a.png"))], "of type Pair.*Give its stem"),
        ("동전 1", "the ids are one text, '동전 1'"),
        ([Path("elsewhere") / "동전 1.jpg"], "elsewhere"),
        (["동전 1", ""], "no image in"),
    ],
)
def test_other_ids_are_refused_at_once(tmp_path, ids, words):
    folder = make_folder(tmp_path)
    with pytest.raises(DataError, match=words):
        DataGenerator(ids, folder / "images", folder / "masks")


def test_one_text_is_not_split_into_letters():
    with pytest.raises(DataError, match="one text"):
        split_ids("0001", 1)
