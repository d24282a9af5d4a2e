# Two commands do everything: `make demo` and `make test`. Repeated calls are quick: a stamp
# in .venv says what is installed, and it is renewed when a lock file, setup.py or a source changes.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check
BUILD := $(VENV)/build
PACKAGED := $(shell find dsl sbc webui -type f -not -name '*.pyc')
SITE = $(shell $(PY) -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
FAST := not slow and not interop
DEBS ?= yes
# The Python that Debian itself brings, which has other faults than a newer one of the same version.
DEBIAN ?= /usr/bin/python3
# The order of the tests in `make installed`.
SEED ?= 1
# What pytest makes of the tests is worth keeping: compiling four thousand of them anew takes ten seconds.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo run check lint types fast fast-edge fast-unit fast-others test installed debian rest \
  long soak debs bench install deb clean

help:
	@echo 'make demo    set up, then a real mutual-TLS call with SRTP through a lab SBC'
	@echo 'make test    set up, Debian packages included where root, then every check and test'
	@echo 'make run     start the lab SBC of this directory and stay'
	@echo 'make check   lint, types and the fast tests: under a minute'
	@echo 'make long    repeats, soaks, other Pythons: hours; goes on where it ended (FRESH=1 begins anew)'
	@echo 'make soak    calls, registrations, reloads and scans for HOURS=4: does anything grow?'
	@echo 'make bench   the benchmarks'
	@echo 'make install  the service, where root: user, init script, unit; DESTDIR=... into a directory'
	@echo 'make deb     the same as a Debian package in build/, for the Python that Debian brings'
	@echo 'make clean   remove .venv and every cache'

demo: $(VENV)/.run
	$(VENV)/bin/sbc demo

run: $(VENV)/.run
	$(VENV)/bin/sbc lab-pki -c .
	$(VENV)/bin/sbc run -c .

# Side by side, for some of it waits. Few by pytest-xdist, which collects everything in every worker.
check: $(VENV)/.dev
	@$(MAKE) --no-print-directory -j4 --output-sync=target lint types fast-edge fast-unit fast-others

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.dev
	$(VENV)/bin/mypy --strict

fast: $(VENV)/.dev
	@$(MAKE) --no-print-directory -j3 --output-sync=target fast-edge fast-unit fast-others

# They wait for sockets more than they compute.
fast-edge: $(VENV)/.dev
	$(PY) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m '$(FAST)' tests/edge

fast-unit: $(VENV)/.dev
	$(PY) -m pytest -q -m '$(FAST)' tests/unit

fast-others: $(VENV)/.dev
	$(PY) -m pytest -q -m '$(FAST)' $(filter-out tests/edge/ tests/unit/,$(sort $(wildcard tests/[a-z]*/)))

# Compiling keeps one processor busy, the fast tests wait a little: those two side by side.
test: debs
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory -j2 --output-sync=target debian $(VENV)/.run
	@$(MAKE) --no-print-directory installed rest

# The fast tests on Debian's own Python, where that is another one; nothing is compiled for it.
debian: $(VENV)/.made
	@if ! $(DEBIAN) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo '*** $(DEBIAN) IS NOT PYTHON 3.11 OR LATER: the tests run on $(PYTHON) alone'; \
	elif [ "$$($(DEBIAN) -VV)" = "$$($(PY) -VV)" ]; then \
	  echo '*** $(DEBIAN) IS THE PYTHON OF THE OTHER TESTS: not run twice'; \
	elif ! $(DEBIAN) -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo '*** $(DEBIAN) MAKES NO ENVIRONMENT: apt-get install python3-venv; not tested on it'; \
	else \
	  echo "The fast tests on Debian's own $$($(DEBIAN) -V), pure"; \
	  PORTCULLIS_PURE=1 $(MAKE) --no-print-directory PYTHON=$(DEBIAN) VENV=$(VENV)/debian fast; \
	fi

# Which tests take longest is told each time, so that nobody has to guess.
SLOWEST = --durations 20 --durations-min 8

# What was installed, compiled or not: the fast tests in the order of SEED, and of the edge the slow ones too.
# `pure` ones replace methods inside the product. A file stays whole, for its tests share a running SBC.
INSTALLED = $(PY) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder -o pythonpath='$(SITE) .' \
  -p tests.shuffled --shuffle $(SEED) $(SLOWEST)
installed: $(VENV)/.dev $(VENV)/.run
	$(INSTALLED) -m '$(FAST) and not pure' \
	  tests/unit tests/playbook tests/property tests/vectors tests/arch/test_compiled.py
	$(INSTALLED) -n 6 -m 'not interop and not pure and not long' tests/edge tests/arch/test_compiled.py

# Most of them wait for peers, so that there may be more than processors; those that wait longest come first.
# Every worker reads all files that it is given: only such as have any of these tests.
SLOW = $(sort $(shell grep -lrE 'mark\.(slow|interop)' --include='test_*.py' $(filter-out tests/edge/,$(wildcard tests/[a-z]*/))))
rest: $(VENV)/.dev $(VENV)/.run
	$(PY) -m pytest -q -n 6 --dist loadfile --no-loadscope-reorder $(SLOWEST) -m '(slow or interop) and not long' \
	  $(filter tests/interop/%,$(SLOW)) $(filter-out tests/interop/%,$(SLOW))

# What takes hours, step by step: tests/long.py. ONLY='STEP ...' runs some steps.
long: $(VENV)/.dev $(VENV)/.run debs
	$(PY) -m tests.long $(if $(FRESH),--fresh) $(ONLY)

# Memory, descriptors, greenlets and ports, sampled while everything goes on at once: HOURS=0.5 for half of one.
HOURS ?= 4
soak: $(VENV)/.dev $(VENV)/.run debs
	PYTHONPATH='$(SITE):.' $(PY) -P -m bench.soak --hours $(HOURS)

debs:
ifeq ($(DEBS),yes)
	@sh tests/debian-packages.sh tests/debian-packages.txt
else
	@echo 'DEBS=$(DEBS): Debian packages are not looked at; tests that miss one skip, and say so'
endif

# One of them, or two checkouts beside each other: make bench BENCH='compare ../before' (docs/bench.md).
bench: $(VENV)/.dev $(VENV)/.run debs
	PYTHONPATH='$(SITE):.' $(PY) -P -m bench $(BENCH)

# The service: packages in a directory of their own, `sbc`, the init script and the unit (docs/install.md).
install: $(VENV)/.run
	DESTDIR='$(DESTDIR)' sh packaging/install.sh $(PY) $(BUILD)/*.whl

# An environment of its own, for Debian's Python: what is compiled for another one does not run there.
deb:
	@$(MAKE) --no-print-directory PYTHON=$(DEBIAN) VENV=$(VENV)/package $(VENV)/package/.run
	@sh packaging/deb/build.sh $(VENV)/package/bin/python $(VENV)/package/build/*.whl build

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

# The lock first, exactly. mypyc, which is part of mypy, is only needed to build, and not even there.
$(VENV)/.locked: $(VENV)/.made requirements.lock requirements-dev.lock
	$(PIP) install -r requirements.lock
	@$(PIP) install -c requirements-dev.lock mypy || echo >&2 'mypy does not install here'
	@touch $@

# Then Portcullis itself, as a wheel and outside of the checkout: compiled where that can be done (setup.py).
$(VENV)/.run: $(VENV)/.locked setup.py pyproject.toml $(PACKAGED)
	@echo 'Building Portcullis; the first time this takes a minute (PORTCULLIS_PURE=1 does without compiling)'
	@mkdir -p $(BUILD) && rm -f $(BUILD)/*.whl
	@PORTCULLIS_BUILD=$(BUILD) $(PY) -W ignore -c "import setuptools.build_meta as backend; \
	  backend.build_wheel('$(BUILD)', {'--global-option': ['--quiet']})"
	$(PIP) install --no-deps --force-reinstall $(BUILD)/*.whl
	@$(VENV)/bin/sbc --version
	@touch $@

$(VENV)/.dev: $(VENV)/.locked requirements-dev.lock
	$(PIP) install -r requirements-dev.lock
	@touch $@
