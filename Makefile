# Every command of the workspace. Each one sets up what it needs in .venv, once.
# PYTHON=/path/to/python chooses the interpreter that .venv is made with.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test test-long test-pure sanitize soak lint types cover docs wheels autobahn autobahn-quick fuzz fuzz-quick bench bench-quick bench-grow bench-guard clean

CANDIDATES := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)
RUN := .venv/bin/python
FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 300
CODEC_TESTS := $(patsubst %,tests/wscore/test_%.py,codec frames inbox)
PROJECTS := pyproject.toml $(wildcard packages/*/pyproject.toml packages/*/setup.py packages/*/src/*/*.c)
PACKAGES := $(patsubst %/pyproject.toml,--editable %,$(wildcard packages/*/pyproject.toml))

# An environment remembers where it stands: in a moved or copied tree it is set up anew.
HERE := $(shell pwd | cksum | cut -d ' ' -f 1)
READY := .venv/ready-$(HERE)
READY_TO_CHECK := .venv/ready-to-check-$(HERE)
READY_TO_BENCH := .venv/ready-to-bench-$(HERE)

# A line for each package, since pip takes a while and says too much; all it said, if it fails.
define install
{ $(RUN) -m pip install --progress-bar off $(1) 2>&1 || echo Failed; } | tee .venv/pip.log | \
while read -r word package _; do case $$word in \
	Collecting) echo "      $$package" ;; \
	Failed) cat .venv/pip.log >&2; exit 1 ;; \
esac; done
endef

help:  ## Show this list
	@echo "make <target>, where target is one or several of:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

install: $(READY_TO_CHECK)  ## Set up .venv with the packages (editable) and every tool
	@echo "Ready: .venv/bin/python"

demo: $(READY)  ## Talk to our own server and to others', and show it
	@$(RUN) examples/demo.py

test: $(READY)  ## Run every test
	@$(RUN) -m pytest

test-long: $(READY)  ## Run the tests that wait for deadlines, and 10,000 simulations of faults
	@SEEDS=10000 $(RUN) -m pytest -m "long or seeds" tests

test-pure: $(READY)  ## Run the tests of the core and the adapters without compiled code
	@WSCORE_PURE=1 $(RUN) -m pytest -q tests/wscore tests/fuzz tests/ws_* tests/adapters

sanitize: $(READY)  ## Run the codec's tests, and fuzz it, under AddressSanitizer and UBSan
	@$(RUN) tests/sanitize.py $(FUZZ_SECONDS)

soak: $(READY)  ## Let 1,000 clients, good and bad, at each server for SOAK_SECONDS
	@$(RUN) -m tests.security.soak --seconds $(SOAK_SECONDS) $(VARIANTS)

lint: $(READY_TO_CHECK)  ## Check style and formatting
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check

types: $(READY_TO_CHECK)  ## Check types with mypy (strict) and pyright
	@$(RUN) -m mypy
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(RUN) -m pyright

# By its own tests alone: what an adapter's tests happen to pass through is not tested.
# Where nothing can be compiled, what is for the compiled codec alone is not run.
cover: $(READY)  ## Measure branch coverage of wscore by tests/wscore; less than 100 % fails
	@HYPOTHESIS_PROFILE=cover $(RUN) -m coverage run -m pytest -q tests/wscore
	@HYPOTHESIS_PROFILE=cover WSCORE_PURE=1 $(RUN) -m coverage run -a -m pytest -q $(CODEC_TESTS)
	@$(RUN) -m coverage report $$($(RUN) -c "import wscore; print('--fail-under=99' * (wscore.codec != 'C'))")

docs: $(READY_TO_CHECK)  ## Build the documentation into build/docs; a warning fails
	@$(RUN) -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "See build/docs/index.html"

autobahn: $(READY)  ## Run the whole Autobahn test suite against every adapter, most of an hour
	@$(RUN) -m autobahn.run $(PEERS)

autobahn-quick: $(READY)  ## Run the cases of it that are done in minutes
	@$(RUN) -m autobahn.run --quick --where-possible $(PEERS)

bench: $(READY_TO_BENCH)  ## Measure everything side by side with the peers, most of an hour; tables for the docs
	@$(RUN) -m bench $(OPTIONS)

bench-quick: $(READY_TO_BENCH)  ## Measure what matters most, in three minutes
	@$(RUN) -m bench --quick $(OPTIONS)

bench-grow: $(READY_TO_BENCH)  ## Measure how cost grows: connections, sizes, receivers; charts for the docs
	@$(RUN) -m bench.grow $(OPTIONS)

bench-guard: $(READY)  ## Count the instructions of an echo; 5 % more than expected fails
	@$(RUN) -m bench.guard $(OPTIONS)

wheels: $(READY)  ## Install each adapter alone, from its built wheel, and run its program
	@$(RUN) tests/wheels.py

fuzz: $(READY)  ## Let Hypothesis search the core for long, then atheris, FUZZ_SECONDS a target
	@HYPOTHESIS_PROFILE=fuzz $(RUN) -m pytest -m hypothesis tests/wscore tests/fuzz
	@$(MAKE) --no-print-directory fuzz-quick FUZZ_SECONDS=$(FUZZ_SECONDS)

# Where atheris has no wheel, building it takes a Clang of its own: better without.
fuzz-quick: FUZZ_SECONDS = 5
fuzz-quick: $(READY)  ## Let atheris search the core for seconds, where it can be installed
	@$(RUN) -m pip install --quiet --only-binary atheris --group fuzz 2>/dev/null || true
	@$(RUN) -m tests.fuzz.with_atheris $(FUZZ_SECONDS)

clean:  ## Remove .venv and everything else that was made here
	@rm -rf .venv build dist packages/*/build packages/*/src/*/*.so .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find packages tests docs examples bench -name __pycache__ -type d -prune -exec rm -rf {} +

# Setting up goes in one line of steps, so that two targets at a time never install at once.

$(READY): $(PROJECTS) | $(RUN)
	@echo "==> Setting up (2/3): the packages and what the tests need"
	@$(call install,--upgrade "pip>=25.1")
	@$(call install,$(PACKAGES) --group test)
	@touch $@

$(READY_TO_CHECK): $(READY)
	@echo "==> Setting up (3/3): linters, type checkers, documentation"
	@$(call install,--group check --group docs)
	@touch $@

$(READY_TO_BENCH): $(READY)
	@echo "==> Setting up: the peers to compare with"
	@$(call install,--group bench)
	@touch $@

$(RUN):
	@for python in $(CANDIDATES); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		found=$$python; \
		"$$python" -c 'import ensurepip, venv' 2>/dev/null || continue; \
		echo "==> Setting up (1/3): .venv with $$("$$python" --version)"; \
		exec "$$python" -m venv --clear .venv; \
	done; \
	if [ "$$found" ]; then \
		echo "$$found lacks venv or ensurepip: install them (on Debian and Ubuntu the package" \
			"$$(basename "$$found")-venv), or name another Python: make PYTHON=..."; \
	else \
		echo "No Python 3.11 or later among: $(CANDIDATES)." \
			"Install one, or name it: make PYTHON=..."; \
	fi >&2; exit 1
