//! Real clients: openssl, curl, and the ssl module of Python.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::*;

struct Fixture {
    proxy: Proxy,
    authority: Authority,
    clients: Authority,
    _upstream: TestUpstream,
}

impl Fixture {
    fn new() -> Self {
        let (upstream, authority, clients) = (TestUpstream::echo(), Authority::new(), Authority::new());
        let [first, chat] = [["first.test"], ["chat.test"]].map(|names| authority.issue(&Leaf::new(&names)));
        let settings = settings(&upstream, &[&first, &chat])
            .on_route(r#"path = "/ws""#)
            .with(&format!("listener.ws.tls.client_ca = {:?}", clients.file()))
            .with(r#"listener.ws.tls.client_auth = "optional""#)
            .route(&[r#"name = "status""#, r#"answer = { body = "fine" }"#]);
        Self {
            proxy: Proxy::start(&settings)
                .expect("client refused")
                .expect("client closed before its request"),
            authority,
            clients,
            _upstream: upstream,
        }
    }

    fn ca(&self) -> String {
        self.authority.file().to_str().unwrap().to_owned()
    }
}

/// Runs a program with this input. Returns everything that it prints.
fn run(program: &str, args: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; install it with apt-get"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn s_client(fixture: &Fixture, args: &[&str]) -> String {
    let addr = fixture.proxy.addr().to_string();
    let base = ["s_client", "-connect", &addr, "-CAfile", &fixture.ca(), "-verify_return_error"];
    run("openssl", &[&base[..], args].concat(), "GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n")
}

#[test]
fn openssl_sees_the_certificate_for_the_name_the_version_and_the_protocol() {
    let fixture = Fixture::new();
    for (version, cipher) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
        let args =
            ["-servername", "chat.test", "-verify_hostname", "chat.test", "-alpn", "h2,http/1.1", version];
        let text = s_client(&fixture, &args);
        for expected in ["Verify return code: 0 (ok)", "ALPN protocol: http/1.1", cipher] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }
    // With the connection kept open until the server ends it, the answer comes.
    let quiet = s_client(&fixture, &["-servername", "chat.test", "-quiet", "-no_ign_eof", "-ign_eof"]);
    assert!(quiet.contains("HTTP/1.1 200 OK") && quiet.contains("fine"), "{quiet}");
    let text = s_client(&fixture, &["-servername", "unknown.test", "-verify_hostname", "unknown.test"]);
    assert!(text.contains("hostname mismatch"), "{text}");
}

/// TLS 1.1, and what else is too old, is refused with the alert for it.
#[test]
fn openssl_is_refused_with_an_older_version() {
    let fixture = Fixture::new();
    for version in ["-tls1_1", "-tls1"] {
        let text = s_client(&fixture, &[version, "-cipher", "ALL:@SECLEVEL=0"]);
        let is_refused =
            ["alert protocol version", "alert handshake failure"].iter().any(|alert| text.contains(alert));
        assert!(is_refused && text.contains("Cipher is (NONE)"), "{version}\n{text}");
    }
    fixture
        .proxy
        .wait_log("client closed before its request*cause=\"no TLS version, cipher or protocol in common\"*");
    // RFC 7507: a client that says that it came down from a newer version gets an alert, or the newest version.
    let text = s_client(&fixture, &["-servername", "chat.test", "-tls1_2", "-fallback_scsv"]);
    assert!(text.contains("inappropriate fallback") || text.contains("TLSv1.2"), "{text}");
}

#[test]
fn curl_is_served_with_and_without_a_certificate() {
    let fixture = Fixture::new();
    let port = fixture.proxy.addr().port();
    let (url, resolve) = (format!("https://chat.test:{port}/"), format!("chat.test:{port}:127.0.0.1"));
    let ca = fixture.ca();
    let base =
        ["--silent", "--show-error", "--include", "--max-time", "20", "--cacert", &ca, "--resolve", &resolve];
    let curl = |args: &[&str]| run("curl", &[&base[..], args].concat(), "");
    let text = curl(&[&url]);
    assert!(text.contains("HTTP/1.1 200 OK") && text.contains("fine"), "{text}");

    let own = fixture.clients.issue(&Leaf::client("curl", &[]));
    let others = Authority::new();
    let stranger = others.issue(&Leaf::client("curl", &[]));
    let with = |issued: &Issued| {
        let (cert, key) = (issued.cert.to_str().unwrap(), issued.key.to_str().unwrap());
        curl(&["--cert", cert, "--key", key, &url])
    };
    let text = with(&own);
    assert!(text.contains("HTTP/1.1 200 OK"), "{text}");
    let text = with(&stranger);
    assert!(text.contains("alert"), "{text}");

    let text = curl(&["--tls-max", "1.2", &url]);
    assert!(text.contains("HTTP/1.1 200 OK"), "{text}");
    let text = curl(&[&url.replace("https", "http")]);
    assert!(text.contains("400 Bad Request") && text.contains("connect with wss:// or https://"), "{text}");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let upgrade = [
        "--http1.1",
        "--max-time",
        "5",
        "--header",
        "Connection: Upgrade",
        "--header",
        "Upgrade: websocket",
        "--header",
        "Sec-WebSocket-Version: 13",
        "--header",
        &format!("Sec-WebSocket-Key: {key}"),
    ];
    let text = curl(&[&upgrade[..], &[&format!("{url}ws")]].concat());
    assert!(
        text.contains("101 Switching Protocols") && text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "{text}"
    );
}

/// A WebSocket client on Python's ssl module: a handshake, a message and its echo, and a close.
#[test]
fn python_exchanges_messages() {
    const SCRIPT: &str = r#"
import socket, ssl, struct, sys
port, ca = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile=ca)
context.set_alpn_protocols(["http/1.1"])
with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="chat.test") as s:
    s.sendall(b"GET /ws HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    f = s.makefile("rb")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += f.readline()
    print(s.version(), s.selected_alpn_protocol(), head.split(b"\r\n")[0].decode())
    for size in (5, 70000):
        payload = b"x" * size
        length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 127]) + struct.pack(">Q", size)
        s.sendall(b"\x81" + length + b"\0\0\0\0" + payload)
        first, second = f.read(2)
        got = second if second < 126 else struct.unpack(">Q" if second == 127 else ">H", f.read(8 if second == 127 else 2))[0]
        print(first, got, f.read(got) == payload)
    s.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
    print(f.read(4), f.read())
"#;
    let fixture = Fixture::new();
    let port = fixture.proxy.addr().port().to_string();
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT, &port, &fixture.ca()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("python3: {error}"));
    let lines: Vec<_> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{lines:?}");
    assert_eq!(
        lines,
        [
            "TLSv1.3 http/1.1 HTTP/1.1 101 Switching Protocols",
            "129 5 True",
            "129 70000 True",
            r"b'\x88\x02\x03\xe8' b''"
        ]
    );
}
