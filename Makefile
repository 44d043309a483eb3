# `make help` tells what there is. Everything runs in .venv/, which the first target makes.
.DEFAULT_GOAL := help
.PHONY: help lab test test-browser build check bench doctor format clean
# Inherited from a shell, these would make .venv's Python see other packages.
unexport PYTHONPATH PYTHONHOME

PY := .venv/bin/python
# Workers of `make test`; notebooks need about 1 GB each.
WORKERS ?= 2
# For `make lab`: the port, and the lesson to open (01, or 01_byte_pairs).
PORT ?=
LESSON ?=

help: ## what there is to make
	@echo "make TARGET"; echo
	@sed -n 's/^\([a-z-]*\):.*## /  \1|/p' Makefile | awk -F'|' '{ printf "%-16s%s\n", $$1, $$2 }'

lab: .venv/book.stamp ## lay the lessons on desk/ and open JupyterLab (PORT=9000 LESSON=01 choose)
	@$(PY) -m minilm lab $(if $(PORT),--port "$(PORT)") $(if $(LESSON),--lesson "$(LESSON)")

# In the order of the files: the slow ones, of few tests each, are then not left for the end.
# One thread for each process: together they use the cores, and none waits for another's.
test: .venv/test.stamp ## pass every test but the browser's (WORKERS=4 uses four processes)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

# PICTURE=1 also makes the README's picture anew, book/figures/lesson_page.png.
test-browser: .venv/test.stamp ## open the lessons in a real browser; installs chromium if it can
	@$(call need_chromium)
	$(if $(PICTURE),MINILM_PICTURE=1 )$(PY) -m pytest tests/browser

build: .venv/book.stamp ## make lessons/ and solutions/ anew where book/ or minilm/ changed (PAGE=01)
	$(PY) book/build.py $(PAGE)

check: .venv/book.stamp ## say whether anything in lessons/ or solutions/ is stale, in seconds
	$(PY) book/build.py --check

bench: .venv/book.stamp ## measure minilm beside transformers (ARGS="--json figures.json")
	$(PY) -m minilm bench $(ARGS)

doctor: ## say what is installed, what is missing and what to do
	@$(find_python); if [ -x $(PY) ]; then python=$(PY); fi; $$python -m minilm doctor

format: .venv/test.stamp ## put the code in its form
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

clean: ## delete .venv/ and what tools leave behind; never desk/
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
	find minilm book tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is made only after pip has finished: an interrupted install starts again.
.venv/book.stamp: pyproject.toml constraints.txt
	@$(call install,book)
.venv/test.stamp: pyproject.toml constraints.txt
	@$(call install,test$(comma)real)
comma := ,

# Sets $$python to the first Python that is new enough, or ends with what to do.
define find_python
python=; for one in $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14 python; do \
	if $$one -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then python=$$one; break; fi; \
done; \
if [ -z "$$python" ]; then \
	echo "minilm needs Python 3.11 or newer, and found: $$(python3 --version 2>&1 || echo none)." >&2; \
	echo "Install it (Debian 12, Ubuntu 24.04: sudo apt-get install python3 python3-venv;" >&2; \
	echo "macOS: brew install python) or name yours: make lab PYTHON=/path/to/python3" >&2; exit 1; \
fi
endef

define install
set -e; \
if ! $(PY) -m pip --version >/dev/null 2>&1; then \
	$(find_python); \
	if ! $$python -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "This Python cannot make environments: its venv is missing." >&2; \
		echo "On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; \
	fi; \
	echo "Making .venv with $$($$python --version) …"; \
	$$python -m venv --clear .venv; \
fi; \
echo "Installing what minilm needs (about 2 GB the first time, some minutes) …"; \
$(PY) -m pip install --disable-pip-version-check -c constraints.txt -e ".[$(1)]"; \
touch $@ .venv/book.stamp  # whatever was installed, the book's needs were among it
endef

define need_chromium
set -e; found=; \
for one in chromium chromium-browser google-chrome; do \
	if command -v $$one >/dev/null; then found=$$one; break; fi; \
done; \
if [ -z "$$found" ]; then \
	if ! command -v apt-get >/dev/null; then \
		echo "The browser tests need chromium: install it with your system's packages." >&2; exit 1; \
	fi; \
	if [ "$$(id -u)" = 0 ]; then as=; \
	elif sudo -n true 2>/dev/null; then as=sudo; \
	else echo "The browser tests need chromium: sudo apt-get install chromium" >&2; exit 1; fi; \
	echo "Installing chromium …"; \
	$$as apt-get -qq update && $$as env DEBIAN_FRONTEND=noninteractive \
		apt-get -qq install --no-install-recommends chromium fonts-liberation >/dev/null; \
fi
endef
