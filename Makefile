# Everything a person runs. `make help` lists the targets.
# Downloads and builds that outlive the checkout go to ITERQR_CACHE, Maven's to its own local repository.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export ITERQR_CACHE ?= $(HOME)/.cache/iterqr
export UV_CACHE_DIR ?= $(ITERQR_CACHE)/uv
export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE ?= copy
export PIP_ROOT_USER_ACTION := ignore
# Settings of a user's pip that `pip install --target` cannot live with.
export PIP_USER := 0
export PIP_REQUIRE_VIRTUALENV := 0

# The first that runs: a version manager's shim may be there without its Python. Its own path, for by a shim's uv does not
# know the environment again and makes it anew, without the groups it had.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys, pip; sys.version_info < (3, 11) and sys.exit(1); print(sys.executable)' 2>/dev/null && break; done)
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' .ci/uv-requirements.txt)
UV_HOME := $(ITERQR_CACHE)/tools/uv-$(UV_VERSION)
UV := $(UV_HOME)/bin/uv
BIN := .venv/bin
SYNCED := .venv/.synced
# Spark is some 450 MB: only what needs it installs it.
SPARK_SYNCED := .venv/.synced-spark
# PyTorch is 2.8 GB on Linux (its CUDA libraries come with it, wanted or not): only training installs it.
TRAIN_SYNCED := .venv/.synced-train
OPENSEARCH_VERSIONS := 3.8.0 3.6.0
# Maven needs a JDK 21 or later; the default `java` may be older.
MVN = home="$$($(BIN)/iterqr-dev-node java-home)" && JAVA_HOME="$$home" mvn -q -B --strict-checksums $(if $(MAVEN_REPO_LOCAL),-Dmaven.repo.local=$(MAVEN_REPO_LOCAL)) -f plugin/pom.xml

# As many at a time as there are cores; those that measure time, by themselves.
define RUN_TESTS
$(BIN)/pytest tests -m "not alone" -n logical --maxprocesses 4 --dist loadgroup $(ARGS)
$(BIN)/pytest tests/integration/plugin -m alone $(ARGS) $(if $(ARGS),|| test $$? -eq 5)
endef

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-13s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(SYNCED) ## Install, start node and server, search 40 tail queries without and with rewrites, report, stop (CHECKPOINT=DIR: a tuned one)
	$(BIN)/iterqr-bench demo $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT)) $(ARGS)

.PHONY: up
up: $(SYNCED) ## Start the demo's node and server and leave them running
	$(BIN)/iterqr-bench up $(ARGS)

.PHONY: down
down: $(SYNCED) ## Stop what `make up` started
	$(BIN)/iterqr-bench down

.PHONY: bench-engine
bench-engine: $(SYNCED) ## Measure our engine beside three others on the same prompts (QUICK=1: under 5 minutes; ENGINE=tensorrt_llm: on a GPU)
	$(BIN)/iterqr-bench engine --uv $(UV) $(if $(ENGINE),--backend $(ENGINE)) $(if $(QUICK),--quick) $(ARGS)
	$(if $(QUICK)$(filter-out onnxruntime,$(ENGINE)),,$(BIN)/iterqr-bench engine-curve)

.PHONY: bench-rpc
bench-rpc: $(SYNCED) ## Load the server over gRPC at twice its capacity (QUICK=1: a minute)
	$(BIN)/iterqr-bench rpc $(if $(QUICK),--quick) $(ARGS)

.PHONY: bench-search
bench-search: $(SYNCED) ## Load a node with the plugin beside plain searches (QUICK=1: under 3 minutes)
	$(BIN)/iterqr-bench search $(if $(QUICK),--quick) $(ARGS)

.PHONY: bench-signals
bench-signals: $(SPARK_SYNCED) ## Attribute up to 10 million impressions on DuckDB and Spark (QUICK=1: 100,000)
	$(BIN)/iterqr-bench signals $(if $(QUICK),--quick) $(ARGS)

.PHONY: soak
soak: $(SYNCED) ## Half an hour of mixed load through the plugin: nothing may grow or get lost (ARGS="--minutes 5")
	$(BIN)/iterqr-bench soak $(ARGS)

.PHONY: sim
sim: $(SYNCED) ## Simulate a marketplace: 10,000 searches, collected, attributed, judged; build/sim/report.html (stopped, it goes on)
	$(BIN)/iterqr-bench sim $(ARGS)

.PHONY: loop
loop: $(TRAIN_SYNCED) ## Learn from the marketplace's users, three iterations; build/loop/report.html (stopped, it goes on; needs PyTorch)
	$(BIN)/iterqr-bench loop $(ARGS)

.PHONY: ablation
ablation: $(TRAIN_SYNCED) ## Train without one part of training at a time on what `make loop` learned; build/ablation/ablation.md (stopped, it goes on; needs PyTorch)
	$(BIN)/iterqr-bench ablation $(ARGS)

.PHONY: test
test: $(SPARK_SYNCED) plugin ## Run every test but those of training: unit, contract, integration (real node, real model), end to end, Java
	$(RUN_TESTS)

.PHONY: test-all
test-all: $(SPARK_SYNCED) $(TRAIN_SYNCED) plugin ## Run every test, training's and one iteration of the loop too
	$(RUN_TESTS)

.PHONY: test-fast
test-fast: $(SYNCED) ## Run the unit and contract tests of the Python parts
	$(BIN)/pytest tests/unit tests/contract $(ARGS)

.PHONY: test-train
test-train: $(TRAIN_SYNCED) ## Run the tests of training, which need PyTorch (tiny models, minutes)
	$(BIN)/pytest tests/unit/train $(ARGS)

.PHONY: plugin
plugin: $(SYNCED) ## Build and unit-test the plugin for each OpenSearch version
	for version in $(OPENSEARCH_VERSIONS); do $(MVN) -Dopensearch.version=$$version package; done

.PHONY: lint
lint: $(SYNCED) ## Check style, types and import layers
	$(UV) lock --check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MVN) spotless:check

.PHONY: format
format: $(SYNCED) ## Rewrite Python and Java sources in the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(MVN) spotless:apply

.PHONY: proto
proto: $(UV) ## Generate the Python code of the .proto files again
	$(UV) sync --locked --quiet --python "$(PYTHON)" --reinstall-package iterqr-proto

$(UV): .ci/uv-requirements.txt
	test -n "$(PYTHON)" || { echo "make: no Python 3.11 or later with pip; set PYTHON" >&2; exit 1; }
	mkdir -p $(UV_HOME).partial
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade --target $(UV_HOME).partial -r $<
	rm -rf $(UV_HOME)
	mv $(UV_HOME).partial $(UV_HOME)
	touch $@

$(SYNCED): $(UV) uv.lock $(wildcard pyproject.toml */pyproject.toml plugin/dev/pyproject.toml) proto/hatch_build.py $(wildcard proto/iterqr/rewrite/v1/*.proto)
	$(UV) sync --locked --quiet --python "$(PYTHON)"
	touch $@

$(SPARK_SYNCED): $(SYNCED)
	$(UV) sync --locked --quiet --inexact --group spark --python "$(PYTHON)"
	touch $@

$(TRAIN_SYNCED): $(SYNCED)
	$(UV) sync --locked --quiet --inexact --group train --python "$(PYTHON)"
	touch $@
