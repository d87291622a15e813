"""The cache of decoded pairs: what it saves, and that nothing old or broken ever comes out of it."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segfeed import DataError, DataGenerator, cache, generator, threads

ROOT = Path(__file__).resolve().parent.parent
SLOT = 8 * 8 * 4 + 16


@pytest.fixture(params=["in memory", "in a file"])
def make(request, folders, tmp_path):
    """Make a generator over the 13 pairs of `folders` that keeps all of them."""

    def make(**options):
        where = {"cache_memory": 0, "cache_dir": tmp_path / "cache"} if request.param == "in a file" else {}
        return DataGenerator(folders.ids, folders.imgs, folders.masks, 4, 8, shuffle=False, **where, **options)

    return make


@pytest.fixture
def reads(monkeypatch):
    """The stems of the pairs that are read from their files."""
    seen = []
    pool, all_free = generator._threads(os.getpid()), threading.Barrier(threads.CORES)
    for part in [pool.submit(all_free.wait) for _ in range(threads.CORES)]:
        part.result()  # nothing is being read ahead for an earlier test
    read_checked = generator.read_checked

    def counting(files, *others):
        seen.append(Path(files[0]).stem)
        return read_checked(files, *others)

    monkeypatch.setattr(generator, "read_checked", counting)
    return seen


def same(batches, others):
    return all(
        np.array_equal(a, b) for one, two in zip(batches, others, strict=True) for a, b in zip(one, two, strict=True)
    )


def test_every_file_is_read_once(make, folders, reads):
    data = make()
    first = list(data)
    assert sorted(reads) == folders.ids
    for epoch in (1, 2):
        data.set_epoch(epoch)
        assert same(list(data), first)
    assert sorted(reads) == folders.ids


@pytest.mark.parametrize("options", [{"dtype": "uint8"}, {"n_channels": 1}, {"dtype": "uint8", "n_channels": 1}])
def test_what_comes_from_the_cache_is_what_came_from_the_files(make, options):
    data = make(**options)
    first = list(data)
    data.set_epoch(1)
    assert same(list(data), first)


def test_the_first_pairs_are_kept_when_not_all_fit(folders, reads):
    data = DataGenerator(folders.ids, folders.imgs, folders.masks, 4, 8, shuffle=False, cache_memory=5 * SLOT + 1)
    first = list(data)
    reads.clear()
    data.set_epoch(1)
    assert same(list(data), first)
    assert sorted(reads) == folders.ids[5:]


def test_no_memory_means_no_cache(folders, reads):
    data = DataGenerator(folders.ids, folders.imgs, folders.masks, 4, 8, cache_memory=0)
    list(data)
    data.set_epoch(1)
    list(data)
    assert len(reads) == 2 * 13


def test_a_batch_is_a_copy(make):
    data = make(dtype="uint8")
    first = [tuple(part.copy() for part in batch) for batch in data]
    for batch in data:
        for part in batch:
            part[:] = 99
    data.set_epoch(1)
    assert same(list(data), first)


def test_an_augmentation_may_write_into_what_it_gets(make):
    def blacken(image, mask, rng):
        image[:], mask[:] = 0, 0
        return image, mask

    data = make()
    first = list(data)
    data.set_epoch(1)
    data.augment = blacken
    assert max(float(part.max()) for batch in data for part in batch) == 0
    data.set_epoch(2)
    data.augment = None
    assert same(list(data), first)


# --- Never stale ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["image", "mask"])
@pytest.mark.parametrize("again", ["the same generator", "a new one"])
def test_a_file_that_changes_is_read_again(tmp_path, write_pair, what, again):
    for name in ("a", "b"):
        write_pair(tmp_path, name)

    def new():
        folders = tmp_path / "images", tmp_path / "masks"
        return DataGenerator(["a", "b"], *folders, 2, 8, shuffle=False, cache_memory=0, cache_dir=tmp_path / "kept")

    data = new()
    assert all(part.max() == 0 for part in data[0])
    time.sleep(0.02)  # a file system's clock ticks every 4 to 10 ms
    white = np.full((12, 16, 3), 255, np.uint8)
    write_pair(tmp_path, "b", image=white if what == "image" else None, mask=white[..., 0] if what == "mask" else None)
    data = data if again == "the same generator" else new()
    data.set_epoch(1)
    images, masks = data[0]
    assert images[0].max() == masks[0].max() == 0
    assert (images if what == "image" else masks)[1].min() == 1


def test_a_file_that_keeps_its_size_and_time_of_change_is_read_again(tmp_path, write_pair):
    write_pair(tmp_path, "a")
    image = tmp_path / "images" / "a.bmp"  # not compressed: as many bytes whatever the colour
    image.with_suffix(".png").unlink()
    Image.new("RGB", (16, 12), 0).save(image)
    data = DataGenerator(["a"], tmp_path / "images", tmp_path / "masks", 1, 8, shuffle=False)
    assert data[0][0].max() == 0
    before = image.stat()
    time.sleep(0.02)
    Image.new("RGB", (16, 12), (255, 255, 255)).save(image)
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (image.stat().st_size, image.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    data.set_epoch(1)
    assert data[0][0].min() == 1


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("kind", ["images", "masks"])
@pytest.mark.parametrize("goes", ["the file", "the folder"])
@pytest.mark.parametrize("where", [{}, {"cache_memory": 0}, {"cache_memory": 0, "cache_dir": "kept"}], ids=str)
@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_goes_is_named(tmp_path, write_pair, monkeypatch, dtype, kind, goes, where, known):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        write_pair(tmp_path, name)
    data = DataGenerator(["a", "b"], "images", "masks", 2, 8, shuffle=False, dtype=dtype, **where)
    if known:
        list(data)
    gone = tmp_path / kind / "b.png" if goes == "the file" else tmp_path / kind
    gone.rename(tmp_path / "elsewhere")
    name = "b" if goes == "the file" else "a"
    with pytest.raises(DataError, match=rf"{kind}/{name}\.png: cannot be opened \(No such file or directory\)"):
        list(data)


# --- Never half-written -----------------------------------------------------------------------


def on_disk(folders, tmp_path, **options):
    folder = {"cache_memory": 0, "cache_dir": tmp_path / "cache"}
    return DataGenerator(folders.ids, folders.imgs, folders.masks, 4, 8, shuffle=False, **folder, **options)


def test_the_next_run_reads_no_file(folders, tmp_path, reads):
    first = list(on_disk(folders, tmp_path))
    reads.clear()
    assert same(list(on_disk(folders, tmp_path)), first)
    assert reads == []


def test_every_list_and_size_has_a_file_of_its_own(folders, tmp_path):
    options = {"cache_memory": 0, "cache_dir": tmp_path / "cache"}
    for ids in (folders.ids, folders.ids[:5], folders.ids[::-1]):
        for size in (8, 16):
            data = DataGenerator(ids, folders.imgs, folders.masks, 4, size, shuffle=False, **options)
            plain = DataGenerator(ids, folders.imgs, folders.masks, 4, size, shuffle=False, cache_memory=0)
            assert same(list(data), list(plain))
    assert len(list((tmp_path / "cache").iterdir())) == 6


def test_masks_that_were_checked_for_more_classes_are_checked_again(folders, tmp_path):
    def new(n_classes):
        where = {"cache_memory": 0, "cache_dir": tmp_path / "cache"}
        return DataGenerator(folders.ids, folders.imgs, folders.classes, 13, 8, n_classes, shuffle=False, **where)

    new(3)[0]
    with pytest.raises(DataError, match=r"the mask holds 2 .* check n_classes=1"):
        new(1)[0]


@pytest.mark.parametrize("harm", ["pixels cut", "one byte", "all zeros", "noise", "marks of others"])
def test_a_slot_that_was_written_by_halves_is_read_again(folders, tmp_path, harm):
    first = list(on_disk(folders, tmp_path))
    (path,) = (tmp_path / "cache").iterdir()
    content = np.fromfile(path, np.uint8)
    marks, slots = content[: 13 * 8].view(np.int64), content[13 * 8 :].reshape(13, -1)
    if harm == "pixels cut":
        slots[:, 100:] = 0
    elif harm == "one byte":
        slots[:, 7] ^= 1
    elif harm == "all zeros":
        content[:] = 0
    elif harm == "noise":
        content[:] = np.random.default_rng(0).integers(0, 256, len(content), np.uint8)
    else:
        marks[:] = np.roll(marks, 1)
    content.tofile(path)
    assert same(list(on_disk(folders, tmp_path)), first)


FILL = """
import os, sys; sys.path.insert(0, {root!r}); os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
from segfeed import DataGenerator
data = DataGenerator({ids!r}, {imgs!r}, {masks!r}, 4, 8, shuffle=False, cache_memory=0, cache_dir={folder!r})
print("ready", flush=True); sys.stdin.readline()
for epoch in range({epochs}):
    data.set_epoch(epoch)
    total = sum(float(part.sum()) for batch in data for part in batch)
    {then}
