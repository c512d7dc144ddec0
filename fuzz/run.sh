#!/usr/bin/env bash
# Runs one fuzz target, or all of them one after the other, each for an equal part of the time.
# Usage: run.sh TARGET|all SECONDS
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
target=${1:?which target} seconds=${2:?how many seconds}

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "make fuzz: no cargo-fuzz here, which runs the fuzzer: cargo install --locked cargo-fuzz" >&2
    exit 1
fi
if ! command -v c++ >/dev/null 2>&1; then
    echo "make fuzz: no C++ compiler (c++) here, which builds the fuzzer: install g++ or clang" >&2
    exit 1
fi
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
    echo "make fuzz: SECONDS=$seconds is not a number of seconds" >&2
    exit 1
fi
targets=$(cd targets && printf '%s\n' *.rs | sed 's/\.rs$//')
if [[ $target != all ]]; then
    if ! grep -qx -- "$target" <<<"$targets"; then
        echo "make fuzz: no target is called $target; there are" $targets >&2
        exit 1
    fi
    targets=$target
fi
seconds=$((seconds / $(wc -w <<<"$targets")))

for target in $targets; do
    # What is found goes into a folder that is not committed; see README.md.
    mkdir -p "found/$target"
    words=()
    if [[ -e dictionaries/$target ]]; then
        words=("-dict=dictionaries/$target")
    fi
    # Sanitizers need a nightly compiler. Ours is not: there is no unsafe code to look into.
    cargo fuzz run --sanitizer none "$target" "found/$target" "corpus/$target" -- \
        -max_total_time="$((seconds > 0 ? seconds : 1))" -max_len=4096 -timeout=10 -rss_limit_mb=1024 "${words[@]}"
done
