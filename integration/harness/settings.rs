//! Builds the settings file of a test.

/// Settings as lines `key = value`, in which `key` is a dotted path.
///
/// If a default would make a test wait, the time is shorter.
#[derive(Debug, Clone)]
pub struct Settings {
    keys: Vec<(String, String)>,
    routes: Vec<Vec<(String, String)>>,
}

/// The key `restart` with short delays.
const FAST: &str = "{ min = \"20ms\", max = \"100ms\", max_restarts = 100000, window = \"60s\", probe = \"100ms\", \
                    rate = 5000 }";

/// How long a dial may take, and how long a client waits for it: long enough for a slow machine, on which a test that
/// expects the connection to be there when its client is accepted would fail otherwise.
const DIALING: &str = "10s";

impl Settings {
    /// Settings with only the admin address and the times of the drain.
    pub fn bare() -> Self {
        let settings = Self { keys: Vec::new(), routes: Vec::new() };
        settings
            .with("server.workers = 2")
            .with(r#"admin.bind = "127.0.0.1:0""#)
            .with(r#"drain.window = "100ms""#)
            .with(r#"drain.grace = "2s""#)
    }

    /// Settings with one listener `ws`, one upstream `echo` at `url`, and a route between them, in stream
    /// mode. The client is kept when its upstream is lost, and gets error replies. [`Settings::plain`] has
    /// the default policies.
    pub fn stream(url: &str) -> Self {
        Self::plain(url).on_route("stateless = true").on_route("error_replies = true")
    }

    /// Settings with the default policies of stream mode: the client is closed when its upstream is lost, and
    /// gets no error replies.
    pub fn plain(url: &str) -> Self {
        Self::bare()
            .with(r#"listener.ws.bind = "127.0.0.1:0""#)
            .upstream("echo", url)
            .route(&[r#"upstream = "echo""#])
    }

    /// Settings with the default policies and this recovery of the upstream, as in `preset = "mqtt"`.
    pub fn recovering(url: &str, recovery: &str) -> Self {
        Self::plain(url).with(&format!("upstream.echo.recovery.{recovery}"))
    }

    /// Settings in request mode.
    pub fn request(url: &str) -> Self {
        Self::stream(url).with(r#"upstream.echo.exchange = "request""#)
    }

    /// Settings with codec `json` on both sides.
    pub fn json(url: &str) -> Self {
        Self::request(url).with(r#"listener.ws.codec = "json""#).with(r#"upstream.echo.codec = "json""#)
    }

    /// Lets operators with [`TOKEN`](super::TOKEN) take actions.
    pub fn operated(self) -> Self {
        self.with(&format!("admin.token_file = {:?}", super::token_file()))
    }

    /// Sets a key, as in `.with(r#"upstream.echo.exchange = "request""#)`.
    pub fn with(mut self, line: &str) -> Self {
        set(&mut self.keys, line);
        self
    }

    /// Gives the upstream `echo` these endpoints instead of its URL: `["ws://a", { url = "ws://b", weight = 2 }]`.
    pub fn endpoints(mut self, list: &str) -> Self {
        self.keys.retain(|(key, _)| key != "upstream.echo.url");
        self.with(&format!("upstream.echo.endpoints = {list}"))
    }

    /// Gives the upstream `echo` the endpoints of a file instead of its URL.
    pub fn endpoints_file(mut self, path: &str) -> Self {
        self.keys.retain(|(key, _)| key != "upstream.echo.url");
        self.with(&format!("upstream.echo.endpoints_file = {path:?}"))
    }

    /// Adds an upstream. If a route keeps its clients, its reconnects have short delays. A dial has as long as a test can
    /// wait for.
    pub fn upstream(self, name: &str, url: &str) -> Self {
        self.with(&format!(r#"upstream.{name}.url = "{url}""#))
            .with(&format!(r#"upstream.{name}.connect_timeout = "{DIALING}""#))
            .with(&format!("upstream.{name}.restart = {FAST}"))
    }

    /// Whether a route may keep its clients when this upstream is lost. If not, the program refuses the key
    /// `restart`.
    fn keeps_clients_of(&self, upstream: &str) -> bool {
        let is = |keys: &[(String, String)], key: &str, value: &str| {
            keys.iter().any(|(known, text)| known == key && text == value)
        };
        let is_request = is(&self.keys, &format!("upstream.{upstream}.exchange"), r#""request""#);
        let recovers = ["preset", "hello", "open"].iter().any(|key| {
            self.keys.iter().any(|(known, _)| *known == format!("upstream.{upstream}.recovery.{key}"))
        });
        let mut routes = self.routes.iter().filter(|route| is(route, "upstream", &format!("{upstream:?}")));
        routes.any(|route| match route.iter().find(|(key, _)| key == "on_upstream_loss") {
            Some((_, policy)) if policy != r#""auto""# => policy == r#""keep""#,
            _ => is_request || recovers || is(route, "stateless", "true"),
        })
    }

    /// Adds a pipeline.
    pub fn pipeline(self, name: &str, source: &str) -> Self {
        assert!(!source.contains("'''"));
        self.with(&format!("pipeline.{name}.source = '''{source}'''"))
    }

    /// Adds an incoming pipeline to the last route.
    pub fn incoming(self, source: &str) -> Self {
        self.pipeline("incoming", source).on_route(r#"incoming = ["incoming"]"#)
    }

    /// Adds a route.
    pub fn route(mut self, lines: &[&str]) -> Self {
        self.routes.push(Vec::new());
        lines.iter().fold(self, |settings, line| settings.on_route(line))
    }

    /// Sets a key of the last route.
    pub fn on_route(mut self, line: &str) -> Self {
        set(self.routes.last_mut().expect("a route"), line);
        self
    }

    /// The text of the settings file.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.keys {
            let upstream = key.strip_prefix("upstream.").and_then(|key| key.strip_suffix(".restart"));
            let is_idle = upstream.is_some_and(|upstream| !self.keeps_clients_of(upstream));
            if !(is_idle && value == FAST) {
                text += &format!("{key} = {value}\n");
            }
        }
        for route in &self.routes {
            text += "\n[[route]]\n";
            if !route.iter().any(|(key, _)| key == "origins" || key.starts_with("answer")) {
                // Without it, each start would log a warning.
                text += "origins = [\"*\"]\n";
            }
            let has = |wanted: &str| route.iter().any(|(key, _)| key == wanted);
            if has("upstream") && !has("dial_before_accept") {
                text += &format!("dial_before_accept = \"{DIALING}\"\n");
            }
            for (key, value) in route {
                text += &format!("{key} = {value}\n");
            }
        }
        text
    }
}

/// Adds `key = value`, or replaces the value of the key.
fn set(keys: &mut Vec<(String, String)>, line: &str) {
    let (key, value) = line.split_once('=').expect("key = value");
    let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
    match keys.iter_mut().find(|(known, _)| *known == key) {
        Some((_, old)) => *old = value,
        None => keys.push((key, value)),
    }
}
