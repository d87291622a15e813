"""The site of the course and its slides, as Sphinx builds them: `make site`, `make slides`.

Their pages are the course's own files, where they lie. Nothing is copied and nothing is executed: a notebook
shows the outputs it was stored with.
"""

import json
import re
from pathlib import Path

from myst_parser.slugs import github_slugify

# The address of a public copy, "https://github.com/OWNER/NAME": with one, each notebook gets links that open it
# on Binder and Colab. There is none yet.
repository = ""

project = "Feed images to Keras for segmentation"
html_title = project
extensions = ["myst_nb", "sphinx_revealjs"]
root_doc = "README"
MORE = ["docs/*.md", "data_sample/README.md", "notebooks/code_2019/README.md"]
include_patterns = ["README.md", "notebooks/[0-9]*.ipynb", "notebooks/q[0-9]*.ipynb", *MORE]
nitpicky = True

nb_execution_mode = "off"
nb_merge_streams = True
nb_mime_priority_overrides = [("revealjs", kind, place) for place, kind in enumerate(["image/png", "text/html"])]
myst_heading_anchors = 4  # GitHub's, so that the same link leads to the same place there and here

html_theme = "sphinx_book_theme"
html_theme_options = {
    "home_page_in_toc": True,
    "use_fullscreen_button": False,
    "footer_content_items": [],
    "navbar_persistent": [],  # the search field stands in the sidebar; pydata-sphinx-theme would add a second
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_static_path = ["static"]
html_favicon = "static/coin.svg"
html_css_files = ["site.css"]
html_use_index = html_show_copyright = html_show_sphinx = False

revealjs_style_theme = "white"
revealjs_static_path = ["static"]
revealjs_css_files = ["slides.css"]
revealjs_script_files = ["slides.js"]
revealjs_script_plugins = [{"name": "RevealHighlight", "src": "revealjs/plugin/highlight/highlight.js"}]
revealjs_script_conf = {"width": 1280, "height": 720, "center": False, "slideNumber": True, "hash": True}


def contents(app, caption, *patterns):
    """The pages of these files, in the order of their names, as an entry of the table of contents."""
    paths = [path for pattern in patterns for path in sorted(app.srcdir.glob(pattern))]
    entries = [path.relative_to(app.srcdir).as_posix() for path in paths]
    for place, path in enumerate(paths):
        if path.suffix == ".ipynb":
            title = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]).splitlines()[0][2:]
            number = f"{path.name[:2]} " if path.name[0] != "q" else ""
            entries[place] = f"{number}{title} <{entries[place]}>"
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```", ""])


def with_anchors_of_github(text):
    """Links to headings of notebooks, where JupyterLab keeps capitals and colons."""
    return re.sub(r"(?<=\]\(#)[^)]+|(?<=\.ipynb#)[^)]+", lambda anchor: github_slugify(anchor[0]), text)


def slides(cells):
    """The cells to show on a screen, and the breaks between slides.

    A heading begins a column of slides, and each paragraph and each code cell a slide. Only where a short paragraph
    leads to a code cell both stand on one, unless it asks to predict what comes.
    """
    shown, heading, short = [], "", False
    for cell in cells:
        text, code = "".join(cell["source"]), cell["cell_type"] == "code"
        if not code and text.startswith("## "):
            heading = text.splitlines()[0]
        answers = text.startswith("<details>") or (code and heading == "## Your turn")
        if answers or heading == "## If something went wrong":
            continue
        if not (short if code else text.startswith("#")):
            new = {"cell_type": "markdown", "source": "```{revealjs-break}\n:notitle:\n```"}
            shown.append(new | {"id": f"slide-{len(shown)}", "metadata": {}})
        shown.append(cell)
        short = not code and len(text.split()) <= 40 and "**Predict first" not in text
    return shown


def as_a_page(app, docname, source):
    """What a page needs besides the text of its file, which stays as it is."""
    if docname == root_doc:
        source[0] += contents(app, "Notebooks", "notebooks/[0-9]*.ipynb")
        source[0] += contents(app, "Quizzes", "notebooks/q[0-9]*.ipynb")
        source[0] += contents(app, "More", *MORE)
    elif not str(app.env.doc2path(docname)).endswith(".ipynb"):
        source[0] = with_anchors_of_github(source[0])
    else:
        notebook = json.loads(source[0])
        notebook["cells"] = [cell for cell in notebook["cells"] if "rejoin" not in cell["metadata"].get("tags", [])]
        if app.builder.name == "revealjs":
            for cell in notebook["cells"]:  # an answer has a slide of its own, behind that of the question
                cell["metadata"]["tags"] = [tag for tag in cell["metadata"].get("tags", []) if tag != "hide-output"]
            notebook["cells"] = slides(notebook["cells"])
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = with_anchors_of_github("".join(cell["source"]))
            for output in cell.get("outputs", []):  # myst-nb looks for alternative text in the cell
                for about in output.get("metadata", {}).values():
                    if "alt" in about:
                        cell["metadata"]["mystnb"] = {"image": {"alt": about["alt"]}}
        source[0] = json.dumps(notebook)


def add_index(app, exception):
    """A browser that opens the folder gets the start page."""
    if not exception:
        go = f'<meta http-equiv="refresh" content="0; url={root_doc}.html">'
        page = f'<!doctype html><html lang="en"><title>{project}</title>{go}'
        Path(app.outdir, "index.html").write_text(page, encoding="utf-8")


def setup(app):
    app.add_config_value("repository", "", "html", str)
    if app.config.repository:
        hosts = {"binderhub_url": "https://mybinder.org", "colab_url": "https://colab.research.google.com"}
        hosts["notebook_interface"] = "jupyterlab"
        app.config.html_theme_options |= {
            "repository_url": app.config.repository,
            "repository_branch": "main",
            "launch_buttons": hosts,
        }
    app.connect("source-read", as_a_page)
    app.connect("build-finished", add_index)
