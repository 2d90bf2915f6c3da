# Everything to do with this repository. `make` alone lists the targets.
# Settings go on the command line, for example: make up PORT=0 LOCAL_DIR=.local2

PYTHON     ?= python3
PORT       ?=
WATCH_PORT ?= 9000
LOCAL_DIR  ?= .local
PARAMETERS ?=
# Of make simulation.
SCHEDULES  ?= 1000000
# Further arguments of pytest.
PYTEST     ?=
# How many PUTs a soak sends, the seed of its plan, and further arguments.
PUTS       ?= 1000000
SEED       ?=
SOAK       ?=
# quick is a debug build, soon done; release is what goes to AWS.
BUILD      ?= quick

export PYTHONDONTWRITEBYTECODE = 1
# cargo lambda names the target it builds for. With that target everywhere, tests, functions and
# `cargo lambda watch` share what is compiled; without debug information it is small and soon done.
export CARGO_BUILD_TARGET := $(shell rustc --print host-tuple)
export CARGO_PROFILE_DEV_DEBUG = 0

LOCAL_STACK = .tools/sam/bin/python -m scripts.stack
STACK_OPTIONS = --port '$(PORT)' --watch-port '$(WATCH_PORT)' --local-dir '$(LOCAL_DIR)' \
	--parameters '$(PARAMETERS)' --build '$(BUILD)'

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo '  PORT=4566 (0: any)  LOCAL_DIR=.local  PARAMETERS="DefaultMode=deferred"  WATCH_PORT=9000  PYTHON=python3'

.PHONY: run
run: stack-tools ## the whole service on this machine, until Ctrl-C
	@$(LOCAL_STACK) run $(STACK_OPTIONS)

.PHONY: up
up: stack-tools ## the same in the background; again: deploy the current code to it
	@$(LOCAL_STACK) up $(STACK_OPTIONS)

.PHONY: down
down: stack-tools ## stop what `make up` started
	@$(LOCAL_STACK) down $(STACK_OPTIONS)

.PHONY: watch
watch: stack-tools ## like run, with functions that are rebuilt when their source changes
	@$(LOCAL_STACK) watch $(STACK_OPTIONS)

.PHONY: test
test: units deployed soak-short bench-short resource ## all tests

.PHONY: units
units: ## the tests that need no stack
	cargo test --workspace --quiet

.PHONY: events
events: ## write the sample events, and what the tests know of the resource, from crates/resource
	@cargo run --quiet --package events

# With STACK_ENV=.local/stack.env the tests use that running stack and leave it alone.
.PHONY: deployed
deployed: tools ## deploy to MiniStack and test the service from outside (PYTEST="-k order")
	@BUILD='$(BUILD)' PARAMETERS='$(PARAMETERS)' .tools/checks/bin/python -m pytest $(PYTEST)

# RESOURCE= runs all: these two have not been seen green since the resource is one crate (issue 15).
RESOURCE   ?= not rust_tests and not deployed_resource

.PHONY: resource
resource: tools ## docs/make-it-yours.md, followed step by step in a copy
	@.tools/checks/bin/python -m pytest tests/resource -k '$(RESOURCE)'

# A deployed stack; its API's custom domain, if it has one; with AuthMode jwt an access token.
STACK      ?=
API_URL    ?=
TOKEN      ?=
# Seconds without a request before the last one; 0 leaves that out.
IDLE       ?= 600
export TOKEN

.PHONY: smoke
smoke: ## the first thing on AWS: tests from outside, and a report: STACK=name (API_URL=… TOKEN=… IDLE=0)
	@test -n '$(STACK)' || { echo 'error: which stack? make smoke STACK=name' >&2; exit 1; }
	@$(PYTHON) -m scripts.tools sam checks
	@SMOKE_STACK='$(STACK)' API_URL='$(API_URL)' IDLE='$(IDLE)' .tools/checks/bin/python -m pytest -m smoke $(PYTEST)

SAM_LOCAL = .tools/sam/bin/python -m scripts.sam_local --local-dir '$(LOCAL_DIR)'
FUNCTION   ?= PutFunction
EVENT      ?= events/put-inline.json
SAM_PORT   ?= 3000

