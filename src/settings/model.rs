//! Settings in their checked form.

use std::{net::IpAddr, sync::Arc};

use indexmap::{IndexMap, IndexSet};

use super::sections::{
    admin::Admin, drain::Drain, language::Language, listener::Listener, pipeline::Pipeline, route::Route,
    server::Server, upstream::Upstream,
};
use crate::{
    access::LineFormat,
    auth::{AuthConfig, JwtConfig, KeySource, MethodConfig},
    certificate::Validity,
    clock, log,
    net::tls::reread,
    traces::TracesConfig,
    trickle::Diagnostics,
};

/// The codec whose text is JSON.
const JSON: &str = "json";

/// All settings of the program, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The section `[server]`.
    pub server: Server,
    /// The section `[log]`.
    pub log: log::Config,
    /// The format of the access log, from the same section; `None` when it is off.
    pub access: Option<Arc<LineFormat>>,
    /// The section `[admin]`; `None` when `bind` is empty.
    pub admin: Option<Admin>,
    /// The section `[traces]`; `None` without `url`.
    pub traces: Option<Arc<TracesConfig>>,
    /// The section `[drain]`.
    pub drain: Drain,
    /// The section `[language]`.
    pub language: Language,
    /// The sections `[listener.NAME]`, in the order of the settings.
    pub listeners: Vec<Arc<Listener>>,
    /// The sections `[upstream.NAME]`, by name.
    pub upstreams: IndexMap<String, Arc<Upstream>>,
    /// The sections `[auth.NAME]`, by name.
    pub auth: IndexMap<String, Arc<AuthConfig>>,
    /// The sections `[pipeline.NAME]`, by name.
    pub pipelines: IndexMap<String, Arc<Pipeline>>,
    /// The sections `[[route]]`, in order. The first match wins.
    pub routes: Vec<Arc<Route>>,
}

// === impl Settings ===

