PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint browser clean

demo: $(VENV)/.installed
	GRADIO_ANALYTICS_ENABLED=False TERGAN_OPEN_BROWSER=1 $(BIN)/python app.py

# Two files at a time, each on one core: most tests wait for a process of their own to import torch.
test: $(VENV)/.installed-test browser lint
	OMP_NUM_THREADS=1 TERGAN_PATIENCE=$${TERGAN_PATIENCE:-2} $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -f tergan_hf/demo/*.pyi  # Gradio writes them when the app starts
	$(BIN)/mypy

# The tests of the app need a Chromium: the system's, Debian's package, or Playwright's own.
browser: $(VENV)/.installed-test
	$(BIN)/python tests/browser.py

$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt --editable ".[app]"
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt --editable ".[test]"
	touch $@

clean:
	rm -rf $(VENV)
