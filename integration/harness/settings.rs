//! The settings a test gives to the program.

/// Settings in the program's own format, one `key = value` after another; `key` is a dotted path.
///
/// Short times where the defaults would make a test wait, everything else as the program has it.
#[derive(Debug, Clone)]
pub struct Settings {
    keys: Vec<(String, String)>,
    routes: Vec<Vec<(String, String)>>,
}

/// Restarts for which no test waits long.
const FAST: &str = "{ min = \"20ms\", max = \"100ms\", max_restarts = 100000, window = \"60s\", probe = \"100ms\", \
                    rate = 5000 }";

impl Settings {
    /// Nothing but what the harness needs to find its way: admin address, drain times.
    pub fn bare() -> Self {
        let settings = Self { keys: Vec::new(), routes: Vec::new() };
        settings
            .with("server.workers = 2")
            .with(r#"admin.bind = "127.0.0.1:0""#)
            .with(r#"drain.window = "100ms""#)
            .with(r#"drain.grace = "2s""#)
    }

    /// One listener `ws`, one upstream `echo` at `url`, one route between them, in stream mode. The client
    /// survives the loss of its upstream and gets error replies: [`Settings::plain`] has the defaults.
    pub fn stream(url: &str) -> Self {
        Self::plain(url).on_route("stateless = true").on_route("error_replies = true")
    }

    /// The same, with the default policies of a stream: the client is closed when its upstream is lost, and
    /// gets no error replies.
    pub fn plain(url: &str) -> Self {
        Self::bare()
            .with(r#"listener.ws.bind = "127.0.0.1:0""#)
            .upstream("echo", url)
            .route(&[r#"upstream = "echo""#])
    }

    /// The same in request mode.
    pub fn request(url: &str) -> Self {
        Self::stream(url).with(r#"upstream.echo.exchange = "request""#)
    }

    /// The same with codec `json` on both sides.
    pub fn json(url: &str) -> Self {
        Self::request(url).with(r#"listener.ws.codec = "json""#).with(r#"upstream.echo.codec = "json""#)
    }

    /// Sets a key: `.with(r#"upstream.echo.exchange = "request""#)`.
    pub fn with(mut self, line: &str) -> Self {
        set(&mut self.keys, line);
        self
    }

    /// Adds an upstream that reconnects fast, if a route keeps its clients.
    pub fn upstream(self, name: &str, url: &str) -> Self {
        self.with(&format!(r#"upstream.{name}.url = "{url}""#))
            .with(&format!(r#"upstream.{name}.connect_timeout = "2s""#))
            .with(&format!("upstream.{name}.restart = {FAST}"))
    }

    /// Whether a route may keep its clients when this upstream is lost: elsewhere the program refuses settings of
    /// restarts.
    fn keeps_clients_of(&self, upstream: &str) -> bool {
        let is = |keys: &[(String, String)], key: &str, value: &str| {
            keys.iter().any(|(known, text)| known == key && text == value)
        };
        let is_request = is(&self.keys, &format!("upstream.{upstream}.exchange"), r#""request""#);
        let mut routes = self.routes.iter().filter(|route| is(route, "upstream", &format!("{upstream:?}")));
        routes.any(|route| match route.iter().find(|(key, _)| key == "on_upstream_loss") {
            Some((_, policy)) if policy != r#""auto""# => policy == r#""keep""#,
            _ => is_request || is(route, "stateless", "true"),
        })
    }

    /// Adds a pipeline.
    pub fn pipeline(self, name: &str, source: &str) -> Self {
        assert!(!source.contains("'''"));
        self.with(&format!("pipeline.{name}.source = '''{source}'''"))
    }

    /// Adds a pipeline on the way upstream of the last route.
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

    /// The file's text.
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
            for (key, value) in route {
                text += &format!("{key} = {value}\n");
            }
        }
        text
    }
}

/// Adds `key = value`, or replaces the value.
fn set(keys: &mut Vec<(String, String)>, line: &str) {
    let (key, value) = line.split_once('=').expect("key = value");
    let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
    match keys.iter_mut().find(|(known, _)| *known == key) {
        Some((_, old)) => *old = value,
        None => keys.push((key, value)),
    }
}
