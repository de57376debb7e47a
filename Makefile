# All set-up happens once: each step leaves a stamp, and a stamp that is there costs nothing.
#
#   make up         a running cloud; UP="..." hands options on to `kilostack up`
#   make down       stop it
#   make test       all set-up, then the tests that fit CI
#   make check      format, lint, types, imports, style
#   make system     tests with real guests that take longer       make conformance  OpenStack's own tests
#   make fault      a thousand seeds of the simulation            make bench        the numbers of SPEC.md
#   make plant      planted bugs, each found by a seed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

UP ?=
BIN := .venv/bin
STAMPS := .cache/stamps
SIMULATE := $(findstring --simulate,$(UP))

# Behind sudo everything but the packages belongs to who typed the command.
ifeq ($(filter-out 0,$(SUDO_UID)),)
AS_USER :=
else ifeq ($(shell id -u),0)
AS_USER := sudo -u '\#$(SUDO_UID)' -H --
endif

# A stamp is no proof in a checkout that has moved to another machine or user.
ifeq ($(wildcard /usr/bin/qemu-system-x86_64),)
PACKAGES_GONE := gone
endif
ifeq ($(wildcard $(firstword $(file <$(STAMPS)/image) none)),)
IMAGE_GONE := gone
endif
ifeq ($(wildcard $(BIN)/python),)
VENV_GONE := gone
endif

help:
	@sed -n '3,9s/^# \{0,1\}//p' Makefile

up: $(if $(SIMULATE),setup-simulated,setup)
	@$(BIN)/kilostack up $(UP)

down:
	@$(BIN)/kilostack down

# Two steps wait for the network most of the time, so they run side by side.
setup:
	@$(MAKE) -s --no-print-directory -j4 $(STAMPS)/packages $(STAMPS)/venv-run $(STAMPS)/image PYTHON_PACKAGES=$(STAMPS)/python

setup-simulated: $(STAMPS)/venv-run

image: $(STAMPS)/image

$(STAMPS)/python: tools/packages $(PACKAGES_GONE)
	@tools/packages install python
	@$(AS_USER) sh -c 'mkdir -p $(@D) && touch $@'

$(STAMPS)/packages: tools/packages $(STAMPS)/python $(PACKAGES_GONE)
	@tools/packages install run image
	@$(AS_USER) sh -c 'mkdir -p $(@D) && touch $@'

$(STAMPS)/packages-test: tools/packages $(STAMPS)/packages $(PACKAGES_GONE)
	@tools/packages install test
	@$(AS_USER) sh -c 'mkdir -p $(@D) && touch $@'

$(STAMPS)/packages-system: tools/packages $(STAMPS)/packages-test $(PACKAGES_GONE)
	@tools/packages install system
	@$(AS_USER) sh -c 'mkdir -p $(@D) && touch $@'

$(STAMPS)/venv-run: requirements/build.txt requirements/run.txt requirements/client.txt tools/venv $(VENV_GONE) | $(PYTHON_PACKAGES)
	@echo 'Making .venv'
	@$(AS_USER) sh -c 'PYTHON=$(PYTHON) tools/venv run client && mkdir -p $(@D) && touch $@'

$(STAMPS)/venv-dev: $(STAMPS)/venv-run requirements/dev.txt
	@echo 'Making .venv ready for tests'
	@$(AS_USER) sh -c 'PYTHON=$(PYTHON) tools/venv run client dev && mkdir -p $(@D) && touch $@'

$(STAMPS)/image: tools/guest-image $(shell find tools/guest -type f) $(IMAGE_GONE) | $(STAMPS)/packages
	@echo 'Building image tiny'
	@$(AS_USER) sh -c 'mkdir -p $(@D) && tools/guest-image --cached > $@.new && mv $@.new $@'

gone:

# What needs no guests first, then the simulation, then one journey with real guests.
LATER := tests/sim tests/journey tests/fault tests/system tests/__pycache__
EARLY := $(filter-out $(LATER:%=%/),$(sort $(wildcard tests/*/)))
PYTEST := $(BIN)/python -m pytest -p tests.tally

setup-test: setup
	@$(MAKE) -s --no-print-directory -j2 $(STAMPS)/packages-test $(STAMPS)/venv-dev PYTHON_PACKAGES=$(STAMPS)/python

test: setup-test
	@$(PYTEST) $(EARLY) $(wildcard tests/sim tests/journey)

check: $(STAMPS)/venv-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) tests/style

system: setup-test $(STAMPS)/packages-system
	@tools/result system $(PYTEST) tests/system

fault: setup-test
	@tools/result fault $(PYTEST) tests/fault

plant: setup-test
	@tools/result plant tools/plant

conformance: setup-test
	@tools/result conformance $(BIN)/python tools/conformance

bench: setup-test
	@tools/result bench $(BIN)/python -m bench --real

.PHONY: help up down setup setup-simulated setup-test image gone test check system fault plant conformance bench
