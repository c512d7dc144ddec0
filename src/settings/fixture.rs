//! Settings for tests.

use std::{path::Path, sync::Arc, time::Duration};

use crate::{
    policy::{ErrorReplies, OnUpstreamLoss},
    router::{PathPattern, Pattern},
};

use super::{Layers, Route, Settings, SettingsError, Upstream, check};

/// The smallest valid settings.
pub(crate) const MINIMAL: &str = r#"
[listener.ws]
bind = "127.0.0.1:9139"
[upstream.echo]
url = "ws://127.0.0.1:8139"
[pipeline.pass]
source = "select event from in into out;"
[[route]]
upstream = "echo"
"#;

/// The layers of a file with the content `text` and of the environment `env`.
pub(crate) fn layers(text: &str, env: &[(&str, &str)]) -> Result<Layers, SettingsError> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Layers::parse(Path::new("/etc/towline.toml"), text, env)
}

/// The settings of a file with the content `text` and of the environment `env`.
pub(crate) fn load(text: &str, env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    check(&layers(text, env)?)
}

/// The upstream of [`MINIMAL`].
pub(crate) fn upstream() -> Upstream {
    Upstream::clone(&load(MINIMAL, &[]).unwrap().upstreams["echo"])
}

/// A route for this listener and path, with the upstream of [`MINIMAL`] and defaults for everything else.
pub(crate) fn route(listener: Option<&str>, path: &str) -> Route {
    Route {
        name: "route[1]".to_owned(),
        is_named: false,
        shape: 0,
        pattern: Pattern::of_path(listener.map(str::to_owned), PathPattern::prefix(path).unwrap()),
        forward_http: false,
        http_timeout: Duration::from_secs(60),
        answer: None,
        origins: None,
        auth: Vec::new(),
        require: Box::default(),
        credentials: Box::default(),
        strip_prefix: false,
        incoming: Vec::new(),
        routed_by_url: false,
        upstream: Some(Arc::new(upstream())),
        outgoing: Vec::new(),
        errors: Vec::new(),
        error_replies: ErrorReplies::Auto,
        on_upstream_loss: OnUpstreamLoss::Auto,
        stateless: false,
        lifetime: Arc::default(),
        log_claims: Arc::default(),
        limits: Vec::new(),
        subprotocols: Vec::new(),
        dial_before_accept: Duration::from_secs(1),
    }
}
