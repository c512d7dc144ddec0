//! Tests of wrong environment variables.

use super::{BIND, expect_one, problems};
use crate::settings::fixture::MINIMAL;

/// The name of a variable, its value, and a part of the expected error text.
const WRONG_VARIABLES: &[(&str, &str, &str)] = &[
    (BIND, "x", "listener.ws.bind = \"x\" (environment TOWLINE__LISTENER__WS__BIND): takes host:port"),
    (
        "TOWLINE__SERVER__WORKERS",
        "two",
        "server.workers = \"two\" (environment TOWLINE__SERVER__WORKERS): takes a whole",
    ),
    (
        "TOWLINE__SERVR__WORKERS",
        "2",
        "servr (environment TOWLINE__SERVR__WORKERS): unknown section; did you mean \"server\"?",
    ),
    (
        "TOWLINE__SERVER__WROKERS",
        "2",
        "server.wrokers (environment TOWLINE__SERVER__WROKERS): unknown key; did you mean \"workers\"?",
    ),
    ("TOWLINE__SERVER", "2", "server = *** (environment TOWLINE__SERVER): is a section"),
    (
        "TOWLINE__ROUTE__0__PATH",
        "/",
        "route.0.path (environment TOWLINE__ROUTE__0__PATH): routes are a list, so they are set in the file only",
    ),
    ("TOWLINE__LISTENER____BIND", "x", "a variable is named TOWLINE__SECTION__KEY"),
    (
        "TOWLINE__UPSTREAM__ECO__CODEC",
        "json",
        "upstream.eco (environment TOWLINE__UPSTREAM__ECO__CODEC): the file has no [upstream.eco] and no route names it; did you mean \"echo\"?",
    ),
    (
        "TOWLINE__LISTENER__PUBLIC__BIND",
        "x",
        "listener.public (environment TOWLINE__LISTENER__PUBLIC__BIND): the file has no [listener.public] and no route names it; the file has ws",
    ),
    (
        "TOWLINE__PIPELINE__PAST__SOURCE",
        "x",
        "pipeline.past (environment TOWLINE__PIPELINE__PAST__SOURCE): the file has no [pipeline.past] and no route names it; did you mean \"pass\"?",
    ),
    (
        "TOWLINE_UPSTREAM__ECHO__URL",
        "ws://secret",
        "upstream.echo.url (environment TOWLINE_UPSTREAM__ECHO__URL): a setting begins with two underscores after TOWLINE; did you mean TOWLINE__UPSTREAM__ECHO__URL?",
    ),
    (
        "TOWLINE__LISTENER__WS__PREPROCESSORS",
        "[lines]",
        "listener.ws.preprocessors (environment TOWLINE__LISTENER__WS__PREPROCESSORS): starts like TOML but is not valid TOML",
    ),
    ("TOWLINE__LISTENER__WS__PREPROCESSORS", "lines,line", "no preprocessor is called \"line\""),
    (
        "TOWLINE__UPSTREAM__ECHO__URL",
        "ws://a:secret@h:x",
        "upstream.echo.url = \"ws://***@h:x\" (environment TOWLINE__UPSTREAM__ECHO__URL): not a URL: invalid port number",
    ),
    (
        "TOWLINE__UPSTREAM__ECHO__HEADERS",
        "secret",
        "upstream.echo.headers = \"***\" (environment TOWLINE__UPSTREAM__ECHO__HEADERS): takes a table",
    ),
    (
        "TOWLINE__UPSTREAM__ECHO__HEADERS__HOST",
        "secret",
        "upstream.echo.headers.host = *** (environment TOWLINE__UPSTREAM__ECHO__HEADERS__HOST): the handshake sets this header",
    ),
    (
        "TOWLINE__UPSTREAM__ECHO__RESTART",
        "5",
        "upstream.echo.restart = \"5\" (environment TOWLINE__UPSTREAM__ECHO__RESTART): takes a table",
    ),
];

#[test]
fn wrong_variables_are_refused_by_name() {
    for (name, value, expected) in WRONG_VARIABLES {
        expect_one(&problems(MINIMAL, &[(name, value)]), name, expected);
    }
}
