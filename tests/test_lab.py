"""`make lab` as a learner has it: JupyterLab in a browser, notebooks run from its menu, an exercise typed in."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.site

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from notebooks import TENSORFLOW_STARTS  # noqa: E402

FIRST, *REST = sorted(ROOT.glob("notebooks/[0-9]*.ipynb"))
NOTEBOOKS = [FIRST, *(pytest.param(path, marks=pytest.mark.long) for path in REST)]  # nbval runs 01 to 05, too
IDLE = ".jp-Notebook-ExecutionIndicator[data-status=idle]"


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def code(path):
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def course(course):
    """The copy, its notebooks never executed: JupyterLab saves what it runs."""
    shutil.copytree(ROOT / "build" / "legacy", course / "build" / "legacy")  # for notebook 10, as `make lab` leaves it
    for path in course.glob("notebooks/*.ipynb"):
        notebook = read(path)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"], cell["execution_count"] = [], None
        path.write_text(json.dumps(notebook), encoding="utf-8")
    return course


@pytest.fixture(scope="module")
def address(course):
    """What `make lab` opens in the browser; the server serves the copy."""
    made = subprocess.run(
        ["make", "-n", "--no-print-directory", "lab"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    setting, _, *command = shlex.split(made.splitlines()[-1].replace(str(ROOT), str(course)))
    home = course.parent
    settings = dict([setting.split("=", 1)]) | {"HOME": str(home), "BROWSER": f"sh -c 'echo $0 > {home}/opened' %s"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, *command, f"--port={port}", "--ServerApp.port_retries=0"]
    with open(home / "log", "w") as log:
        server = subprocess.Popen(command, cwd=course, env=os.environ | settings, stdout=log, stderr=log)
    try:
        for _ in range(300):
            if (home / "opened").exists() and (opened := (home / "opened").read_text().strip()):
                break
            assert server.poll() is None, (home / "log").read_text()
            time.sleep(0.2)
        else:
            pytest.fail(f"JupyterLab did not start:\n{(home / 'log').read_text()}")
        yield opened
    finally:
        server.terminate()  # and with it its kernels
        server.wait()


@pytest.fixture(scope="module")
def lab(browser, address):
    """A page on which the address was opened, and which the token has let in."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(address)
    page.wait_for_url("**/lab/tree/**")
    yield page
    page.close()


def test_make_lab_opens_the_first_notebook_and_nobody_enters_without_the_token(lab, course, browser):
    assert "/lab/tree/notebooks/01_load_a_pair.ipynb?token=" in (course.parent / "log").read_text(), "it is not printed"
    lab.get_by_role("heading", name="Load a pair").wait_for()
    assert lab.url.endswith("/lab/tree/notebooks/01_load_a_pair.ipynb")
    stranger = browser.new_page()
    stranger.goto(lab.url)
    assert "/login?" in stranger.url
    stranger.close()


def open_notebook(page, path):
    """Show one notebook, alone, with its kernel ready."""
    page.goto(re.sub(r"/lab/.*", f"/lab/workspaces/{path.stem}/tree/notebooks/{path.name}", page.url))
    page.locator(IDLE).wait_for(timeout=60_000)
    page.get_by_text(re.compile(r"\| Idle$")).wait_for()  # the line at the foot speaks of the notebook that menus mean


def prompts(page):
    return page.locator(
        ".jp-CodeCell .jp-InputPrompt"
    ).all_text_contents()  # not the inner text, which is empty out of sight


def outcome(cell):
    """What nbval compares of a cell: what it printed and showed, but for pictures, and what it raised."""
    found = defaultdict(str)
    for output in cell["outputs"]:
        parts = {output["name"]: output["text"]} if "text" in output else output.get("data", {})
        parts |= {name: output[name] for name in ("ename", "evalue") if name in output}
        for name, text in parts.items():
            if name != "image/png":
                found[name] += "".join(text)
    found["stderr"] = TENSORFLOW_STARTS.sub("", found["stderr"])
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_run_all_cells(lab, course, faults, screenshots, path):
    open_notebook(lab, path)
    asked = []
    lab.on("request", lambda request: asked.append(request.url))
    lab.get_by_role("menuitem", name="Run", exact=True).click()
    lab.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    stored, quiet = code(path), 0
    hidden = [cell["metadata"].get("jupyter", {}).get("source_hidden", False) for cell in stored]
    wanted = ["" if folded else f"[{number}]:" for number, folded in enumerate(hidden, start=1)]
    while (found := prompts(lab)) != wanted and quiet < 20:  # an error stops the run: ten seconds without work
        lab.wait_for_timeout(500)
        quiet = quiet + 1 if lab.locator(IDLE).count() else 0
    assert found == wanted, f"a cell stopped the run: {lab.locator('.jp-OutputArea-output').all_text_contents()[-1]}"

    pictures = lab.locator(".jp-OutputArea-output img")
    assert pictures.count() == sum("image/png" in out.get("data", {}) for cell in stored for out in cell["outputs"])
    for number, picture in enumerate(pictures.all(), start=1):
        for _ in range(20):  # cells above it are drawn only now, and may move it
            picture.scroll_into_view_if_needed()
            lab.wait_for_timeout(250)
            box = picture.bounding_box()
            if seen := box["y"] >= 0 and box["y"] + box["height"] <= 1000 and box["x"] + box["width"] <= 1280:
                break
        assert seen, "the picture leaves the screen"
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        lab.screenshot(path=screenshots / f"lab {path.stem} {number}.png")

    copy = course / "notebooks" / path.name
    with lab.expect_response(lambda answer: answer.request.method == "PUT" and path.name in answer.url):
        lab.keyboard.press("Control+s")
    for now, then in zip(code(copy), stored, strict=True):
        errors = [[out["ename"] for out in cell["outputs"] if out["output_type"] == "error"] for cell in (now, then)]
        assert errors[0] == errors[1], "".join(now["source"])
        if "nbval-ignore-output" not in then["metadata"].get("tags", []):
            assert outcome(now) == outcome(then), "".join(now["source"])
    assert all("//localhost:" in url for url in asked if not url.startswith(("data:", "blob:"))), asked
    # JupyterLab gives its pictures no alternative text, stored or not: the line printed above each says the same
    found = faults(lab, ".jp-RenderedMarkdown", ".jp-OutputArea-output")
    assert [fault for fault in found if not fault.startswith("image-alt:")] == []

    # or the kernels of all notebooks fill the memory
    lab.get_by_role("menuitem", name="Kernel", exact=True).click()
    with lab.expect_response(lambda answer: answer.request.method == "DELETE"):
        lab.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()


def test_an_exercise_is_solved_by_typing(lab, screenshots):
    open_notebook(lab, FIRST)
    lab.get_by_role("menuitem", name="Run", exact=True).click()
    lab.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    place = ["".join(cell["source"]).startswith("def coin_share(mask): ...") for cell in code(FIRST)].index(True)
    stub, check = (lab.locator(".jp-CodeCell").nth(number) for number in (place, place + 1))
    check.get_by_text("is not written yet").first.wait_for(timeout=60_000)
    for answer, reply in (("mask.sum() / mask.size", "at most 1"), ("np.mean(mask == 255)", "Right")):
        stub.locator(".cm-content").click()
        lab.keyboard.press("Control+a")
        lab.keyboard.type(f"def coin_share(mask): return {answer}")
        lab.keyboard.press("Shift+Enter")  # runs the cell and goes to the next, the check
        lab.keyboard.press("Shift+Enter")
        check.locator(".jp-OutputArea-output").get_by_text(reply).wait_for()
    lab.screenshot(path=screenshots / "lab exercise.png")