impl Settings {
    /// Warnings about programs, one item for each program that has any: valid code that is likely a mistake.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostics> {
        self.pipelines.values().filter_map(|pipeline| pipeline.program.warnings())
    }

    /// Warnings about valid settings that are likely a mistake, apart from programs: sections without effect, codecs that
    /// differ, routes that pages of other sites can use, an admin server that other machines can read, servers without TLS
    /// that authenticate clients, and certificates that expire.
    pub fn remarks(&self) -> Vec<String> {
        let unused = self.unused().into_iter();
        let unused = unused.map(|section| format!("[{section}] has no effect: no route names it"));
        let insecure = self.upstreams.values().filter(|upstream| upstream.tls.accepts_all());
        let insecure = insecure
            .map(|upstream| format!("[upstream.{}] accepts every certificate: tls.insecure", upstream.name));
        let admin = self.admin.as_ref().and_then(Admin::remark);
        let open = self.unlike_codecs().into_iter().chain(self.open_to_other_sites()).chain(admin);
        let insecure = insecure.chain(self.unprotected()).chain(self.readable_headers());
        unused.chain(open).chain(insecure).chain(self.doubtful_certificates()).collect()
    }

    /// The pairs of listener and upstream, of which one reads messages without parsing them, and the other writes them as
    /// JSON: unless a program changes them, they leave as JSON strings. One text for each direction of a pair.
    fn unlike_codecs(&self) -> IndexSet<String> {
        let mut found = IndexSet::new();
        for (route, listener) in self.routes.iter().flat_map(|route| {
            let named = route.pattern.listener.as_ref();
            let listeners = self.listeners.iter();
            let listeners = listeners.filter(move |it| named.is_none_or(|name| *name == it.name));
            listeners.map(move |listener| (route, listener))
        }) {
            let Some(upstream) = &route.upstream else { continue };
            let client = (format!("listener.{}", listener.name), listener.format.codec.name());
            let server = (format!("upstream.{}", upstream.name), upstream.format.codec.name());
            let ways = [(&client, &server, &route.incoming), (&server, &client, &route.outgoing)];
            for ((from, codec), (to, written), pipelines) in ways {
                let is_unchanged = pipelines.iter().all(|pipeline| pipeline.program.is_identity());
                if is_unchanged && *codec != JSON && *written == JSON {
                    found.insert(format!(
                        "[{to}] codec = \"json\" makes a JSON string of each message of [{from}], because codec = \
                         \"{codec}\" does not parse them: set the same codec for both"
                    ));
                }
            }
        }
        found
    }

    /// The servers without TLS on other machines that decide who is accepted.
    fn unprotected(&self) -> impl Iterator<Item = String> {
        self.auth.values().filter_map(|auth| {
            let (key, host, decides) = match &auth.method {
                MethodConfig::Jwt(JwtConfig { source: KeySource::Url(jwks), .. }) if !jwks.url.is_secure => {
                    ("jwt.jwks_url", jwks.url.host.as_str(), "replace the keys")
                }
                MethodConfig::Forward(forward) if forward.tls.is_none() => {
                    ("forward.url", forward.url.host().unwrap_or_default(), "accept clients")
                }
                _ => return None,
            };
            let text = "has no TLS: everyone between this machine and the server can";
            (!is_this_machine(host)).then(|| format!("[auth.{}] {key} {text} {decides}", auth.name))
        })
    }

    /// The warning about secret headers that are sent to a collector on another machine without TLS.
    fn readable_headers(&self) -> Option<String> {
        let traces = self.traces.as_ref()?;
        let is_read =
            !traces.headers.is_empty() && traces.tls.is_none() && !is_this_machine(&traces.url.host);
        is_read.then(|| {
            "[traces] url has no TLS: everyone between this machine and the collector can read traces.headers"
                .to_owned()
        })
    }

    /// The certificates that are not valid now, or expire soon.
    fn doubtful_certificates(&self) -> Vec<String> {
        let now = clock::seconds();
        let text = |section: String, found: Vec<(String, Validity)>| {
            found.into_iter().map(move |(key, validity)| format!("[{section}] {key}: {validity}"))
        };
        let listeners = self.listeners.iter().filter_map(|listener| {
            let found = reread::doubtful(listener.tls.as_ref()?, now);
            Some(text(format!("listener.{}", listener.name), found))
        });
        let upstreams = self.upstreams.values().map(|upstream| {
            text(format!("upstream.{}", upstream.name), reread::doubtful(&upstream.tls, now))
        });
        listeners.flatten().chain(upstreams.flatten()).collect()
    }

    /// The warning about routes that use cookies and accept every origin, in one text for all of them.
    fn open_to_other_sites(&self) -> Option<String> {
        let open = self.routes.iter().filter(|route| route.is_open_to_other_sites());
        let names: Vec<_> = open.map(|route| route.name.as_str()).collect();
        let verb = if names.len() == 1 { "accepts" } else { "accept" };
        (!names.is_empty()).then(|| {
            format!(
                "{} {verb} browsers from pages of any site, with the cookies of this one: set origins, or remove \
                 \"cookie\" from forward_headers of the upstream",
                names.join(", ")
            )
        })
    }

    /// The sections that no route names, such as `upstream.spare`.
    pub fn unused(&self) -> Vec<String> {
        let upstreams = self.upstreams.keys().filter(|name| {
            let mut named = self.routes.iter().filter_map(|route| route.upstream.as_ref());
            !named.any(|upstream| upstream.name == **name)
        });
        let auth = self.auth.keys().filter(|name| {
            let mut named = self.routes.iter().flat_map(|route| &route.auth);
            !named.any(|method| *method.name == **name)
        });
        let pipelines = self.pipelines.keys().filter(|name| {
            let mut named = self.routes.iter().flat_map(|route| route.pipelines());
            !named.any(|pipeline| pipeline.name == **name)
        });
        let upstreams = upstreams.map(|name| format!("upstream.{name}"));
        let auth = auth.map(|name| format!("auth.{name}"));
        upstreams.chain(auth).chain(pipelines.map(|name| format!("pipeline.{name}"))).collect()
    }
}

/// Whether a connection to this host stays on the machine.
fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}
