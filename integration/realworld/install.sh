#!/bin/sh
# Installs the pinned packages that the scripts of this folder use into target/realworld.
#
#   install.sh node      the packages of package-lock.json
#   install.sh python    the packages of requirements.txt, in a virtual environment
#
# Does nothing when they are installed already. When they cannot be installed it says why and ends with 1.
#
#   PYTHON=/path/to/python3   the Python to use; otherwise python3
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
TARGET=$(cd "$HERE/../.." && pwd)/target/realworld
PYTHON=${PYTHON:-python3}

unavailable() {
    echo "realworld: SKIPPED: $*" >&2
    exit 1
}

node_version_is_supported() {
    node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 11) ? 0 : 1)'
}

install_node() {
    command -v node >/dev/null 2>&1 || unavailable "node is not installed; Node.js 20.11 or later is required"
    node_version_is_supported || unavailable "node is $(node --version); Node.js 20.11 or later is required"
    cmp -s "$HERE/package-lock.json" "$TARGET/node_modules/.installed" && return
    command -v npm >/dev/null 2>&1 || unavailable "npm is not installed"
    cp "$HERE/package.json" "$HERE/package-lock.json" "$TARGET"
    # Without packages, each of many requests would otherwise be repeated for minutes.
    (cd "$TARGET" && npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 \
        --fetch-retry-mintimeout=1000 --fetch-timeout=30000) >"$TARGET/npm.log" 2>&1 ||
        unavailable "the npm packages cannot be installed (no network?), see $TARGET/npm.log"
    cp "$HERE/package-lock.json" "$TARGET/node_modules/.installed"
}

install_python() {
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 ||
        unavailable "$PYTHON is not Python 3.11 or later; PYTHON=... names another"
    cmp -s "$HERE/requirements.txt" "$TARGET/venv/.installed" && return
    rm -rf "$TARGET/venv"
    "$PYTHON" -m venv "$TARGET/venv" >"$TARGET/pip.log" 2>&1 ||
        unavailable "$PYTHON cannot make a virtual environment, see $TARGET/pip.log"
    "$TARGET/venv/bin/python" -m pip install --disable-pip-version-check --retries 1 --timeout 15 \
        --requirement "$HERE/requirements.txt" >"$TARGET/pip.log" 2>&1 ||
        unavailable "the Python packages cannot be installed (no network?), see $TARGET/pip.log"
    cp "$HERE/requirements.txt" "$TARGET/venv/.installed"
}

mkdir -p "$TARGET"
case ${1:-} in
node) install_node ;;
python) install_python ;;
*)
    echo "usage: install.sh node|python" >&2
    exit 2
    ;;
esac
