# What can be done with this repository. `make` alone lists it.
#
# Nothing but Rust, a C compiler, make and the package registries is needed; what else the tests use is
# built under target/tools.

WEBSOCAT_VERSION := 1.14.1
WEBSOCAT := target/tools/bin/websocat

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: | needs ## Run the proxy on 127.0.0.1:9139 with an echo server behind it
	cargo run --locked --quiet -- demo

.PHONY: build
build: | needs ## Build the optimised program, target/release/towline
	cargo build --locked --release

.PHONY: test
test: tools realworld-packages ## Run all tests; the first time this builds websocat, a client that they use
	cargo test --locked --workspace

.PHONY: realworld
realworld: | needs ## Run Socket.IO, GraphQL, MQTT, Jupyter and Chromium through it, see docs/realworld.md
	@integration/realworld/run.sh

# Without them the tests that use them are skipped, and install.sh says why.
.PHONY: realworld-packages
realworld-packages: # Install the npm packages of the tests with real programs, where npm is available
	@integration/realworld/install.sh node || true

.PHONY: autobahn
autobahn: | needs ## Run Autobahn|Testsuite against both sides; needs a Python 2.7, see docs/conformance.md
	@integration/autobahn/run.sh

# What `make fuzz` runs, and for how long in all.
TARGET := all
SECONDS := 300

.PHONY: fuzz
fuzz: | needs ## Run the fuzzer, which needs cargo-fuzz: TARGET=frames SECONDS=300, see fuzz/README.md
	@fuzz/run.sh "$(TARGET)" "$(SECONDS)"

.PHONY: check
check: | needs ## What CI runs: format, lints, documentation, dependencies, tests
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
	@$(MAKE) --no-print-directory deny
	@$(MAKE) --no-print-directory test

.PHONY: deny
deny: | needs ## Check licences, advisories and sources of the dependencies, if cargo-deny is there
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny --locked check; \
	else \
		echo "make deny: SKIPPED: no cargo-deny here, so dependencies are not checked" >&2; \
		echo "make deny: to have it: cargo install --locked cargo-deny" >&2; \
	fi

.PHONY: tools
tools: $(WEBSOCAT) ## Build what the tests use besides Cargo's own dependencies

# Without TLS, which would ask for OpenSSL's headers.
$(WEBSOCAT): | needs
	cargo install --locked --root target/tools --version $(WEBSOCAT_VERSION) \
		--no-default-features --features signal_handler,tokio-process,unix_stdio websocat

.PHONY: clean
clean: | needs ## Remove everything that was built, tools included
	cargo clean

# Says what is missing before anything is built.
.PHONY: needs
needs:
	@command -v cargo >/dev/null 2>&1 || { \
		echo "make: no cargo here: install Rust 1.95 or later, see https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null 2>&1 || { \
		echo "make: no C compiler (cc) here, which Rust links with: install gcc or clang" >&2; exit 1; }
