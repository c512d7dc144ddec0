"""The suite's results of one side, and how they compare with the expected ones.

A file of expected results has one line for each case: its number, behaviour, closing behaviour, and the
close code that the proxy sent ("-": none), with tabs between. Where time decides, what may come is put
with | between: `OK|NON-STRICT`.
"""

import collections
import json

# Whatever else the suite says is a defect, expected or not.
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}

HEADER = "# case\tbehaviour\tclose\tcode\n"


def check(side, index, file, seconds, update, partial):
    """Prints what differs from the expected results, and the counts; whether all is well.

    With `update` the expected results are written anew. With `partial` cases that did not run are not
    missed.
    """
    got = read_index(index)
    if not got:
        print(f"{side}: FAILED: no case was run")
        return False
    expected = read(file)
    if update:
        expected = updated(expected, got, partial)
        write(file, expected)
    complaints = compare(expected, got, partial)
    for complaint in complaints:
        print(f"{side}: {complaint}")
    print_counts(side, got)
    verdict = f"{len(complaints)} DIFFERENCES" if complaints else "as expected"
    print(f"{side}: {len(got)} cases in {seconds:.0f} s: {verdict}", flush=True)
    return not complaints


def read_index(index):
    """Case number to (behaviour, closing behaviour, code) of the suite's index.json."""
    agents = json.loads(index.read_text())
    return {case: columns(result) for results in agents.values() for case, result in results.items()}


def columns(result):
    """What is compared of one result of the suite."""
    code = result["remoteCloseCode"]
    return result["behavior"], result["behaviorClose"], "-" if code is None else str(code)


def read(file):
    """Case number to the three columns of a file of expected results, which may not be there yet."""
    if not file.exists():
        return {}
    lines = [line.split("\t") for line in file.read_text().splitlines() if not line.startswith("#")]
    return {line[0]: tuple(line[1:]) for line in lines}


def write(file, expected):
    """Writes a file of expected results."""
    lines = ["\t".join((case, *expected[case])) + "\n" for case in sorted(expected, key=number)]
    file.write_text(HEADER + "".join(lines))


def updated(expected, got, partial):
    """The expected results with those of this run; alternatives that hold still stay."""
    kept = dict(expected) if partial else {}
    for case, now in got.items():
        known = expected.get(case, ())
        kept[case] = known if matches(known, now) else now
    return kept


def compare(expected, got, partial):
    """All that is wrong, in words."""
    complaints = []
    for case in sorted(set(expected) | set(got), key=number):
        if case not in got:
            if not partial:
                complaints.append(f"{case}: was not run")
            continue
        if not GOOD.issuperset(got[case][:2]):
            complaints.append(f"{case}: failed: {' / '.join(got[case])}")
        elif case not in expected:
            complaints.append(f"{case}: {' / '.join(got[case])}, and nothing is expected of it")
        elif not matches(expected[case], got[case]):
            complaints.append(f"{case}: {' / '.join(got[case])} instead of {' / '.join(expected[case])}")
    return complaints


def matches(expected, got):
    """Whether each column is one of those expected."""
    return len(expected) == len(got) and all(
        value in allowed.split("|") for allowed, value in zip(expected, got)
    )


def print_counts(side, got):
    """A line for each group: how many cases ended how, and what is not plain OK."""
    groups = collections.defaultdict(list)
    for case in sorted(got, key=number):
        groups[number(case)[0]].append(case)
    for group, cases in groups.items():
        counts = collections.Counter(got[case][0] for case in cases)
        closes = collections.Counter(f"close {got[case][1]}" for case in cases if got[case][1] != "OK")
        words = ", ".join(f"{count} {word}" for word, count in [*counts.items(), *closes.items()])
        print(f"{side}: group {group}: {words}")


def number(case):
    """1.10.2 as something that sorts."""
    return tuple(int(part) for part in case.split("."))
