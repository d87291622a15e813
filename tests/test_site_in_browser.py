"""The site as a reader has it: on a wide screen by day and on a phone in the dark, with a mouse, without a network."""

import functools
import http.server
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.site

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = [f"notebooks/{path.stem}" for path in sorted(ROOT.glob("notebooks/[0-9]*.ipynb"))]
QUIZZES = [f"notebooks/{path.stem}" for path in sorted(ROOT.glob("notebooks/q[0-9]*.ipynb"))]
REST = [f"docs/{path.stem}" for path in sorted(ROOT.glob("docs/*.md"))] + [
    "data_sample/README",
    "notebooks/code_2019/README",
]
NAMES = ["README", *NOTEBOOKS, *QUIZZES, *REST]
SCREENS = {
    "wide light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "phone dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address(site):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def page(browser, address):
    page = browser.new_page(base_url=address, **SCREENS["wide light"])
    yield page
    page.close()


def long(*values):
    return [pytest.param(*(value if isinstance(value, tuple) else [value]), marks=pytest.mark.long) for value in values]


SHORT = ["README", NOTEBOOKS[0], "search"]  # one page of each kind


@pytest.mark.parametrize(
    ("screen", "name"),
    [
        *(("phone dark", name) for name in SHORT),
        *long(*(("phone dark", name) for name in NAMES if name not in SHORT)),
        *long(*(("wide light", name) for name in [*NAMES, "search"])),
    ],
)
def test_a_page_reads_well(browser, address, faults, screenshots, screen, name):
    page = browser.new_page(base_url=address, **SCREENS[screen])
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"/{name}.html")
    page.wait_for_load_state("networkidle")
    page.screenshot(path=screenshots / f"site {screen} {name.replace('/', ' ')}.png", full_page=True)
    assert not complaints
    assert all(url.startswith((address, "data:")) for url in asked), asked
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page can be pushed aside"
    assert page.evaluate("document.documentElement.dataset.theme") == screen.split()[1]
    assert not faults(page)
    for picture in page.locator("main img").all():
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        if screen == "phone dark":  # a chart's letters are dark, and some charts have a clear ground
            ground = picture.evaluate("image => getComputedStyle(image).backgroundColor.match(/\\d+/g).map(Number)")
            assert min(ground) > 190
    page.close()


def test_the_folder_opens_on_the_start_page(page):
    page.goto("/")
    page.wait_for_url("**/README.html")
    assert page.get_by_role("heading", name="Feed images to Keras for segmentation").is_visible()


@pytest.mark.long
def test_next_and_previous_lead_through_the_course(page, address):
    page.goto("/README.html")
    for name in NAMES[1:]:
        page.locator(".prev-next-footer .right-next").click()
        page.wait_for_url(f"**/{name}.html")
    assert page.locator(".prev-next-footer .right-next").count() == 0
    for name in reversed(NAMES[:-1]):
        page.locator(".prev-next-footer .left-prev").click()
        page.wait_for_url(f"**/{name}.html")


def test_search_finds_a_word(page):
    page.goto("/README.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("normalisation")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=normalisation*")
    page.locator("#search-results").get_by_role("link", name="Train the U-Net").first.click()
    page.wait_for_url("**/notebooks/03_train_the_unet.html*")
    page.goto("/search.html?q=hippopotamus")
    page.get_by_text("did not match any documents").wait_for()


def test_links_of_the_text_lead_to_their_place(page):
    page.goto("/README.html")
    page.get_by_role("main").get_by_role("link", name="Load a pair", exact=True).first.click()
    page.wait_for_url("**/notebooks/01_load_a_pair.html")
    page.get_by_role("main").get_by_role("link", name="Pair: the mask", exact=True).first.click()
    assert page.get_by_role("heading", name="Pair: the mask").is_visible()
    top = page.get_by_role("heading", name="Pair: the mask").bounding_box()["y"]
    assert 0 <= top < 200
    page.get_by_role("main").get_by_role("link", name="Contents", exact=True).click()
    page.wait_for_url("**/README.html#the-notebooks")


@pytest.mark.parametrize("name", [NOTEBOOKS[0], *long(*NOTEBOOKS[1:])])
def test_the_button_downloads_the_notebook(page, name):
    page.goto(f"/{name}.html")
    page.locator(".dropdown-download-buttons > button").click()
    with page.expect_download() as download:
        page.locator(".btn-download-source-button").click()
    assert download.value.suggested_filename == f"{Path(name).name}.ipynb"
    assert Path(download.value.path()).read_bytes() == (ROOT / f"{name}.ipynb").read_bytes()


def test_the_accessibility_checker_sees_a_fault(browser, faults):
    page = browser.new_page()
    page.set_content(
        "<html lang=en><title>t</title><main><h1>t</h1><p style='color: #999; background: #fff'>pale</p></main>"
    )
    assert [fault.split(":")[0] for fault in faults(page)] == ["color-contrast"]
    page.close()


def test_the_film_is_stepped_by_buttons_and_by_keys_and_says_what_it_shows(page, faults):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto("/notebooks/04_look_inside_fit.html")
    film = page.locator(".fit-film")
    words = film.locator(".words")
    assert words.inner_text().startswith("0.00 of ") and "Trained: 0." in words.inner_text()
    film.locator("select").first.select_option("4")
    film.locator("select").last.select_option("6")
    seen = [words.inner_text()]
    while not seen[-1].startswith(f"{seen[-1].split()[2]} of "):  # until the end: each step shows another moment
        film.locator("[data-do=next]").click()
        seen.append(words.inner_text())
        assert float(seen[-1].split()[0]) > float(seen[-2].split()[0])
    assert "To come: 0. Being made: none." in seen[-1] and "Never used: " in seen[-1]
    film.locator("[data-do=back]").click()
    assert words.inner_text() == seen[-2]
    film.locator("input").press("End")
    assert words.inner_text() == seen[-1] and not errors
    page.set_viewport_size({"width": 390, "height": 844})  # where the drawing is wider than the page
    assert not faults(page, ".fit-film")
