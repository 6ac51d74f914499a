# Everything here runs from .venv, which the targets make and keep up to date by themselves.
# Needed: python3 (3.11 or newer, with venv) and make. For the tests of WebAssembly, of the official Node client, of the AI SDK and of the reader for browsers also node and npm.

PYTHON ?= python3
SECONDS ?= 60

VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip --disable-pip-version-check
WASM := tests/wasm
NODE := tests/node
TSC := $(NODE)/node_modules/typescript/bin/tsc
PYTEST := $(BIN)/python -m pytest -n 4 -rs
LOAD := tests/transports/test_load.py tests/transports/relay/test_load.py tests/tools/test_bulk_show.py
CLUSTER := tests/tools/test_bulk_ray_show.py

# One stamp for each set of packages, older than pyproject.toml when the set has to be looked at again.
PIP_STAMP := $(VENV)/.pip
RUN_STAMP := $(VENV)/.run
DEV_STAMP := $(VENV)/.dev
FUZZ_STAMP := $(VENV)/.fuzz
BENCH_STAMP := $(VENV)/.bench
DOCS_STAMP := $(VENV)/.docs
SUPERVISION_STAMP := $(VENV)/.supervision
RAY_STAMP := $(VENV)/.ray
EXAMPLES := examples
EXAMPLES_STAMP := $(EXAMPLES)/.venv/.stamp
RELEASE_STAMP := $(VENV)/.release
CORE_STAMP := $(VENV)/.core
PUBLISH := .publish
PUBLISH_STAMP := $(PUBLISH)/.stamp
PYODIDE_STAMP := $(WASM)/node_modules/.stamp
NODE_STAMP := $(NODE)/node_modules/.stamp
WHEELS_STAMP := $(WASM)/wheels/.stamp
# The tag of the wheels that fit the pyodide in $(WASM)/package.json. They change together with it and with wheels.txt.
WHEELS_FOR := --only-binary=:all: --platform pyemscripten_2026_0_wasm32 --python-version 3.14

# Where the environment keeps Python from writing bytecode, each worker of pytest and each program
# that a test starts would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo inspect check test quick quick-core test-all coverage test-slow growth load cluster soak lint style mypy pyright javascript format generate mutants docs fuzz bench ci-tools test-wasm examples build release-check publish clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUN_STAMP) ## stream recorded answers through the decoder, live in the terminal, and draw them: demo-overlay.png
	@$(BIN)/moondream-stream demo --overlay demo-overlay.png
	@echo "In this checkout:  make inspect"

inspect: $(RUN_STAMP) ## show the recordings of this program in a page of a browser: bytes, records, messages, events
	@$(BIN)/moondream-stream inspect

check: lint ## lint, types, and the core's tests but for the long ones; takes a minute
	$(PYTEST) -m 'not slow' tests/core

test: lint quick ## lint, types, and all tests that are not slow by nature; takes three minutes

# A file goes to one worker, so that the servers of its tests are started once.
quick: $(DEV_STAMP) ## all tests that are not slow by nature, without lint; ARGS=tests/core for a part
	$(PYTEST) --dist loadfile -m 'not slow' --ignore tests/test_typing.py $(ARGS)

quick-core: $(CORE_STAMP) ## the quick tests of the core with few libraries, for a new interpreter: PYTHON=python3.14t VENV=.nox/core
	$(PYTEST) -m 'not slow' --ignore-glob '*/test_exports_*' tests/core

test-all: $(RELEASE_STAMP) ## the same with each Python that this machine has, 3.11 to 3.14; takes some minutes for each
	$(BIN)/nox

coverage: $(DEV_STAMP) ## the core's tests with their branch coverage, which has to be 100 %
	$(PYTEST) -m 'not slow' --cov --cov-report=term tests/core

test-slow: coverage ## the others: load, browsers, WebAssembly, killed processes, a cluster, packages from an index, guides; takes 20 minutes
	$(PYTEST) -m 'slow and not hypothesis' $(addprefix --ignore ,$(LOAD) $(CLUSTER)) --ignore tests/trials/test_growth.py
	$(PYTEST) -m hypothesis --hypothesis-profile long --ignore tests/test_typing.py
	$(MAKE) --no-print-directory growth load cluster

# Each case is a process of its own, and its processor time is measured. So two at once do not disturb.
growth: $(DEV_STAMP) ## time and memory of the decoder by the size of hostile input; takes a minute or two
	$(BIN)/python -m pytest -q -rs -n 2 -m slow tests/trials/test_growth.py

