#!/bin/sh
# Removes what setting up and running left in this checkout, and what Docker keeps of its private broker.
set -eu
cd "$(dirname "$0")/../.."

if [ -e .run/lock ] && ! flock --nonblock .run/lock true; then
  echo "Warren runs from this folder: stop it first with Ctrl-C there" >&2
  exit 1
fi
if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
  name=warren-$(printf %s "$(pwd -P)/.run/rabbitmq" | sha256sum | cut -c 1-8) # as docker_broker.py names it
  docker rm --force "$name" >/dev/null 2>&1 || true
  docker volume ls --quiet --filter "name=$name" | xargs -r docker volume rm >/dev/null
fi
rm -rf .venv node_modules .run .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
