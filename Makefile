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
# The plan of a soak, and its further arguments.
SEED       ?=
SOAK       ?=
# Where the deployed functions find AWS, when it is not MiniStack itself (a fault-injecting proxy).
FUNCTIONS_ENDPOINT ?=
# quick compiles in a third of the time; release is what goes to AWS.
BUILD      ?= quick

export PYTHONDONTWRITEBYTECODE = 1

STACK = .tools/sam/bin/python scripts/stack.py
STACK_OPTIONS = --port '$(PORT)' --watch-port '$(WATCH_PORT)' --local-dir '$(LOCAL_DIR)' \
	--parameters '$(PARAMETERS)' --functions-endpoint '$(FUNCTIONS_ENDPOINT)' --build '$(BUILD)'

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo '  PORT=4566 (0: any)  LOCAL_DIR=.local  PARAMETERS="DefaultMode=deferred"  WATCH_PORT=9000  PYTHON=python3'

.PHONY: run
run: tools ## the whole service on this machine, until Ctrl-C
	@$(STACK) run $(STACK_OPTIONS)

.PHONY: up
up: tools ## the same in the background; again: deploy the current code to it
	@$(STACK) up $(STACK_OPTIONS)

.PHONY: down
down: tools ## stop what `make up` started
	@$(STACK) down $(STACK_OPTIONS)

.PHONY: watch
watch: tools ## like run, with functions that are rebuilt when their source changes
	@$(STACK) watch $(STACK_OPTIONS)

# With STACK_ENV=.local/stack.env the tests use that running stack and leave it alone.
.PHONY: end-to-end
end-to-end: tools ## deploy to MiniStack and test the service from outside (PYTEST="-k order")
	@$(PYTHON) scripts/tools.py tests schemathesis
	@.tools/tests/bin/python -m pytest tests/end_to_end $(PYTEST)

# With STACK_ENV=.local/stack.env they use that running stack. OUTAGE_SECONDS=60 is the long form.
.PHONY: faults
faults: BUILD = release
faults: tools ## every row of the design's failure table, on the deployed stack
	@$(PYTHON) scripts/tools.py tests microburst
	@BUILD='$(BUILD)' SEED='$(SEED)' .tools/tests/bin/python -m pytest tests/faults $(PYTEST)

.PHONY: soak
soak: BUILD = release
soak: tools ## 10,000 deferred PUTs and others under random faults (SEED= replays a plan)
	@$(PYTHON) scripts/tools.py tests microburst
	@BUILD='$(BUILD)' PYTHONPATH=tests/soak:tests/faults:tests/end_to_end \
		.tools/tests/bin/python tests/soak/soak.py --seed '$(SEED)' $(SOAK)

.PHONY: tools
tools: ## install the pinned tools into .tools/ (run and up do it by themselves)
	@$(PYTHON) scripts/tools.py

.PHONY: test
test: units end-to-end faults ## all tests, through the deployed template included

.PHONY: units
units: ## the tests that need no stack: unit, property, contract, repository
	cargo test --workspace --quiet

# cargo-fuzz's flags, which stable Rust takes too; with --target they are not those of build scripts.
SECONDS    ?= 60
FUZZ_TARGET = $(shell rustc --print host-tuple)
FUZZ_FLAGS  = --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1

.PHONY: fuzz
fuzz: ## the check of bodies against serde_json for SECONDS=60 (needs a C++ compiler)
	@mkdir -p target/fuzz/corpus
	cd fuzz && RUSTFLAGS='$(FUZZ_FLAGS)' CARGO_TARGET_DIR=../target/fuzz cargo run --locked --release --quiet \
		--target $(FUZZ_TARGET) -- -max_total_time=$(SECONDS) -max_len=4096 -dict=json.dict \
		-artifact_prefix=../target/fuzz/ -print_final_stats=1 ../target/fuzz/corpus

.PHONY: simulation
simulation: ## the rules under SCHEDULES=10000000 seeded schedules, with what occurred in them
	SIMULATION_SCHEDULES='$(SCHEDULES)' cargo test --package tests --test simulation -- schedules --nocapture

.PHONY: lint
lint: tools ## formatting, clippy with warnings denied, the template
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	@.tools/sam/bin/python scripts/stack.py validate
