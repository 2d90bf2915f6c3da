# The common part of the Makefiles. Settings go on the command line, and on to the Makefiles below.

PYTHON     ?= python3
LOCAL_DIR  ?= .local
# quick is a fast debug build; release is the build for AWS.
BUILD      ?= quick
# Further arguments of pytest.
PYTEST     ?=

# cargo lambda names the target it builds for. With that target everywhere, tests, functions and
# `cargo lambda watch` share compiled code.
export CARGO_BUILD_TARGET := $(shell rustc --print host-tuple)
export PYTHONDONTWRITEBYTECODE = 1
# Cargo takes as many jobs as there are cores, not the rest of make's two.
export CARGO_MAKEFLAGS :=

ROOT     := $(patsubst %/scripts/settings.mk,%,$(abspath $(lastword $(MAKEFILE_LIST))))
HERE     := $(if $(findstring $(ROOT)/,$(CURDIR)),$(subst $(ROOT)/,-C ,$(CURDIR)) )
# Cargo runs in any folder, Python's packages only at the top.
AT_ROOT   = cd '$(ROOT)' &&
TOOLS     = $(AT_ROOT) $(PYTHON) -m scripts.tools
CHECKS    = $(AT_ROOT) .tools/checks/bin/python -m pytest
BUILT     = $(or $(CARGO_TARGET_DIR),$(ROOT)/target)/$(CARGO_BUILD_TARGET)

RELEASE   = cargo build --locked --quiet --release
# The settings that `cargo lambda build` reads in the manifests of all functions except apply.
ABORT     = --config 'profile.release.panic = "abort"'
define RELEASE_FUNCTIONS
$(RELEASE) $(ABORT) --package put --package read --package park
$(RELEASE) --package apply
endef

# The debug functions, in a folder of each target: nothing else replaces them while they run.
COPIED    = $(ROOT)/target/functions/$@
define DEBUG_FUNCTIONS
cargo build --locked --quiet --package put --package read --package apply --package park
@mkdir -p '$(COPIED)'
@cd '$(BUILT)/debug' && cp --force put read apply park '$(COPIED)'
endef

# Runs a command, and prints how many seconds it took.
TIMED     = bash -c 'TIMEFORMAT="== %0R s  $$*"; time "$$@"' -

.DEFAULT_GOAL := help
.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make $(HERE)%-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
