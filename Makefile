# What can be done with this repository. `make` alone lists it.
#
# Nothing but Rust, a C compiler, make and the package registries is needed; what else the tests use is
# built under target/tools.

WEBSOCAT_VERSION := 1.14.1
WEBSOCAT := target/tools/bin/websocat
CARGO_DEB_VERSION := 3.8.0
CARGO_DEB := target/tools/bin/cargo-deb

.DEFAULT_GOAL := help

# needs_tool COMMAND,INSTALLATION: says how to install a tool that is missing, and fails.
needs_tool = $(1) >/dev/null 2>&1 || { echo "make $@: \`$(1)\` fails; to have it: $(2)" >&2; exit 1; }

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: | needs ## Run the proxy on 127.0.0.1:9139 with an echo server behind it
	cargo run --locked -- demo

# What is built besides the default: packages have it, and the tests need it. `make build FEATURES=` leaves it out.
FEATURES := --features traces

.PHONY: build
build: | needs ## Build the optimised program, target/release/towline
	cargo build --locked --release $(FEATURES)

# Where CARGO_TARGET_DIR or the default has the program.
PROGRAM = $(or $(CARGO_TARGET_DIR),target)/release/towline

.PHONY: package
package: build ## Write the files of packages, without the binary, to target/package: manual pages, completions, settings
	rm -rf target/package
	$(PROGRAM) man target/package/man
	$(PROGRAM) completions bash > target/package/towline.bash
	$(PROGRAM) completions zsh > target/package/_towline
	$(PROGRAM) completions fish > target/package/towline.fish
	$(PROGRAM) completions powershell > target/package/towline.ps1
	$(PROGRAM) init - > target/package/towline.toml
	cp deploy/towline.service deploy/towline.socket LICENSE-MIT LICENSE-APACHE README.md CHANGELOG.md target/package

.PHONY: deb
deb: package $(CARGO_DEB) ## Build the Debian package, target/debian/*.deb; the first time this builds cargo-deb
	$(CARGO_DEB) --locked --no-build

.PHONY: test
test: tools realworld-packages ## Run all tests; the first time this builds websocat, a client that they use
	cargo test --locked --workspace $(FEATURES)

# `make test` is `cargo test`, which needs no installation. nextest starts a process for each test and runs
# the heavy ones alone (.config/nextest.toml); whether that is faster here has not been measured yet.
.PHONY: nextest
nextest: tools realworld-packages ## Run the tests with a separate process for each; needs cargo-nextest
	@$(call needs_tool,cargo nextest --version,cargo install --locked cargo-nextest)
	cargo nextest run --locked --workspace $(FEATURES)
	cargo test --locked --workspace $(FEATURES) --doc

.PHONY: loom
loom: | needs ## Check the wake-ups of budgets and ack trackers in every interleaving of threads
	cargo test --locked --manifest-path loom/Cargo.toml

.PHONY: coverage
coverage: tools ## Measure which lines the tests run; needs cargo-llvm-cov
	@$(call needs_tool,cargo llvm-cov --version,cargo install --locked cargo-llvm-cov && rustup component add llvm-tools)
	cargo llvm-cov --locked --workspace $(FEATURES) --html

# The pure cores: they decide, and know no sockets or timers.
CORES := src/connector/exchange.rs src/session/ledger.rs src/session/sequencer.rs src/supervisor/policy.rs \
	src/supervisor/child.rs src/supervisor/children.rs src/flow/budget.rs

# The unit tests that run against each mutant.
CORE_TESTS := connector:: session:: supervisor:: flow::

.PHONY: mutants
mutants: | needs ## List changes to the pure cores that no unit test notices; needs cargo-mutants
	@$(call needs_tool,cargo mutants --version,cargo install --locked cargo-mutants)
	cargo mutants --package towline $(addprefix --file ,$(CORES)) --output target -- --locked --lib -- $(CORE_TESTS)

.PHONY: book
book: ## Build the documentation as a site, target/book/docs/index.html; needs mdbook
	@$(call needs_tool,mdbook --version,cargo install --locked mdbook)
	rm -rf target/book
	mdbook build
	mkdir -p target/book/integration
	cp -R settings target/book
	cp -R integration/autobahn integration/realworld target/book/integration

