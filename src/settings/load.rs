//! Loads settings from file and environment, checks them, and reports them for `towline check`.
//!
//! The check continues after a problem, so that an operator can correct a file in one pass. An invalid value
//! counts as its default for the rest of the check.

use std::{path::Path, sync::Arc};

use indexmap::IndexMap;

use super::{
    host::{Host, Machine},
    layers::Layers,
    model::Settings,
    problem::SettingsError,
    read::{Reader, Section},
    report::{self, Extent, Running},
    sections::{
        address, admin, auth, drain, effects, language, listener, log, pipeline,
        route::{self, Route},
        server, traces, upstream,
    },
};

impl Settings {
    /// Reads and checks the file `config`, or [`DEFAULT_FILE`](super::DEFAULT_FILE), overridden by `env`.
    ///
    /// `env` may contain unrelated variables. [`environment`](super::environment) returns the process's
    /// variables.
    ///
    /// # Errors
    /// When the file is missing or is not TOML, or when settings are invalid. The error contains all
    /// problems.
    pub fn load(
        config: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        check(&Layers::read(config, env)?)
    }
}

/// Checks all settings.
///
/// # Errors
/// [`SettingsError::Invalid`] with all problems.
pub fn check(layers: &Layers) -> Result<Settings, SettingsError> {
    check_on(layers, &Machine)
}

/// The same as [`check`], with the files and names of another machine.
///
/// # Errors
/// The same errors as [`check`].
pub fn check_on(layers: &Layers, host: &dyn Host) -> Result<Settings, SettingsError> {
    let reader = Reader::new(layers, host);
    match settings(&reader) {
        Some(settings) if reader.is_clean() => Ok(settings),
        _ => Err(SettingsError::Invalid(layers.located(reader.into_problems()))),
    }
}

/// The effective settings as TOML that can be read back, each value with its origin in a comment. Secrets are
/// masked; a masked secret is refused when it is read back.
///
/// The report is meaningful only for settings that [`check`] accepts.
pub fn report(layers: &Layers, extent: Extent) -> String {
    report_on(layers, extent, &Machine)
}

/// The same as [`report`], with the files and names of another machine.
pub fn report_on(layers: &Layers, extent: Extent, host: &dyn Host) -> String {
    report::report(layers, extent, &[], &|layers| check_on(layers, host))
}

/// The settings in force in a running process, as [`report`] shows them. A value that takes effect at the next start is in
/// the comment.
pub fn report_running(running: &Running) -> String {
    report::report(&running.layers, Extent::All, &running.pending, &check)
}

/// Reports all problems to `reader`. May return settings although there are problems; they must not be used
/// then.
fn settings(reader: &Reader<'_>) -> Option<Settings> {
    reader.check_sections();
    let server = server::read(&reader.single("server"));
    let (log, access) = log::read(&reader.single("log"));
    let admin_section = reader.single("admin");
    let admin = admin::read(&admin_section);
    let traces = traces::read(&reader.single("traces"));
    let drain = drain::read(&reader.single("drain"));
    let language = language::read(&reader.single("language"));
    let mut taken = Vec::new();
    if let Some(admin) = admin.as_ref().filter(|admin| admin.strict && !admin_section.is_wrong("bind")) {
        address::take(&mut taken, &admin_section, std::slice::from_ref(&admin.bind));
    }
    let sections = reader.named("listener");
    let listener_names: Vec<_> = sections.iter().map(|(name, _)| *name).collect();
    let listeners = listener::read_all(&sections, &mut taken);
    let route_sections = reader.listed("route");
    let http_upstreams = route::http_upstreams(&route_sections);
    let is_http = |name: &str| http_upstreams.iter().any(|known| known == name);
    let upstream_sections = reader.named("upstream");
    let upstreams: IndexMap<_, _> = upstream_sections
        .iter()
        .map(|(name, section)| ((*name).to_owned(), upstream::read(name, section, is_http(name))))
        .collect();
    let auth = named(reader, "auth", auth::read);
    let pipelines = named(reader, "pipeline", |name, section| pipeline::read(name, section, &language));
    let known = route::Known {
        listeners: &listener_names,
        certificate_listeners: &listener::asking_for_certificates(&sections),
        upstreams: &upstreams,
        auth: &auth,
        pipelines: &pipelines,
    };
    let routes = route::read_all(&route_sections, &known);
    check_presence(reader, &sections, &routes);
    if !reader.has_wrong("route[") {
        effects::check(&upstream_sections, &routes);
    }
    Some(Settings {
        server,
        log,
        access,
        admin,
        traces,
        drain,
        language,
        listeners: listeners.into_iter().collect::<Option<_>>()?,
        upstreams: all_there(upstreams)?,
        auth: all_there(auth)?,
        pipelines: all_there(pipelines)?,
        routes: routes.into_iter().map(Arc::new).collect(),
    })
}

/// Reads all sections of a kind, by name.
fn named<T>(
    reader: &Reader<'_>,
    kind: &'static str,
    read: impl Fn(&str, &Section<'_>) -> T,
) -> IndexMap<String, T> {
    reader.named(kind).iter().map(|(name, section)| ((*name).to_owned(), read(name, section))).collect()
}

fn all_there<T>(map: IndexMap<String, Option<T>>) -> Option<IndexMap<String, T>> {
    map.into_iter().map(|(name, value)| Some((name, value?))).collect()
}

/// Checks that there is at least one listener and one route.
fn check_presence(reader: &Reader<'_>, listeners: &[(&str, Section<'_>)], routes: &[Route]) {
    if listeners.is_empty() && !reader.mentions("listener") {
        reader.problem(
            "listener",
            None,
            "needs at least one: [listener.NAME] with bind = \"host:port\"".to_owned(),
        );
    }
    if routes.is_empty() {
        if !reader.mentions("route") {
            let text = "needs at least one: [[route]] with upstream = \"NAME\"".to_owned();
            reader.problem("route", None, text);
        }
        return;
    }
    let is_known = |name: &String| listeners.iter().any(|(known, _)| known == name);
    if !routes.iter().filter_map(|route| route.pattern.listener.as_ref()).all(is_known) {
        // Where a name is misspelt, that is what is wrong.
        return;
    }
    for (name, section) in listeners {
        if !routes.iter().any(|route| route.pattern.serves(name)) {
            section.section_problem("no route serves this listener".to_owned());
        }
    }
}