print(total)
"""


def filler(folders, tmp_path, epochs=3, then="pass"):
    code = FILL.format(
        root=str(ROOT),
        ids=folders.ids,
        imgs=str(folders.imgs),
        masks=str(folders.masks),
        folder=str(tmp_path / "cache"),
        epochs=epochs,
        then=then,
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_programs_make_it_at_the_same_time(folders, tmp_path, reads):
    plain = DataGenerator(folders.ids, folders.imgs, folders.masks, 4, 8, shuffle=False)
    expected = sum(float(part.sum()) for batch in plain for part in batch)
    programs = [filler(folders, tmp_path), filler(folders, tmp_path)]
    for program in programs:
        program.stdin.write("go\n")
        program.stdin.flush()
    assert [float(program.communicate()[0]) for program in programs] == [expected] * 2
    reads.clear()
    assert same(list(on_disk(folders, tmp_path)), list(plain))
    assert reads == []


def test_a_program_that_is_killed_leaves_nothing_wrong(folders, tmp_path):
    plain = DataGenerator(folders.ids, folders.imgs, folders.masks, 4, 8, shuffle=False)
    program = filler(folders, tmp_path, then="os.kill(os.getpid(), 9)")
    program.communicate("go\n")
    assert program.returncode != 0
    assert same(list(on_disk(folders, tmp_path)), list(plain))


def test_a_full_disk_is_named_before_the_training(folders, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match=r"no room for a cache of 0\.0 GB \(No space left on device\).*cache_dir"):
        on_disk(folders, tmp_path)


INVERTED = """
class Inverted(DataGenerator):
    def _read(self, number, image, mask):
        DataGenerator._read(self, number, image, mask)
        image[...] = 255 - image
