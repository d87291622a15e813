"""`segfeed split`: groups stay whole, sizes and classes are even, copies are joined, and no spreadsheet breaks it."""

import csv
import hashlib
import io
import re
import shutil
import unicodedata
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from test_audit import disc, look, picture, saved, seen

from segfeed.__main__ import main
from segfeed.near_duplicates import MAX_DISTANCE, _sums, find_alike, join_alike, picture_hash
from segfeed.split.stratify import _Division
from segfeed.split.tables import PARTS, groups_by_name, read_parts, read_split_groups, write_split_file
from utils import ROOT, SAMPLE, DataError, read_image, read_split_file, split_groups


@pytest.fixture
def folder(tmp_path):
    """Four films of six pictures, which do not look alike; the discs of each film have a size of their own."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(24):
        stem = f"film{number // 6}_{number % 6:03d}"
        (tmp_path / "images" / f"{stem}.jpg").write_bytes(saved(picture(number), "jpeg"))
        (tmp_path / "masks" / f"{stem}.png").write_bytes(saved(disc()))
    return tmp_path


def split(folder, *words):
    return main(["split", str(folder / "images"), "--output", str(folder / "split.csv"), *map(str, words)])


def rows(folder):
    return (folder / "split.csv").read_text(encoding="utf-8").splitlines()


def said(capsys):
    """What was printed, on either stream."""
    return "".join(capsys.readouterr())


# --- Groups, sizes, classes ------------------------------------------------------------------

many_groups = st.lists(st.integers(1, 12), min_size=3, max_size=30)
sizes = st.sampled_from([0.1, 0.2, 0.3, 1, 3])


def members(counts):
    """An id for each picture, and its group: of these sizes."""
    return {f"{group:02d} {number}": f"g{group}" for group, count in enumerate(counts) for number in range(count)}


def split_or_none(*arguments, **options):
    try:
        return split_groups(*arguments, **options)
    except ValueError as error:
        assert "give" in str(error).lower()
        return None


@given(many_groups, sizes, st.one_of(st.just(0), sizes), st.integers(0, 3))
def test_each_id_is_in_one_part_and_each_group_whole_and_sizes_are_near(counts, validation, test, seed):
    groups = members(counts)
    parts = split_or_none(groups, validation, test, seed=seed)
    assume(parts is not None)
    assert sorted(name for names in parts.values() for name in names) == sorted(groups)
    assert list(parts) == [part for part in PARTS if part != "test" or test] and all(parts.values())
    assert len({(groups[name], part) for part, names in parts.items() for name in names}) == len(counts)
    wanted = {"validation": validation, "test": test}
    wanted = {part: size if size >= 1 else max(1, round(size * len(groups))) for part, size in wanted.items() if size}
    wanted["train"] = len(groups) - sum(wanted.values())
    largest = sorted(counts)[-2:]  # a part to train on can give one to each of two others
    for part, names in parts.items():
        within = sum(largest) if part == "train" else largest[-1]
        assert abs(len(names) - wanted[part]) <= within


@given(st.integers(3, 60), sizes, sizes, st.data())
def test_single_pictures_are_split_to_the_number_whatever_their_classes(count, validation, test, data):
    pixels = data.draw(st.lists(st.tuples(*3 * [st.integers(0, 99)]), min_size=count, max_size=count))
    groups = {f"{number:03d}": f"{number:03d}" for number in range(count)}
    parts = split_or_none(groups, validation, test, classes=dict(zip(groups, pixels, strict=True)))
    assume(parts is not None)
    for part, size in (("validation", validation), ("test", test)):
        assert len(parts[part]) == (size if size >= 1 else max(1, round(size * count)))


@given(many_groups, st.data())
def test_the_order_of_the_files_and_the_names_of_the_groups_do_not_matter(counts, data):
    groups = members(counts)
    classes = {name: [number % 7, number**2 % 5] for number, name in enumerate(groups)}
    renamed = {name: hashlib.md5(group.encode()).hexdigest() for name, group in groups.items()}
    order = data.draw(st.permutations(list(groups)))
    first = split_or_none(groups, classes=classes)
    assert split_or_none({name: renamed[name] for name in order}, classes=classes) == first


def test_every_machine_finds_this_split():
    groups = members([5, 1, 3, 8, 2, 2, 4, 6, 1, 3, 2, 3])
    classes = {name: [100 - 3 * number, 3 * number * (number % 3 == 0)] for number, name in enumerate(groups)}
    found = [split_groups(groups, classes=classes, seed=seed) for seed in (0, 1)]
    assert [
        {part: " ".join(sorted({name[:2] for name in names})) for part, names in parts.items()} for parts in found
    ] == [
        FIRST,
        SECOND,
    ]


FIRST = {"train": "02 03 05 07 09 10", "validation": "01 04 06", "test": "00 08 11"}
SECOND = {"train": "00 03 07 08 10 11", "validation": "01 05 06", "test": "02 04 09"}


def test_classes_are_spread_as_the_pictures_are():
    rng = np.random.default_rng(0)
    groups = {f"{number:03d}": f"scene {number // 4}" for number in range(200)}
    pixels = rng.integers(0, 1000, (200, 4)) * (rng.random((200, 4)) < (1, 0.5, 0.2, 0.06))
    parts = split_groups(groups, classes={name: row.tolist() for name, row in zip(groups, pixels, strict=True)})
    for part, share in (("train", 0.6), ("validation", 0.2), ("test", 0.2)):
        held = pixels[[int(name) for name in parts[part]]]
        assert abs(len(held) / 200 - share) <= 0.02
        assert np.allclose(held.sum(axis=0) / pixels.sum(axis=0), share, atol=0.04)
        assert (held > 0).any(axis=0).all()


def test_huge_numbers_of_pixels_are_spread_as_small_ones():
    groups = {f"{number:02d}": f"scene {number // 2}" for number in range(60)}
    pixels = np.random.default_rng(0).integers(0, 100, (60, 3))
    found = [split_groups(groups, classes=dict(zip(groups, pixels * many, strict=True))) for many in (1, 10**14)]
    for parts in found:
        held = [pixels[[int(name) for name in names]].sum(axis=0) / pixels.sum(axis=0) for names in parts.values()]
        assert np.allclose(held, [[0.6], [0.2], [0.2]], atol=0.03)


def test_a_class_that_three_groups_show_is_in_every_part():
    groups = {f"{number:02d}": f"{number:02d}" for number in range(40)}
    for shown in ((3, 4, 5), (0, 20, 39), (7, 21, 22)):
        classes = {name: [9, int(int(name) in shown)] for name in groups}
        parts = split_groups(groups, classes=classes)
        assert all(any(int(name) in shown for name in names) for names in parts.values())


@pytest.mark.parametrize("counts, sizes", [([12, 59, 3, 1], (8, 22)), ([41, 46, 27], (11, 34)), ([4, 3, 4], (1, 3))])
def test_few_uneven_groups_give_every_part_half_of_what_it_should_hold(counts, sizes):
    parts = split_groups(members(counts), *sizes)
    assert all(2 * len(parts[part]) >= size for part, size in zip(("validation", "test"), sizes, strict=True))


def test_another_seed_gives_another_split():
    groups = {f"{number:02d}": f"{number:02d}" for number in range(30)}
    assert len({str(split_groups(groups, seed=seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize(
    "counts, options, words",
    [
        ([50, 50], {}, "100 pictures in 2 groups cannot give 3 parts"),
        ([1] * 4, {"test": 3}, "4 pictures cannot give validation 0.2 and test 3, and a rest"),
        ([1] * 4, {"validation": -1}, "validation -1"),
        ([90, 5, 5], {}, "the largest of 3 groups holds 90 of 100 pictures, '00 0' among them"),
        ([], {}, "0 pictures"),
    ],
)
def test_what_cannot_be_split_is_refused_with_the_numbers(counts, options, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        split_groups(members(counts), **options)


def test_many_pictures_are_split_evenly_though_not_every_exchange_is_tried():
    columns = np.hstack([np.full((5_000, 1), 200), np.random.default_rng(0).integers(0, 400, (5_000, 5))])
    part = _Division(np.ones(5_000, int), columns, np.array([3_000, 1_000, 1_000])).solve()
    assert np.bincount(part).tolist() == [3_000, 1_000, 1_000]
    held = columns[part == 2].sum(axis=0) / columns.sum(axis=0)
    assert np.allclose(held, 0.2, atol=0.001)


# --- Pictures that look alike ----------------------------------------------------------------


def photographs():
    """Pictures of the sample, in grey: as they are, and as bytes of a file."""
    return [read_image(path).mean(axis=2).astype(np.uint8) for path in sorted((SAMPLE / "images").glob("*.jpg"))]


def hashes(pictures):
    return np.array([picture_hash(one, one.tobytes()) for one in pictures])


def recompressed(pixels, quality=20):
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


COPIES = {
    "recompressed": recompressed,
    "half": lambda pixels: cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "larger": lambda pixels: cv2.resize(pixels, None, fx=1.7, fy=1.7),
    "squashed": lambda pixels: cv2.resize(pixels, (300, 200)),
    "brighter": lambda pixels: cv2.convertScaleAbs(pixels, alpha=1.25, beta=10),
    "darker": lambda pixels: cv2.convertScaleAbs(pixels, alpha=0.6),
    "blurred": lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 2),
    "cropped": lambda pixels: pixels[6:-6, 6:-6],
    "next frame": lambda pixels: pixels[:, 8:],
    "mirrored": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
    "turned": lambda pixels: recompressed(np.ascontiguousarray(np.rot90(pixels)), 60),
    "upside down": lambda pixels: np.ascontiguousarray(pixels[::-1, ::-1]),
}


def test_no_two_photographs_of_the_sample_look_alike():
    found = hashes(photographs())
    assert [near.tolist() for _, near, _ in find_alike(found, found)] == [[number] for number in range(96)]


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_a_photograph_looks_like_it_and_like_no_other(name):
    pictures = photographs()[::4]
    found = find_alike(hashes(pictures), hashes([COPIES[name](one) for one in pictures]))
    assert [near.tolist() for _, near, _ in found] == [[number] for number in range(24)]


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 9))
def test_places_are_means_over_equal_areas(height, width, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    large = np.kron(pixels.astype(np.int64), np.ones((32, 32), np.int64))
    assert (large.reshape(32, height, 32, width).sum(axis=(1, 3)) == _sums(_sums(pixels).T).T).all()


def test_plain_pictures_are_alike_only_if_their_files_are():
    plain = np.full((40, 50), 100, np.uint8)
    found = np.array([picture_hash(plain, data) for data in (b"one", b"one", b"other")])
    assert join_alike(found, np.arange(3)).tolist() == [0, 0, 2]


def test_a_chain_of_frames_is_one_group_and_joins_the_groups_that_it_touches():
    whole = cv2.resize(photographs()[0], None, fx=3, fy=3)
    film = [whole[:, start : start + 400] for start in range(0, 320, 8)]
    found = hashes([*film, *photographs()[1:4]])
    assert join_alike(found, np.arange(43)).tolist() == [0] * 40 + [40, 41, 42]
    assert join_alike(found, np.array([*range(40), 40, 41, 5])).tolist() == [0] * 40 + [40, 41, 0]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=25), st.integers(0, 99))
def test_joined_groups_are_the_connected_ones(near, seed):
    """Each picture is a copy of an earlier one with a few bits changed, or new."""
    rng = np.random.default_rng(seed)
    found = np.zeros((0, 3), np.uint64)
    for step in near:
        new = rng.integers(0, [2**64, 2**64, 2**16], 3, np.uint64)
        if step and len(found):
            new = found[rng.integers(len(found))] ^ rng.integers(
                0, [2 ** (9 * step), 2 ** (9 * step), 2 ** (4 * step)], 3, np.uint64
            )
        found = np.vstack([found, new])
    groups = rng.integers(0, len(near), len(near))
    labels = groups.copy()
    for _ in near:
        for one in range(len(near)):
            for other in range(one):
                if np.bitwise_count(found[one] ^ found[other]).sum() <= MAX_DISTANCE:
                    lower, higher = sorted(labels[[one, other]])
                    labels[labels == higher] = lower
    assert join_alike(found, groups).tolist() == labels.tolist()


def test_copies_go_into_one_part_and_are_reported_and_the_audit_finds_no_leak(folder, capsys):
    pictures = [Image.fromarray(picture(number)) for number in range(12)]
    for number, image in enumerate(pictures):
        (folder / "images" / f"copy {number:02d}.jpg").write_bytes(saved(image.resize((112, 80)), "jpeg", quality=60))
        (folder / "masks" / f"copy {number:02d}.png").write_bytes(saved(disc(80, 112)))
    assert split(folder, "--near-duplicates", "--masks", folder / "masks") == 0
    words = said(capsys)
    for number in range(12):
        assert f"look alike: copy {number:02d}.jpg, film{number // 6}_{number % 6:03d}.jpg\n" in words
    assert "24 groups once pictures that look alike are joined" in words
    parts = read_split_file(folder / "split.csv")
    assert look(folder, splits=parts) == []
    mixed = {"train": parts["validation"] + parts["train"][1:], "test": parts["test"], "validation": parts["train"][:1]}
    assert [finding.kind for finding in look(folder, splits=mixed)] == ["same picture in two splits"]


# --- The command -----------------------------------------------------------------------------


def test_the_command_writes_every_picture_once_and_films_whole(folder, capsys):
    assert split(folder, "--group", "^[^_]+") == 0
    first, *others = rows(folder)
    names, parts, groups = zip(*(row.split(",") for row in others), strict=True)
    assert first == "id,part,group" and list(names) == sorted(path.stem for path in (folder / "images").iterdir())
    assert list(groups) == [name.split("_")[0] for name in names] and len({*zip(parts, groups, strict=True)}) == 4
    assert read_split_groups(folder / "split.csv") == dict(zip(names, groups, strict=True))
    words = said(capsys)
    assert "24 pictures in 4 groups" in words
    assert re.search(r"^train +12 pictures, +2 groups$", words, re.MULTILINE)
    assert re.search(r"^test +6 pictures, +1 groups$", words, re.MULTILINE)


def test_an_earlier_split_is_never_overwritten(folder, capsys):
    assert split(folder) == 0
    before = rows(folder)
    assert split(folder, "--seed", 1) == 2
    assert "split.csv is there already" in said(capsys) and rows(folder) == before
    with pytest.raises(DataError, match="there already"):
        write_split_file(folder / "split.csv", {"train": ["1"]})
    assert main(["split", str(folder / "images"), "--output", str(folder / "new" / "split.csv")]) == 2
    assert "there is no folder" in said(capsys)


def test_masks_spread_the_classes_and_the_shares_are_said(folder, capsys):
    for number, path in enumerate(sorted((folder / "masks").iterdir())):
        path.write_bytes(saved(disc(value=1 + (number % 4 == 0))))
    assert split(folder, "--masks", folder / "masks", "--classes", 3) == 0
    assert re.search(r"^validation +5 pictures, +5 groups, 20.8% of class 0, \S+ of class 1, 16.7%", said(capsys), re.M)
    (folder / "split.csv").unlink()
    assert split(folder, "--masks", folder / "masks") == 2
    assert "unknown value" in (words := said(capsys)) and "--classes" in words and "segfeed audit" in words
    assert not (folder / "split.csv").exists()


def test_the_table_beside_the_masks_says_which_classes_there_are(folder, capsys):
    for path in (folder / "masks").iterdir():
        path.write_bytes(saved(disc(value=2)))
    table = "index,name,colour\n0,background,#000000\n1,gold,#e69f00\n2,silver,#56b4e9\n"
    (folder / "masks" / "classes.csv").write_text(table)
    assert split(folder, "--masks", folder / "masks") == 0
    assert "20.8% of background, 20.8% of silver\n" in said(capsys)


def test_a_class_that_a_part_lacks_is_named(folder, capsys):
    path = folder / "masks" / "film1_000.png"
    path.write_bytes(saved(disc(value=2)))
    for other in (folder / "masks").iterdir():
        if other != path:
            other.write_bytes(saved(disc(value=1)))
    assert split(folder, "--masks", folder / "masks", "--classes", 3) == 0
    assert len(re.findall("class 2 is in no picture of", said(capsys))) == 2


@pytest.mark.parametrize(
    "words, message",
    [
        (["--group", "("], "no regular expression"),
        (["--group", "film1"], "finds no group in 18 of 24 names: film0_000"),
        (["--group", "a*"], "finds no group in 24 of 24 names"),
        (["--group", "^film"], "24 pictures in 1 groups cannot give 3 parts"),
        (["--group", "x", "--groups", "y.csv"], "give one of them"),
        (["--groups", "nothing.csv"], "nothing.csv: cannot be opened"),
        (["--validation", "20", "--test", "20"], "and a rest to train on"),
        (["--masks", "nothing"], "there is no folder nothing"),
    ],
)
def test_words_that_fit_no_split_are_refused(folder, capsys, words, message):
    assert split(folder, *words) == 2
    assert message in said(capsys) and not (folder / "split.csv").exists()


def test_a_test_of_0_leaves_two_parts(folder):
    assert split(folder, "--test", 0, "--validation", 6) == 0
    assert Counter(row.split(",")[1] for row in rows(folder)[1:]) == {"train": 18, "validation": 6}


def test_a_file_that_is_no_picture_is_no_id(folder, capsys):
    (folder / "images" / "film0_000.jpg").rename(folder / "images" / "film0_000")  # a picture, whatever its name
    assert split(folder) == 0 and len(rows(folder)) == 25
    (folder / "split.csv").unlink()
    (folder / "images" / "notes.txt").write_text("Film 1 is blurred.")
    assert split(folder) == 2 and "notes.txt" in said(capsys)


def test_the_file_does_not_go_among_the_pictures(folder, capsys):
    for name in ("images", "masks"):
        words = ["split", folder / "images", "--masks", folder / "masks", "--output", folder / name / "split.csv"]
        assert main([str(word) for word in words]) == 2
        assert "would lie among the pictures" in said(capsys) and not (folder / name / "split.csv").exists()


def test_packed_pictures_are_split_as_their_files_are(folder, capsys):
    packed = folder / "packed"
    assert main(["pack", *(str(folder / name) for name in ("images", "masks")), str(packed)]) == 0
    words = ["--near-duplicates", "--masks", folder / "masks"]
    assert split(folder, *words) == 0
    given = ["split", packed / "images", "--near-duplicates", "--masks", packed / "masks", "--output", packed / "s.csv"]
    assert main([str(word) for word in given]) == 0
    assert (packed / "s.csv").read_text() == (folder / "split.csv").read_text()


def test_a_folder_without_its_pictures_is_refused(folder, capsys):
    (folder / "images" / "more").mkdir()
    (folder / "images" / "more" / "a.jpg").write_bytes(b"")
    assert split(folder) == 2 and "subfolder" in said(capsys)
    shutil.rmtree(folder / "images" / "more")
    (folder / "images" / "film0_000.png").write_bytes(saved(picture(0)))
    assert split(folder) == 2 and "2 image files" in said(capsys)
    (folder / "images" / "film0_000.png").unlink()
    (folder / "images" / "film0_000.jpg").write_bytes(b"\xff\xd8\xff nothing")
    assert split(folder, "--near-duplicates") == 2 and "film0_000.jpg" in said(capsys)


# --- Tables that a spreadsheet has saved -----------------------------------------------------

NAMES = ["0007", "a,b;c", 'say "x"', "동전 1", "plain", "x.y", " begins", "ends "]


def as_saved(names, encoding="utf-8", end="\r\n", separator=",", form="NFC", header=("id", "part")):
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=end).writerows(
        [header, *((name, PARTS[number % 3]) for number, name in enumerate(names))]
    )
    return unicodedata.normalize(form, text.getvalue()).encode(encoding)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_a_spreadsheet_saves_is_read(tmp_path, form, separator, encoding, end):
    path = tmp_path / "split.csv"
    path.write_bytes(as_saved(NAMES, encoding, end, separator, form))
    assert read_split_file(path) == {part: NAMES[number::3] for number, part in enumerate(PARTS)}


names_of_files = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=12)


@given(st.lists(names_of_files.map(lambda name: unicodedata.normalize("NFC", name)), min_size=1, unique=True))
def test_what_is_written_is_read(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("any") / "split.csv"
    parts = {part: sorted(names[number::3]) for number, part in enumerate(PARTS)}
    write_split_file(path, parts)
    assert read_split_file(path) == parts and read_split_groups(path) == {}
    with open(path, newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(names)
    path.unlink()
    groups = {name: unicodedata.normalize("NFC", name[:2]).strip() or "-" for name in names}
    write_split_file(path, parts, groups)
    assert read_split_file(path) == parts and read_split_groups(path) == groups


def test_a_cell_without_a_group_leaves_its_picture_alone(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("group,id,part\nfilm,1,train\n,2,train\nfilm,3,test\n")
    assert read_split_groups(path) == {"1": "film", "3": "film"}
    assert read_split_file(path) == {"train": ["1", "2"], "validation": [], "test": ["3"]}


@pytest.mark.parametrize(
    "content, message",
    [
        (as_saved(["동전"], "cp949"), "no text in UTF-8"),
        (as_saved(["1"], "utf-16"), "no text in UTF-8"),
        (b"", "its first line is []. Write id,part there"),
        (b"id,part\n", "no row below"),
        (b"stem,split\n1,train\n", "Write id,part there"),
        (b"id,part,part\n1,train,test\n", "Write id,part there"),
        (b"id,part\n1,training\n", "line 2: the part is 'training'. Write one of train, validation, test"),
        (b"id,part\na,b,train\n", "line 2 has 3 cells and the first line 2"),
        (b"id,part\n1\n", "line 2 has 1 cells"),
        (b"id,part\n1,\n", "line 2: a cell is empty"),
        (b"id,part\n,train\n", "line 2: a cell is empty"),
        (b'id,part\n"1,train\n', "Correct the quotes there"),
        (b"id,part\n1,train\n2,test\n1,test\n", "the id '1' is given 2 times"),
        (b"id,part\n1,train\n1,train\n", "the id '1' is given 2 times"),
    ],
)
def test_a_table_of_another_form_is_refused_with_its_line(tmp_path, content, message):
    path = tmp_path / "split.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        read_split_file(path)
    assert str(path) in str(error.value)


def test_other_columns_and_empty_rows_do_not_matter(tmp_path):
    path = tmp_path / "split.csv"
    path.write_bytes(b"scene,part,id\r\nx, train ,1\r\n,,\r\n\r\ny,test,2\r\n")
    assert read_split_file(path) == {"train": ["1"], "validation": [], "test": ["2"]}


def test_groups_come_from_a_table_too(folder, capsys):
    table = folder / "groups.csv"
    stems = sorted(path.stem for path in (folder / "images").iterdir())
    lines = [f"{stem}.jpg;scene {number // 4}" for number, stem in enumerate(stems)]
    table.write_text("\n".join(["id;group", *lines]), encoding="utf-8-sig")
    assert split(folder, "--groups", table) == 0 and "24 pictures in 6 groups" in said(capsys)
    (folder / "split.csv").unlink()
    for changed, message in (
        (lines[1:], "no group for 1 pictures: film0_000"),
        ([*lines, "film9_000;x"], "line 26: no picture is named 'film9_000'"),
        ([*lines, "film0_000;x"], "line 26: 'film0_000' is in 'scene 0' already"),
    ):
        table.write_text("\n".join(["id;group", *changed]), encoding="utf-8")
        assert split(folder, "--groups", table) == 2 and message in said(capsys)


def test_a_group_is_what_the_parentheses_hold():
    found = groups_by_name(["a1_x", "a2_x", "b1_y"], "^([a-z])[0-9]_(.)")
    assert found == {"a1_x": "a/x", "a2_x": "a/x", "b1_y": "b/y"}
    nfd = unicodedata.normalize("NFD", "동전")
    assert groups_by_name(["동전 1"], nfd) == {"동전 1": "동전"}


def test_a_name_that_is_no_text_is_named(tmp_path):
    with pytest.raises(DataError, match="not a name in UTF-8"):
        write_split_file(tmp_path / "split.csv", split_groups({name: name for name in ("a\udcff", "b", "c")}))
    assert list(tmp_path.iterdir()) == []


# --- The audit of a split --------------------------------------------------------------------


def audit(folder, *words):
    given = ["audit", folder / "images", folder / "masks", "--split", folder / "split.csv", *words]
    return main([str(word) for word in given])


def test_the_audit_finds_each_kind_of_leak(folder, capsys):
    assert split(folder, "--group", "^[^_]+") == 0
    assert audit(folder, "--group", "^[^_]+") == 0
    text = (folder / "split.csv").read_text(encoding="utf-8")
    train = [row.split(",")[0] for row in text.splitlines() if ",train," in row]
    moved = text.replace(f"{train[0]},train", f"{train[0]},test")
    moved = re.sub(f"{train[1]},train,.+\n", "", moved)
    moved += f"{train[2]}.jpg,train,\n{train[3]},train,\nnone,test,\n"
    (folder / "split.csv").write_text(moved, encoding="utf-8")
    (folder / "images" / f"{train[4]}.jpg").write_bytes((folder / "images" / f"{train[0]}.jpg").read_bytes())
    parts, groups = read_parts(folder / "split.csv"), groups_by_name(train, "^[^_]+")
    assert sorted(seen(look(folder, splits=parts, groups=groups), folder)) == sorted(
        [
            ("split without file", "images/none"),
            ("same picture in two splits", f"images/{train[0]}.jpg"),
            ("group in two splits", f"images/{train[0]}.jpg"),
            ("id twice in a split", f"images/{train[2]}.jpg"),
            ("id twice in a split", f"images/{train[3]}.jpg"),
            ("picture in no split", f"images/{train[1]}.jpg"),
        ]
    )
    capsys.readouterr()
    assert audit(folder, "--group", "^[^_]+") == 1
    words = said(capsys)
    for kind in ("split without file", "group in two splits", "id twice in a split (2)", "picture in no split"):
        assert kind in words
    assert main(["audit", str(folder / "images"), str(folder / "masks"), "--group", "x"]) == 2
    assert "give --split too" in said(capsys)


def test_the_audit_finds_copies_that_are_cropped_mirrored_or_plain(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    whole, plain = picture(1, 200, 280), np.full((40, 56, 3), 9, np.uint8)
    copies = {"cropped": whole[5:-5, 6:-6], "mirrored": whole[:, ::-1], "turned": np.rot90(whole), "plain 2": plain}
    for stem, pixels in ({"whole": whole, "other": picture(2), "plain 1": plain} | copies).items():
        (tmp_path / "images" / f"{stem}.png").write_bytes(saved(np.ascontiguousarray(pixels)))
        (tmp_path / "masks" / f"{stem}.png").write_bytes(saved(disc(*pixels.shape[:2])))
    report = look(tmp_path, splits={"train": ["whole", "plain 1", "other"], "test": [*copies]})
    found = [(finding.kind, finding.file[-11:]) for finding in report if finding.kind != "constant image"]
    assert [kind for kind, _ in found] == 4 * ["same picture in two splits"] and len(set(found)) == 4


def test_zeros_that_a_spreadsheet_cut_are_named(tmp_path, capsys):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(5):
        (tmp_path / "images" / f"{number:04d}.jpg").write_bytes(saved(picture(number), "jpeg"))
        (tmp_path / "masks" / f"{number:04d}.png").write_bytes(saved(disc()))
    (tmp_path / "split.csv").write_text("id,part\n1,train\n2,test\n")
    assert audit(tmp_path) == 1
    assert "in train, but '0001' is there: a spreadsheet cuts zeros unless the column is text" in said(capsys)


def test_the_example_of_the_page_is_what_the_command_prints(tmp_path, capsys, monkeypatch):
    for source, name, file in (("images", "images", "0001.jpg"), ("masks_by_class", "masks", "0001.png")):
        shutil.copytree(SAMPLE / source, tmp_path / "example" / name)
        shutil.copy(SAMPLE / source / file, tmp_path / "example" / name / file.replace("0001", "0001_again"))
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "splits.md").read_text(encoding="utf-8")
    assert main(re.search(r"^segfeed (split example.+)$", page, re.MULTILINE)[1].split()) == 0
    assert f"```text\n{capsys.readouterr().out}```" in page
    assert "\n".join(rows(tmp_path / "example")[:4]) in page


def test_the_sample_is_split_without_a_leak(tmp_path, capsys):
    words = ["split", SAMPLE / "images", "--output", tmp_path / "split.csv", "--near-duplicates"]
    words += ["--masks", SAMPLE / "masks_by_class", "--classes", 3]
    assert main([str(word) for word in words]) == 0
    parts = read_split_file(tmp_path / "split.csv")
    assert [len(parts[part]) for part in PARTS] == [58, 19, 19]
    assert "look alike:" not in said(capsys)
