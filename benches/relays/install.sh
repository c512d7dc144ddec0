#!/bin/sh
# Installs the packages that the relays need under target/relays: `ws` from npm, `websockets` and mitmproxy from PyPI.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p target/relays/node
npm install --silent --no-audit --no-fund --prefix target/relays/node ws@8.18.3
[ -x target/relays/python/bin/python ] || python3 -m venv target/relays/python
target/relays/python/bin/pip install --quiet websockets==15.0.1
# Its own environment: it fixes the versions of many packages.
[ -x target/relays/mitmproxy/bin/python ] || python3 -m venv target/relays/mitmproxy
target/relays/mitmproxy/bin/pip install --quiet mitmproxy==11.0.2
