"""The slides: what `make slides` makes of the notebooks' cells, and whether a room can read it, without a network."""

import json
import re
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.site, pytest.mark.long]  # of the same cells as the pages of the site

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "notebooks"))
from exercises import read_exercises  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param


@pytest.fixture(scope="module")
def page(browser, slides, notebook):
    """The slides of a notebook, opened from the disk as from a USB stick; `page.asked` is what they fetched."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto((slides / "notebooks" / notebook.with_suffix(".html").name).as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    yield page
    page.close()


@pytest.fixture(scope="module")
def shown(page):
    """What each slide of the notebook shows."""
    found = page.evaluate(EVERY_SLIDE)
    page.evaluate("Reveal.slide(0, 0)")
    return found


EVERY_SLIDE = """async () => {
    const slides = []
    for (const slide of Reveal.getSlides()) {
        const {h, v} = Reveal.getIndices(slide)
        Reveal.slide(h, v)
        await new Promise(requestAnimationFrame)
        const written = [...slide.querySelectorAll("*")].filter(one =>
            [...one.childNodes].some(child => child.nodeType === Node.TEXT_NODE && child.textContent.trim()))
        slides.push({
            column: h,
            text: slide.innerText,
            codes: [...slide.querySelectorAll(".cell_input code")].map(code => code.textContent.trim()),
            pictures: [...slide.querySelectorAll("img")].map(image => [image.alt, image.naturalWidth > 0]),
            wide: slide.scrollWidth > slide.clientWidth,
            smallest: Math.min(...written.map(one => parseFloat(getComputedStyle(one).fontSize))),
            scales: [...slide.querySelectorAll("img")].map(image =>
                Math.min(image.clientWidth / image.naturalWidth, image.clientHeight / image.naturalHeight)),
            scrolls: getComputedStyle(slide).overflowY === "auto" && slide.offsetHeight <= 720,
        })
    }
    return slides
}"""


def test_the_slides_are_the_notebook_s_own_cells(shown, notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    begin = next(place for place, source in enumerate(sources) if source.startswith("## Your turn"))
    told = [cell for cell in cells[:begin] if "rejoin" not in cell["metadata"].get("tags", [])]
    codes = ["".join(cell["source"]).strip() for cell in told if cell["cell_type"] == "code"]
    assert [code for slide in shown for code in slide["codes"]] == codes
    outputs = [output for cell in told for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
    expected = [[output["metadata"]["image/png"]["alt"], True] for output in outputs]
    assert [picture for slide in shown for picture in slide["pictures"]] == expected
    shown_as = str.maketrans({"`": None, "'": "\u2019"})
    headings = [source.splitlines()[0][3:].translate(shown_as) for source in sources if source.startswith("## ")]
    assert headings.pop() == "If something went wrong"
    columns = {slide["column"]: slide["text"].splitlines()[0] for slide in reversed(shown)}
    assert [columns[place] for place in range(1, len(columns))] == headings
    text = "\n".join(slide["text"] for slide in shown)
    asked = [[f"Exercise {one.number}", one.title] for one in read_exercises(notebook.stem[:2])]
    assert all(any(words.translate(shown_as) in text for words in either) for either in asked)
    assert "Hint 1" not in text and "rejoin.py" not in text


def test_a_question_to_predict_stands_without_its_answer(shown):
    asking = [slide for slide in shown if "Predict first" in slide["text"]]
    assert asking and not any(slide["codes"] for slide in asking)


def test_a_room_can_read_them(page, shown, notebook, faults, screenshots):
    assert len(shown) > 40
    assert not [slide["text"] for slide in shown if slide["wide"] or not slide["scrolls"]]
    assert min(slide["smallest"] for slide in shown) >= 18, min(shown, key=lambda slide: slide["smallest"])
    assert not re.search(r"font_?size|labelsize", notebook.read_text(encoding="utf-8"))
    letters = 10 / 72 * 88  # pixels of a picture: its smallest letters have 10 points, and an inch has 88 pixels
    assert min(letters * scale for slide in shown for scale in slide["scales"]) >= 18
    assert not page.complaints and all(url.startswith(("file:", "data:")) for url in page.asked)
    page.evaluate("Reveal.slide(4, 1)")
    page.screenshot(path=screenshots / f"slides {notebook.stem}.png")
    assert not faults(page, ".slides .present")


def test_page_down_shows_the_whole_of_a_long_slide_and_then_the_next(page):
    page.evaluate("Reveal.slide(0, 0)")
    page.evaluate("Reveal.getSlides().forEach(slide => { slide.seen = 0 })")
    path, deepest = [], 0
    while not page.evaluate("Reveal.isLastSlide()"):
        path.append(page.evaluate("Object.values(Reveal.getIndices()).slice(0, 2).join()"))
        deepest = max(deepest, page.evaluate("Reveal.getCurrentSlide().scrollHeight"))
        page.evaluate("(slide => { slide.seen = slide.scrollTop + slide.clientHeight })(Reveal.getCurrentSlide())")
        page.keyboard.press("PageDown")
    assert deepest > 720 and len(path) > len(set(path)), "no slide of this notebook is long"
    unseen = "Reveal.getSlides().slice(0, -1).filter(slide => slide.seen < slide.scrollHeight - 1).length"
    every = page.evaluate("Reveal.getSlides().map(one => Object.values(Reveal.getIndices(one)).slice(0, 2).join())")
    assert page.evaluate(unseen) == 0 and list(dict.fromkeys(path)) == every[:-1]
    page.keyboard.press("PageUp")
    assert not page.evaluate("Reveal.isLastSlide()")


def test_the_folder_opens_on_a_list_of_them(browser, slides):
    page = browser.new_page()
    page.goto((slides / "index.html").as_uri())
    page.wait_for_url("**/README.html*")
    links = page.locator(".slides table a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert links == [f"notebooks/{path.stem}.html" for path in NOTEBOOKS]
    page.close()
