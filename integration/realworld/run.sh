#!/bin/sh
# Runs real servers and their client libraries through the proxy, see docs/realworld.md.
#
#   SCENARIOS="graphql mqtt"   these only: graphql mqtt socketio recovery jupyter chromium chromium_auth
#   TOWLINE=/path/to/towline   the program under test; otherwise a development build
#   CHROMIUM=/path/to/chromium the browser; otherwise chromium or google-chrome
#   PYTHON=/path/to/python3    the Python for Jupyter; otherwise python3
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
WORK=$ROOT/target/realworld
SCENARIOS=${SCENARIOS:-graphql mqtt socketio recovery jupyter chromium chromium_auth}
PASSED=0
FAILED=0
SKIPPED=0

skip() {
    echo "SKIP $*"
    SKIPPED=$((SKIPPED + 1))
}

# The result lines of the log that begin with $1.
count() {
    grep -c "^$1 " "$LOG" || true
}

run() {
    LOG=$WORK/$(echo "$1" | tr / -).log
    STATUS=0
    node "$HERE/$1.mjs" >"$LOG" 2>&1 || STATUS=$?
    cat "$LOG"
    PASSED=$((PASSED + $(count PASS)))
    FAILURES=$(count FAIL)
    if [ "$STATUS" -ne 0 ] && [ "$FAILURES" -eq 0 ]; then
        echo "FAIL $1: ended with $STATUS"
        FAILURES=1
    fi
    FAILED=$((FAILED + FAILURES))
}

find_chromium() {
    for name in ${CHROMIUM:-chromium chromium-browser google-chrome}; do
        REALWORLD_CHROMIUM=$(command -v "$name") && export REALWORLD_CHROMIUM && return
    done
    return 1
}

# Why a scenario is skipped is the last line of what install.sh prints.
installed() {
    REASON=$("$HERE/install.sh" "$1" 2>&1) || return 1
}

scenario() {
    case $1 in
    graphql | mqtt | socketio | recovery) ;;
    jupyter) installed python || { skip "jupyter: ${REASON#realworld: SKIPPED: }" && return; } ;;
    chromium | chromium_auth)
        find_chromium || { skip "$1: Chromium is not installed; on Debian: apt-get install chromium" && return; }
        ;;
    *)
        echo "make realworld: there is no scenario $1: graphql mqtt socketio recovery jupyter chromium chromium_auth" >&2
        exit 2
        ;;
    esac
    if [ "$1" != recovery ]; then
        run "$1"
        return
    fi
    for name in action_cable ethers graphql_ws mqtt openai phoenix stomp subscriptions_transport_ws; do
        run "recovery/$name"
    done
}

if [ -z "${TOWLINE:-}" ]; then
    (cd "$ROOT" && cargo build --locked --quiet)
    TOWLINE=${CARGO_TARGET_DIR:-$ROOT/target}/debug/towline
fi
export TOWLINE
if installed node; then
    for name in $SCENARIOS; do scenario "$name"; done
else
    for name in $SCENARIOS; do skip "$name: ${REASON#realworld: SKIPPED: }"; done
fi
echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
[ "$FAILED" -eq 0 ]
