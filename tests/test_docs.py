"""The pages of docs/: their links lead somewhere, and the glossary sends its reader to the right place."""

import doctest
import json
import os
import re
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import pytest
import yaml

from segfeed.distributed.cluster import ClusterSpec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import notebooks as tool  # noqa: E402

PAGES = sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")


def cells(path):
    """(kind, source) of each cell of a notebook; a page is one cell of Markdown."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return [("markdown", text)]
    return [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]


def sections(path):
    """(level, anchor, text) of each heading and what stands under it, up to the next heading of any level."""
    found = []
    for kind, source in cells(path):
        fenced = accumulate((line.startswith("```") for line in source.splitlines()), lambda a, b: a ^ b, initial=False)
        for line, in_code in zip(source.splitlines(), fenced, strict=False):
            heading = re.fullmatch(r"(#+) (.+)", line) if kind == "markdown" and not in_code else None
            if heading:
                title = heading[2].replace("`", "")
                if path.suffix != ".ipynb":  # GitHub's anchors are in lower case and without punctuation
                    title = re.sub(r"[^\w\- ]", "", title.lower())
                found.append([len(heading[1]), title.replace(" ", "-"), ""])
            elif found:
                found[-1][2] += f"{line}\n"
    return found


def under(path, anchor):
    """The text of a section with its subsections, and without the targets of links."""
    found = sections(path)
    place = [name for _, name, _ in found].index(anchor)
    text = found[place][2]
    for level, _, more in found[place + 1 :]:
        if level <= found[place][0]:
            break
        text += more
    return re.sub(r"\]\([^)]*\)", "]", text)


def plain(text):
    return re.sub(r"[-_.\s]+", " ", text.lower())


GLOSSARY = {anchor: text for level, anchor, text in sections(ROOT / "docs" / "glossary.md") if level == 2}


def explained(term):
    """(notebook, anchor) of each place to which the glossary sends its reader."""
    targets = (target.partition("#") for target in LINK.findall(GLOSSARY[term]))
    return [((ROOT / "docs" / file).resolve(), anchor) for file, _, anchor in targets if file.endswith(".ipynb")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_a_file_and_a_heading(page):
    targets = [target for _, source in cells(page) for target in LINK.findall(source)]
    assert targets
    for target in targets:
        if not target.startswith("https://"):
            file, _, anchor = target.partition("#")
            path = (page.parent / file).resolve() if file else page
            assert path.exists(), target
            assert not anchor or anchor in [name for _, name, _ in sections(path)], target


def test_terms_are_sorted_and_unique():
    terms = [anchor for level, anchor, _ in sections(ROOT / "docs" / "glossary.md") if level == 2]
    assert len(terms) > 50 and terms == sorted(set(terms))


@pytest.mark.parametrize("term", GLOSSARY)
def test_a_term_occurs_where_its_reader_is_sent(term):
    assert explained(term)
    for path, anchor in explained(term):
        text = plain(under(path, anchor))
        assert re.search(rf"\b{plain(term)}", text), f"{term} does not occur in {path.name}, {anchor}"


def test_the_course_links_each_term_once_and_no_later_than_it_is_explained():
    linked = [
        (anchor, path.name)
        for path in tool.NOTEBOOKS
        for kind, source in cells(path)
        if kind == "markdown"
        for anchor in re.findall(r"\]\(\.\./docs/glossary\.md#([^)]+)\)", source)
    ]
    assert sorted(anchor for anchor, _ in linked) == sorted(GLOSSARY)
    for term, name in linked:
        assert name <= explained(term)[0][0].name, f"{term} is explained before {name}"


GUIDE = (ROOT / "docs" / "instructor.md").read_text(encoding="utf-8")


def test_the_guide_has_the_minutes_and_the_memory_of_the_overviews():
    for path in tool.NOTEBOOKS:
        overview = under(path, "Overview")
        minutes = re.search(
            r"\*\*Minutes:\*\* (\d+) to read, ((?:under |\d+–)?\d+) to run.*?, (\d+) for", overview
        ).groups()
        memory = re.search(r"(\d+ GB) of free memory", overview)[1]
        row = " | ".join(
            [f"[{path.name[:2]} {tool.title(tool.nbformat.read(path, 4))}](../notebooks/{path.name})", *minutes]
        )
        assert f"| {row} | {memory} |" in GUIDE


def test_no_schedule_has_a_gap_or_an_overlap():
    schedules = [re.findall(r"^\| (\d):(\d\d) \| (\d+) \|", part, re.MULTILINE) for part in GUIDE.split("| from |")[1:]]
    starts = [[60 * int(hours) + int(minutes) for hours, minutes, _ in rows] for rows in schedules]
    lengths = [[int(length) for *_, length in rows] for rows in schedules]
    assert starts == [list(accumulate(each[:-1], initial=0)) for each in lengths]
    assert [sum(each) for each in lengths] == [4 * 60, 6 * 60, 6 * 60]


def test_what_was_measured_goes_into_the_guide_and_nothing_else_changes():
    guide = tool.with_measured(GUIDE, {"01_load_a_pair.ipynb": (4.4, 260_000_000)})
    assert (
        "cores.\n\n| notebook | run | peak memory |\n|---|---|---|\n| 01 | 4 s | 0.3 GB |\n<!-- /measured -->" in guide
    )
    outside = re.compile(r"<!-- measured -->.*<!-- /measured -->", re.DOTALL)
    assert outside.sub("", guide) == outside.sub("", GUIDE)
    assert tool.with_measured(guide, {}) == tool.with_measured(GUIDE, {})
    with pytest.raises(ValueError, match="needs the lines"):
        tool.with_measured("no marks", {})


def test_save_stores_what_was_measured_only_when_all_notebooks_ran(tmp_path, monkeypatch):
    guide = tmp_path / "instructor.md"
    guide.write_text(GUIDE, encoding="utf-8")
    monkeypatch.setattr(tool, "GUIDE", guide)
    monkeypatch.setattr(tool, "execute", lambda path: (tool.nbformat.read(path, 4), 7.0, 2_000_000_000))
    monkeypatch.setattr(tool.nbformat, "write", lambda *_: None)
    tool.save(("02",))
    assert guide.read_text(encoding="utf-8") == GUIDE
    tool.save(("",))
    assert guide.read_text(encoding="utf-8").count("| 7 s | 2.0 GB |") == len(tool.NOTEBOOKS)


@pytest.mark.parametrize("page", ["all_black", "traps"])
def test_the_lines_of_a_page_print_what_it_says(page):
    done = doctest.testfile(str(ROOT / "docs" / f"{page}.md"), module_relative=False)
    assert done.attempted > 15 and not done.failed


def run_lines(tmp_path, lines, programs, **environment):
    """What bash prints for these lines, where the programs of the cluster are ours."""
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment |= {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-ec", lines], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def after(mark, kind):
    page = (ROOT / "docs" / "many_machines.md").read_text(encoding="utf-8")
    return re.search(rf"<!-- {mark} -->\n```{kind}\n(.*?)\n```", page, re.DOTALL)[1]


READ = """
import sys; sys.path.insert(0, sys.argv[1])
from segfeed.distributed.cluster import ClusterSpec
print(ClusterSpec.read())
"""


@pytest.mark.skipif(os.name == "nt", reason="the lines are for bash")
@pytest.mark.tensorflow
def test_the_lines_for_slurm_and_kubernetes_tell_each_worker_its_place(tmp_path):
    (tmp_path / "read.py").write_text(READ, encoding="utf-8")
    read = {"segfeed": f'exec "{sys.executable}" "{tmp_path}/read.py" "{ROOT}"'}
    slurm = {"scontrol": "printf 'node%s\\n' 7 12", "srun": 'for n in 0 1; do SLURM_PROCID=$n "$@"; done'}
    said = run_lines(tmp_path, after("slurm", "bash"), read | slurm, SLURM_JOB_NODELIST="node[7,12]")
    assert said.splitlines() == [f"ClusterSpec(addresses=['node7:2222', 'node12:2222'], rank={n})" for n in (0, 1)]

    service, job = yaml.safe_load_all(after("kubernetes", "yaml"))
    name, spec = service["metadata"]["name"], job["spec"]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]} == {"job-name": name}
    assert spec["template"]["spec"]["subdomain"] == name and service["spec"]["clusterIP"] == "None"
    (lines,) = spec["template"]["spec"]["containers"][0]["args"]
    addresses = [f"{name}-{n}.{name}:2222" for n in range(spec["completions"])]
    for n in range(spec["completions"]):
        assert run_lines(tmp_path, lines, read, JOB_COMPLETION_INDEX=str(n)) == f"{ClusterSpec(addresses, n)}\n"
