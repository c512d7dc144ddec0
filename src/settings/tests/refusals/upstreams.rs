//! Tests of wrong settings in `[upstream.NAME]`.

use super::{WrongLine, expect_problems};

const RECOVERY_LINES: &[WrongLine] = &[
    (
        "upstream.echo",
        "recovery.preset = \"graphql\"",
        "upstream.echo.recovery.preset = \"graphql\" (/etc/towline.toml): takes \"graphql-transport-ws\", \
         \"graphql-ws\", \"json-rpc\", \"action-cable\", \"phoenix\", \"phoenix-nudge\", \"stomp\", \"openai-realtime\", \
         \"mqtt\" or \"program\"",
    ),
    (
        "upstream.echo",
        "recovery.preset = \"mqtt\"\nexchange = \"request\"",
        "upstream.echo.recovery.preset = \"mqtt\" (/etc/towline.toml): needs exchange = \"stream\"",
    ),
    (
        "upstream.echo",
        "recovery.preset = \"stomp\"\npostprocessors = [\"lines\"]",
        "upstream.echo.recovery.preset = \"stomp\" (/etc/towline.toml): needs an upstream without preprocessors",
    ),
    (
        "upstream.echo",
        "recovery.in_flight = \"retry\"",
        "upstream.echo.recovery.in_flight = \"retry\" (/etc/towline.toml): needs recovery.preset, or recovery.hello",
    ),
    (
        "upstream.echo",
        "recovery.preset = \"mqtt\"\nrecovery.hello = [{ when = { a = \"b\" } }]",
        "(/etc/towline.toml): has no effect with recovery.preset: remove one of them",
    ),
    (
        "upstream.echo",
        "recovery.preset = \"mqtt\"\nrecovery.methods = [{ open = \"a\", close = \"b\" }]",
        "upstream.echo.recovery.methods = [{ open = \"a\", close = \"b\" }] (/etc/towline.toml): needs recovery.preset",
    ),
    (
        "upstream.echo",
        "recovery.preset = \"json-rpc\"\nrecovery.methods = [{ open = \"a\" }]",
        "upstream.echo.recovery.methods[1].close (/etc/towline.toml): required: it has no default",
    ),
    (
        "upstream.echo",
        "recovery.open = [\"a\"]",
        "upstream.echo.recovery.open = [\"a\"] (/etc/towline.toml): takes a list of tables with the keys when, id, \
         request, instance, key, resume",
    ),
    (
        "upstream.echo",
        "recovery.open = [{ id = \"id\" }]",
        "upstream.echo.recovery.open[1].when (/etc/towline.toml): required: it has no default",
    ),
    (
        "upstream.echo",
        "recovery.open = [{ when = {}, id = \"id\" }]",
        "upstream.echo.recovery.open[1].when = {} (/etc/towline.toml): takes at least one path",
    ),
    (
        "upstream.echo",
        "recovery.open = [{ when = { op = 1.5 }, id = \"id\" }]",
        "(/etc/towline.toml): a value is a string, \"text*\"",
    ),
    (
        "upstream.echo",
        "recovery.open = [{ when = { op = \"sub\" }, id = \"a..b\" }]",
        "upstream.echo.recovery.open[1].id = \"a..b\" (/etc/towline.toml): takes keys separated by dots",
    ),
    (
        "upstream.echo",
        "recovery.open = [{ when = { op = \"sub\" } }]",
        "(/etc/towline.toml): a pattern of `open` has no `id` or `request`",
    ),
    (
        "upstream.echo",
        "recovery.open = [{ when = { op = \"sub\" }, id = \"id\", cursor = \"at\" }]",
        "upstream.echo.recovery.open[1].cursor (/etc/towline.toml): unknown key",
    ),
    (
        "upstream.echo",
        "recovery.open = [{ when = { op = \"sub\" }, request = \"id\" }]",
        "(/etc/towline.toml): needs recovery.answer",
    ),
    (
        "upstream.echo",
        "recovery.open = [{ when = { op = \"sub\" }, request = \"id\" }]\n\
         recovery.answer = [{ when = { ok = true }, request = \"id\" }]",
        "(/etc/towline.toml): a pattern of `answer` has no `id`, and one of `open` has none either",
    ),
    (
        "upstream.echo",
        "recovery.open = [{ when = { op = \"sub\" }, id = \"id\", resume = \"since\" }]\n\
         recovery.data = [{ when = { op = \"data\" }, id = \"id\" }]",
        "(/etc/towline.toml): a pattern of `data` has no `cursor`, and one of `open` has `resume`",
    ),
    (
        "upstream.echo",
        "recovery.open = [{ when = { op = \"sub\" }, id = \"id\", resume = \"since\" }]",
        "(/etc/towline.toml): a pattern of `data` has no `cursor`, and one of `open` has `resume`",
    ),
    (
        "upstream.echo",
        "recovery.data = [{ when = { op = \"data\" }, id = \"id\" }]",
        "(/etc/towline.toml): needs recovery.hello or recovery.open",
    ),
    (
        "upstream.echo",
        "recovery.hello = [{ when = { op = \"login\" } }]\nrecovery.data = [{ when = { op = \"data\" }, id = \"id\" }]",
        "(/etc/towline.toml): needs recovery.open",
    ),
    (
        "upstream.echo",
        "recovery.open = [{ when = { op = \"sub\" }, id = \"id\" }]\n\
         recovery.data = [{ when = { op = \"data\" }, id = \"id\", numbered = true }]",
        "upstream.echo.recovery.data[1].numbered = true (/etc/towline.toml): needs cursor",
    ),
    ("upstream.echo", "recovery.preset = \"mqtt\"\nrecovery.timeout = \"1h\"", "from 10ms to 10m"),
    (
        "upstream.echo",
        "recovery.preset = \"mqtt\"\nrecovery.max_entries = 0",
        "takes a whole number from 1 to 1000000",
    ),
    ("upstream.echo", "recovery.preset = \"mqtt\"\nrecovery.max_bytes = \"1B\"", "from 1KiB to 64MiB"),
];

