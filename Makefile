# Two commands do everything: `make demo` and `make test`. Repeated calls are quick: a stamp
# in .venv says what is installed, and it is renewed when a lock file or setup.py changes.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check
FAST := not slow and not interop
DEBS ?= yes

.DEFAULT_GOAL := help
.PHONY: help demo run check lint types fast test rest debs bench clean

help:
	@echo 'make demo    set up, then a real mutual-TLS call with SRTP through a lab SBC'
	@echo 'make test    set up, Debian packages included where root, then every check and test'
	@echo 'make run     start the lab SBC of this directory and stay'
	@echo 'make check   lint, types and the fast tests: under a minute'
	@echo 'make bench   the benchmarks'
	@echo 'make clean   remove .venv and every cache'

demo: $(VENV)/.run
	$(VENV)/bin/sbc demo

run: $(VENV)/.run
	$(VENV)/bin/sbc lab-pki -c .
	$(VENV)/bin/sbc run -c .

check: lint types fast

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.dev
	$(VENV)/bin/mypy --strict

fast: $(VENV)/.dev
	$(PY) -m pytest -q -n 2 -m '$(FAST)'

test: debs
	@$(MAKE) --no-print-directory check rest

rest: $(VENV)/.dev
	$(PY) -m pytest -q -m 'slow or interop'

debs:
ifeq ($(DEBS),yes)
	@sh tests/debian-packages.sh tests/debian-packages.txt
else
	@echo 'DEBS=$(DEBS): Debian packages are not looked at; tests that miss one skip, and say so'
endif

bench: $(VENV)/.dev debs
	@echo rtpengine-daemon | sh tests/debian-packages.sh -
	$(PY) -m bench

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo >&2 \
	  'Portcullis needs Python 3.11 or later: $(PYTHON) is not here. Debian: apt-get install python3'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo >&2 \
	  "Portcullis needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -V). Say make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo python3-venv | sh tests/debian-packages.sh - && $(PYTHON) -c 'import ensurepip, venv'; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The lock first, exactly; then Portcullis itself, which may not pull in anything more.
$(VENV)/.run: $(VENV)/.made requirements.lock setup.py
	$(PIP) install -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	$(PIP) install -r requirements-dev.lock
	@touch $@
