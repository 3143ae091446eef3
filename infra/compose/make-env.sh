#!/bin/sh
# Prints a .env for docker compose: random passwords, and the knobs with their defaults.
set -eu

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

cat <<ENV
# Made by make compose-env; keep it to yourself. Ports on this machine, of which
# AMQP_PORT and MANAGEMENT_PORT are RabbitMQ's; move them if one is taken:
PORT=8000
CONSOLE_PORT=8080
API_PORT=8070
MANAGEMENT_PORT=15672
AMQP_PORT=5672

# For development: the console, a page that hands out tokens for any user, and the traces it shows.
# In production take these two lines away: docs/operator.md, "In production".
COMPOSE_PROFILES=console
OTEL_EXPORTER_OTLP_ENDPOINT=http://console:8080

# What the images are made from. To pin one, add its digest: python:3.13-slim@sha256:...
RABBITMQ_IMAGE=rabbitmq:4-management
PYTHON_IMAGE=python:3.13-slim

# Signs connection tokens; your backend needs it to make them.
WARREN_AUTH_TOKEN_HMAC_SECRET=$(random)

# What backends show the HTTP API; several, separated by commas, while one replaces another.
WARREN_API_KEYS=$(random)

# Passwords of the broker's users.
WARREN_ADMIN_PASSWORD=$(random)
WARREN_GATEWAY_PASSWORD=$(random)
WARREN_API_PASSWORD=$(random)
WARREN_AUTH_PASSWORD=$(random)
WARREN_PRESENCE_PASSWORD=$(random)
WARREN_HISTORY_PASSWORD=$(random)
BACKEND_PASSWORD=$(random)

# With this line history keeps its store in PostgreSQL, in a container as well: docs/operator.md, "History's store".
#COMPOSE_FILE=docker-compose.yml:infra/compose/postgres.yml
POSTGRES_IMAGE=postgres:17
WARREN_POSTGRES_PASSWORD=$(random)
ENV
