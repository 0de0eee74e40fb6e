# The two that matter: `make up` and `make test`. Everything they need is installed or built first.
SHELL := /bin/sh
PYTHON := .venv/bin/python
PYTHON_PACKAGES := settings credentials stack components kubelet_tls_bootstrap node_files preview ssh command_line admission lab __main__.py
SCRIPTS := $(wildcard node_files/*.sh components/*.sh lab/*.sh lab/plugins/*.sh) ktb .ci/run
# The tool that lists the packages of an image.
CYCLONEDX := 7.5.0
# Starts a shell line that uses the lab's pulumi and kubectl.
IN_LAB := eval "$$($(PYTHON) -m lab env)" &&

.DEFAULT_GOAL := help
.PHONY: help up down test test-long check golden bench bench-fleet bench-memory lock sbom packages

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile | expand -t 20
	@echo
	@echo 'The first `make up` builds Kubernetes, etcd, the Pulumi engine and its Kubernetes provider from'
	@echo 'Go modules: 17 minutes on two cores, 4 GiB of memory, 20 GiB of disk. See docs/lab.md.'

up: .venv/installed ## start the lab and join its machines (builds its programs from Go modules first: about 17 minutes, 4 GiB of memory, 20 GiB of disk)
	$(PYTHON) -m lab up
	$(IN_LAB) pulumi stack select --create dev && pulumi up --yes --skip-preview
	$(PYTHON) -m lab status
	@echo
	@echo 'Two machines have joined. Try next:'
	@echo '  eval "$$(.venv/bin/python -m lab env)"    # pulumi and kubectl in this shell mean the lab'
	@echo '  kubectl get nodes,csr -o wide'
	@echo '  pulumi preview --diff                      # after a change of Pulumi.dev.yaml'
	@echo '  pulumi stack output --json'
	@echo '  make down'

down: .venv/installed ## stop the lab's machines (their disks and the stack are kept)
	$(PYTHON) -m lab down

test: check ## run everything but `test-long`: `make check`, the scripts, the plugins, the joins on the lab
	$(PYTHON) -m lab toolchain --all
	$(PYTHON) -m pytest --numprocesses 4 tests/scripts
	$(PYTHON) -m pytest --numprocesses 2 --dist loadfile -m 'not long' tests/contract
	$(PYTHON) -m pytest -m 'not long' tests/lab

test-long: .venv/installed ## run what `make test` leaves out: rarer cases and long waits on the lab, older kubelets' start-up code
	$(PYTHON) -m lab toolchain --all
	$(PYTHON) -m pytest -m long tests/contract
	$(PYTHON) -m pytest -m long tests/lab

check: .venv/installed ## run the fast part: lint, types, shellcheck, unit tests
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy $(PYTHON_PACKAGES)
	$(PYTHON) -m mypy examples/one-program
	shellcheck --shell=sh $(SCRIPTS)
	$(PYTHON) -m pytest --numprocesses 4 --dist worksteal tests/unit

golden: .venv/installed ## rewrite the golden files and the example report; then review `git diff`
	UPDATE_GOLDEN=1 $(PYTHON) -m pytest -q tests/unit/test_node_files.py tests/unit/test_golden.py \
		tests/unit/test_program.py tests/unit/test_versions.py tests/unit/test_report.py \
		tests/unit/test_changes.py

bench: .venv/installed .venv-bench/installed ## measure a join against ssh, pyinfra and Ansible, the gate for 100 nodes, rendering 300
	$(PYTHON) -m tests.bench
	$(PYTHON) -m tests.bench.gate
	$(PYTHON) -m tests.bench.many_nodes

NODES := 20
bench-fleet: .venv/installed ## measure the whole program for NODES=20 simulated machines, from the first `up` to `destroy`
	$(PYTHON) -m lab toolchain
	$(PYTHON) -m tests.bench.fleet --nodes $(NODES)

SCALE := 1
bench-memory: .venv/installed ## measure how much memory a flood of requests and Nodes makes the program take
	$(PYTHON) -m lab toolchain
	$(PYTHON) -m tests.bench.memory --scale $(SCALE)

PINNED := requirements requirements-dev admission/requirements tests/bench/requirements
lock: .venv/installed ## pin all packages again, with their hashes, from the files *.in
	for file in $(PINNED); do \
		.venv/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
			--custom-compile-command 'make lock' $$file.in --output-file $$file.txt || exit 1; \
	done

sbom: .venv/installed ## write the packages of the approver's image as CycloneDX JSON to sbom.json
	.venv/bin/uvx --from cyclonedx-bom==$(CYCLONEDX) cyclonedx-py requirements \
		admission/requirements.txt --output-file sbom.json

packages: ## install the Debian packages that the lab and the checks need
	@lab/packages.sh

.venv/installed: requirements.txt requirements-dev.txt lab/packages.sh
	@lab/packages.sh
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

.venv-bench/installed: tests/bench/requirements.txt .venv/installed
	python3 -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/bench/requirements.txt
	@touch $@
