#!/usr/bin/env python3
"""Prints the table of the section "Programs" in docs/performance.md from what the benchmark `language` prints.

usage: cargo bench --locked --bench language | benches/language.py

The table has medians. The line after it has the cost of `filter` relative to `parse`, of which the text speaks. The exit
status is 1 if a benchmark has no row here, or a row has no result.
"""

import re, sys

SIZES = {100: "100 B", 1024: "1 KiB", 16384: "16 KiB"}
ROWS = {
    "parse": "text to value (serde_json)",
    "parse_and_free": "the same, and freeing the value",
    "check": "the check that codec `json` does for every message",
    "passthrough": "`select event from in into out`",
    "filter": '`select event from in where event.type == "a" into out`',
    "filter_absent": "the same, `where absent event.nothing`",
    "route": "three selects, by `event.type` to three ports",
    "matching": "a script with record patterns and a guard, two ports",
    "lets": "a script that sets two fields with `let`",
    "patch": "a `patch` that inserts, merges and erases",
    "codec_passthrough": "the check, `passthrough`, and the text that leaves",
    "codec_filter": "the check, `filter`, and the text that leaves",
    "codec_patch_one": "the check, a `patch` that sets one field, and the text that leaves",
    "codec_patch_nested": "the same with a `patch` that merges into a nested record",
    "value_patch_one": "the `patch` of one field without its text: parse, change the value, write it",
}
MICROSECONDS = {"ns": 1e-3, "µs": 1, "ms": 1e3}


def medians(lines):
    """The medians in µs, by benchmark and size."""
    name, found = None, {}
    for line in lines:
        if named := re.match(r"[├╰]─ (\w+)", line):
            name = named[1]
        # The columns are size and fastest, slowest, median, mean, samples and iterations.
        elif row := re.match(r"[│ ]+[├╰]─ (\d+) [^│]*│[^│]*│ ([\d.]+) (ns|µs|ms) ", line):
            found[name, int(row[1])] = float(row[2]) * MICROSECONDS[row[3]]
    return found


def shown(time):
    return f"{time:.{2 if time < 1 else 1 if time < 10 else 0}f} µs"


def main():
    found = medians(sys.stdin)
    expected = {(name, size) for name in ROWS for size in SIZES}
    if found.keys() != expected:
        sys.exit(f"missing: {sorted(expected - found.keys())}; without a row: {sorted(found.keys() - expected)}")
    print(f"| | {' | '.join(SIZES.values())} |\n|---|{'---|' * len(SIZES)}")
    for name, what in ROWS.items():
        print(f"| `{name}`: {what} | {' | '.join(shown(found[name, size]) for size in SIZES)} |")
    ratios = (f"{found['filter', size] / found['parse', size]:.2f} ({text})" for size, text in SIZES.items())
    print(f"\nfilter relative to parse: {', '.join(ratios)}")


main()
