"""Files that no decoder takes, and what to do about them."""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import COMPRESSION_INFO, ImageFileDirectory_v2

from segfeed.errors import DataError

T = TypeVar("T")

JPEG, PNG = b"\xff\xd8", b"\x89PNG"  # how these files begin
TIFF = b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"
SMALLER = "Cut the picture into tiles; if it should be smaller, copy the file again from its source."
CONVERT = "Convert it to PNG."
OTHER_CONTENTS = (  # where, how it begins, what it is, and the cure
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the picture itself", "Run `git lfs pull`."),
    (4, b"ftyphei", "HEIC", CONVERT),
    (4, b"ftyphev", "HEIC", CONVERT),
    (4, b"ftypmif1", "HEIF", CONVERT),
    (4, b"ftypmsf1", "HEIF", CONVERT),
    (4, b"JXL ", "JPEG XL", CONVERT),
    (0, b"\xff\x0a", "JPEG XL", CONVERT),
    (4, b"ftypcrx", "a camera's raw file", "Develop it with the camera's program and save it as PNG or JPEG."),
    (0, b"FUJIFILM", "a camera's raw file", "Develop it with the camera's program and save it as PNG or JPEG."),
    (0, b"IIRO", "a camera's raw file", "Develop it with the camera's program and save it as PNG or JPEG."),
    (0, b"8BPS", "a file of Photoshop", "Export it as PNG."),
    (0, b"gimp xcf", "a file of GIMP", "Export it as PNG."),
    (0, b"%PDF", "a PDF", CONVERT),
    (0, b"PK\3\4", "a ZIP archive", "Unpack it."),
    (0, b"\x1f\x8b", "compressed with gzip", "Unpack it."),
    (0, b"Pf", "a picture of floating point (PFM)", CONVERT),
    (0, b"PF", "a picture of floating point (PFM)", CONVERT),
    (0, b"P7", "a PAM picture", CONVERT),
    (0, b"\x93NUMPY", "an array of NumPy", CONVERT),
    (0, b"\x89HDF", "a file of HDF5", CONVERT),
    (128, b"DICM", "a DICOM file", CONVERT),
    (0, b"<", "text, perhaps a web page or SVG, and no pixels", "Download the picture itself, or convert it to PNG."),
    (0, b"{", "text (JSON), and no pixels", "Move it out of this folder."),
)
OPENCV_NO_MEMORY = -4  # cv2.Error.StsNoMem
OTHER_JPEG = {  # the second byte of the marker that begins a frame, as in ITU-T T.81, and T.87 for F7
    0xC3: "lossless",
    **dict.fromkeys((0xC5, 0xC6, 0xC7), "hierarchical"),
    **dict.fromkeys((0xC9, 0xCA), "coded by arithmetic"),
    **dict.fromkeys((0xCB, 0xCD, 0xCE, 0xCF), "lossless or hierarchical"),
    0xF7: "lossless (JPEG-LS)",
}


def decode_or_raise(path: str | Path, data: bytes, read: Callable[[], T | None]) -> T:
    """Call `read`; if it fails or returns None, raise a DataError that names the file."""
    try:
        found = read()
    except DataError:
        raise
    except UnidentifiedImageError:  # which would tell the address of a buffer
        found = None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: {error} {SMALLER}", "decompression bomb") from error
    except Exception as error:  # a damaged file makes decoders raise anything, struct.error included
        if isinstance(error, MemoryError) or getattr(error, "code", None) == OPENCV_NO_MEMORY:
            raise DataError(
                f"{path}: too little memory to decode it. Close other programs, or cut the picture into tiles; "
                f"if the file is small, copy it again from its source."
            ) from error
        raise _not_decoded(path, data, f"cannot be decoded ({error})") from error
    if found is None:
        raise _not_decoded(path, data, f"not an image that can be decoded (it begins with {data[:4]!r})")
    return found


def _not_decoded(path: str | Path, data: bytes, measured: str) -> DataError:
    for at, start, name, cure in OTHER_CONTENTS:
        if data.startswith(start, at):
            return DataError(f"{path}: the file is {name}. {cure}")
    if is_cut(data):
        return cut_off(path, data)
    if unusual := _unusual_jpeg(data) if data[:2] == JPEG else _unusual_tiff(data) if data.startswith(TIFF) else "":
        return DataError(f"{path}: a {unusual}, which is not read. Save it again with 8 bits, as PNG.")
    return DataError(
        f"{path}: {measured}. Open it in an image viewer; save it again, or copy it again from its source."
    )


def cut_off(path: str | Path, data: bytes) -> DataError:
    """The error for a file whose end, or pixels before it, are missing."""
    found = f"cut off ({len(data)} bytes, no end)" if is_cut(data) else "cut off or damaged: pixels are missing"
    return DataError(f"{path}: the file is {found}. Copy it again from its source.", "truncated file")


def is_cut(data: bytes) -> bool:
    """Whether a JPEG that does not decode well, or a PNG, lacks the mark of its end."""
    if data[:2] == JPEG:  # the mark of a small picture in the header comes before the large one's pixels
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    return data[:4] == PNG and b"IEND" not in data


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """The second byte of each marker before the pixels of a JPEG, and where the contents of its segment begin."""
    at = 2
    while at + 4 < len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:  # filled up
            at += 1
            continue
        yield data[at + 1], at + 4
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _unusual_jpeg(data: bytes) -> str:
    """What decoders do not know of a JPEG; nothing if it is usual."""
    for marker, at in jpeg_segments(data):
        if marker in (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7):
            if marker in OTHER_JPEG:
                return f"JPEG that is {OTHER_JPEG[marker]}"
            return "" if data[at] == 8 else f"JPEG of {data[at]} bits"
    return ""


def _unusual_tiff(data: bytes) -> str:
    try:
        tags = tiff_pages(data)[0]
    except Exception:  # damaged
        return ""
    compression, form, bits = tags.get(259, 1), max(as_tuple(tags.get(339, 1))), max(as_tuple(tags.get(258, 1)))
    if compression not in (1, 5, 8, 32773, 32946):
        name = {50000: "Zstandard", 34925: "LZMA", 34887: "LERC", 50001: "WebP", 34712: "JPEG 2000"}.get(
            compression, COMPRESSION_INFO.get(compression, "")
        )
        return f"TIFF with compression {compression} {name}".rstrip()
    return f"TIFF of {bits} bits{', floating point' if form == 3 else ''}" if bits not in (1, 8) else ""


def tiff_pages(data: bytes, at: int | None = None) -> list[dict[int, Any]]:
    """The tags of each page, from the one at an offset on; of a large file that is mapped it reads nothing else."""
    big = 43 in data[2:4]  # BigTIFF
    start = (b"II+\0" if big else b"II*\0") + data[4 : 16 if big else 8]  # Pillow does not know MM\0+
    stream: Any = data if isinstance(data, mmap.mmap) else io.BytesIO(data)
    directory = ImageFileDirectory_v2(start, data[:2])
    pages: list[dict[int, Any]] = []
    seen: set[int] = set()
    at = directory.next if at is None else at
    while at and at not in seen:
        seen.add(at)
        stream.seek(at)
        directory.load(stream)
        pages.append(dict(directory))
        at = directory.next
    return pages


def as_tuple(value: Any) -> tuple:
    return value if isinstance(value, tuple) else () if value is None else (value,)
