//! Settings in their checked form.

use std::sync::Arc;

use indexmap::IndexMap;

use super::sections::{
    admin::Admin, drain::Drain, language::Language, listener::Listener, pipeline::Pipeline, route::Route,
    server::Server, upstream::Upstream,
};
use crate::{log, trickle::Diagnostics};

/// All settings of the program, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The section `[server]`.
    pub server: Server,
    /// The section `[log]`.
    pub log: log::Config,
    /// The section `[admin]`; `None` when `bind` is empty.
    pub admin: Option<Admin>,
    /// The section `[drain]`.
    pub drain: Drain,
    /// The section `[language]`.
    pub language: Language,
    /// The sections `[listener.NAME]`, in the order of the settings.
    pub listeners: Vec<Arc<Listener>>,
    /// The sections `[upstream.NAME]`, by name.
    pub upstreams: IndexMap<String, Arc<Upstream>>,
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

    /// The sections that no route names, such as `upstream.spare`.
    pub fn unused(&self) -> Vec<String> {
        let upstreams = self.upstreams.keys().filter(|name| {
            let mut named = self.routes.iter().filter_map(|route| route.upstream.as_ref());
            !named.any(|upstream| upstream.name == **name)
        });
        let pipelines = self.pipelines.keys().filter(|name| {
            let mut named = self.routes.iter().flat_map(|route| route.pipelines());
            !named.any(|pipeline| pipeline.name == **name)
        });
        let upstreams = upstreams.map(|name| format!("upstream.{name}"));
        upstreams.chain(pipelines.map(|name| format!("pipeline.{name}"))).collect()
    }
}
