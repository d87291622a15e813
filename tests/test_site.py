"""The site: what `make site` builds, that it lacks nothing and asks nobody, and that a broken link stops it."""

import functools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.site

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("notebooks/[0-9]*.ipynb")),
    *sorted(ROOT.glob("notebooks/q[0-9]*.ipynb")),
    *sorted(ROOT.glob("docs/*.md")),
    ROOT / "data_sample" / "README.md",
    ROOT / "notebooks" / "code_2019" / "README.md",
]
NAMES = [path.relative_to(ROOT).with_suffix("").as_posix() for path in SOURCES]
NOTEBOOKS = [name for name in NAMES if name.removeprefix("notebooks/")[0].isdigit()]


class Page(HTMLParser):
    """The elements of a page, as (name, attributes), and its text."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, name, attribute):
        return [found[attribute] for tag, found in self.elements if tag == name and attribute in found]


@functools.cache
def _places(path):
    """What a link to a place in this page can name."""
    return {found.get("id") for _, found in Page(path).elements}


def page(site, name):
    return Page(site / f"{name}.html")


def downloads(site, name):
    """What the button of a page gives: (link, file)."""
    links = [link for link in page(site, name).all("a", "href") if "_sources/" in link]
    return [(site / name).parent / link for link in links]


def test_every_file_is_a_page_in_the_order_of_the_contents(site):
    contents = [link for link in page(site, "search").all("a", "href") if link.endswith(".html")]
    assert list(dict.fromkeys(contents)) == [f"{name}.html" for name in NAMES]
    assert len(list((ROOT / "notebooks").glob("*.ipynb"))) == sum(path.suffix == ".ipynb" for path in SOURCES) >= 6
    assert "03 Train the U-Net" in page(site, "search").text, "the contents give the number of a notebook"
    for name in NAMES:
        assert (site / f"{name}.html").exists()
    assert "README.html" in (site / "index.html").read_text()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_picture_is_there_with_its_alternative_text(site, name):
    cells = json.loads((ROOT / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
    found = page(site, name)
    assert found.all("img", "alt") == [output["metadata"]["image/png"]["alt"] for output in outputs]
    for source in found.all("img", "src"):
        assert (site / "notebooks" / source).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", NAMES)
def test_the_download_is_the_file_itself(site, name):
    (source,) = [path for path in SOURCES if path.relative_to(ROOT).with_suffix("").as_posix() == name]
    (copy,) = downloads(site, name)
    assert copy.name == source.name and copy.read_bytes() == source.read_bytes()


def tiny_course(folder, readme="", notebook=""):
    """A start page and one notebook, with these words at their ends."""
    (folder / "notebooks").mkdir(exist_ok=True)
    (folder / "README.md").write_text(f"# Start\n\n[here](#start) [there](notebooks/01_one.ipynb#one-two) {readme}")
    cell = {"cell_type": "markdown", "metadata": {}, "source": f"# One: two\n\n[here](#One:-two) {notebook}"}
    stored = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    (folder / "notebooks" / "01_one.ipynb").write_text(json.dumps(stored))
    return folder


def test_links_open_each_notebook_elsewhere_once_the_course_has_an_address(site, build, tmp_path):
    assert not any(
        urlsplit(link).netloc for name in NAMES for link in page(site, name).all("a", "href") if "/notebooks/" in link
    )
    done = build(tiny_course(tmp_path), tmp_path / "site", "-D", "repository=https://github.com/owner/name")
    assert done.returncode == 0, done.stderr
    links = Page(tmp_path / "site" / "notebooks" / "01_one.html").all("a", "href")
    assert sorted(link for link in links if urlsplit(link).netloc) == [
        "https://colab.research.google.com/github/owner/name/blob/main/notebooks/01_one.ipynb",
        "https://mybinder.org/v2/gh/owner/name/main?urlpath=lab/tree/notebooks/01_one.ipynb",
    ]


@pytest.mark.parametrize("name", [*NAMES, "search"])
def test_links_lead_somewhere_and_nothing_is_fetched_from_elsewhere(site, name):
    found, folder = page(site, name), (site / name).parent
    links = [link for tag in ("a", "link") for link in found.all(tag, "href")]
    links += [link for tag in ("img", "script", "iframe", "source") for link in found.all(tag, "src")]
    for link in links:
        address = urlsplit(link)
        if address.netloc:
            assert link in found.all("a", "href"), f"{link} is fetched when the page opens"
        elif address.scheme != "data":
            target = (folder / unquote(address.path)).resolve() if address.path else site / f"{name}.html"
            assert target.is_file(), link
            if address.fragment and target.suffix == ".html":
                assert unquote(address.fragment) in _places(target), link


def test_no_style_is_fetched_from_elsewhere(site):
    sheets = list(site.rglob("*.css"))
    assert len(sheets) > 4
    for path in sheets:
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", path.read_text(encoding="utf-8")), path


BROKEN = {
    "[no file](docs/nowhere.md)": "docs/nowhere.md",
    "[no heading](#nowhere)": "'nowhere'",
    "[no heading there](notebooks/01_one.ipynb#not-there)": "'not-there'",
    "![no picture](docs/nowhere.png)": "docs/nowhere.png",
}
BROKEN_IN_A_NOTEBOOK = {"[no heading](#No:-where)": "'no-where'", "[no file](02_two.ipynb)": "02_two.ipynb"}


@pytest.mark.long
def test_a_broken_link_stops_the_build(build, tmp_path):
    sound = build(tiny_course(tmp_path), tmp_path / "site")
    assert sound.returncode == 0 and not sound.stderr
    broken = build(tiny_course(tmp_path, " ".join(BROKEN), " ".join(BROKEN_IN_A_NOTEBOOK)), tmp_path / "site")
    assert broken.returncode == 1
    complaints = broken.stderr.splitlines()
    for words in [*BROKEN.values(), *BROKEN_IN_A_NOTEBOOK.values()]:
        assert sum(words in line for line in complaints) == 1, broken.stderr


def test_the_site_s_packages_are_pinned_to_the_same_versions_as_the_course_s():
    def pins(path):
        return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", path.read_text(), re.MULTILINE))

    course, docs = pins(ROOT / "requirements.txt"), pins(ROOT / "docs" / "requirements.txt")
    assert {"sphinx", "myst-nb", "playwright"} <= docs.keys()
    assert {name: docs[name] for name in docs.keys() & course.keys()} == {
        name: course[name] for name in docs.keys() & course.keys()
    }
    assert "://" not in (ROOT / "docs" / "requirements.txt").read_text()