"""


def test_a_subclass_that_reads_otherwise_has_a_file_of_its_own(folders, tmp_path):
    typed = {"DataGenerator": DataGenerator}
    exec(INVERTED, typed)  # as in a console: its source is in no file
    Inverted = typed["Inverted"]
    where = {"cache_memory": 0, "cache_dir": tmp_path / "cache"}
    first = on_disk(folders, tmp_path)[0][0]
    other = Inverted(folders.ids, folders.imgs, folders.masks, 4, 8, shuffle=False, **where)[0][0]
    assert np.allclose(first, 1 - other)
    exec(INVERTED.replace("255", "200"), typed)
    third = typed["Inverted"](folders.ids, folders.imgs, folders.masks, 4, 8, shuffle=False, **where)[0][0]
    assert np.allclose(first, 200 / 255 - third)
    again = typed["Inverted"](folders.ids, folders.imgs, folders.masks, 4, 8, shuffle=False, **where)[0][0]
    assert np.array_equal(third, again) and len(list((tmp_path / "cache").iterdir())) == 3


def test_a_newer_opencv_makes_a_new_file(folders, tmp_path, monkeypatch):
    on_disk(folders, tmp_path)
    monkeypatch.setattr(cv2, "__version__", "9.9")
    on_disk(folders, tmp_path)
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("name", ["headers", "decode", "masks", "pairing", "transforms", "generator"])
def test_other_code_that_makes_the_pixels_makes_a_new_file(folders, tmp_path, monkeypatch, name):
    """A next version of the library may resize or decode otherwise: what this one kept is not served then."""
    on_disk(folders, tmp_path)
    read_bytes = Path.read_bytes

    def newer(path):
        return read_bytes(path) + (b"# newer" if path.match(f"segfeed/{name}.py") else b"")

    monkeypatch.setattr(Path, "read_bytes", newer)
    on_disk(folders, tmp_path)
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("name", ["resize_image", "resize_mask"])
def test_another_function_that_makes_the_pixels_makes_a_new_file(folders, tmp_path, monkeypatch, name):
    def whole():
        return [part for batch in on_disk(folders, tmp_path) for part in batch]

    before, function = whole(), getattr(generator, name)

    def black(*arguments):
        pixels = function(*arguments)
        pixels[...] = 0
        return pixels

    monkeypatch.setattr(generator, name, black)
    assert not same([whole()], [before]) and len(list((tmp_path / "cache").iterdir())) == 2
