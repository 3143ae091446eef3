#!/bin/sh
# Writes all dependency locks anew. Arguments go to uv: --upgrade, --upgrade-package NAME.
set -eu
cd "$(dirname "$0")/../.."
uv=.venv/bin/uv

compile() { # OUTPUT INPUT... [OPTION...]
  output=$1
  shift
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --custom-compile-command "make lock" \
    --no-emit-package warren-shared --no-emit-package warren-api --no-emit-package warren-auth --no-emit-package warren-console \
    --no-emit-package warren-gateway --no-emit-package warren-history --no-emit-package warren-presence \
    --no-emit-package warren-provision --no-emit-package warren-dev \
    --output-file "$output" "$@"
}

compile requirements/dev.txt requirements/dev.in "$@"
compile requirements/run.txt requirements/run.in --constraint requirements/dev.txt
compile requirements/node.txt requirements/node.in "$@"
compile requirements/build.txt requirements/build.in --constraint requirements/dev.txt
for service in api auth console gateway history presence; do
  printf './shared\n./services/%s\n' "$service" >"requirements/.service.in"
  compile "services/$service/requirements.txt" requirements/.service.in --constraint requirements/dev.txt
done
printf './shared\n./infra/provision\n' >requirements/.service.in
compile infra/provision/requirements.txt requirements/.service.in --constraint requirements/dev.txt
rm requirements/.service.in

npm install --package-lock-only --ignore-scripts --silent
if grep -rlE 'https?://' requirements/*.txt services/*/requirements.txt infra/provision/requirements.txt package-lock.json; then
  echo "the locks named above name hosts: they must not" >&2
  exit 1
fi
