//! Tests that no credential occurs in any output: what a client reads, the log in both formats at the finest level,
//! the admin server, and what the commands print.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    digest::{SHA256, digest},
    hmac,
};

use crate::harness::*;

/// The secret of the tokens' issuer.
const ISSUER: &str = "planted-issuer-secret-with-thirty-two-bytes-or-more";
/// An API key, and keys and passwords that nobody accepts.
const KEY: &str = "planted-key";
/// The password `secret` of `ada`.
const USERS: &str = "ada:$2b$04$XPHPue/aG0nXIgkiND3e5OnEtP1MWT8UXXMR8iXgB3S7mhqBRClpC\n";
/// What all other secrets of this file contain.
const PLANTED: &str = "planted-";

/// A cookie without a credential: programs see it, and the log omits it.
const OTHER: &str = "other-cookie";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn token(secret: &str, subject: &str, expires: u64) -> String {
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let claims = format!(r#"{{"sub": {subject:?}, "aud": "chat", "exp": {expires}}}"#);
    let signed = format!("{}.{}", encoded(br#"{"alg": "HS256", "typ": "JWT"}"#), encoded(claims.as_bytes()));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", encoded(mac.as_ref()))
}

fn hash(key: &str) -> String {
    digest(&SHA256, key.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn basic(password: &str) -> String {
    STANDARD.encode(format!("ada:{password}"))
}

/// Answers all HTTP requests with these headers.
fn service(headers: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let response = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let response = response.clone();
            thread::spawn(move || {
                while let Ok(Some(_)) = Head::read(&mut stream) {
                    let _ = std::io::Write::write_all(&mut stream, response.as_bytes());
                }
            });
        }
    });
    addr
}

/// Everything that is set up: the service that the proxy asks, upstreams, and the files of the settings.
struct Fixture {
    upstream: TestUpstream,
    folder: tempfile::TempDir,
    /// Answers that a service gives about its clients, and an HTTP upstream.
    gate: SocketAddr,
    /// A token that is valid, one that has expired, one of another subject, and one of another issuer.
    tokens: [String; 4],
}

impl Fixture {
    fn new() -> Self {
        let gate = service("X-User: 7\r\nX-Grant: planted-grant\r\nX-Session: planted-session\r\n");
        let token =
            |secret: &str, subject, seconds| token(secret, subject, now().saturating_add_signed(seconds));
        let other = ISSUER.to_uppercase();
        let tokens = [
            token(ISSUER, "7", 600),
            token(ISSUER, "7", -600),
            token(ISSUER, "8", 600),
            token(&other, "7", 600),
        ];
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("issuer"), ISSUER).unwrap();
        fs::write(folder.path().join("users"), USERS).unwrap();
        Self { upstream: TestUpstream::echo(), folder, gate, tokens }
    }

    /// Settings with a route for each way of authentication, and routes that fail after it.
    fn settings(&self, format: &str) -> Settings {
        let from = r#"["authorization", "subprotocol:bearer.", "cookie:session", "query:token"]"#;
        let who = "select {\"request\": $request} from in where event == \"who\" into reply;\
                   select $session.none from in where event == \"fail\" into out;\
                   select event from in where event != \"who\" and event != \"fail\" into out;";
        let settings = Settings::request(&self.upstream.url())
            .with(r#"log.level = "trace""#)
            .with(&format!("log.format = {format:?}"))
            .with(&format!("auth.users.from = {from}"))
            .with(r#"auth.users.jwt = { secret_file = "issuer", audience = ["chat"], leeway = "0s" }"#)
            .with(r#"auth.users.renew = { path = "type", value = "auth.renew", token = "token" }"#)
            .with(r#"auth.users.forward_as = "authorization""#)
            .with(r#"auth.programs.from = ["header:x-api-key"]"#)
            .with(&format!(r#"auth.programs.api_keys.keys = {{ a = "sha256:{}" }}"#, hash(KEY)))
            .with(r#"auth.staff.basic.file = "users""#)
            .with(&format!(r#"auth.gate.forward.url = "http://{}/verify?key=planted-url""#, self.gate))
            .with(r#"auth.gate.forward.request_headers = ["cookie"]"#)
            .with(r#"auth.gate.forward.claims_from = { sub = "X-User", grant = "X-Grant" }"#)
            .with(r#"auth.gate.forward.upstream_headers = ["X-Session"]"#)
            .with(r#"upstream.down.url = "ws://127.0.0.1:1""#)
            .with(&format!(r#"upstream.pages.url = "ws://{}""#, self.gate))
            .on_route(r#"path = "/users""#)
            .on_route(r#"auth = ["users", "programs"]"#)
            .on_route(r#"session_expiry = { lead = "1s" }"#)
            .on_route(r#"log_claims = ["sub"]"#)
            .incoming(who);
        let others = [
            ("/staff", "echo", r#"["staff"]"#, "incoming = [\"incoming\"]"),
            ("/gate", "echo", r#"["gate"]"#, "incoming = [\"incoming\"]"),
            ("/denied", "echo", r#"["gate"]"#, r#"require = { grant = ["another"] }"#),
            ("/down", "down", r#"["users", "programs"]"#, "stateless = false"),
            ("/pages", "pages", r#"["users", "programs"]"#, "forward_http = true"),
        ];
        others.iter().fold(settings, |settings, (path, upstream, auth, line)| {
            let route = settings.route(&[&format!("path = {path:?}"), &format!("upstream = {upstream:?}")]);
            route.on_route(&format!("auth = {auth}")).on_route(line)
        })
    }

    /// Requests with each credential at each source. Some are accepted, and others refused.
    fn openings(&self, addr: SocketAddr) -> Vec<Opening> {
        let new = |path: &str| Opening::new(addr).path(path).header("Cookie", &format!("theme={OTHER}"));
        let mut openings = Vec::new();
        let garbage = "planted-garbage".to_owned();
        for path in ["/users", "/down"] {
            for token in self.tokens.iter().chain([&garbage]) {
                openings.extend([
                    new(path).header("Authorization", &format!("Bearer {token}")),
                    new(path).protocols(&format!("bearer.{token}, chat")),
                    new(path).header("Cookie", &format!("session={token}; a=1")),
                    new(&format!("{path}?a=1&token={token}&b=2")),
                    new(&format!("{path}?token={token}")).header("Authorization", &format!("Bearer {token}")),
                    new(path).header("Authorization", &format!("planted-scheme {token}")),
                ]);
            }
            openings.push(new(path).header("X-Api-Key", KEY));
            openings.push(new(path).header("X-Api-Key", "planted-other"));
            openings.push(new(path).header("X-Api-Key", "planted-\u{7f}"));
        }
        for login in [basic("secret"), basic("planted-password"), format!("{PLANTED}login")] {
            openings.push(new("/staff").header("Authorization", &format!("Basic {login}")));
        }
        // All cookies of the client go to the service.
        openings.extend([new("/gate"), new("/denied")]);
        openings.push(new("/none").header("Authorization", "Bearer planted-lost"));
        openings
    }

    /// What clients read in these sessions: replies, error replies, answers to renewals, and close reasons.
    fn sessions(&self, addr: SocketAddr) -> String {
        let mut seen = String::new();
        for opening in self.openings(addr) {
            match opening.try_open() {
                Err(refusal) => seen += &format!("{refusal:?}\n"),
                Ok(mut client) => {
                    for text in ["hello", "who", "fail"] {
                        seen += &format!("{text}: {}\n", client.ask(text));
                    }
                    client.send(Message::Close(None));
                    seen += &format!("{:?}\n", client.read_to_end());
                }
            }
        }
        seen + &self.renewals(addr) + &self.losses(addr)
    }

    fn renewals(&self, addr: SocketAddr) -> String {
        let bearer = |token: &str| {
            Opening::new(addr).path("/users").header("Authorization", &format!("Bearer {token}")).open()
        };
        let mut seen = String::new();
        let mut client = bearer(&self.tokens[0]);
        for token in [&self.tokens[0], &self.tokens[2], &self.tokens[1], "planted-renewal"] {
            // One after the other, so that none is refused because of their number.
            seen += &client.ask(&format!(r#"{{"type": "auth.renew", "token": {token:?}}}"#));
        }
        // More than the limit, malformed, and without pause.
        for _ in 0..3 {
            seen += &client.ask(r#"{"type": "auth.renew", "token": ["planted-list"]}"#);
        }
        seen += &bearer(&token(ISSUER, "7", now() + 4)).read_to_end_as_text();
        seen
    }

    /// Sessions that end because of the upstream, and because of the client.
    fn losses(&self, addr: SocketAddr) -> String {
        let open = || {
            let query = format!("/users?token={}", self.tokens[0]);
            let connections = self.upstream.connections();
            (Opening::new(addr).path(&query).open(), connections)
        };
        let (mut lost, connection) = open();
        assert_eq!(lost.ask("hello"), "hello");
        self.upstream.conn(connection).die(Death::Close(1011, "failed"));
        let mut seen = lost.ask("again");
        let (mut invalid, _) = open();
        std::io::Write::write_all(&mut invalid.sender(), &[0xff, 0x80, 0, 0, 0, 0]).unwrap();
        seen += &invalid.read_to_end_as_text();
        seen
    }

    /// What plain requests get: those that are forwarded, and those that are refused.
    fn requests(&self, addr: SocketAddr) -> String {
        let mut seen = String::new();
        for path in ["/pages/a", "/down", "/users"] {
            for token in &self.tokens {
                seen += &format!("{:?}\n", get(addr, &format!("{path}?a=1&token={token}")));
            }
        }
        seen
    }

    /// All texts that must not occur.
    fn secrets(&self) -> Vec<String> {
        let parts = self.tokens.iter().flat_map(|token| token.split('.').skip(1)).map(str::to_owned);
        let hashes = USERS.trim_end().split(':').skip(1).map(str::to_owned);
        let logins = [basic("secret"), basic("planted-password"), hash(KEY), PLANTED.to_owned()];
        parts.chain(hashes).chain(logins).collect()
    }
}

impl Client {
    /// Reads messages and the close frame until the end of the connection.
    fn read_to_end_as_text(&mut self) -> String {
        format!("{:?}\n", self.read_to_end())
    }
}

#[track_caller]
fn assert_absent(secrets: &[String], seen: &str) {
    for secret in secrets {
        let found = seen.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(found, None, "{secret} is in the output");
    }
}

#[test]
fn no_credential_occurs_in_answers_logs_and_pages_of_the_admin_server() {
    let fixture = Fixture::new();
    for format in ["text", "json"] {
        let file = fixture.folder.path().join("towline.toml");
        fs::write(file, fixture.settings(format).text()).unwrap();
        let mut program = Program::start(&["run", "--config", "towline.toml"], &[], fixture.folder.path());
        let address = |pattern: &str| {
            let line = program.wait_log(pattern);
            let (_, rest) = line.split_once("127.0.0.1:").unwrap();
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            format!("127.0.0.1:{port}").parse().unwrap()
        };
        let (addr, admin) = (address("listening listener=ws address="), address("listening admin address="));
        let mut seen = fixture.sessions(addr) + &fixture.requests(addr);
        for path in ["/", "/healthz", "/readyz", "/metrics", "/sessions", "/routes", "/settings"] {
            seen += &get(admin, path).1;
        }
        for expected in [
            "hello: hello",
            "who: {",
            "fail: {\"error\"",
            "token expired",
            "malformed token",
            "wrong signature",
            "unknown key",
            "session renewed",
            "another subject",
            "session expires",
            "reserved bits",
            "(200, ",
        ] {
            assert!(seen.contains(expected), "no {expected}:\n{seen}");
        }
        program.signal("TERM");
        assert_eq!(program.exit_code(), Some(0));
        let log = program.log().join("\n");
        assert!(log.contains("TRACE") || log.contains(r#""level":"trace""#), "{log}");
        for expected in
            ["invalid credential", "malformed credential", "not allowed", "renewal refused", "claim.sub"]
        {
            assert!(log.contains(expected), "no {expected}:\n{log}");
        }
        assert_absent(&[OTHER.to_owned()], &log);
        assert_absent(&fixture.secrets(), &(seen + &log));
    }
}

/// Runs `towline check` on these settings, and returns everything that it prints.
fn check(settings: &str, folder: &Path) -> (Option<i32>, String) {
    fs::write(folder.join("checked.toml"), settings).unwrap();
    let mut printed = String::new();
    let mut code = None;
    for args in
        [&["check", "--config", "checked.toml"][..], &["check", "--changed", "--config", "checked.toml"]]
    {
        let finished = Program::finish(args, &[("RUST_LOG", "trace")], folder);
        printed += &(finished.stdout + &finished.stderr);
        code = finished.code;
    }
    (code, printed)
}

#[test]
fn no_credential_occurs_in_the_report_of_check() {
    let fixture = Fixture::new();
    let (code, printed) = check(&fixture.settings("text").text(), fixture.folder.path());
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("api_keys") && printed.contains("***"), "{printed}");
    assert_absent(&fixture.secrets(), &printed);
}

/// An operator who writes a secret where a hash, the name of a file or something else is expected.
#[test]
fn no_credential_occurs_in_the_errors_of_check_and_run() {
    let fixture = Fixture::new();
    let path = |name: &str| fixture.folder.path().join(name);
    fs::write(path("plain-users"), "ada:planted-password\n").unwrap();
    fs::write(path("plain-keys"), "billing:planted-key\n").unwrap();
    fs::write(path("short"), "planted-short").unwrap();
    fs::write(path("jwks"), r#"{"keys": [{"kty": "oct", "k": "planted-jwk", "alg": 7}]}"#).unwrap();
    fs::write(path("pem"), "-----BEGIN PRIVATE KEY-----\nplanted-pem\n-----END PRIVATE KEY-----\n").unwrap();
    for line in [
        r#"auth.programs.api_keys.keys = { a = "planted-key" }"#,
        r#"auth.programs.api_keys.keys = { a = "sha256:planted-hash" }"#,
        r#"auth.programs.api_keys.keys = "planted-keys""#,
        r#"auth.programs.api_keys = { file = "plain-keys" }"#,
        r#"auth.staff.basic.file = "plain-users""#,
        r#"auth.users.jwt = { secret_file = "short", audience = ["chat"] }"#,
        r#"auth.users.jwt = { jwks_file = "jwks", audience = ["chat"] }"#,
        r#"auth.users.jwt = { keys = "pem", audience = ["chat"] }"#,
        r#"auth.users.jwt = { secret = "planted-inline", audience = ["chat"] }"#,
        r#"auth.users.jwt = { jwks_url = "ftp://a:planted-login@127.0.0.1/?key=planted-query", audience = ["chat"] }"#,
        r#"auth.gate.forward.url = "ftp://a:planted-login@127.0.0.1/?key=planted-query""#,
    ] {
        let (key, _) = line.split_once(" = ").unwrap();
        let text = fixture.settings("text").with(line).text();
        let text: Vec<_> =
            text.lines().filter(|other| *other == line || !other.starts_with(&format!("{key}."))).collect();
        let (code, printed) = check(&text.join("\n"), fixture.folder.path());
        assert_eq!(code, Some(78), "{line}\n{printed}");
        assert!(printed.contains("auth."), "{line}\n{printed}");
        let run = Program::finish(
            &["run", "--config", "checked.toml"],
            &[("RUST_LOG", "trace")],
            fixture.folder.path(),
        );
        assert_eq!(run.code, Some(78), "{line}\n{}", run.stderr);
        assert_absent(&fixture.secrets(), &(printed + &run.stdout + &run.stderr));
    }
}