.PHONY: sam-local
sam-local: tools ## every sample event through the real sam local, in Docker (yours, or as root one of its own)
	@BUILD='$(BUILD)' .tools/checks/bin/python -m pytest -m sam_local $(PYTEST)

.PHONY: sam-invoke
sam-invoke: stack-tools ## one of them, on the stack of make up: FUNCTION=PutFunction EVENT=events/put-inline.json
	@$(SAM_LOCAL) invoke '$(FUNCTION)' '$(EVENT)'

.PHONY: sam-api
sam-api: stack-tools ## sam local start-api on the stack of make up, until Ctrl-C (SAM_PORT=3000)
	@$(SAM_LOCAL) start-api --port '$(SAM_PORT)'

.PHONY: clients
clients: ## generate clients from docs/openapi.yaml and let them talk to the service
	@$(MAKE) deployed PYTEST='tests/deployed/test_generated.py tests/deployed/test_helpers.py'

BUILT       = target/$(CARGO_BUILD_TARGET)
# With symbols, which tell make bench what the binaries consist of.
RELEASE     = CARGO_PROFILE_RELEASE_STRIP=none cargo build --locked --quiet --release
# As `cargo lambda build` reads it in the manifests of all functions but apply.
ABORT       = --config 'profile.release.panic = "abort"'
FUNCTIONS   = $(addprefix --package ,put read apply park)
define RELEASE_FUNCTIONS
$(RELEASE) $(ABORT) --package put --package read --package park
$(RELEASE) --package apply
endef

.PHONY: soak
soak: ## PUTS=1000000 through the release binaries under faults of every kind (SEED= takes up a plan)
	$(RELEASE_FUNCTIONS)
	cargo build --locked --quiet --profile soak --package soak
	$(BUILT)/soak/soak --bins $(BUILT)/release --puts '$(PUTS)' $(if $(SEED),--seed '$(SEED)') $(SOAK)

# With the debug binaries of the local stack, which need no link of minutes.
.PHONY: soak-short
soak-short: ## the same with debug binaries, 5,000 PUTs and a fixed seed, for the gate
	cargo build --locked --quiet $(FUNCTIONS)
	cargo build --locked --quiet --package soak
	$(BUILT)/debug/soak --bins $(BUILT)/debug --puts 5000 --seed 1 $(SOAK)

# Further arguments of bench, such as --only start-up,warm or --rounds 3.
BENCH      ?=
BARE        = bare-http bare-events bare-calls bare-batch
STRIPPED    = target/bench
define STRIP
@mkdir -p $(STRIPPED)
@for program in put read apply park $(1); do \
	strip -o $(STRIPPED)/$$program $(BUILT)/release/$$program || exit 1; \
done
endef

.PHONY: bench
bench: ## the release binaries side by side with bare ones (BENCH="--only warm")
	$(RELEASE) $(ABORT) --package put --package read --package park --package bare --bins
	$(RELEASE) --package apply --package bare --bin apply --bin bare-events --bin bare-batch
	cargo build --locked --quiet --profile soak --package bench
	$(call STRIP,$(BARE))
	$(BUILT)/soak/bench --functions $(STRIPPED) --bare $(STRIPPED) --symbols $(BUILT)/release --json target/bench.json $(BENCH)

.PHONY: bench-peers
bench-peers: ## the same, with a plain Express, Flask and Rust function beside ours
	@$(PYTHON) -m scripts.tools peers
	@$(PYTHON) -m tests.bench.peers
	@$(MAKE) bench BENCH='--peers target/peers/peers.json $(BENCH)'

.PHONY: bench-docs
bench-docs: ## put what make bench measured last into docs/performance.md, with its pictures
	@$(PYTHON) -m scripts.tools pictures
	@.tools/pictures/bin/python -m tests.bench.report target/bench.json

.PHONY: bench-short
bench-short: ## what is exact, for the gate: sizes, calls and capacity units of each kind of request
	$(RELEASE_FUNCTIONS)
	cargo build --locked --quiet --package bench
	$(call STRIP)
	$(BUILT)/debug/bench --functions $(STRIPPED) --bare $(STRIPPED) --only size,calls

.PHONY: tools
tools: ## install the pinned tools into .tools/
	@$(PYTHON) -m scripts.tools ministack sam cargo-lambda checks clients lint security node generators

