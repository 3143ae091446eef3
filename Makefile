# `make` explains itself. Everything it needs goes into .venv, node_modules and .run of this folder.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
VENV := .venv
PYTHON_SOURCES := shared services infra tests benchmarks examples
PACKAGES := shared services/api services/auth services/console services/gateway services/history services/presence infra/provision infra/dev
SETUP_INPUTS := $(addsuffix /pyproject.toml,$(PACKAGES)) package-lock.json infra/dev/setup.sh
COMPOSE := docker compose
# One at a time, for they share a broker and the machine's cores; the others run side by side.
SLOW_TESTS := broker or postgres or e2e or browser

# What the user said reaches the shell as variables: in the recipe's text a quote or $(...) would be the shell's.
token compose-token: export TOKEN_USER := $(value USER)
token compose-token: export TOKEN_CHANNELS := $(value CHANNELS)
token compose-token: export TOKEN_CHANNEL := $(value CHANNEL)
token compose-token: export TOKEN_TTL := $(value TTL)
chaos: export CHAOS_SEED := $(value SEED)
chaos: export CHAOS_MINUTES := $(value MINUTES)
chaos: export CHAOS_STORM := $(value STORM)
chaos: export CHAOS_CLUSTER := $(value CLUSTER)
chaos: export CHAOS_STORE := $(value STORE)
TOKEN_ARGUMENTS = --user="$$TOKEN_USER" --channels="$$TOKEN_CHANNELS" --channel="$$TOKEN_CHANNEL" --ttl="$$TOKEN_TTL"

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

##@ Use Warren

run: $(VENV)/.installed-run ## set up what is missing and run everything here: broker, services, console (GATEWAYS=2 PORT=8000 CONSOLE_PORT=8080 API_PORT=8070 PROXY_PORT=8090)
	@exec infra/dev/run.sh

token: $(VENV)/.installed-run ## print a connection token for `make run` (USER=alice CHANNELS=chat:a,chat:b TTL=1h), or one for a channel (CHANNEL='chat:$x')
	@WARREN_AUTH_TOKEN_HMAC_SECRET="$$(python -m warren_dev.token_secret)" \
	  exec python -m warren_auth.token_command $(TOKEN_ARGUMENTS)

trace: $(VENV)/.installed-run ## show the last publication's trace, from its publisher to the gateways (CONSOLE_PORT=8080)
	@exec python -m warren_console.trace_command --url "http://127.0.0.1:$(or $(CONSOLE_PORT),8080)"

##@ Work on Warren

setup: $(VENV)/.installed-dev ## install all that checks and tests need

check: static ## the quick part of the tests: style, types, import rules, generated docs, unit and contract tests
	pytest -q -n auto --dist worksteal -m "not ($(SLOW_TESTS))"

test: $(VENV)/.installed-dev ## everything: `check`, then a real broker and database, the real services, the official SDKs and a browser
	@infra/dev/chromium.sh
	@python -m warren_dev.postgres_package
	@python -m warren_dev.haproxy
	@$(MAKE) check
	pytest -m "$(SLOW_TESTS)"

test-aio-pika: $(VENV)/.installed-dev ## the end-to-end tests with the other AMQP driver
	WARREN_BROKER_DRIVER=aio-pika pytest tests/e2e

chaos: $(VENV)/.installed-dev ## break everything at random, and judge what subscribers got (SEED="1 2 3" MINUTES=3 STORM=2000 CLUSTER= STORE=sqlite)
	@PYTHONPATH=tests exec python -m chaos --seed $$CHAOS_SEED --minutes "$${CHAOS_MINUTES:-3}" --storm "$${CHAOS_STORM:-2000}" --store "$${CHAOS_STORE:-sqlite}" $${CHAOS_CLUSTER:+--cluster}

bench: $(VENV)/.installed-dev ## measure, and print the table of budgets
	@exec python -m benchmarks

docs: $(VENV)/.installed-dev ## write the generated pages of docs/ anew
	python -m warren_dev.reference

proto: $(VENV)/.installed-dev ## write the classes of the client protocol in Protobuf anew, from the gateway's client.proto
	infra/dev/proto.sh

lock: $(VENV)/.installed-dev ## write the dependency locks anew (LOCK="--upgrade" takes newer versions)
	infra/dev/lock.sh $(LOCK)

clean: ## remove what setting up and running left here: .venv, node_modules, .run, a container's data
	@infra/dev/clean.sh

##@ Containers

compose-env: .env ## make .env with random passwords for docker compose, unless there is one

compose-up: .env ## build the images and start everything with docker compose (PORT CONSOLE_PORT AMQP_PORT MANAGEMENT_PORT)
	@infra/compose/up.sh

compose-token: ## print a connection token for `make compose-up` (USER=alice CHANNELS=chat:a,chat:b TTL=1h), or one for a channel (CHANNEL='chat:$x')
	@exec $(COMPOSE) exec -T auth python -m warren_auth.token_command $(TOKEN_ARGUMENTS)

compose-down: ## stop it (the data stays; `docker compose down --volumes` removes that too)
	$(COMPOSE) down

help: ## show this
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo

.PHONY: run token trace setup check test test-aio-pika chaos bench docs proto lock clean compose-env compose-up compose-token compose-down help static

# --- how it is done -------------------------------------------------------------------------------

static: $(VENV)/.installed-dev
	ruff check .
	ruff format --check .
	mypy $(wildcard $(PYTHON_SOURCES))
	lint-imports
	python -m warren_dev.reference --check

$(VENV)/.installed-run: requirements/run.txt $(SETUP_INPUTS)
	@infra/dev/setup.sh run

$(VENV)/.installed-dev: requirements/dev.txt $(SETUP_INPUTS)
	@infra/dev/setup.sh dev

.env:
	@umask 077 && rm -f .env.new && infra/compose/make-env.sh > .env.new && mv .env.new .env
