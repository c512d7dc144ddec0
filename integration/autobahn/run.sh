#!/bin/sh
# Runs Autobahn|Testsuite against both sides of the proxy and compares with the expected results.
#
# Finds a Python 2.7, which the suite is written in, and a Python 3.11 for the driver, installs what they
# need into target/tools/autobahn the first time, builds the proxy, and leaves the rest to drive.py.
#
#   PY2=/path/to/python2.7   the Python for the suite; otherwise pyenv's, python2.7, python2, pypy
#   PY3=/path/to/python3     the Python for the driver; otherwise python3
#   UPDATE=1                 write the expected results anew
#   SIDES="connector"        one side only
#   CASES="7.* 9.1.1"        these cases only
set -eu

# The newest releases. The suite pins what it needs itself.
SUITE_VERSION=25.10.1
WEBSOCKETS_VERSION=17.4

ROOT=$(cd "$(dirname "$0")/../.." && pwd)
TOOLS=$ROOT/target/tools/autobahn
SUITE=$TOOLS/suite-$SUITE_VERSION
WEBSOCKETS=$TOOLS/websockets-$WEBSOCKETS_VERSION
PY3=${PY3:-python3}
STARTED=$(date +%s)

missing() {
    echo "make autobahn: NOT RUN: $*" >&2
    exit 1
}

is_python2() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' >/dev/null 2>&1
}

find_python2() {
    if [ -n "${PY2:-}" ]; then
        is_python2 "$PY2" || missing "PY2=$PY2 is no Python 2.7"
        return
    fi
    for PY2 in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/pypy2.7*/bin/pypy python2.7 python2 pypy2 pypy; do
        is_python2 "$PY2" && return
    done
    missing "no Python 2.7 here, which the suite needs; pyenv can install one, and PY2=... names one elsewhere"
}

# Each install goes to a name of its own first, so that one that was interrupted is not taken for whole.
install_suite() {
    if [ -d "$SUITE" ]; then return; fi
    "$PY2" -m pip --version >/dev/null 2>&1 || missing "$PY2 has no pip"
    echo "installing autobahntestsuite $SUITE_VERSION"
    rm -rf "$SUITE.new"
    "$PY2" -m pip install --quiet --disable-pip-version-check --target "$SUITE.new" \
        "autobahntestsuite==$SUITE_VERSION" >"$TOOLS/suite.log" 2>&1 ||
        missing "autobahntestsuite $SUITE_VERSION cannot be installed (no network?), see $TOOLS/suite.log"
    mv "$SUITE.new" "$SUITE"
}

install_websockets() {
    if [ -d "$WEBSOCKETS" ]; then return; fi
    "$PY3" -m pip --version >/dev/null 2>&1 || missing "$PY3 has no pip"
    echo "installing websockets $WEBSOCKETS_VERSION"
    rm -rf "$WEBSOCKETS.new"
    "$PY3" -m pip install --quiet --disable-pip-version-check --target "$WEBSOCKETS.new" \
        "websockets==$WEBSOCKETS_VERSION" >"$TOOLS/websockets.log" 2>&1 ||
        missing "websockets $WEBSOCKETS_VERSION cannot be installed (no network?), see $TOOLS/websockets.log"
    mv "$WEBSOCKETS.new" "$WEBSOCKETS"
}

find_python2
"$PY3" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 ||
    missing "$PY3 is no Python 3.11 or later, which the driver needs; PY3=... names one elsewhere"
command -v cargo >/dev/null 2>&1 || missing "no cargo here, which builds the proxy"
mkdir -p "$TOOLS"
install_suite
install_websockets
(cd "$ROOT" && cargo build --locked --release --quiet)

case ${UPDATE:-0} in
0) UPDATE= ;;
esac

STATUS=0
PYTHONPATH=$WEBSOCKETS PYTHONDONTWRITEBYTECODE=1 "$PY3" "$ROOT/integration/autobahn/drive.py" \
    --python2 "$PY2" --suite "$SUITE" --work "$ROOT/target/autobahn" \
    --proxy "${CARGO_TARGET_DIR:-$ROOT/target}/release/towline" \
    ${UPDATE:+--update} ${SIDES:+--sides "$SIDES"} ${CASES:+--cases "$CASES"} || STATUS=$?
echo "make autobahn: $(($(date +%s) - STARTED)) s in all"
exit "$STATUS"
