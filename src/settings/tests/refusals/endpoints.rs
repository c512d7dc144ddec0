//! Tests of wrong settings about the servers of an upstream.

use super::{WrongLine, expect_problems};

const WRONG_LINES: &[WrongLine] = &[
    (
        "upstream.echo",
        "url = \"unix:run/chat.sock?secret\"",
        "upstream.echo.url = \"unix:run/chat.sock?***\" (/etc/towline.toml): a unix socket is written as unix:/path/of/socket",
    ),
    (
        "upstream.two",
        "endpoints_file = \"/does/not/exist\"",
        "upstream.two.endpoints_file = \"/does/not/exist\" (/etc/towline.toml): /does/not/exist: cannot be read: No such file",
    ),
    (
        "upstream.two",
        "url = \"ws://h\"\nendpoints_file = \"/x\"",
        "upstream.two.endpoints_file = \"/x\" (/etc/towline.toml): lists all servers of the upstream: remove url",
    ),
    (
        "upstream.two",
        "endpoints = [\"ws://h\"]\nendpoints_file = \"/x\"",
        "upstream.two.endpoints_file = \"/x\" (/etc/towline.toml): lists all servers of the upstream: remove endpoints",
    ),
    (
        "upstream.echo",
        "resolve_interval = \"1s\"",
        "upstream.echo.resolve_interval = \"1s\" (/etc/towline.toml): needs resolve = \"each\"",
    ),
    (
        "upstream.echo",
        "resolve = \"all\"",
        "upstream.echo.resolve = \"all\" (/etc/towline.toml): takes \"together\" or \"each\"",
    ),
    (
        "upstream.two",
        "endpoints = [\"ws://h\", \"http://me:secret@h?secret\"]",
        "upstream.two.endpoints[2] = \"http://***@h?***\" (/etc/towline.toml): the scheme is not ws",
    ),
    (
        "upstream.two",
        "endpoints = [\"ws://h\", { url = \"ws://me:secret@h\", weigth = 2 }]",
        "upstream.two.endpoints[2].weigth (/etc/towline.toml): unknown key; did you mean \"weight\"?",
    ),
    (
        "upstream.two",
        "endpoints = [{ url = \"ws://h\", weight = 0 }]",
        "upstream.two.endpoints[1].weight = 0 (/etc/towline.toml): takes a whole number from 1 to 1000",
    ),
    (
        "upstream.two",
        "endpoints = [{ weight = 2 }]",
        "upstream.two.endpoints[1].url (/etc/towline.toml): required: it has no default",
    ),
    (
        "upstream.two",
        "endpoints = [\"ws://h\", { url = \"ws://h\" }]",
        "upstream.two.endpoints[2].url = \"ws://h\" (/etc/towline.toml): is listed twice",
    ),
    (
        "upstream.two",
        "endpoints = []",
        "upstream.two.endpoints = [] (/etc/towline.toml): needs at least one server",
    ),
    (
        "upstream.two",
        "endpoints = [7]",
        "upstream.two.endpoints = [7] (/etc/towline.toml): takes a list of servers, each",
    ),
    (
        "upstream.echo",
        "url = \"ws://g\"\nendpoints = [\"ws://h\"]",
        "upstream.echo.endpoints = [\"ws://h\"] (/etc/towline.toml): lists all servers of the upstream: remove url",
    ),
    (
        "upstream.echo",
        "balance = \"hash\"\nhash = \"message:a..b\"",
        "upstream.echo.hash = \"message:a..b\" (/etc/towline.toml): takes \"peer\",",
    ),
    ("upstream.two", "endpoints = \"ws://h\"", "takes a list of servers, each a URL or a table such as"),
];

#[test]
fn wrong_lines_about_endpoints_are_refused() {
    expect_problems(WRONG_LINES);
}
