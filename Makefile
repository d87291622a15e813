PYTHON ?= python3
VENV_PYTHON := $(if $(filter Windows_NT,$(OS)),.venv/Scripts/python,.venv/bin/python)
PYTEST := $(VENV_PYTHON) tools/offline.py -m pytest -n 2
# JupyterLab listens on this computer alone, keeps its token, and asks nothing of the network.
LAB := JUPYTER_CONFIG_PATH="$(CURDIR)/tools/jupyter" $(VENV_PYTHON) -m jupyter lab --ServerApp.root_dir="$(CURDIR)" \
	--ServerApp.ip=localhost --ServerApp.allow_root=True \
	--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
	--LabApp.default_url=/lab/tree/notebooks/01_load_a_pair.ipynb
NOX_PYTHON := $(VENV_PYTHON:.venv/%=build/nox/%)
SPHINX := PYTHONPATH=build/docs $(VENV_PYTHON) -m sphinx -E -W --keep-going -q -c docs -d build/doctrees
LOCK := uv pip compile --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-emit-index-url \
	--upgrade --quiet

.PHONY: lab run test test-long test-all bench matrix site slides legacy clean setup lock save

lab: setup legacy     ## open JupyterLab on the first notebook, or print its address where there is no browser
	$(LAB)

run: setup legacy     ## execute every notebook; executed copies and pages go to build/
	$(VENV_PYTHON) tools/notebooks.py run

test: setup legacy build/docs/ready ## format, lint, layers, types, tests, and notebooks 01 to 05 cell by cell, offline
	$(VENV_PYTHON) -m ruff format --check --quiet . || { echo "Cure: $(VENV_PYTHON) -m ruff format ."; exit 1; }
	$(VENV_PYTHON) -m ruff check --quiet .
	$(VENV_PYTHON:%python=%lint-imports) --no-cache
	$(VENV_PYTHON) -m mypy --no-error-summary
	$(PYTEST) -m "not long"

test-long: setup legacy build/docs/ready ## the rest of test-all: notebooks 06 to 10, every notebook in the browser, 20 kills, 5,000 damaged files
	$(PYTEST) -m long

test-all: test test-long ## everything

bench: setup          ## measure the generator beside its peers, which are installed into build/peers
	$(VENV_PYTHON) -m pip install --quiet --target build/peers -r benchmarks/requirements.txt \
		|| echo "Some peers could not be installed: those that are missing are named below."
	$(VENV_PYTHON) benchmarks/bench.py --million

matrix:               ## the tests on the lowest, the highest and the next versions; needs every Python on the PATH
	$(PYTHON) -m venv build/nox
	$(NOX_PYTHON) -m pip install --quiet nox==2026.10.20
	$(NOX_PYTHON) -m nox --noxfile tools/noxfile.py

site: build/docs/ready ## build the course's pages into build/site, from the notebooks as they are stored
	rm -rf build/site
	$(SPHINX) . build/site

slides: build/docs/ready ## build slides from the notebooks' cells, as they are stored: build/slides/index.html
	rm -rf build/slides
	$(SPHINX) -b revealjs . build/slides

clean:                ## remove what was made; the next call sets up again
	rm -rf .venv build setup.log segfeed.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} + -o -name .ipynb_checkpoints -prune -exec rm -rf {} +

save: setup legacy    ## for authors: execute the notebooks and store what they print
	$(VENV_PYTHON) tools/notebooks.py save

legacy: setup         ## Keras 2 for the old code of notebook 10, apart from the course; at once if it stands
	@cmp -s notebooks/code_2019/requirements.txt build/legacy/made-from || { rm -rf build/legacy && \
		$(VENV_PYTHON) -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes \
		--target build/legacy -r notebooks/code_2019/requirements.txt && cp notebooks/code_2019/requirements.txt build/legacy/made-from; } \
		|| echo "Legacy Keras is not installed: notebook 10 needs it. Once there is a network, run make legacy."

lock:                 ## for maintainers: pin requirements.in and docs/requirements.in again (needs uv)
	$(LOCK) requirements.in --output-file requirements.txt
	$(LOCK) docs/requirements.in --constraints requirements.txt --output-file docs/requirements.txt
	echo 'tensorflow[and-cuda]; sys_platform == "linux" and python_version < "3.14"' \
		| $(LOCK) - --constraints requirements.txt --output-file requirements.gpu.txt

setup:
	@$(PYTHON) -c "" 2>/dev/null || { echo "There is no $(PYTHON): install Python 3.13, or name yours: make PYTHON=..."; exit 1; }
	@$(PYTHON) tools/bootstrap.py

# What the site and the browser tests need lies apart from the course's environment, and is made again with it.
build/docs/ready: docs/requirements.txt .venv/made-from
	rm -rf build/docs
	$(VENV_PYTHON) -m pip install --quiet --require-hashes --target build/docs -r docs/requirements.txt \
		|| { echo "The site and the browser tests need packages of their own: run this once with a network."; exit 1; }
	touch $@

.venv/made-from: setup ;