load: $(DEV_STAMP) ## 1,000 streams at once on each transport, 2,000 through one relay, a bulk run that is killed five times, and one that is as fast as it can be; takes some minutes
	$(BIN)/python -m pytest -q -rs $(LOAD)

cluster: $(DEV_STAMP) ## a bulk run over 5,000 items on a cluster of Ray, which loses nodes, its limiter and its program; takes two minutes, and needs `make ci-tools`
	$(BIN)/python -m pytest -q -rs $(CLUSTER)

soak: $(DEV_STAMP) ## a bulk run over 20,000 pictures, killed 40 times while the server fails; takes 25 minutes
	$(BIN)/python -m tests.tools.bulk_soak --items 20000 --kills 40

# pyright keeps one core busy for as long as all the others together.
lint: $(DEV_STAMP) ## generated twins, ruff, import contracts, mypy, pyright, the types of the guides and of the page's JavaScript
	@$(MAKE) --no-print-directory --jobs 2 style pyright mypy javascript

style: $(DEV_STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/python transports/generate.py --check

pyright: $(DEV_STAMP)
	$(BIN)/pyright

mypy: $(DEV_STAMP)
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_typing.py

javascript:
	@if command -v node >/dev/null && [ -e $(TSC) ]; then node $(TSC) --project $(NODE)/inspect.tsconfig.json; \
	else echo "lint: no node and TypeScript here (\`make ci-tools\`), so the types of the page's JavaScript are not checked"; fi

format: $(DEV_STAMP) ## let ruff mend and format the sources
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

mutants: $(DEV_STAMP) ## find small changes of the core and of the retries that no test notices; takes about 35 minutes on a quiet machine
	$(BIN)/python -m tests.mutants

generate: $(DEV_STAMP) ## write the sync twins of what is in the folders _async
	$(BIN)/python transports/generate.py

docs: $(DOCS_STAMP) ## the documentation site, into docs/_build/html; each warning is an error
	$(BIN)/python -m sphinx --jobs 2 --fail-on-warning --quiet -d docs/_build/doctrees docs docs/_build/html
	@echo "docs/_build/html/index.html"

fuzz: $(FUZZ_STAMP) ## fuzz every harness for SECONDS (60) each
	$(BIN)/python fuzz/run.py --seconds $(SECONDS)

bench: $(BENCH_STAMP) ## measure the decoder, the transports, masks, the recording proxy, the relay and bulk runs against their floors and their peers
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/end_to_end.py
	$(BIN)/python benchmarks/masks.py
	$(BIN)/python benchmarks/record_proxy.py
	$(BIN)/python benchmarks/relay.py
	$(BIN)/python benchmarks/bulk.py

ci-tools: ## install what some tests need from the system, as far as it can be had; says what is missing, and what is skipped then
	@$(MAKE) --no-print-directory $(DOCS_STAMP) || echo "ci-tools: Sphinx cannot be installed, so the test of the site will be skipped"
	@$(MAKE) --no-print-directory $(SUPERVISION_STAMP) || echo "ci-tools: supervision cannot be installed, so its tests will be skipped"
	@$(MAKE) --no-print-directory $(RAY_STAMP) || echo "ci-tools: Ray cannot be installed, so the tests on a cluster will be skipped"
	@$(MAKE) --no-print-directory $(EXAMPLES_STAMP) || echo "ci-tools: what the projects in examples/ need cannot be installed, so their tests will be skipped"
	@$(MAKE) --no-print-directory $(RELEASE_STAMP) || echo "ci-tools: the group release cannot be installed, so the test with zizmor will be skipped"
	@if command -v node >/dev/null && command -v npm >/dev/null; \
	then $(MAKE) --no-print-directory $(NODE_STAMP) $(PYODIDE_STAMP) $(WHEELS_STAMP); \
	else echo "ci-tools: no node and npm here, so the tests of WebAssembly, of the official Node client, of the AI SDK and of the reader for browsers will be skipped"; fi
	@for name in chromium nginx; do \
	if command -v $$name >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
	  && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $$name >/dev/null; then :; \
	else echo "ci-tools: no $$name here, and no apt-get as root to install it, so the tests with it will be skipped"; fi; \
	done

test-wasm: $(PYODIDE_STAMP) $(WHEELS_STAMP) ## run the decode tests under WebAssembly (node, npm's pyodide)
	node $(WASM)/run.mjs

examples: $(DEV_STAMP) $(EXAMPLES_STAMP) ## install what the projects in examples/ need, and run their tests
	$(BIN)/python -m pytest -q -rs tests/test_examples.py

build: $(DEV_STAMP) ## wheel and sdist, into dist/
	$(BIN)/python -m build --no-isolation

release-check: $(RELEASE_STAMP) ## build a release twice, check it, and try each extra with the lowest and the newest versions; takes ten minutes
	$(BIN)/python -m release check $(if $(TAG),--tag $(TAG))

publish: $(PUBLISH_STAMP) ## sign and upload what release-check left in dist/; only the workflow of a release can
	$(PUBLISH)/bin/python -m pypi_attestations sign dist/*.whl dist/*.tar.gz
	$(PUBLISH)/bin/python -m twine upload --non-interactive --attestations dist/*.whl dist/*.tar.gz dist/*.attestation

clean: ## remove all that these targets made, .venv included
	rm -rf $(VENV) $(PUBLISH) .nox dist docs/_build docs/reference/api demo-overlay.png $(NODE)/node_modules $(WASM)/node_modules $(WASM)/wheels $(EXAMPLES)/.venv
	rm -rf .coverage .coverage.* htmlcov .hypothesis .import_linter_cache .mutants .mypy_cache .pytest_cache .ruff_cache
	find . -path ./.git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

$(PIP_STAMP):
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12, say" if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --upgrade 'pip>=25.1' # the first that knows --group
	@touch $@

# Only what the programs need, so that `make demo` starts soon.
$(RUN_STAMP): $(PIP_STAMP) pyproject.toml sansio_moondream/_version.py
	@$(PIP) install --quiet --editable '.[cli]'
	@touch $@

$(DEV_STAMP): $(PIP_STAMP) pyproject.toml sansio_moondream/_version.py
	@echo "installing what the tests need"
	@$(PIP) install --quiet --editable '.[all]' --group dev
	@$(PIP) install --quiet --no-deps moondream==2.6.1 moondream-station==0.1.9 # why so: see the group dev
	@touch $@ $(RUN_STAMP)

$(FUZZ_STAMP): $(DEV_STAMP)
	@$(PIP) install --quiet --group fuzz
	@touch $@

$(BENCH_STAMP): $(DEV_STAMP)
	@$(PIP) install --quiet --group bench
	@touch $@

$(DOCS_STAMP): $(DEV_STAMP)
	@$(PIP) install --quiet --group docs
	@touch $@

$(SUPERVISION_STAMP): $(DEV_STAMP)
	@$(PIP) install --quiet --group supervision
	@touch $@

$(RAY_STAMP): $(DEV_STAMP)
	@$(PIP) install --quiet --group ray
	@touch $@

# An environment of its own: what these libraries need must not decide what the tests run with.
$(EXAMPLES_STAMP): pyproject.toml $(wildcard $(EXAMPLES)/*/requirements.txt $(EXAMPLES)/*/pyproject.toml)
	@echo "installing what the examples need"
	@$(PYTHON) -m venv $(EXAMPLES)/.venv
	@$(EXAMPLES)/.venv/bin/python -m pip --disable-pip-version-check install --quiet --editable . --editable $(EXAMPLES)/llm-moondream \
	  $(foreach file,$(wildcard $(EXAMPLES)/*/requirements.txt),--requirement $(file)) pytest
	@touch $@

