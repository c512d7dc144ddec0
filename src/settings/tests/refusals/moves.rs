//! Lines about moves of sessions that are refused.

use super::{WrongLine, expect_problems};

const WRONG_LINES: &[WrongLine] = &[
    ("upstream.two", "endpoints = [{ url = \"ws://h\", drain = true }]", "upstream.two.endpoints = ["),
    (
        "upstream.two",
        "endpoints = [{ url = \"ws://h\", drain = true }]",
        "(/etc/towline.toml): needs at least one server without drain = true",
    ),
    ("upstream.two", "endpoints = [{ url = \"ws://h\", drain = \"yes\" }]", "takes true or false"),
    ("upstream.echo", "max_age = \"0s\"", "from 100ms to 1 day, or \"never\""),
    (
        "upstream.echo",
        "max_age_jitter = 5\nexchange = \"request\"",
        "upstream.echo.max_age_jitter = 5 (/etc/towline.toml): has no effect with max_age = \"never\"",
    ),
    ("upstream.echo", "move.rate = 0", "takes a whole number from 1 to 1000000"),
    (
        "upstream.echo",
        "move.grace = \"never\"",
        "takes a duration with a unit, such as \"30s\", from 100ms to 1m",
    ),
    ("upstream.echo", "move.grace = \"61s\"", "from 100ms to 1m"),
    ("upstream.echo", "rebalance.min_sessions = -1", "takes a whole number from 0 to 10000000"),
    ("upstream.echo", "rebalance.max_share = 100", "takes a whole number from 101 to 1000"),
    (
        "upstream.echo",
        "rebalance.max_share = 150\nexchange = \"request\"",
        "upstream.echo.rebalance.max_share = 150 (/etc/towline.toml): has no effect with rebalance.min_sessions = 0",
    ),
    (
        "upstream.echo",
        "rebalance.min_sessions = 5\nbalance = \"hash\"\nexchange = \"request\"",
        "upstream.echo.rebalance.min_sessions = 5 (/etc/towline.toml): moves sessions, which balance = \"hash\" keeps",
    ),
    (
        "upstream.echo",
        "max_age = \"1h\"",
        "upstream.echo.max_age = \"1h\" (/etc/towline.toml): has no effect: each route to this upstream closes",
    ),
];

#[test]
fn wrong_lines_about_moves_are_refused() {
    expect_problems(WRONG_LINES);
}