const WRONG_LINES: &[WrongLine] = &[
    (
        "upstream.echo",
        "forward_path = \"yes\"",
        "upstream.echo.forward_path = \"yes\" (/etc/towline.toml): takes true or false",
    ),
    (
        "upstream.echo",
        "forward_response_headers = [\"Sec-WebSocket-Accept\"]",
        "upstream.echo.forward_response_headers = [\"Sec-WebSocket-Accept\"] (/etc/towline.toml): \
         \"Sec-WebSocket-Accept\": the handshake sets this header",
    ),
    (
        "upstream.echo",
        "forward_response_headers = [\"transfer-encoding\"]",
        "upstream.echo.forward_response_headers = [\"transfer-encoding\"] (/etc/towline.toml): \
         \"transfer-encoding\": the handshake sets this header",
    ),
    (
        "upstream.echo",
        "host = \"http://h\"",
        "upstream.echo.host = \"http://h\" (/etc/towline.toml): takes \"upstream\", \"client\", or a host with or \
         without a port, such as \"chat.example.com:8080\"",
    ),
    (
        "upstream.echo",
        "host = \"h:0\"",
        "upstream.echo.host = \"h:0\" (/etc/towline.toml): takes \"upstream\",",
    ),
    ("upstream.echo", "host = \"\"", "upstream.echo.host = \"\" (/etc/towline.toml): takes \"upstream\","),
    (
        "upstream.echo",
        "host = \"h:\"",
        "upstream.echo.host = \"h:\" (/etc/towline.toml): takes \"upstream\",",
    ),
    (
        "upstream.echo",
        "host = \"a@h\"",
        "upstream.echo.host = \"a@h\" (/etc/towline.toml): takes \"upstream\",",
    ),
    (
        "upstream.echo",
        "slow_consumer_timeout = \"2m\"",
        "upstream.echo.tcp_user_timeout = \"60s\" (default): is below slow_consumer_timeout, which is 2m",
    ),
    (
        "upstream.echo",
        "url = \"wss:h\"",
        "upstream.echo.url = \"wss:h\" (/etc/towline.toml): not a URL: empty host",
    ),
    (
        "upstream.echo",
        "url = \"http://me:secret@h?secret\"",
        "upstream.echo.url = \"http://***@h?***\" (/etc/towline.toml): the scheme is not ws or wss",
    ),
    ("upstream.echo", "url = \"ws://h/#x\"", "a WebSocket URL has no fragment (#)"),
    (
        "upstream.echo",
        "url = \"ws://me:secret@h\"\nheaders = { Authorization = \"Bearer x\" }",
        "upstream.echo.url = \"ws://***@h\" (/etc/towline.toml): has user and password, and headers has authorization",
    ),
    (
        "upstream.echo",
        "allow_urls = [\"ws://me:secret@h/*\"]\nheaders = { Authorization = \"Bearer x\" }",
        "upstream.echo.allow_urls = [\"ws://***@h/*\"] (/etc/towline.toml): has user and password, and headers has",
    ),
    (
        "upstream.echo",
        "url = \"ws://a%3Ab:secret@h\"",
        "upstream.echo.url = \"ws://***@h\" (/etc/towline.toml): user and password are percent-encoded UTF-8",
    ),
    (
        "upstream.echo",
        "allow_urls = [\"ws://me:one@h/*\", \"ws://me:two@h/*\"]",
        "(/etc/towline.toml): \"ws://***@h/*\" is listed twice",
    ),
    ("upstream.echo", "url = \"h:80\"", "the scheme is not ws"),
    (
        "upstream.echo",
        "probe.min = \"2s\"",
        "upstream.echo.probe.min = \"2s\" (/etc/towline.toml): is above probe.max, which is 1s",
    ),
    ("upstream.echo", "probe.max = \"2m\"", "takes a duration with a unit, such as \"30s\", from 10ms to 1m"),
    (
        "upstream.echo",
        "balance = \"leastconn\"",
        "takes \"least_sessions\", \"round_robin\", \"random\" or \"hash\"",
    ),
    (
        "upstream.echo",
        "hash = \"path\"",
        "upstream.echo.hash = \"path\" (/etc/towline.toml): needs balance = \"hash\"",
    ),
    (
        "upstream.echo",
        "balance = \"hash\"\nhash = \"header:a b\"",
        "takes \"peer\", \"path\", \"header:NAME\", \"cookie:NAME\", \"query:NAME\", \"claim:NAME\", \"message\" or \"message:PATH\"",
    ),
    ("upstream.echo", "slow_start = \"2h\"", "takes a duration with a unit, such as \"30s\", from 0s to 1h"),
    ("upstream.echo", "health.interval = \"off\"", "from 100ms to 1 day, or \"never\""),
    ("upstream.echo", "health.unhealthy = 0", "takes a whole number from 1 to 100"),
    ("upstream.echo", "health.healthy = 101", "takes a whole number from 1 to 100"),
    ("upstream.echo", "ejection.failures = -1", "takes a whole number from 0 to 1000000"),
    ("upstream.echo", "ejection.time = \"0s\"", "from 1ms to 1 day"),
    ("upstream.echo", "ejection.max_share = 101", "takes a whole number from 0 to 100"),
    ("upstream.echo", "breaker.sessions = \"many\"", "takes a whole number from 0 to 10000000"),
    ("upstream.echo", "breaker.dials = 1.5", "takes a whole number from 0 to 10000000"),
    ("upstream.echo", "breaker.rate = 1000001", "takes a whole number from 0 to 1000000"),
    ("upstream.echo", "health.probe = \"udp\"", "takes \"tcp\", \"http\" or \"websocket\""),
    (
        "upstream.echo",
        "health.path = \"/x\"",
        "upstream.echo.health.path = \"/x\" (/etc/towline.toml): needs health.probe = \"http\" or \"websocket\"",
    ),
    (
        "upstream.echo",
        "health.probe = \"http\"\nhealth.path = \"x\"",
        "takes a path, with or without a query",
    ),
    (
        "upstream.echo",
        "health.probe = \"http\"\nhealth.path = \"/a b\"",
        "takes a path, with or without a query",
    ),
    ("upstream.echo", "health.probe = \"http\"\nhealth.status = []", "needs at least one status"),
    ("upstream.echo", "health.probe = \"http\"\nhealth.status = [101]", "from 200 to 599"),
    (
        "upstream.echo",
        "health.probe = \"websocket\"\nhealth.status = [204]",
        "upstream.echo.health.status = [204] (/etc/towline.toml): needs health.probe = \"http\"",
    ),
    ("upstream.echo", "health.timeout = \"0s\"", "from 1ms to 1 day"),
    (
        "upstream.echo",
        "health.unhealthy = 2",
        "upstream.echo.health.unhealthy = 2 (/etc/towline.toml): has no effect with health.interval = \"never\"",
    ),
    ("upstream.two", "codec = \"json\"", "upstream.two.url (/etc/towline.toml): required: it has no default"),
    (
        "upstream.echo",
        "allow_urls = [\"ws://h*\"]",
        "upstream.echo.allow_urls = [\"ws://h*\"] (/etc/towline.toml): \"ws://h*\": the part before the * needs scheme, host and a slash",
    ),
    (
        "upstream.echo",
        "allow_urls = [\"ws://me:sec%00ret@h/\"]",
        "upstream.echo.allow_urls = [\"ws://***@h/\"] (/etc/towline.toml): \"ws://***@h/\": user and password are percent-encoded",
    ),
    ("upstream.echo", "allow_urls = [\"ws://h/\", \"ws://H:80\"]", "\"ws://H:80\" is listed twice"),
    (
        "upstream.echo",
        "exchange = \"question\"",
        "upstream.echo.exchange = \"question\" (/etc/towline.toml): takes \"stream\" or \"request\"",
    ),
    (
        "upstream.echo",
        "reply_timeout = \"1s\"",
        "upstream.echo.reply_timeout = \"1s\" (/etc/towline.toml): needs exchange = \"request\"",
    ),
    (
        "upstream.echo",
        "correlation = \"id\"\ncodec = \"json\"",
        "upstream.echo.correlation = \"id\" (/etc/towline.toml): needs exchange = \"request\"",
    ),
    (
        "upstream.echo",
        "correlation = \"id\"\nexchange = \"request\"",
        "upstream.echo.correlation = \"id\" (/etc/towline.toml): needs codec = \"json\"",
    ),
    (
        "upstream.echo",
        "correlation = \"a..b\"\nexchange = \"request\"\ncodec = \"json\"",
        "takes keys separated by dots, such as \"id\" or \"params.id\"",
    ),
    (
        "upstream.echo",
        "max_in_flight = 0",
        "upstream.echo.max_in_flight = 0 (/etc/towline.toml): takes a whole number from 1 to 1000000",
    ),
    (
        "upstream.echo",
        "forward_headers = [\"Host\"]",
        "upstream.echo.forward_headers = [\"Host\"] (/etc/towline.toml): \"Host\": the handshake sets this header",
    ),
    ("upstream.echo", "forward_headers = [\"a b\"]", "\"a b\": a header name is a token"),
    ("upstream.echo", "forward_headers = [\"a\", \"A\"]", "\"A\" is listed twice"),
    ("upstream.echo", "forward_headers = [1]", "takes a list of strings"),
    (
        "upstream.echo",
        "headers = \"secret\"",
        "upstream.echo.headers = \"***\" (/etc/towline.toml): takes a table of header names and values",
    ),
    (
        "upstream.echo",
        "headers.Sec-WebSocket-Key = \"secret\"",
        "upstream.echo.headers.Sec-WebSocket-Key = *** (/etc/towline.toml): the handshake sets this header",
    ),
    (
        "upstream.echo",
        "headers.\"a b\" = \"secret\"",
        "upstream.echo.headers.a b = *** (/etc/towline.toml): a header name is a token",
    ),
    (
        "upstream.echo",
        "headers.a = \"sec\\r\\nret\"",
        "upstream.echo.headers.a = *** (/etc/towline.toml): the value has control characters",
    ),
    (
        "upstream.echo",
        "headers.a = \"secret ${request.pth}\"",
        "upstream.echo.headers.a = *** (/etc/towline.toml): there is no placeholder ${request.pth}; known: ${request.host}",
    ),
    (
        "upstream.echo",
        "response_headers.a = \"secret ${\"",
        "a placeholder such as ${request.path} ends with }",
    ),
    (
        "upstream.echo",
        "response_headers.Date = \"secret\"",
        "upstream.echo.response_headers.Date = *** (/etc/towline.toml): the response sets this header",
    ),
    (
        "upstream.echo",
        "response_headers.Sec-WebSocket-Accept = \"secret\"",
        "upstream.echo.response_headers.Sec-WebSocket-Accept = *** (/etc/towline.toml): the handshake sets this header",
    ),
    ("upstream.echo", "response_headers = 1", "takes a table of header names and values"),
    (
        "upstream.echo",
        "remove_headers = [\"x-a\"]",
        "\"x-a\" is not forwarded: forward_headers does not list it",
    ),
    (
        "upstream.echo",
        "remove_headers = [\"cookie\"]\nheaders.Cookie = \"a\"",
        "\"cookie\" is set by this upstream too, which replaces it",
    ),
    ("upstream.echo", "remove_headers = [\"connection\"]", "\"connection\": the handshake sets this header"),
    (
        "upstream.echo",
        "remove_response_headers = [\"server\"]",
        "\"server\" is not forwarded: forward_response_headers does not list it",
    ),
    (
        "upstream.echo",
        "headers = { a = \"1\", A = \"2\" }",
        "upstream.echo.headers.A = *** (/etc/towline.toml): is set twice",
    ),
    (
        "upstream.echo",
        "headers.cookie = \"a\"\nforward_headers = [\"cookie\"]",
        "upstream.echo.forward_headers = [\"cookie\"] (/etc/towline.toml): \"cookie\" is set in headers too: send either the client's value or this one",
    ),
    (
        "upstream.echo",
        "forward_headers = [\"x y\"]\nheaders = { Authorization = \"secret\" }",
        "upstream.echo.forward_headers = [\"x y\"] (/etc/towline.toml): \"x y\": a header name is a token",
    ),
    (
        "upstream.echo",
        "forward_headers = [\"host\", \"x y\", \"a\", \"A\"]",
        "(/etc/towline.toml): \"host\": the handshake sets this header; \"x y\": a header name is a \
         token: letters, digits and dashes; \"A\" is listed twice",
    ),
    (
        "upstream.echo",
        "allow_urls = [\"http://h/\", \"ws://h*\", \"ws://g/\"]",
        "\"http://h/\": the scheme is not ws or wss; a WebSocket URL looks like ws://host:port/path; \"ws://h*\": \
         the part before the *",
    ),
    (
        "upstream.echo",
        "on_upstream_close.pass = [1005, 1008, \"x\"]",
        "from 1000 to 4999, not \"1005\"; \"x\"",
    ),
    (
        "upstream.echo",
        "ping_interval = \"never\"\nping_timeout = \"5s\"",
        "upstream.echo.ping_timeout = \"5s\" (/etc/towline.toml): has no effect with ping_interval = \"never\"",
    ),
    (
        "upstream.echo",
        "on_give_up = \"close\"",
        "upstream.echo.on_give_up = \"close\" (/etc/towline.toml): has no effect: each route to this upstream closes \
         the client when the connection is lost; a route keeps it with on_upstream_loss = \"keep\" or stateless = true",
    ),
    (
        "upstream.echo",
        "restart.max = \"5s\"",
        "upstream.echo.restart.max = \"5s\" (/etc/towline.toml): has no effect: each",
    ),
    (
        "upstream.echo",
        "restart.rate = 5",
        "upstream.echo.restart.rate = 5 (/etc/towline.toml): has no effect: each",
    ),
    (
        "upstream.echo",
        "restart = 5",
        "upstream.echo.restart = 5 (/etc/towline.toml): takes a table: restart = { … }",
    ),
    (
        "upstream.echo",
        "restart.mim = \"1s\"",
        "upstream.echo.restart.mim (/etc/towline.toml): unknown key; did you mean \"restart.min\"?",
    ),
    (
        "upstream.echo",
        "restart.min = \"11s\"\nexchange = \"request\"",
        "upstream.echo.restart.min = \"11s\" (/etc/towline.toml): is above restart.max, which is 10s",
    ),
    (
        "upstream.echo",
        "restart.max = \"1ms\"\nexchange = \"request\"",
        "upstream.echo.restart.min = \"100ms\" (default): is above restart.max, which is 1ms",
    ),
    ("upstream.echo", "restart.max_restarts = 0", "takes a whole number from 1 to"),
    ("upstream.echo", "restart.rate = 0", "takes a whole number from 1 to"),
    ("upstream.echo", "on_give_up = \"cry\"", "takes \"keep\" or \"close\""),
    ("upstream.echo", "on_upstream_close.else = \"close\"", "takes \"reconnect\" or \"pass\""),
    (
        "upstream.echo",
        "on_upstream_close.pass = [1005]",
        "upstream.echo.on_upstream_close.pass = [1005] (/etc/towline.toml): takes close codes that a close frame may \
         carry, such as 1008 or \"4000-4999\", from 1000 to 4999, not \"1005\"",
    ),
    ("upstream.echo", "on_upstream_close.pass = [\"1000-1006\"]", "not \"1000-1006\""),
    ("upstream.echo", "on_upstream_close.pass = [\"4999-4000\"]", "not \"4999-4000\""),
    ("upstream.echo", "on_upstream_close.pass = [4000.5]", "not \"4000.5\""),
    ("upstream.echo", "on_upstream_close.pass = 4000", "not 4000"),
    ("upstream.echo", "on_upstream_close = [4000]", "takes a table: on_upstream_close = { … }"),
    (
        "upstream.echo",
        "on_refused.pass = [200]",
        "takes HTTP statuses such as 401 or \"500-599\", from 300 to 599, not \"200\"",
    ),
];

#[test]
fn wrong_lines_of_recovery_are_refused() {
    expect_problems(RECOVERY_LINES);
}

#[test]
fn wrong_lines_of_an_upstream_are_refused() {
    expect_problems(WRONG_LINES);
}
