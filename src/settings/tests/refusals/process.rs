//! Tests of wrong settings in sections that occur once, and in unknown sections.

use super::{WrongLine, expect_problems, problems};
use crate::settings::fixture::{MINIMAL, load};

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
    (
        "log",
        "access = \"on\"",
        "log.access = \"on\" (/etc/towline.toml): takes \"off\", \"text\" or \"json\"",
    ),
    (
        "log",
        "access = \"text\"\naccess_format = \"${cod}\"",
        "log.access_format = \"${cod}\" (/etc/towline.toml): there is no field ${cod}; known: opened, closed, ",
    ),
    (
        "log",
        "access = \"json\"\naccess_format = \"code\"",
        "(/etc/towline.toml): names no field; one is ${session}",
    ),
    ("log", "access_format = \"${code}\"", "(/etc/towline.toml): has no effect: there is no access log"),
    ("log", "format = \"xml\"", "log.format = \"xml\" (/etc/towline.toml): takes \"text\" or \"json\""),
    ("admin", "bind = \"nowhere\"", "admin.bind = \"nowhere\" (/etc/towline.toml): takes host:port, such as"),
    (
        "admin",
        "bind = \"127.0.0.1:9139\"",
        "listener.ws.bind = \"127.0.0.1:9139\" (/etc/towline.toml): [admin] already uses this address",
    ),
    (
        "admin",
        "token_file = \"/nowhere/token\"",
        "admin.token_file = \"/nowhere/token\" (/etc/towline.toml): cannot be read: No such file",
    ),
    (
        "admin",
        "token_file = \"/dev/null\"",
        "admin.token_file = \"/dev/null\" (/etc/towline.toml): cannot be read: not a regular file",
    ),
    ("admin", "token_file = 1", "admin.token_file = 1 (/etc/towline.toml): takes a string in quotes"),
    (
        "admin",
        "allowed_hosts = [\"a.test:80\"]",
        "admin.allowed_hosts = [\"a.test:80\"] (/etc/towline.toml): takes names of hosts without port, such as",
    ),
    (
        "admin",
        "allowed_hosts = \"a.test\"",
        "admin.allowed_hosts = \"a.test\" (/etc/towline.toml): takes a list of strings",
    ),
    ("admin", "tap = \"yes\"", "admin.tap = \"yes\" (/etc/towline.toml): takes true or false"),
    (
        "admin",
        "bind = \"\"\ntap = true",
        "admin.tap = true (/etc/towline.toml): has no effect without an admin server: bind is empty",
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
    ("admin", "tap = true", "admin.tap = true (/etc/towline.toml): needs token_file, because taps show what"),
    ("admin", "tap_redact = [\"a\"]", "(/etc/towline.toml): has no effect without tap = true"),
    ("admin", "tap_redact = [\"a..b\"]", "\"a..b\" takes names of keys, such as \"email\", and paths"),
    ("admin", "tap_redact_patterns = [\"(\"]", "\"(\" is not a regular expression: "),
    ("admin", "tap_redact_patterns = [\"a*\"]", "\"a*\" matches an empty text"),
    ("admin", "bind = [\"127.0.0.1:1\"]", "(/etc/towline.toml): takes a string in quotes"),
    ("sever", "workers = 1", "sever (/etc/towline.toml): unknown section; did you mean \"server\"?"),
    ("weather", "rain = true", "weather (/etc/towline.toml): unknown section; known: server, log, "),
];

#[test]
fn wrong_lines_of_single_sections_are_refused() {
    expect_problems(WRONG_LINES);
}

/// A token that others can read is no secret.
#[test]
fn a_token_file_has_a_token_that_only_its_owner_reads() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let text = format!("admin.token_file = {file:?}\n{MINIMAL}");
    let write = |token: &str, mode| {
        std::fs::write(&file, token).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (token, mode, expected) in [
        (
            "0123456789abcdef\n",
            0o644,
            "every user of the machine may use the file (mode 0644); allowed: no permi",
        ),
        ("\n", 0o600, "the file is empty; allowed: one token of 16 to 512 characters"),
        ("hunter2", 0o640, "the token has 7 characters; allowed: 16 to 512"),
    ] {
        write(token, mode);
        let problem = problems(&text, &[]).remove(0);
        let start = format!("admin.token_file = {file:?} (/etc/towline.toml): {expected}");
        assert!(problem.starts_with(&start) && !problem.contains("hunter2"), "{problem}");
    }
    write("0123456789abcdef\n", 0o640);
    assert_eq!(load(&text, &[]).unwrap().admin.unwrap().token_file, Some(file.clone()));
}

#[test]
fn an_admin_server_for_other_machines_without_a_token_is_a_warning() {
    let remarks = |bind: &str| {
        let text = format!("admin.bind = \"{bind}\"\n{MINIMAL}");
        load(&text, &[]).unwrap().remarks().concat()
    };
    assert!(
        remarks("0.0.0.0:9140").contains("admin.bind = \"0.0.0.0:9140\" can be reached from other machines")
    );
    for local in ["127.0.0.1:0", "[::1]:0", "localhost:0"] {
        assert!(!remarks(local).contains("admin"), "{local}");
    }
}
