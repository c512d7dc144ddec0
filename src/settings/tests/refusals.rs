//! Everything that is refused, with the words it is refused with.

use super::*;

/// The problems of a file and an environment, one line each.
pub(super) fn problems(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    match load(text, env) {
        Err(SettingsError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("expected problems in {text}\n{other:?}"),
    }
}

/// [`MINIMAL`] with lines added to a section, or with a new one.
pub(super) fn with(section: &str, lines: &str) -> String {
    let heading = format!("[{section}]\n");
    match MINIMAL.contains(&heading) {
        // Keys that are said already give way.
        true => {
            let key = lines.split([' ', '.']).next().unwrap();
            let (before, behind) = MINIMAL.split_once(&heading).unwrap();
            let kept = match behind.split_once('\n') {
                Some((first, rest)) if first.starts_with(&format!("{key} =")) => rest,
                _ => behind,
            };
            format!("{before}{heading}{lines}\n{kept}")
        }
        false => format!("{MINIMAL}\n{heading}{lines}\n"),
    }
}

/// One wrong line in one section, and the one problem that it makes.
const WRONG_LINES: &[(&str, &str, &str)] = &[
    (
        "server",
        "max_sessions = -1",
        "server.max_sessions = -1 (/etc/towline.toml): takes a whole number from 0",
    ),
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
        "server",
        "max_handshakes = 0",
        "server.max_handshakes = 0 (/etc/towline.toml): takes a whole number from 1",
    ),
    (
        "server",
        "buffer = \"1023KiB\"",
        "server.buffer = \"1023KiB\" (/etc/towline.toml): takes a size with its unit such as \"64KiB\", from 1MiB \
         to 1TiB",
    ),
    (
        "listener.ws",
        "max_sessions_per_address = 3\nmax_sessions = 2",
        "listener.ws.max_sessions_per_address = 3 (/etc/towline.toml): is above max_sessions, which is 2: it would \
         never be reached",
    ),
    (
        "listener.ws",
        "ping_interval = \"always\"",
        "listener.ws.ping_interval = \"always\" (/etc/towline.toml): takes a time with its unit such as \"30s\", \
         from 100ms to 1 day, or \"never\"",
    ),
    (
        "listener.ws",
        "ping_timeout = \"never\"",
        "listener.ws.ping_timeout = \"never\" (/etc/towline.toml): takes a time with its unit such as \"30s\", from \
         100ms to 1 day",
    ),
    (
        "listener.ws",
        "tcp_user_timeout = \"20s\"",
        "listener.ws.tcp_user_timeout = \"20s\" (/etc/towline.toml): is below slow_consumer_timeout, which is 30s",
    ),
    (
        "upstream.echo",
        "slow_consumer_timeout = \"2m\"",
        "upstream.echo.tcp_user_timeout = \"60s\" (default): is below slow_consumer_timeout, which is 2m",
    ),
    (
        "listener.ws",
        "slow_consumer = \"drop\"",
        "listener.ws.slow_consumer = \"drop\" (/etc/towline.toml): takes \"disconnect\", \"drop_oldest\" or \
         \"drop_newest\"",
    ),
    (
        "listener.ws",
        "slow_consumer = \"drop_oldest\"",
        "listener.ws.tcp_user_timeout = \"60s\" (default): ends a client that does not read, which slow_consumer = \
         \"drop_oldest\" keeps: must be \"never\"",
    ),
    (
        "listener.ws",
        "slow_consumer = \"drop_newest\"\ntcp_user_timeout = \"never\"\nslow_consumer_timeout = \"never\"",
        "listener.ws.slow_consumer_timeout = \"never\" (/etc/towline.toml): is \"never\", so that slow_consumer = \
         \"drop_newest\" would never begin",
    ),
    (
        "listener.ws",
        "rate.on_limit = \"close\"",
        "listener.ws.rate.on_limit = \"close\" (/etc/towline.toml): does nothing without rate.messages or rate.bytes",
    ),
    (
        "listener.ws",
        "address_rate.burst = \"2h\"\naddress_rate.messages = 1",
        "listener.ws.address_rate.burst = \"2h\" (/etc/towline.toml): takes a time with its unit such as \"30s\", \
         from 1ms to 1h",
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
    ("log", "level = 1", "log.level = 1 (/etc/towline.toml): takes a text in quotes"),
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
        "drain.window = 10 (/etc/towline.toml): takes a time with its unit such as \"30s\", from 1ms to 1 day",
    ),
    ("drain", "window = \"10\"", "drain.window = \"10\" (/etc/towline.toml): takes a time with its unit"),
    ("drain", "window = \"0s\"", "drain.window = \"0s\" (/etc/towline.toml): takes a time with its unit"),
    ("drain", "grace = \"25h\"", "drain.grace = \"25h\" (/etc/towline.toml): takes a time with its unit"),
    ("drain", "grace = \"5 parsecs\"", "drain.grace = \"5 parsecs\" (/etc/towline.toml): takes a time"),
    ("drain", "close_code = 1005", "drain.close_code = 1005 (/etc/towline.toml): takes 1001 or 1012"),
    (
        "listener.ws",
        "bind = \"127.0.0.1\"",
        "listener.ws.bind = \"127.0.0.1\" (/etc/towline.toml): takes host:port",
    ),
    ("listener.ws", "bind = \":80\"", "listener.ws.bind = \":80\" (/etc/towline.toml): takes host:port"),
    (
        "listener.ws",
        "bind = \"127.0.0.1:65536\"",
        "listener.ws.bind = \"127.0.0.1:65536\" (/etc/towline.toml): takes host:port, such as \"127.0.0.1:9139\", with a port from 0 to 65535",
    ),
    (
        "listener.ws",
        "bind = \"no such host:1\"",
        "(/etc/towline.toml): takes host:port, and the host cannot be found: ",
    ),
    (
        "listener.ws",
        "codec = \"strng\"",
        "listener.ws.codec = \"strng\" (/etc/towline.toml): unknown codec; use message, string, json, binary",
    ),
    ("listener.ws", "preprocessors = \"lines\"", "takes a list of preprocessors"),
    (
        "listener.ws",
        "preprocessors = [\"line\"]",
        "listener.ws.preprocessors = [\"line\"] (/etc/towline.toml): no preprocessor is called \"line\"; there is \"lines\"",
    ),
    (
        "listener.ws",
        "preprocessors = [{ buffered = true }]",
        "a preprocessor is a name, or a table with a name such as { name = \"lines\" }",
    ),
    (
        "listener.ws",
        "preprocessors = [1]",
        "listener.ws.preprocessors = [1] (/etc/towline.toml): a preprocessor is a name, or a table",
    ),
    (
        "listener.ws",
        "preprocessors = [{ name = \"lines\", buffer = true }]",
        "listener.ws.preprocessors = [{ name = \"lines\", buffer = true }] (/etc/towline.toml): lines has no option \"buffer\"; its options are \"buffered\"",
    ),
    (
        "listener.ws",
        "postprocessors = [{ name = \"lines\", buffered = true }]",
        "lines takes the option \"buffered\" as a preprocessor only",
    ),
    (
        "listener.ws",
        "max_message = 1024",
        "listener.ws.max_message = 1024 (/etc/towline.toml): takes a size with its unit such as \"64KiB\", from 1B to 64MiB",
    ),
    ("listener.ws", "max_message = \"1024\"", "takes a size with its unit"),
    ("listener.ws", "max_message = \"65MiB\"", "takes a size with its unit"),
    ("listener.ws", "max_message = \"many MiB\"", "takes a size with its unit"),
    (
        "listener.ws",
        "max_message = \"1KiB\"",
        "listener.ws.max_message = \"1KiB\" (/etc/towline.toml): a frame may not be longer than a message",
    ),
    (
        "listener.ws",
        "max_frame = \"2MiB\"",
        "listener.ws.max_frame = \"2MiB\" (/etc/towline.toml): a frame may not be longer than a message",
    ),
    (
        "listener.ws",
        "buffer = \"4095B\"",
        "listener.ws.buffer = \"4095B\" (/etc/towline.toml): takes a size with its unit such as \"64KiB\", from 4KiB to 64MiB",
    ),
    ("listener.ws", "bnid = 1", "listener.ws.bnid (/etc/towline.toml): unknown key; did you mean \"bind\"?"),
    (
        "listener.ws",
        "colour = 1",
        "listener.ws.colour (/etc/towline.toml): unknown key; there are bind, codec, ",
    ),
    (
        "listener.Two",
        "bind = \"127.0.0.1:0\"",
        "listener.Two (/etc/towline.toml): a name is made of a-z, 0-9, _ and -",
    ),
    (
        "listener.a__b",
        "bind = \"127.0.0.1:0\"",
        "listener.a__b (/etc/towline.toml): a name has no two underscores side by side",
    ),
    (
        "listener.two",
        "codec = \"json\"",
        "listener.two.bind (/etc/towline.toml): required: it has no default",
    ),
    (
        "listener.two",
        "bind = \"127.0.0.1:9139\"",
        "listener.two.bind = \"127.0.0.1:9139\" (/etc/towline.toml): [listener.ws] already uses this address",
    ),
    ("listener.two", "bind = \"0.0.0.0:9139\"", "[listener.ws] already uses this address"),
    (
        "listener.two",
        "bind = [\"127.0.0.1:1\", \"[::]:9139\"]",
        "(/etc/towline.toml): [listener.ws] already uses [::]:9139; give them different addresses",
    ),
    (
        "listener.ws",
        "bind = [\"127.0.0.1:1\", \"127.0.0.1:1\"]",
        "listener.ws.bind = [\"127.0.0.1:1\", \"127.0.0.1:1\"] (/etc/towline.toml): lists 127.0.0.1:1 twice",
    ),
    (
        "listener.ws",
        "bind = [\"localhost:1\", \"[::]:1\"]",
        "lists [::1]:1 and [::]:1: one of them includes the other",
    ),
    (
        "listener.ws",
        "bind = []",
        "takes host:port, such as \"127.0.0.1:9139\"; at least one address is required",
    ),
    (
        "listener.ws",
        "bind = 9139",
        "listener.ws.bind = 9139 (/etc/towline.toml): takes an address in quotes, or a list of addresses",
    ),
    (
        "listener.ws",
        "bind = [\"127.0.0.1:1\", \":2\"]",
        "(/etc/towline.toml): \":2\": takes host:port, such as",
    ),
    ("admin", "bind = [\"127.0.0.1:1\"]", "(/etc/towline.toml): takes a text in quotes"),
    (
        "listener.two",
        "bind = \"127.0.0.1:9140\"",
        "listener.two.bind = \"127.0.0.1:9140\" (/etc/towline.toml): [admin] already uses this address",
    ),
    (
        "upstream.echo",
        "url = \"wss://h\"",
        "upstream.echo.url = \"wss://h\" (/etc/towline.toml): wss:// is not supported yet; only ws:// is",
    ),
    (
        "upstream.echo",
        "url = \"http://me:secret@h?secret\"",
        "upstream.echo.url = \"http://***@h?***\" (/etc/towline.toml): the scheme is not ws",
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
        "takes keys with dots between them, such as \"id\" or \"params.id\"",
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
    ("upstream.echo", "forward_headers = [1]", "takes a list of texts"),
    (
        "upstream.echo",
        "headers = \"secret\"",
        "upstream.echo.headers = \"***\" (/etc/towline.toml): takes a table of header names and texts",
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
        "\"http://h/\": the scheme is not ws; a WebSocket URL looks like ws://host:port/path; \"ws://h*\": \
         the part before the *",
    ),
    (
        "upstream.echo",
        "on_upstream_close.pass = [1005, 1008, \"x\"]",
        "from 1000 to 4999, not \"1005\"; \"x\"",
    ),
    ("[route]", "subprotocols = [\"a b\", \"c\", \"c\"]", "separators; \"c\" is listed twice"),
    (
        "listener.ws",
        "preprocessors = [\"line\", \"x\"]",
        "called \"line\"; there is \"lines\"; no preprocessor is called \"x\"",
    ),
    ("listener.ws", "bind = [\":1\", \":2\"]", "with a port from 0 to 65535; \":2\": takes host:port"),
    (
        "listener.ws",
        "ping_interval = \"never\"\nping_timeout = \"5s\"",
        "listener.ws.ping_timeout = \"5s\" (/etc/towline.toml): has no effect with ping_interval = \"never\"",
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
         the client when the connection is lost (on_upstream_loss)",
    ),
    (
        "upstream.echo",
        "restart.max = \"5s\"",
        "upstream.echo.restart.max = \"5s\" (/etc/towline.toml): has no effect: each",
    ),
    (
        "upstream.echo",
        "restart = { rate = 5, max = \"1s\" }\nallow_urls = [\"ws://h/\"]",
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
    (
        "pipeline.pass",
        "source = \"slect\"",
        "pipeline.pass.source = \"slect\" (/etc/towline.toml): the program does not compile\n    ",
    ),
    (
        "pipeline.pass",
        "file = \"none.trickle\"",
        "pipeline.pass.file = \"none.trickle\" (/etc/towline.toml): set either source or file, not both",
    ),
    (
        "pipeline.two",
        "file = \"none.trickle\"",
        "pipeline.two.file = \"none.trickle\" (/etc/towline.toml): cannot read /etc/none.trickle: No such file",
    ),
    ("pipeline.two", "# nothing", "pipeline.two (/etc/towline.toml): needs a program"),
    ("pipeline.two", "source = 1", "pipeline.two.source = 1 (/etc/towline.toml): takes a text in quotes"),
    (
        "[route]",
        "listener = \"wz\"",
        "route[1].listener = \"wz\" (/etc/towline.toml): there is no listener \"wz\"; there are ws",
    ),
    (
        "[route]",
        "path = \"chat\"",
        "route[1].path = \"chat\" (/etc/towline.toml): takes the beginning of a path such as \"/chat\"",
    ),
    ("[route]", "path = \"/a?b\"", "takes the beginning of a path"),
    ("[route]", "path = \"/a/*\"", "takes the beginning of a path"),
    (
        "[route]",
        "incoming = [\"pas\"]",
        "route[1].incoming = [\"pas\"] (/etc/towline.toml): there is no pipeline \"pas\"; there are pass",
    ),
    (
        "[route]",
        "outgoing = [\"pas\"]",
        "route[1].outgoing = [\"pas\"] (/etc/towline.toml): there is no pipeline \"pas\"",
    ),
    (
        "[route]",
        "errors = [\"pas\"]",
        "route[1].errors = [\"pas\"] (/etc/towline.toml): there is no pipeline \"pas\"",
    ),
    (
        "[route]",
        "upstream = \"eco\"",
        "route[1].upstream = \"eco\" (/etc/towline.toml): there is no upstream \"eco\"; there are echo",
    ),
    ("[route]", "error_replies = \"true\"", "takes \"auto\", true or false"),
    ("[route]", "error_replies = 1", "takes \"auto\", true or false"),
    (
        "[route]",
        "errors = [\"pass\"]\nerror_replies = false",
        "route[1].error_replies = false (/etc/towline.toml): contradicts errors: these pipelines would never get",
    ),
    ("[route]", "stateless = \"true\"", "takes true or false"),
    (
        "[route]",
        "stateless = true\non_upstream_loss = \"close\"",
        "route[1].stateless = true (/etc/towline.toml): contradicts on_upstream_loss = \"close\"",
    ),
    ("[route]", "on_upstream_loss = \"drop\"", "takes \"auto\", \"keep\" or \"close\""),
    ("[route]", "subprotocols = [\"a b\"]", "\"a b\" is not a subprotocol"),
    ("[route]", "subprotocols = [\"a\", \"a\"]", "\"a\" is listed twice"),
    (
        "[route]",
        "dial_before_accept = \"0s\"",
        "route[1].dial_before_accept = \"0s\" (/etc/towline.toml): takes a time",
    ),
    ("sever", "workers = 1", "sever (/etc/towline.toml): unknown section; did you mean \"server\"?"),
    ("weather", "rain = true", "weather (/etc/towline.toml): unknown section; there are server, log, "),
];

#[test]
fn every_wrong_line_is_one_problem_in_words() {
    for (section, line, expected) in WRONG_LINES {
        let text = with(section, line);
        let problems = problems(&text, &[]);
        assert_eq!(problems.len(), 1, "{line}\n{problems:#?}");
        assert!(problems[0].contains(expected), "{line}\n   {}\nnot {expected}", problems[0]);
        assert!(!problems[0].contains("secret"), "{}", problems[0]);
    }
}

/// Whole files that are wrong, and all problems they make.
#[test]
fn what_is_missing_or_out_of_place_is_told() {
    let no_listener = MINIMAL.replace("[listener.ws]", "[admin]");
    let no_route = MINIMAL.split("[[route]]").next().unwrap().to_owned();
    let unserved =
        with("listener.two", "bind = \"127.0.0.1:0\"").replace("[[route]]", "[[route]]\nlistener = \"ws\"");
    let no_upstream = MINIMAL.replace("upstream = \"echo\"", "incoming = [\"pass\"]");
    let hidden = format!("{MINIMAL}[[route]]\npath = \"/a\"\nupstream = \"echo\"\n");
    let empty_path = hidden.replace("path = \"/a\"", "path = 1");
    let table: [(&str, &[&str]); 11] = [
        (
            "",
            &[
                "listener (/etc/towline.toml): needs at least one",
                "route (/etc/towline.toml): needs at least one",
            ],
        ),
        (&no_listener, &["listener (/etc/towline.toml): needs at least one: [listener.NAME]"]),
        (&no_route, &["route (/etc/towline.toml): needs at least one: [[route]]"]),
        (&unserved, &["listener.two (/etc/towline.toml): no route takes sessions from here"]),
        (
            &no_upstream,
            &["route[1] (/etc/towline.toml): needs an upstream, or an incoming pipeline that answers"],
        ),
        (&hidden, &["route[2].path = \"/a\" (/etc/towline.toml): unreachable: route[1] already matches"]),
        (&empty_path, &["route[2].path = 1 (/etc/towline.toml): takes a text in quotes"]),
        (&format!("server = 1\n{MINIMAL}"), &["server = *** (/etc/towline.toml): is a section, not a key"]),
        (
            &format!("{MINIMAL}[listener]\nbind = \"x\"\n"),
            &["listener.bind = *** (/etc/towline.toml): is a section"],
        ),
        (
            &MINIMAL.replace("[[route]]", "[route]"),
            &["route (/etc/towline.toml): write [[route]] with double brackets"],
        ),
        (
            &format!(
                "listener = 1\n{}",
                MINIMAL.split("[upstream").next().unwrap().replace("[listener.ws]", "[admin]")
            ),
            &["listener = *** (/etc/towline.toml): takes tables: [listener.NAME]", "route (/etc"],
        ),
    ];
    for (text, expected) in table {
        let problems = problems(text, &[]);
        assert_eq!(problems.len(), expected.len(), "{text}\n{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.contains(expected), "{text}\n   {problem}\nnot {expected}");
        }
    }
}

#[test]
fn wrong_variables_are_told_by_name() {
    let table = [
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
            "route.0.path (environment TOWLINE__ROUTE__0__PATH): routes have no names, so they are set in the file only",
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
    for (name, value, expected) in table {
        let problems = problems(MINIMAL, &[(name, value)]);
        assert_eq!(problems.len(), 1, "{name}\n{problems:#?}");
        assert!(problems[0].contains(expected), "{name}\n   {}\nnot {expected}", problems[0]);
        assert!(!problems[0].contains("secret"), "{}", problems[0]);
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text = with("listener.ws", "codec = \"x\"").replace("ws://127.0.0.1:8139", "ftp://h");
    let error = load(&text, &[("TOWLINE__SERVER__WORKERS", "x")]).unwrap_err().to_string();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines[0], "3 settings are wrong");
    assert_eq!(lines.len(), 4, "{error}");
    assert!(lines[1].starts_with("  server.workers = \"x\" (environment "));
    assert!(lines[2].starts_with("  listener.ws.codec = \"x\" (/etc/towline.toml): "));
    assert!(lines[3].starts_with("  upstream.echo.url = \"ftp://h\" (/etc/towline.toml): "));
}

#[test]
fn a_file_that_is_not_toml_is_told_by_line_and_column() {
    let text = "[server]\nworkers = 1\n[upstream.x]\nurl = \"ws://me:secret@h\n";
    let error = layers(text, &[]).unwrap_err();
    let SettingsError::Syntax { position, .. } = &error else { panic!("{error:?}") };
    assert_eq!(position.map(|(line, _)| line), Some(4), "{error}");
    let error = error.to_string();
    assert!(error.contains("/towline.toml:4:"), "{error}");
    assert!(!error.contains("secret") && !error.contains('\n'), "{error}");
    let twice = layers("[log]\nlevel = \"a\"\nlevel = \"b\"\n", &[]).unwrap_err().to_string();
    assert!(twice.contains(":3:1: duplicate key"), "{twice}");
    let long = layers("a = 99999999999999999999", &[]).unwrap_err();
    assert!(matches!(long, SettingsError::Syntax { .. }), "{long:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let load = |path: &Path| Settings::load(Some(path), std::iter::empty()).unwrap_err();
    let missing = folder.path().join("none.toml");
    let error = load(&missing);
    assert_eq!(error, SettingsError::NotFound { path: missing.clone() });
    let words = error.to_string();
    assert!(
        words
            .starts_with(&format!("no settings file at {}: write one with `towline init", missing.display()))
    );
    let error = load(folder.path());
    assert!(matches!(error, SettingsError::Unreadable { .. }), "{error:?}");
    let file = folder.path().join("latin1.toml");
    std::fs::write(&file, b"# caf\xe9\n").unwrap();
    assert!(load(&file).to_string().contains("invalid utf-8"), "{}", load(&file));
    let error = load(Path::new("no/such.toml")).to_string();
    let here = std::env::current_dir().unwrap();
    assert!(error.contains(&here.join("no/such.toml").display().to_string()), "absolute: {error}");
}

proptest::proptest! {
    /// For any values, there is an answer without a secret in it.
    #[test]
    fn no_values_make_the_check_panic(
        picks in proptest::collection::vec((0_usize..8, 0_usize..32, 0_usize..12), 0..12)
    ) {
        const VALUES: [&str; 12] = [
            "0", "-1", "1.5", "\"\"", "\"SECRET@\"", "\"ws://SECRET@h?SECRET\"", "[]", "[\"*\", 1]",
            "{}", "{ name = \"SECRET@\" }", "true", "\"9999999999999999999KiB\"",
        ];
        let mut lines = std::collections::BTreeMap::new();
        for (section, key, value) in picks {
            let section = &SECTIONS[section];
            let names: Vec<_> = section.keys().map(|key| key.name).collect();
            let key = names[key % names.len()];
            let name = match section.shape {
                Shape::Single => section.name.to_owned(),
                Shape::Named => format!("{}.x", section.name),
                Shape::Listed => continue,
            };
            lines.insert(format!("{name}.{}", key.replace("restart.", "restart_")), VALUES[value]);
        }
        let text: String = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let layers = layers(&text.replace("restart_", "restart."), &[]).unwrap();
        let report = load::report(&layers, Extent::All);
        let error = check(&layers).unwrap_err();
        let is_secret = |line: &str| line.contains("SECRET") && (line.contains("url") || line.contains("headers."));
        proptest::prop_assert!(!report.lines().any(is_secret), "{}", report);
        proptest::prop_assert!(matches!(error, SettingsError::Invalid(_)));
    }
}

/// C10: what is accepted has an effect.
#[test]
fn a_prefix_that_cannot_be_stripped_is_refused() {
    let strip = |url: &str, path: &str, upstream: &str| {
        let text = MINIMAL.replace("ws://127.0.0.1:8139", url);
        problems(
            &format!(
                "{}path = {path:?}\nstrip_prefix = true\n",
                text.replace("[pipeline", &format!("{upstream}\n[pipeline"))
            ),
            &[],
        )
    };
    let origin = "route[1].strip_prefix = true (/etc/towline.toml): ";
    assert_eq!(strip("ws://h", "/", ""), [format!("{origin}needs a path other than \"/\"")]);
    assert_eq!(
        strip("ws://h/", "/chat", ""),
        [format!("{origin}the path in upstream.echo.url replaces the route's path already")]
    );
    assert_eq!(
        strip("ws://h", "/chat", "forward_path = false"),
        [format!("{origin}needs upstream.echo.forward_path = true")]
    );
    let text = format!("{MINIMAL}path = \"/chat\"\nstrip_prefix = true\n");
    assert!(load(&text, &[]).unwrap().routes[0].strip_prefix);
}