.PHONY: requirements
requirements: ## pin what scripts/requirements/pyproject.toml asks for (UPGRADE=--upgrade: newer versions)
	@$(PYTHON) -m scripts.tools
	.tools/uv/bin/uv --no-config lock --project scripts/requirements $(UPGRADE)

# What run, up, down and watch need of them.
.PHONY: stack-tools
stack-tools:
	@$(PYTHON) -m scripts.tools ministack sam cargo-lambda

# cargo-fuzz's flags, which stable Rust takes too; with --target they are not those of build scripts.
SECONDS    ?= 60
FUZZ_TARGET = $(shell rustc --print host-tuple)
FUZZ_FLAGS  = --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1

.PHONY: fuzz
fuzz: fuzz-body fuzz-event ## bodies against serde_json, then events of the gateway, SECONDS=60 each (needs a C++ compiler)

.PHONY: fuzz-body fuzz-event
fuzz-body fuzz-event: fuzz-%:
	@mkdir -p target/fuzz/corpus-$*
	@cp events/*.json target/fuzz/corpus-$*/
	cd tests/fuzz && RUSTFLAGS='$(FUZZ_FLAGS)' CARGO_TARGET_DIR=../../target/fuzz cargo run --locked --release --quiet \
		--target $(FUZZ_TARGET) --bin $* -- -max_total_time=$(SECONDS) -max_len=8192 -dict=json.dict \
		-artifact_prefix=../../target/fuzz/ -print_final_stats=1 ../../target/fuzz/corpus-$*

# Each mutant is judged by all Rust tests, the simulation included; that takes hours.
# MUTANTS="--package rules --test-package rules" takes seconds for each.
MUTANTS    ?=
CARGO_MUTANTS = .tools/cargo-mutants/bin/cargo-mutants

.PHONY: mutants
mutants: ## mistakes put into the code, one by one, which the Rust tests must notice (MUTANTS="--package put")
	@test -x $(CARGO_MUTANTS) || cargo install --quiet --locked --root .tools/cargo-mutants cargo-mutants@27.1.0
	$(CARGO_MUTANTS) mutants --config .ci/mutants.toml --test-workspace true --output target $(MUTANTS)

.PHONY: scale
scale: ## the table and the picture of docs/scale.md: the backlog around an outage
	@$(PYTHON) -m scripts.tools pictures
	.tools/pictures/bin/python -m docs.backlog --write

.PHONY: simulation
simulation: ## the functions under SCHEDULES=10000000 seeded schedules, with what occurred in them
	SIMULATION_SCHEDULES='$(SCHEDULES)' cargo test --package tests --test simulation -- schedules --nocapture

LINT = .tools/lint/bin
NPM_TOOL = .tools/node/bin/node .tools/node/node_modules/.bin

.PHONY: advisories
advisories: tools ## look for known weaknesses of the dependencies (needs GitHub)
	$(LINT)/cargo-deny --locked --config .ci/deny.toml check advisories

.PHONY: lint
lint: tools ## formatting, linters with warnings denied, types, licences, spelling, the template
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	@RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --quiet
	@$(LINT)/cargo-deny --locked --config .ci/deny.toml --log-level error check licenses bans sources
	@$(LINT)/cargo-shear --color never > target/shear.log || { cat target/shear.log; exit 1; }
	@$(LINT)/typos
	@test "$$(uname -m)" != x86_64 || $(LINT)/shellcheck .ci/run
	@$(LINT)/yamllint --strict --config-file .ci/yamllint.yaml .
	@$(LINT)/zizmor --offline --quiet --no-progress .github
	@.tools/checks/bin/ruff check --quiet
	@.tools/checks/bin/ruff format --check --quiet
	@.tools/checks/bin/python -m mypy
	@$(NPM_TOOL)/spectral lint --quiet --ruleset .ci/spectral.yaml --fail-severity hint docs/openapi.yaml
	@REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true $(NPM_TOOL)/redocly lint --config .ci/redocly.yaml docs/openapi.yaml
	@$(LOCAL_STACK) validate
	@.tools/sam/bin/python -m scripts.transformed
	@LOG_LEVEL=ERROR .tools/security/bin/python -m checkov.main --config-file .ci/checkov.yaml
