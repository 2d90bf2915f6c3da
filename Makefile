# The most common commands. `make` alone lists them; tests/, tests/bench/ and events/ have more.
# Settings go on the command line, for example: make up PORT=0 LOCAL_DIR=.local2
include scripts/settings.mk

MAKEFLAGS += --jobs=2

PORT       ?= 4566
PARAMETERS ?=

help: more
.PHONY: more
more:
	@echo '  PORT=4566 (0: any)  LOCAL_DIR=.local  PARAMETERS="DefaultMode=deferred"  PYTHON=python3'
	@echo '  more in other folders: make -C tests, make -C tests/bench, make -C events'
	@echo

LOCAL_STACK = .tools/sam/bin/python -m scripts.stack
PLACE = --port '$(PORT)' --local-dir '$(LOCAL_DIR)'
# The tools for run, up, down and watch.
STACK_TOOLS = $(PYTHON) -m scripts.tools ministack sam cargo-lambda

.PHONY: run up down watch
run: ## the whole service on this machine, until Ctrl-C
up: ## the same in the background; run it again to deploy the current code
down: ## stop the stack of `make up`
watch: ## like run; functions are built again when their source changes
run up down watch:
	@$(if $(filter down,$@),,$(PYTHON) -m scripts.ports '$(PORT)' '$(LOCAL_DIR)')
	@$(STACK_TOOLS)
	@$(LOCAL_STACK) $@ $(PLACE) --parameters '$(PARAMETERS)' --build '$(BUILD)'

# Targets in the Makefile of a folder.
IN = --no-print-directory -C

.PHONY: test
test: deployed units soak-short bench-short resource-short ## all tests, two suites at a time

# Cargo builds one thing at a time, so that all is built before tests run side by side.
ifneq ($(filter test,$(MAKECMDGOALS)),)
deployed units: build
# While the linters run that compile nothing, the functions of the deployed tests are built.
lint-rust: lint-rest
soak-short bench-short: units
resource-short sam-local: deployed soak-short bench-short
endif

.PHONY: build
build: ## build the functions and everything that tests them
	@$(TIMED) cargo build --locked --quiet
	@$(TIMED) cargo build --locked --quiet --workspace --tests --bin soak --bin bench --bin events

.PHONY: units
units: ## only the tests that need no stack
	@$(TIMED) cargo test --workspace --quiet

.PHONY: soak-short bench-short resource-short
soak-short resource-short:
	@$(TIMED) $(MAKE) $(IN) tests $@
bench-short:
	@$(TIMED) $(MAKE) $(IN) tests/bench short

.PHONY: events
events: ## write the sample events and the test data of the resource, from crates/resource
	@cargo build --quiet --workspace --bin events
	@$(BUILT)/debug/events

# With STACK_ENV=.local/stack.env the tests use that running stack and keep it.
.PHONY: deployed
deployed: tools ## deploy to MiniStack and test the service from outside (PYTEST="-k order")
	@$(TIMED) env BUILD='$(BUILD)' PARAMETERS='$(PARAMETERS)' .tools/checks/bin/python -m pytest $(PYTEST)

# A deployed stack; the custom domain of its API, if any; an access token, with AuthMode jwt.
STACK      ?=
API_URL    ?=
TOKEN      ?=
# Seconds to wait before the last request; 0 leaves it out.
IDLE       ?= 600
export TOKEN

.PHONY: smoke
smoke: ## check a stack on AWS from outside and print a report: STACK=name (API_URL=… TOKEN=… IDLE=0)
	@test -n '$(STACK)' || { echo 'error: which stack? make smoke STACK=name' >&2; exit 1; }
	@$(PYTHON) -m scripts.tools sam checks
	@SMOKE_STACK='$(STACK)' API_URL='$(API_URL)' IDLE='$(IDLE)' .tools/checks/bin/python -m pytest -m smoke $(PYTEST)

.PHONY: sam-local
sam-local: tools ## run every sample event through the real sam local, in Docker (yours or, as root, a new engine)
	@cargo fetch --locked --quiet --target '$(CARGO_BUILD_TARGET)' # there is no network beside an engine of its own
	@$(TIMED) env BUILD='$(BUILD)' scripts/with_docker .tools/checks/bin/python -m pytest -m sam_local $(PYTEST)

.PHONY: soak
soak: ## send PUTS=1000000 through the release binaries, with faults of every kind
	@$(MAKE) $(IN) tests soak

.PHONY: bench
bench: ## measure the release binaries beside minimal functions (BENCH="--only warm")
	@$(MAKE) $(IN) tests/bench bench

.PHONY: tools
tools: ## install the pinned tools into .tools/
	@$(PYTHON) -m scripts.tools ministack sam cargo-lambda checks lint security node generators

LINT = .tools/lint/bin
NPM_TOOL = .tools/node/bin/node .tools/node/node_modules/.bin

.PHONY: lint lint-rust lint-rest
lint: lint-rest lint-rust ## formatting, linters with warnings denied, types, licences, spelling, the template
lint-rust:
	@$(TIMED) cargo clippy --workspace --all-targets --quiet -- --deny warnings
	@RUSTDOCFLAGS='--deny warnings' $(TIMED) cargo doc --workspace --no-deps --quiet
lint-rest: tools
	cargo fmt --all --check
	@mkdir -p target
	@$(LINT)/cargo-deny --locked --config .ci/deny.toml --log-level error check licenses bans sources
	@$(LINT)/cargo-shear --color never > target/shear.log || { cat target/shear.log; exit 1; }
	@$(LINT)/typos
	@test "$$(uname -m)" != x86_64 || $(LINT)/shellcheck .ci/run scripts/with_docker tests/dynamodb_local.sh
	@$(LINT)/yamllint --strict --config-file .ci/yamllint.yaml .
	@$(LINT)/zizmor --offline --quiet --no-progress .github
	@.tools/checks/bin/ruff check --quiet
	@.tools/checks/bin/ruff format --check --quiet
	@.tools/checks/bin/python -m mypy
	@$(PYTHON) -m scripts.counts
	@$(NPM_TOOL)/spectral lint --quiet --ruleset .ci/spectral.yaml --fail-severity hint docs/openapi.yaml
	@REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true $(NPM_TOOL)/redocly lint --config .ci/redocly.yaml docs/openapi.yaml
	@$(LOCAL_STACK) validate
	@.tools/sam/bin/python -m scripts.transformed
	@LOG_LEVEL=ERROR .tools/security/bin/python -m checkov.main --config-file .ci/checkov.yaml
