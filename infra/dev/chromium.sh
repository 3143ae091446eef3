#!/bin/sh
# Sees to it that the browser tests have Debian's Chromium: installs it where this user may.
# CHROMIUM names another executable. Elsewhere one line says so and the tests are skipped, but never in CI (CI=true).
set -eu
if command -v "${CHROMIUM:-chromium}" >/dev/null; then exit 0; fi
if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
  echo "setup: installing the package chromium"
  log=$(mktemp)
  root=""
  [ "$(id -u)" = 0 ] || root="sudo -n"
  if $root apt-get update -q >"$log" 2>&1 &&
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium >>"$log" 2>&1; then
    exit 0
  fi
  tail -n 5 "$log" >&2
fi
echo "setup: there is no Chromium, so the browser tests cannot run. Type: sudo apt-get install -y chromium" >&2
[ "${CI:-}" != true ]
