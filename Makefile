# Everything a person or a machine does here, in one word each.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BASE := $(VENV)/.base
# Compiled once, not at each start of one of the many processes that tests start.
export PYTHONDONTWRITEBYTECODE :=
DEV := $(VENV)/.dev
TORCH := $(VENV)/.torch

.PHONY: run setup dev check test test-browser test-torch test-all mutants chromium torch engine bench lock clean

run: setup
	@$(BIN)/attune run

setup: $(BASE)

dev: $(DEV)

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.docs

test: $(DEV)
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not browser and not torch"

# Breaks chosen lines one at a time; every one must be noticed by its tests. PART=2/3 for a part.
mutants: $(DEV)
	$(BIN)/python -m tests.mutants $(if $(PART),--part $(PART))

# All tests: what the base installs, then what needs a browser, then what needs torch.
test-all: test test-browser test-torch

test-browser: $(DEV) chromium $(TORCH)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m browser

# In the order of their names: the few that take minutes come first, the many short ones last.
test-torch: $(TORCH)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "torch and not browser"

# The browser's tests need one; as root on Debian or Ubuntu it is fetched, else it is asked for.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
		{ test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
		{ echo "Install Chromium first, for example: sudo apt-get install chromium"; exit 1; }

# What trains and serves models of one's own.
torch: $(TORCH)

# A small language model and what it needs, in the data folder.
engine: setup
	@$(BIN)/attune engine install

bench: $(DEV)
	$(BIN)/python -m bench

# Needs uv; writes versions and hashes for every platform, and no index.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet -o requirements.lock
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet -c requirements.lock -o requirements-dev.lock
	echo 'torch ; python_version < "3"' | uv pip compile pyproject.toml --extra local --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
		-c requirements-dev.lock --overrides /dev/stdin -o attune/engine/requirements-local.lock

clean:
	rm -rf $(VENV) build *.egg-info

$(BASE): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Attune needs Python 3.11 or newer; try make run PYTHON=python3.11")'
	@echo "Setting up (once, about a minute) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(BASE)

$(DEV): requirements-dev.lock $(BASE)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $(DEV)

# torch comes by itself and first: its builds for CPU and GPU differ in size by gigabytes, and only
# who installs it knows which; the lock holds the rest. docs/do/train-on-your-own-machine.md.
$(TORCH): attune/engine/requirements-local.lock $(DEV)
	@echo "Setting up what trains models (once, about a minute) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r attune/engine/requirements-local.lock
	@touch $(TORCH)
