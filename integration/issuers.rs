//! Tests of tokens whose keys come from a URL: an issuer that is down, slow, wrong or changes its keys.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};

use crate::harness::*;

/// A time limit that is longer than the pause between two fetches for unknown keys.
const DEADLINE: Duration = Duration::from_secs(60);

/// What the issuer answers to a request for its keys.
#[derive(Clone)]
enum Keys {
    /// A response with this status line and body.
    Response(&'static str, String),
    /// Nothing.
    Silent,
}

/// A server with keys at any path.
struct Issuer {
    addr: SocketAddr,
    keys: Arc<Mutex<Keys>>,
    requests: Arc<AtomicUsize>,
}

/// A key of an issuer.
struct Key {
    id: &'static str,
    pair: Ed25519KeyPair,
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    fn new(id: &'static str) -> Self {
        let bytes = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { id, pair: Ed25519KeyPair::from_pkcs8(bytes.as_ref()).unwrap() }
    }

    /// Its `kid` in JSON; empty for a key without one.
    fn kid(&self) -> String {
        if self.id.is_empty() { String::new() } else { format!(r#", "kid": "{}""#, self.id) }
    }

    /// A set with this key.
    fn set(&self) -> Keys {
        let x = encoded(self.pair.public_key());
        let key = format!(r#"{{"kty": "OKP", "crv": "Ed25519"{}, "x": "{x}"}}"#, self.kid());
        Keys::Response("200 OK", format!(r#"{{"keys": [{key}]}}"#))
    }

    /// A token that is valid for a minute.
    fn token(&self) -> String {
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 60;
        let header = format!(r#"{{"alg": "EdDSA"{}}}"#, self.kid());
        let signed = format!("{}.{}", encoded(header), encoded(format!(r#"{{"sub": "7", "exp": {end}}}"#)));
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", encoded(signature))
    }
}

impl Issuer {
    fn new(keys: Keys) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), keys)
    }

    fn on(listener: TcpListener, keys: Keys) -> Self {
        let addr = listener.local_addr().unwrap();
        let (keys, requests) = (Arc::new(Mutex::new(keys)), Arc::new(AtomicUsize::new(0)));
        let (answer, count) = (Arc::clone(&keys), Arc::clone(&requests));
        thread::spawn(move || {
            // Connections without an answer stay open.
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Ok(Some(head)) = Head::read(&mut stream) else { continue };
                assert!(head.line.starts_with("GET /keys?tenant=hidden HTTP/1.1"), "{head:?}");
                count.fetch_add(1, SeqCst);
                let keys = answer.lock().unwrap().clone();
                match keys {
                    Keys::Response(status, body) => respond(&mut stream, status, &body),
                    Keys::Silent => open.push(stream),
                }
            }
        });
        Self { addr, keys, requests }
    }

    fn set(&self, keys: Keys) {
        *self.keys.lock().unwrap() = keys;
    }

    fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }

    /// The URL, with a query that no log may show.
    fn url(&self) -> String {
        format!("http://{}/keys?tenant=hidden", self.addr)
    }
}

fn respond(stream: &mut TcpStream, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // A client that has had enough ends the connection.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

fn settings(upstream: &TestUpstream, jwks: &str, more: &str) -> Settings {
    Settings::request(&upstream.url())
        .with(&format!("auth.users.jwt = {{ jwks_url = {jwks:?}{more} }}"))
        .on_route(r#"auth = ["users"]"#)
        .on_route(r#"origins = ["*"]"#)
}

fn status(proxy: &Proxy, token: &str) -> u16 {
    let opening = Opening::new(proxy.addr()).header("Authorization", &format!("Bearer {token}"));
    match opening.try_open() {
        Ok(mut client) => {
            assert_eq!(client.ask("a"), "a");
            101
        }
        Err(refusal) => refusal.status(),
    }
}

#[test]
fn the_keys_are_fetched_once_for_all_clients() {
    let (upstream, key) = (TestUpstream::echo(), Key::new("a"));
    let issuer = Issuer::new(key.set());
    let proxy = Proxy::start(&settings(&upstream, &issuer.url(), "")).expect("client refused");
    thread::scope(|threads| {
        for _ in 0..20 {
            threads.spawn(|| assert_eq!(status(&proxy, &key.token()), 101));
        }
    });
    assert_eq!(status(&proxy, &Key::new("a").token()), 401, "another key with the same id");
    assert_eq!(issuer.requests(), 1);
    let line = proxy.wait_log("keys fetched auth=users url=http://127.0.0.1:*/keys?* keys=1");
    assert!(!line.contains("hidden"), "{line}");
}

/// An issuer that has replaced its first key by a second one, and a proxy that uses that.
fn rotated(upstream: &TestUpstream, first: &Key, second: &Key) -> (Issuer, Proxy) {
    let issuer = Issuer::new(first.set());
    let settings = settings(upstream, &issuer.url(), r#", refresh = "1h""#);
    let proxy = Proxy::start(&settings).expect("client refused");
    assert_eq!(status(&proxy, &first.token()), 101);
    issuer.set(second.set());
    // Unusable tokens do not make the proxy ask more often than once in ten seconds.
    wait_for("the new key is used", DEADLINE, || status(&proxy, &second.token()) == 101);
    (issuer, proxy)
}

#[test]
fn a_new_key_is_fetched_when_a_token_names_it() {
    let (upstream, first, second) = (TestUpstream::echo(), Key::new("a"), Key::new("b"));
    let (issuer, proxy) = rotated(&upstream, &first, &second);
    for _ in 0..20 {
        assert_eq!(status(&proxy, &first.token()), 401, "the old key is withdrawn");
    }
    assert_eq!(issuer.requests(), 2);
}

/// Without ids, a token of a new key looks like one with a wrong signature.
#[test]
fn a_new_key_without_an_id_is_fetched_too() {
    let (upstream, first, second) = (TestUpstream::echo(), Key::new(""), Key::new(""));
    let (issuer, proxy) = rotated(&upstream, &first, &second);
    assert_ne!(status(&proxy, &first.token()), 101, "the old key is withdrawn");
    assert_eq!(issuer.requests(), 2);
}

#[test]
fn without_keys_clients_get_503_until_there_are_some() {
    let (upstream, key) = (TestUpstream::echo(), Key::new("a"));
    let port = Port::take();
    let url = format!("http://{}/keys?tenant=hidden", port.addr());
    let proxy =
        Proxy::start(&settings(&upstream, &url, "")).expect("client refused").expect("keys not fetched");
    let opening = Opening::new(proxy.addr()).header("Authorization", &format!("Bearer {}", key.token()));
    let refusal = opening.refused();
    assert_eq!((refusal.status(), refusal.body.as_str()), (503, "authentication is not available\n"));
    assert!(refusal.head.get("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(Opening::new(proxy.addr()).refused().status(), 401, "no credential");
    let line = proxy.wait_log("keys not fetched auth=users *reason=");
    assert!(!line.contains("hidden"), "{line}");
    let _issuer = Issuer::on(port.listen(), key.set());
    wait_for("the issuer is up", DEADLINE, || status(&proxy, &key.token()) == 101);
}

#[test]
fn keys_stay_while_the_issuer_is_wrong() {
    let (upstream, key) = (TestUpstream::echo(), Key::new("a"));
    let issuer = Issuer::new(key.set());
    let settings = settings(&upstream, &issuer.url(), r#", refresh = "1s""#);
    let proxy = Proxy::start(&settings).expect("client refused").expect("keys not fetched");
    assert_eq!(status(&proxy, &key.token()), 101);
    let large = format!(r#"{{"keys": [], "x": "{}"}}"#, "x".repeat(1 << 20));
    let secret = r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}"#;
    for (keys, reason) in [
        (Keys::Response("500 Internal Server Error", String::new()), "status 500"),
        (Keys::Response("302 Found", String::new()), "status 302"),
        (Keys::Response("200 OK", "<html>".to_owned()), "is not a JSON Web Key Set*"),
        (Keys::Response("200 OK", secret.to_owned()), "has no key that can be used*"),
        (Keys::Response("200 OK", large), "more than 1 MiB*"),
        (Keys::Silent, "no answer within 5s"),
    ] {
        issuer.set(keys);
        proxy.wait_log(&format!("keys not fetched *reason=\"{reason}\" keys=1"));
        assert_eq!(status(&proxy, &key.token()), 101, "{reason}");
        // After a good answer, the pause after a failure is short again.
        let requests = issuer.requests();
        issuer.set(key.set());
        wait_for("the keys are fetched again", DEADLINE, || issuer.requests() > requests);
    }
}

#[test]
fn an_issuer_is_connected_to_with_tls() {
    let (upstream, key) = (TestUpstream::echo(), Key::new("a"));
    let issuer = Issuer::new(key.set());
    let authority = Authority::new();
    let door = Door::accepting(authority.issue(&Leaf::new(&["localhost"])).server(), issuer.addr);
    let url = |host: &str| format!("https://{host}:{}/keys?tenant=hidden", door.addr().port());
    let ca = format!(", ca = {:?}", authority.file());
    let proxy = Proxy::start(&settings(&upstream, &url("localhost"), &ca)).expect("client refused");
    assert_eq!(status(&proxy, &key.token()), 101);
    let stranger = Authority::new();
    let other = format!(", ca = {:?}", stranger.file());
    for (url, ca) in [(url("127.0.0.1"), &ca), (url("localhost"), &other)] {
        let settings = settings(&upstream, &url, ca);
        let proxy = Proxy::start(&settings).expect("client refused").expect("keys not fetched");
        assert_eq!(status(&proxy, &key.token()), 503, "{url}");
    }
    assert_eq!(issuer.requests(), 1);
}

#[test]
fn changed_roots_of_an_issuer_are_read_again() {
    let (upstream, key) = (TestUpstream::echo(), Key::new("a"));
    let issuer = Issuer::new(key.set());
    let (authority, stranger) = (Authority::new(), Authority::new());
    let door = Door::accepting(authority.issue(&Leaf::new(&["localhost"])).server(), issuer.addr);
    let url = format!("https://localhost:{}/keys?tenant=hidden", door.addr().port());
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::copy(stranger.file(), &ca).unwrap();
    let settings = settings(&upstream, &url, &format!(", ca = {ca:?}"));
    let proxy = Proxy::start(&settings).expect("client refused").expect("keys not fetched");
    // The file may be read while it is written.
    let proxy = proxy.expect("certificate files refused");
    proxy.wait_log("keys not fetched auth=users");
    std::fs::copy(authority.file(), &ca).unwrap();
    proxy.wait_log("certificates changed auth=users");
    wait_for("the keys", PATIENCE, || status(&proxy, &key.token()) == 101);
}
