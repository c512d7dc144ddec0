//! Tests of wrong settings in sections that occur once, and in unknown sections.

use super::{WrongLine, expect_problems};

const WRONG_LINES: &[WrongLine] = &[
    (
        "server",
        "max_sessions = -1",
        "server.max_sessions = -1 (/etc/towline.toml): takes a whole number from 0",
    ),
    (
        "server",
        "max_handshakes = 0",
        "server.max_handshakes = 0 (/etc/towline.toml): takes a whole number from 1",
    ),
    (
        "server",
        "buffer = \"1023KiB\"",
        "server.buffer = \"1023KiB\" (/etc/towline.toml): takes a size with a unit, such as \"64KiB\", from 1MiB \
         to 1TiB",
    ),
    (
        "server",
        "workers = -1",
        "server.workers = -1 (/etc/towline.toml): takes a whole number from 0 to 1024",
    ),
    ("server", "workers = 1025", "server.workers = 1025 (/etc/towline.toml): takes a whole number from 0 to"),
    ("server", "workers = \"2\"", "server.workers = \"2\" (/etc/towline.toml): takes a whole number"),
    ("server", "workers = 1.5", "server.workers = 1.5 (/etc/towline.toml): takes a whole number"),
    ("log", "level = \"loud\"", "log.level = \"loud\" (/etc/towline.toml): takes a level (off, error, warn,"),
    ("log", "level = 1", "log.level = 1 (/etc/towline.toml): takes a string in quotes"),
    ("log", "format = \"xml\"", "log.format = \"xml\" (/etc/towline.toml): takes \"text\" or \"json\""),
    ("admin", "bind = \"nowhere\"", "admin.bind = \"nowhere\" (/etc/towline.toml): takes host:port, such as"),
    (
        "admin",
        "bind = \"127.0.0.1:9139\"",
        "listener.ws.bind = \"127.0.0.1:9139\" (/etc/towline.toml): [admin] already uses this address",
    ),
    (
        "drain",
        "window = 10",
        "drain.window = 10 (/etc/towline.toml): takes a duration with a unit, such as \"30s\", from 1ms to 1 day",
    ),
    ("drain", "window = \"10\"", "drain.window = \"10\" (/etc/towline.toml): takes a duration with a unit"),
    ("drain", "window = \"0s\"", "drain.window = \"0s\" (/etc/towline.toml): takes a duration with a unit"),
    ("drain", "grace = \"25h\"", "drain.grace = \"25h\" (/etc/towline.toml): takes a duration with a unit"),
    ("drain", "grace = \"5 parsecs\"", "drain.grace = \"5 parsecs\" (/etc/towline.toml): takes a duration"),
    ("drain", "close_code = 1005", "drain.close_code = 1005 (/etc/towline.toml): takes 1001 or 1012"),
    ("admin", "bind = [\"127.0.0.1:1\"]", "(/etc/towline.toml): takes a string in quotes"),
    ("sever", "workers = 1", "sever (/etc/towline.toml): unknown section; did you mean \"server\"?"),
    ("weather", "rain = true", "weather (/etc/towline.toml): unknown section; known: server, log, "),
];

#[test]
fn wrong_lines_of_single_sections_are_refused() {
    expect_problems(WRONG_LINES);
}
