"""Pairs in shards: the same bytes, batches and findings as from files, whatever happens on the way."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segfeed import DataError, decode, files, find_pairs, pack, read_image, shards
from segfeed.__main__ import main
from segfeed.audit import audit
from segfeed.classes import class_options, make_class_table, write_classes_table
from segfeed.files import file_status, raw_bytes
from segfeed.locks import lock_folder
from segfeed.train.checkpoint import checksum
from utils import SAMPLE, DataGenerator, read_split

ROOT = Path(__file__).resolve().parent.parent
IDS = read_split()["validation"]
PROGRAM = [sys.executable, "-m", "segfeed", "pack"]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack") / "packed"
    pack.pack_pairs(SAMPLE / "images", SAMPLE / "masks", folder, 0.4)
    return folder


def files_of(folder, ids=None):
    return [file for pair in find_pairs(folder / "images", folder / "masks", ids) for file in pair[1:]]


def test_every_file_is_there_byte_for_byte(packed):
    assert len(shards.Shards(packed).paths) == 5
    packed_files, files = files_of(packed), files_of(SAMPLE)
    assert [file.relative_to(packed) for file in packed_files] == [file.relative_to(SAMPLE) for file in files]
    assert all(raw_bytes(mine) == theirs.read_bytes() for mine, theirs in zip(packed_files, files, strict=True))
    assert checksum(packed_files) == checksum(files)
    assert file_status(str(packed_files[0])) == os.stat(shards.Shards(packed).paths[0])
    assert shards.verify(packed) == []


def test_the_table_of_classes_is_packed_too(tmp_path, folders):
    shutil.copytree(folders.classes, tmp_path / "masks")
    write_classes_table(tmp_path / "masks" / "classes.csv", make_class_table(["coin", "hand"], void=False))
    pack.pack_pairs(folders.imgs, tmp_path / "masks", tmp_path / "packed")
    names = {0: "background", 1: "coin", 2: "hand"}
    for masks in (tmp_path / "masks", tmp_path / "packed" / "masks"):
        assert class_options(masks, None, None) == (3, None, names)
    assert shards.verify(tmp_path / "packed") == []


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_any_names_and_contents_come_back(tmp_path_factory, data):
    letters = "aAzZ09 .-_äé한글" + ("\udcb5\udcbf" if sys.platform == "linux" else "")  # two bytes that are no UTF-8
    name = st.text(letters, min_size=1, max_size=6).filter(lambda text: text.strip(". ") == text)
    stems = data.draw(st.lists(name, min_size=1, max_size=8, unique_by=str.casefold))
    stems = [stem for stem in stems if stem not in ("q", "q!")] + ["q", "q!", letters[-1]]  # q!.png comes before q.png
    stems = sorted(set(stems))
    content = st.binary(min_size=1, max_size=200)
    source = tmp_path_factory.mktemp("files")
    for kind in shards.KINDS:
        (source / kind).mkdir()
        for stem in stems:
            (source / kind / f"{stem}.{data.draw(st.sampled_from(['png', 'jpg']))}").write_bytes(data.draw(content))
    folder = source / "packed"
    pack.pack_pairs(source / "images", source / "masks", folder, data.draw(st.sampled_from([1e-5, 2e-4, 1])))
    ids = data.draw(st.permutations(stems))
    for mine, theirs in zip(files_of(folder, ids), files_of(source, ids), strict=True):
        assert mine.name == theirs.name and raw_bytes(mine) == theirs.read_bytes()
    assert shards.verify(folder) == []
    assert checksum(files_of(folder)) == checksum(files_of(source))


def test_two_processes_do_not_pack_into_one_folder(tmp_path, capsys):
    words = ["pack", str(SAMPLE / "images"), str(SAMPLE / "masks"), str(tmp_path / "packed")]
    with lock_folder(tmp_path / "packed"):
        assert main(words) == 2
    assert f"process {os.getpid()} on " in capsys.readouterr().err and os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_folder_whose_name_is_no_utf8_is_refused_before_it_is_made(packed, tmp_path, capsys):
    folder = tmp_path / os.fsdecode(b"\xb5\xbf")
    assert main(["pack", str(SAMPLE / "images"), str(SAMPLE / "masks"), str(folder)]) == 2
    assert "\\udcb5\\udcbf: the name is no UTF-8" in capsys.readouterr().err and not folder.exists()
    shutil.copytree(packed, folder)
    with pytest.raises(DataError, match=r"no UTF-8.* Rename"):
        find_pairs(folder / "images", folder / "masks")


@pytest.mark.parametrize("options", [{}, {"dtype": "uint8", "cache_memory": 0}, {"shard": (1, 3), "img_size": 32}])
def test_batches_are_the_same_as_from_files(packed, options):
    files, shards = (
        DataGenerator(IDS, folder / "images", folder / "masks", 5, seed=3, **options) for folder in (SAMPLE, packed)
    )
    for _ in range(2):
        for mine, theirs in zip(shards, files, strict=True):
            for one, other in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(one, other, strict=True)
        files.on_epoch_end()
        shards.on_epoch_end()


def test_a_cache_beside_shards_serves_and_notices_a_change(tmp_path):
    shutil.copytree(SAMPLE / "masks", tmp_path / "masks")
    shutil.copytree(SAMPLE / "images", tmp_path / "images")
    folders = [tmp_path / "packed" / kind for kind in shards.KINDS]

    def first_image():
        generator = DataGenerator(IDS[:4], *folders, 4, 16, shuffle=False, cache_memory=1, cache_dir=tmp_path / "cache")
        return generator[0][0][0]

    pack.pack_pairs(tmp_path / "images", tmp_path / "masks", tmp_path / "packed")
    before = first_image()
    np.testing.assert_array_equal(first_image(), before)
    shutil.copy(SAMPLE / "images" / f"{IDS[1]}.jpg", tmp_path / "images" / f"{IDS[0]}.jpg")
    shutil.rmtree(tmp_path / "packed")
    pack.pack_pairs(tmp_path / "images", tmp_path / "masks", tmp_path / "packed")
    files._open_shards.cache_clear()  # another program would begin with none
    assert (first_image() != before).any()


def test_the_audit_finds_the_same(tmp_path, folders):
    shutil.copytree(folders.imgs, tmp_path / "images")
    shutil.copytree(folders.masks, tmp_path / "masks")
    image = tmp_path / "images" / "03.png"
    image.write_bytes(image.read_bytes()[:60])
    (tmp_path / "masks" / "04.png").write_bytes(b"no picture at all")
    (tmp_path / "masks" / "05.png").write_bytes(b"")
    pack.pack_pairs(tmp_path / "images", tmp_path / "masks", tmp_path / "packed")
    files, shards = (audit(folder / "images", folder / "masks") for folder in (tmp_path, tmp_path / "packed"))
    assert {finding.kind for finding in files} >= {"truncated file", "unreadable file", "empty file"}
    assert str(shards).replace(str(tmp_path / "packed"), str(tmp_path)) == str(files)


# --- What goes wrong -------------------------------------------------------------------------


def copied(packed, tmp_path):
    shutil.copytree(packed, tmp_path / "packed")
    return tmp_path / "packed"


@settings(deadline=None, max_examples=150)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_gives_no_wrong_byte_and_verify_names_its_shard(packed, tmp_path_factory, place, bit):
    folder = tmp_path_factory.mktemp("flipped")
    for path in packed.iterdir():
        os.link(path, folder / path.name)
    shard = folder / shards.Shards(packed).paths[2].name
    data = bytearray(shard.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    shard.unlink()
    shard.write_bytes(data)
    wrong = []
    try:
        for mine, theirs in zip(files_of(folder), files_of(SAMPLE), strict=True):
            try:
                assert raw_bytes(mine) == theirs.read_bytes()
            except OSError as error:
                assert f"{shard.name} is damaged" in error.strerror
                wrong.append(mine)
    except (DataError, RuntimeError) as error:  # the shard cannot be opened at all
        assert shard.name in str(error)
        wrong.append(shard)
    problems = shards.verify(folder) if wrong != [shard] else [str(shard)]
    assert all(problem.startswith(str(shard)) for problem in problems)
    assert bool(problems) >= bool(wrong)


def test_a_damaged_shard_is_named_and_made_again(packed, tmp_path, capsys, monkeypatch):
    folder = copied(packed, tmp_path)
    shard = shards.Shards(folder).paths[1]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert main(["pack", "--verify", str(folder)]) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"{shard}: damaged (") and "Delete it and run the command again that packed it" in said
    with pytest.raises(DataError, match=rf"s/\d+\.\w+: cannot be opened \({shard.name} is damaged: "):
        for file in files_of(folder):
            decode.read_bytes(file)
    kept = shards.Shards(folder).paths[0].stat().st_mtime_ns
    shard.unlink()
    with pytest.raises(DataError, match=f"1 of 5 shards are missing: {shard.name}. Run the command again"):
        shards.Shards(folder)
    pack.pack_pairs(SAMPLE / "images", SAMPLE / "masks", folder, 0.4)
    assert shards.verify(folder) == []
    assert shards.Shards(folder).paths[0].stat().st_mtime_ns == kept


def test_contents_that_differ_from_the_list_are_a_problem(packed, tmp_path):
    folder = copied(packed, tmp_path)
    first, second = shards.Shards(folder).paths[:2]
    shutil.copy(first, second)
    (problem,) = shards.verify(folder)
    assert problem.startswith(f"{second}: its contents have the SHA-256 ")


def test_shards_of_other_files_are_refused_and_stay(packed, tmp_path):
    folder = copied(packed, tmp_path)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DataError, match=r"holds shards of other files: pairs-00000-of-00005\.array_record, .*another"):
        pack.pack_pairs(SAMPLE / "images", SAMPLE / "masks", folder, 1)
    with pytest.raises(DataError, match="of other files"):
        pack.pack_pairs(SAMPLE / "images", SAMPLE / "masks_by_class", folder, 0.4)
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


def test_files_that_do_not_pair_are_named(tmp_path, folders):
    shutil.copytree(folders.imgs, tmp_path / "images")
    shutil.copytree(folders.masks, tmp_path / "masks")
    (tmp_path / "masks" / "07.png").unlink()
    with pytest.raises(DataError, match=r"no mask in .* for 1 of 13 ids: 07"):
        pack.pack_pairs(tmp_path / "images", tmp_path / "masks", tmp_path / "packed")


def test_what_is_not_there_is_said_as_of_files(packed):
    with pytest.raises(DataError, match=r"no image in .*images for 1 of 1 ids: 9999"):
        find_pairs(packed / "images", packed / "masks", ["9999"])
    with pytest.raises(DataError, match=r"9999\.jpg: cannot be opened \(No such file or directory\)"):
        read_image(packed / "images" / "9999.jpg")
    with pytest.raises(DataError, match=r"there is no folder .*pictures"):
        find_pairs(packed / "pictures", packed / "masks")


def test_a_full_disk_is_said_and_leaves_no_part(tmp_path):
    def limit():  # bytes a file may have
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, resource.RLIM_INFINITY))

    command = [*PROGRAM, SAMPLE / "images", SAMPLE / "masks", tmp_path / "packed", "--shard-mb", "1"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Stopped: {tmp_path / 'packed' / 'pairs-00000-of-00002.array_record'} cannot be")
    assert "Traceback" not in done.stderr and not list((tmp_path / "packed").iterdir())


def test_killed_at_any_moment_it_goes_on(packed, tmp_path):
    rng, folder = random.Random(0), tmp_path / "packed"
    command = [*PROGRAM, SAMPLE / "images", SAMPLE / "masks", folder, "--shard-mb", "0.4"]
    whole = {}
    for _ in range(12):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while process.poll() is None and not any(folder.glob("*.json")):  # until the first shard is there
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.wait()
        found = {path: path.stat().st_mtime_ns for path in folder.glob("*.json")}
        assert whole.items() <= found.items()
        whole = found
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in packed.iterdir())
    assert shards.verify(folder) == []


def test_without_its_package_it_says_so():
    code = "import sys; sys.modules['array_record.python'] = None; import segfeed.pack"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "shards need the package array-record, which Windows does not have" in done.stderr


def test_the_command_says_how_to_go_on(tmp_path):
    command = [*PROGRAM, SAMPLE / "images", SAMPLE / "masks", tmp_path / "packed"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, "no bar where nobody looks"
    assert f"use {tmp_path / 'packed' / 'images'} and {tmp_path / 'packed' / 'masks'} as the folders" in done.stdout
    done = subprocess.run([*PROGRAM, "--verify", tmp_path / "packed"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("all contents are those of the files.\n")
    assert subprocess.run([*PROGRAM, tmp_path], capture_output=True).returncode == 2
