//! An operator who uses the admin server.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::{Head, Raw, Value};

/// The token in [`token_file`].
pub const TOKEN: &str = "token-of-the-operator";

/// A file with [`TOKEN`] that only its owner can read.
pub fn token_file() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("operator-{}", std::process::id()));
        write_token(&file, TOKEN);
        file
    })
}

/// Writes a token to a file that only its owner can read.
pub fn write_token(file: &Path, token: &str) {
    use std::io::Write;
    let mut opened = fs::OpenOptions::new();
    let opened = opened.write(true).create(true).truncate(true).mode(0o600).open(file);
    writeln!(opened.unwrap(), "{token}").unwrap();
}

/// An operator, who sends requests to an admin server.
#[derive(Debug, Clone)]
pub struct Operator {
    addr: SocketAddr,
    headers: Vec<(String, String)>,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: Head,
    pub body: String,
}

// === impl Operator ===

impl Operator {
    /// An operator without a token.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, headers: Vec::new() }
    }

    /// The address of the admin server.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The same with [`TOKEN`].
    pub fn with_token(self) -> Self {
        self.with("authorization", &format!("Bearer {TOKEN}"))
    }

    /// The same with another header in each request. A `host` replaces the address.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Requests a page.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None)
    }

    /// Requests a page, and expects JSON.
    #[track_caller]
    pub fn json(&self, path: &str) -> Value {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.json()
    }

    /// Takes an action without a body.
    #[track_caller]
    pub fn act(&self, path: &str) -> Reply {
        self.send("POST", path, None)
    }

    /// Takes an action.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, Some(&body.to_string()))
    }

    /// Sends a request.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: Option<&str>) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !self.headers.iter().any(|(name, _)| name == "host") {
            request += &format!("Host: {}\r\n", self.addr);
        }
        for (name, value) in &self.headers {
            request += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = body {
            request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        let mut raw = Raw::connect(self.addr);
        raw.write(format!("{request}\r\n{}", body.unwrap_or_default()).as_bytes());
        let head = raw.head();
        let body = if method == "HEAD" { String::new() } else { raw.body(&head) };
        Reply { status: head.status(), head, body }
    }
}

// === impl Reply ===

impl Reply {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    /// Expects an error with this status whose text contains `part`.
    #[track_caller]
    pub fn expect_error(&self, status: u16, part: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        let json = self.json();
        let text = json["error"].as_str().unwrap_or_else(|| panic!("no error: {}", self.body));
        assert!(text.contains(part), "{text:?} does not contain {part:?}");
        assert_eq!(self.head.get("content-type").as_deref(), Some("application/json"));
    }
}