.PHONY: realworld
realworld: | needs ## Run Socket.IO, GraphQL, MQTT, Jupyter and Chromium through the proxy, see docs/realworld.md
	@integration/realworld/run.sh

# The browser.
CHROMIUM := chromium

# The proxy serves clients for two minutes, and its servers are killed meanwhile.
.PHONY: screenshots
screenshots: realworld-packages | needs ## Take the screenshots of the live page, docs/images; needs Chromium
	@$(call needs_tool,$(CHROMIUM) --version,apt-get install chromium; or CHROMIUM=/path/to/chromium)
	cargo build --locked
	REALWORLD_CHROMIUM="$$(command -v $(CHROMIUM))" node integration/page/screenshots.mjs docs/images

# Without them the tests that use them are skipped, and install.sh says why.
.PHONY: realworld-packages
realworld-packages: # Install the npm packages of the tests with real programs, where npm is available
	@integration/realworld/install.sh node || true

.PHONY: promtool
promtool: | needs ## Check a scrape, deploy/grafana.json and deploy/alerts.yml with promtool of Prometheus
	@$(call needs_tool,promtool --version,apt-get install prometheus)
	cargo test --locked --package towline $(FEATURES) --test integration -- metrics::deploy

.PHONY: schemathesis
schemathesis: | needs ## Send wrong requests to the admin API with Schemathesis of PyPI; needs Python 3.10
	@integration/admin/schemathesis.sh

.PHONY: autobahn
autobahn: | needs ## Run Autobahn|Testsuite against both sides; needs a Python 2.7, see docs/conformance.md
	@integration/autobahn/run.sh

# What `make fuzz` runs, and for how long in all.
TARGET := all
SECONDS := 300

# It uses fewer optimisations than a release, and builds in a part of the time.
.PHONY: bench-check
bench-check: | needs ## Count the instructions for one message, and compare with benches/callgrind.json; needs valgrind
	@if valgrind --version >/dev/null 2>&1; then \
		cargo build --locked --profile profiling --bin towline && \
		benches/callgrind.py "$(or $(CARGO_TARGET_DIR),target)/profiling/towline" --check; \
	else \
		echo "make bench-check: SKIPPED: no valgrind here; to have it: apt-get install valgrind" >&2; \
	fi

.PHONY: fuzz
fuzz: | needs ## Run the fuzzer, which needs cargo-fuzz: TARGET=frames SECONDS=300, see fuzz/README.md
	@fuzz/run.sh "$(TARGET)" "$(SECONDS)"

.PHONY: check
check: | needs ## What CI runs: format, lints, documentation, prose, dependencies, tests
	cargo fmt --all --check
	@$(MAKE) --no-print-directory prose
	cargo clippy --locked --workspace --all-targets $(FEATURES) -- -D warnings
	cargo clippy --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace $(FEATURES) --no-deps
	for folder in fuzz loom; do \
		cargo metadata --locked --format-version 1 --manifest-path $$folder/Cargo.toml >/dev/null || exit 1; \
	done
	@$(MAKE) --no-print-directory deny
	@$(MAKE) --no-print-directory test

.PHONY: prose
prose: ## Find phrases that CONTRIBUTING.md asks to avoid; .ci/prose.txt lists them
	@.ci/prose

.PHONY: deny
deny: | needs ## Check licences, advisories and sources of the dependencies, if cargo-deny is installed
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny --locked check; \
	elif [ -n "$$CI" ]; then \
		echo "make deny: no cargo-deny here, and CI needs it: cargo install --locked cargo-deny" >&2; exit 1; \
	else \
		echo "make deny: SKIPPED: no cargo-deny here, so dependencies are not checked" >&2; \
		echo "make deny: to have it: cargo install --locked cargo-deny" >&2; \
	fi

.PHONY: tools
tools: $(WEBSOCAT) ## Build the programs that the tests use, such as websocat

# Without TLS, which would ask for OpenSSL's headers.
$(WEBSOCAT): | needs
	cargo install --locked --root target/tools --version $(WEBSOCAT_VERSION) \
		--no-default-features --features signal_handler,tokio-process,unix_stdio websocat

$(CARGO_DEB): | needs
	cargo install --locked --root target/tools --version $(CARGO_DEB_VERSION) cargo-deb

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
