# Two commands: make demo, make test. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check

# tests start hundreds of processes, each of which would compile the product again
unexport PYTHONDONTWRITEBYTECODE

LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header

# what the image installs: all but the demo, whose embedded Redis no process of production needs
SERVED := api calendar cli files http otel rabbitmq worker

.DEFAULT_GOAL := help
.PHONY: help install demo up test test-apis test-rabbitmq test-browser test-package test-errors test-attacks test-slow interop audit screenshots chaos upgrade image image-test fuzz fuzz-api bench bench-compare check clean lock

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-13s %s\n", $$1, $$2}'

$(VENV)/run: requirements/run.txt requirements/build.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements/run.txt -r requirements/build.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev: requirements/dev.txt $(VENV)/run
	$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

install: $(VENV)/dev  ## create .venv with everything, including the command threelane

GATEWAY ?= http
demo: $(VENV)/run  ## run the main job and compare three ledgers; GATEWAY=http, rest, xml, one or platform
	$(BIN)/python -m threelane demo --gateway $(GATEWAY) $(ARGS)

up: $(VENV)/run  ## run the same stack until Ctrl-C, with GATEWAY, too; addresses are in .threelane/stack.json
	$(if $(filter file,$(origin GATEWAY)),,THREELANE_GATEWAY=$(GATEWAY)) $(BIN)/python -m threelane up

test: $(VENV)/dev  ## run all tests, with their own Redis
	$(BIN)/python -m pytest $(ARGS)

test-apis: $(VENV)/dev  ## run the tests of the main job on the REST, XML, One and Platform APIs
	for api in rest xml one platform; do THREELANE_TEST_GATEWAY=$$api $(BIN)/python -m pytest -m main_job -rs tests/integration tests/faults $(ARGS) || exit 1; done

test-rabbitmq: $(VENV)/dev  ## run all tests with their own RabbitMQ as the broker; needs Debian's rabbitmq-server
	THREELANE_TEST_BROKER=rabbitmq $(BIN)/python -m pytest -rs $(ARGS)

test-browser: $(VENV)/dev  ## test the console in a real browser; needs Debian's chromium and chromium-driver
	$(BIN)/python -m pytest -n 1 -m browser -rs tests/browser $(ARGS)

test-package: $(VENV)/dev  ## test the wheel in clean environments: a light producer beside each redis-py and Celery, and the demo
	$(BIN)/python -m pytest -n 1 -m package -rs tests/package $(ARGS)

test-errors: $(VENV)/dev  ## run the tests in which a real Redis or RabbitMQ gives each error reply, and print what happened
	$(BIN)/python -m pytest -n 2 -m error_replies -rs tests/error_replies $(ARGS)

test-attacks: $(VENV)/dev  ## run the attacks of somebody with one API key, an address of Redis, or nothing
	$(BIN)/python -m pytest -n 2 -m attack -rs tests/attack $(ARGS)

test-slow: $(VENV)/dev  ## run the tests that kill processes, start many of them, or take seconds of CPU
	$(BIN)/python -m pytest -n 4 -m slow -rs tests $(ARGS)

interop: $(VENV)/dev  ## run published clients of Clickatell against the sandbox; needs PyPI, npm and Node.js; ARGS="--write" writes docs/interop.md
	$(BIN)/python -m tests.interop $(ARGS)

audit: $(VENV)/dev  ## check hashes, licences and, where advisories can be had, known vulnerabilities; ends with 4 where not
	@$(BIN)/python -m deploy.audit; code=$$?; test $$code -eq 0 || { echo "make audit: exit code $$code of deploy/audit.py"; exit $$code; }

screenshots: $(VENV)/dev  ## retake the screenshots of the console in docs/images; needs the same packages
	$(BIN)/python -m tests.browser.screenshots $(ARGS)

fuzz-api: $(VENV)/dev  ## send thousands of valid and invalid requests to the HTTP API and the callback endpoints; ARGS="--seed 2"
	$(BIN)/python -m tests.fuzz.http $(ARGS)

MESSAGES ?= 20000
SECONDS ?= 150
SEED ?= 1
FUZZ_SECONDS ?= 60
chaos: $(VENV)/dev  ## kill processes and cut connections at random, then compare the ledgers: MESSAGES, SECONDS, SEED; ARGS="--show 4" plays a scenario
	$(BIN)/python -m tests.chaos --messages $(MESSAGES) --seconds $(SECONDS) --seed $(SEED) --gateway $(GATEWAY) $(ARGS)

$(VENV)/fuzz: requirements/fuzz.txt $(VENV)/dev
	$(PIP) --require-hashes -r requirements/fuzz.txt
	@touch $@

fuzz: $(VENV)/fuzz  ## fuzz every parser of untrusted input, FUZZ_SECONDS each; ARGS="callbacks rows"
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(ARGS)

FROM ?=
upgrade: $(VENV)/dev  ## replace workers of FROM=<tag or commit> with these under load, then compare the ledgers
	$(BIN)/python -m tests.upgrade $(if $(FROM),--from $(FROM)) $(ARGS)

image:  ## build the image without a container engine (root, buildah, debootstrap); with one: docker build -f deploy/Dockerfile .
	deploy/build.sh

image-test: $(VENV)/dev  ## run the main job with processes from the image's files, as compose.yaml starts them
	$(BIN)/python -m tests.image $(ARGS)

$(VENV)/bench: requirements/bench.txt $(VENV)/dev
	$(PIP) --require-hashes -r requirements/bench.txt
	@touch $@

bench: $(VENV)/bench  ## benchmark against the alternatives and write bench/RESULTS.md; ARGS="--only 3 4"
	$(BIN)/python -m bench $(ARGS)

bench-compare: $(VENV)/dev  ## CPU a message of this tree against that of FROM=<tag or commit>; ARGS="--pairs 4 --only 1 3"
	$(BIN)/python -m bench.compare $(if $(FROM),--from $(FROM)) $(ARGS)

check: $(VENV)/dev  ## what CI runs: lint, format, types, dependencies, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/deptry .
	$(MAKE) test

lock: $(VENV)/dev  ## regenerate the hashed requirements from pyproject.toml
	$(LOCK) pyproject.toml --extra all -o requirements/run.txt
	$(LOCK) pyproject.toml $(SERVED:%=--extra %) -c requirements/run.txt -o requirements/serve.txt
	$(LOCK) pyproject.toml -o requirements/producer.txt
	$(LOCK) pyproject.toml --extra all --group dev -o requirements/dev.txt
	$(LOCK) pyproject.toml --extra all --group dev --group bench -o requirements/bench.txt
	$(LOCK) pyproject.toml --extra all --group dev --group fuzz -o requirements/fuzz.txt
	$(LOCK) --group build -o requirements/build.txt

clean:  ## remove everything that the targets created
	rm -rf $(VENV) .threelane .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz .interop build dist
