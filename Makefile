# Everything a developer types. `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
BASE := $(VENV)/.base
FULL := $(VENV)/.full
ATTENTION := .venv-attention/.base
ROOMS := pvm_core pvm_jobs pvm_resources pvm_evaluation pvm_demo pvm_assets pvm_attention pvm_cli pvm_api sensors

# Pins for every system and Python that the project supports, with the hashes of their files. No index is written
# into them: each machine asks its own.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
    --no-emit-index-url --no-emit-find-links --no-annotate
# Nothing is installed whose hash is not in the file, nor anything to build it with.
PINNED := $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes \
    --build-constraints requirements-build.txt --require-build-hashes
INSTALL := VIRTUAL_ENV=$(VENV) $(PINNED)
# Apart: a folder has no hash. Its dependencies are those installed before.
ITSELF := $(BIN)/uv pip install --quiet --no-deps \
    --build-constraints requirements-build.txt --require-build-hashes -e .
INSTALL_PROJECT := VIRTUAL_ENV=$(VENV) $(ITSELF)

.PHONY: help setup base attention gpu demo up down test suite test-long test-n8n test-attention bench lint format pin clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

base: $(BASE) ## install what `pvm` needs (no torch)

setup: $(FULL) ## install everything: models and developer tools as well

attention: $(ATTENTION) ## an environment and the face networks of the attention analysis; nothing else needs them
	@for name in blazeface face-mesh iris-mesh; do $(BIN)/pvm models pull $$name || exit; done

gpu: $(FULL) ## ONNX Runtime's GPU build in place of its CPU build, for segmenters and the reader of words
	$(BIN)/uv pip uninstall --quiet --python $(BIN)/python onnxruntime
	$(INSTALL) -r requirements-gpu.txt

demo: $(BASE) ## render a small case, run it through Dagster, print the matches
	@$(BIN)/pvm demo

up: $(BASE) ## start database, Dagster web server and daemon
	@$(BIN)/pvm up

down: $(BASE) ## stop what `make up` started
	@$(BIN)/pvm down

lint: $(FULL) ## ruff, format, mypy, rooms that import downwards, names that must stay away
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python tools/dropped_names.py

format: $(FULL) ## let ruff mend and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(FULL) ## lint and the whole suite (real PostgreSQL, Dagster, RabbitMQ, Redis, NATS, Chromium)
	@bash tools/chromium.sh
	@bash tools/servers.sh
	@$(BIN)/python -m compileall -q -j 0 $(ROOMS) sql definitions.py
	@$(MAKE) --no-print-directory -j 2 lint suite

# Where Python is told to write no bytecode, every worker would compile every test again, and every process of a
# whole job the project.
suite test-long: export PYTHONDONTWRITEBYTECODE =

# Half of a whole-job test is waiting for processes to start and servers to answer: more workers than cores.
suite: $(FULL)
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

test-long: $(FULL) ## the tests that take minutes: twenty jobs at once, processes killed again and again
	@bash tools/containers.sh
	@bash tools/images.sh
	$(BIN)/python -m pytest -v -m long --timeout=900 -n 3 --dist loadfile --no-loadscope-reorder

test-attention: $(FULL) attention ## the tests on real faces; without `make attention` make test skips them
	PVM_ATTENTION_REQUIRED=1 $(BIN)/python -m pytest -v -m attention tests/pvm_attention tests/pvm_assets/test_blurred_evidence.py tests/pvm_cli/test_report.py \
	    tests/e2e/test_attention_apart.py

test-n8n: $(FULL) ## both workflows of deploy/n8n in a real n8n, against the started platform
	@bash tools/n8n.sh
	$(BIN)/python -m pytest -v -m n8n --timeout=900 tests/n8n

bench: $(FULL) ## the whole job: time, CPU and accuracy by stage, memory; beside a plain script
	$(BIN)/python bench/bench_pipeline.py

pin: $(FULL) ## compile the requirements files from pyproject.toml, keeping pins that still fit
	@$(COMPILE) --extra models --extra k8s --extra celery --extra dev -o requirements.txt pyproject.toml >/dev/null
	@$(COMPILE) -c requirements.txt -o requirements-base.txt pyproject.toml >/dev/null
	@# Of the image with learned models: no tools of developers.
	@$(COMPILE) -c requirements.txt --extra models -o requirements-models.txt pyproject.toml >/dev/null
	@# Apart: both builds are one module, so that neither may be installed beside the other.
	@echo onnxruntime-gpu | $(COMPILE) -c requirements.txt -o requirements-gpu.txt - >/dev/null
	@$(COMPILE) -c requirements.txt --group build -o requirements-build.txt >/dev/null

clean: ## remove the virtual environment and caches, never the data
	rm -rf $(VENV) .venv-attention .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build dist

$(BIN)/uv: requirements-build.txt
	@bash tools/venv.sh $(VENV) requirements-build.txt
	@touch $(BIN)/uv

# One stamp a kind of install. The full install contains the base, so it also renews the base's stamp.
$(BASE): pyproject.toml requirements-base.txt | $(BIN)/uv
	@echo "installing the base packages into $(VENV)"
	@$(INSTALL) -r requirements-base.txt
	@$(INSTALL_PROJECT)
	@touch $(BASE)

# The attention analysis fails apart: its code server runs in an environment of its own.
$(ATTENTION): pyproject.toml requirements-base.txt | $(BASE)
	@echo "installing the base packages into .venv-attention"
	@bash tools/venv.sh .venv-attention requirements-build.txt
	@VIRTUAL_ENV=.venv-attention $(PINNED) -r requirements-base.txt
	@VIRTUAL_ENV=.venv-attention $(ITSELF)
	@touch $(ATTENTION)

$(FULL): pyproject.toml requirements.txt | $(BIN)/uv
	@echo "installing all packages into $(VENV) (torch is large)"
	@$(INSTALL) -r requirements.txt
	@$(INSTALL_PROJECT)
	@touch $(FULL) $(BASE)
