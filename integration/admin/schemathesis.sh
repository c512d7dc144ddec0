#!/bin/sh
# Has Schemathesis send requests that the description of the admin API allows, and others, to a running proxy. It finds
# answers with 500, and answers that differ from the description.
#
# Installs Schemathesis into target/schemathesis the first time.
#
#   PYTHON=/path/to/python3   the Python to use; otherwise python3
#   SECONDS_MAX=120           how long it runs; otherwise 60
set -eu

VERSION=4.32.5

HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
TOOLS=$ROOT/target/schemathesis
PYTHON=${PYTHON:-python3}
TOKEN=token-of-the-operator

unavailable() {
    echo "make schemathesis: NOT RUN: $*" >&2
    exit 1
}

install() {
    [ -x "$TOOLS/$VERSION/bin/schemathesis" ] && return
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1 ||
        unavailable "$PYTHON is not Python 3.10 or later; PYTHON=... names another"
    rm -rf "${TOOLS:?}/$VERSION"
    mkdir -p "$TOOLS"
    {
        "$PYTHON" -m venv "$TOOLS/$VERSION" &&
            "$TOOLS/$VERSION/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$VERSION"
    } >"$TOOLS/install.log" 2>&1 || {
        rm -rf "${TOOLS:?}/$VERSION"
        unavailable "schemathesis $VERSION cannot be installed (no network?), see $TOOLS/install.log"
    }
}

# The address of the admin server, when the proxy listens.
admin_address() {
    for _ in $(seq 300); do
        sed -n 's/.*listening admin address=//p' "$RUN/log" | grep . && return
        kill -0 "$PROXY" 2>/dev/null || break
        sleep 0.1
    done
    cat "$RUN/log" >&2
    unavailable "the proxy does not start"
}

install
(cd "$ROOT" && cargo build --locked --quiet)

RUN=$(mktemp -d)
PROXY=
trap '[ -z "$PROXY" ] || kill "$PROXY" 2>/dev/null || true; rm -rf "$RUN"' EXIT
(umask 077 && echo "$TOKEN" >"$RUN/token")
cat >"$RUN/towline.toml" <<EOF
[listener.ws]
bind = "127.0.0.1:0"
[admin]
bind = "127.0.0.1:0"
token_file = "$RUN/token"
[upstream.echo]
endpoints = ["ws://127.0.0.1:1/a", "ws://127.0.0.1:1/b"]
[[route]]
listener = "ws"
upstream = "echo"
EOF
"$ROOT/target/debug/towline" run --config "$RUN/towline.toml" 2>"$RUN/log" &
PROXY=$!
ADMIN=$(admin_address)

# Without the order that ends the process, and the WebSocket of the page. What is accepted differs from the schemas in
# details: 1.0 is no integer, null stands for a missing number, and an array for the fields of an object.
(cd "$RUN" && "$TOOLS/$VERSION/bin/schemathesis" --config-file "$HERE/schemathesis.toml" run \
    "http://$ADMIN/api/openapi.json" --header "Authorization: Bearer $TOKEN" \
    --exclude-path /api/drain --exclude-path /api/feed \
    --exclude-checks positive_data_acceptance,negative_data_rejection \
    --phases coverage,fuzzing --max-time "${SECONDS_MAX:-60}" --no-color)
kill -0 "$PROXY" || unavailable "the proxy has ended"
if grep -q ' ERROR .*panic' "$RUN/log"; then
    grep ' ERROR .*panic' "$RUN/log" >&2
    exit 1
fi
