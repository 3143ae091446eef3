#!/bin/sh
# Prints a .env for docker compose: random passwords, and the knobs with their defaults.
set -eu

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

cat <<ENV
# Made by make compose-env; keep it to yourself. Ports on this machine:
PORT=8000
CONSOLE_PORT=8080
MANAGEMENT_PORT=15672
AMQP_PORT=5672

# Signs connection tokens; your backend needs it to make them.
WARREN_AUTH_TOKEN_HMAC_SECRET=$(random)

# Passwords of the broker's users.
WARREN_ADMIN_PASSWORD=$(random)
WARREN_GATEWAY_PASSWORD=$(random)
WARREN_AUTH_PASSWORD=$(random)
WARREN_PRESENCE_PASSWORD=$(random)
WARREN_HISTORY_PASSWORD=$(random)
BACKEND_PASSWORD=$(random)
ENV