$(RELEASE_STAMP): $(DEV_STAMP)
	@$(PIP) install --quiet --group release
	@touch $@

$(CORE_STAMP): $(PIP_STAMP) pyproject.toml
	@$(PIP) install --quiet --editable '.[images,numpy,testing]' --group core
	@touch $@

# Only what release/publish.txt names by its hash may run where a release can be signed.
$(PUBLISH_STAMP): release/publish.txt
	@$(PYTHON) -m venv --clear $(PUBLISH)
	@$(PUBLISH)/bin/python -m pip install --quiet --require-hashes --requirement release/publish.txt
	@touch $@

$(PYODIDE_STAMP): $(WASM)/package.json $(WASM)/package-lock.json
	cd $(WASM) && npm ci --no-audit --no-fund
	@touch $@

# Nothing that is installed may run a program: the image library's binaries come as packages.
$(NODE_STAMP): $(NODE)/package.json $(NODE)/package-lock.json
	cd $(NODE) && npm ci --no-audit --no-fund --ignore-scripts
	@touch $@

$(WHEELS_STAMP): $(WASM)/wheels.txt $(WASM)/package.json | $(PIP_STAMP)
	rm -rf $(WASM)/wheels
	$(PIP) download --quiet --no-deps $(WHEELS_FOR) --dest $(WASM)/wheels --requirement $(WASM)/wheels.txt
	@touch $@
