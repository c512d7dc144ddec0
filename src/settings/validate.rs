//! Validation: turns the merged layers into [`Settings`]. All settings are checked here.
//!
//! The check continues after a problem, so that an operator can correct a file in one pass. An invalid value
//! counts as its default for the rest of the check.

use std::sync::Arc;

use config::{Value, ValueKind};
use indexmap::IndexMap;

use super::{
    Admin, AllowedUrl, Drain, ExchangeMode, Folders, Format, Language, Listener, OnClientClose, OnGiveUp,
    Pipeline, Restart, Route, Server, Settings, SettingsError, SlowConsumer, Upstream, UpstreamUrl, address,
    effects, guards, headers,
    host::Host,
    layers::Layers,
    policies,
    read::{Reader, Section, all, commas, list, quoted, text},
    routes,
    url::{UrlError, check_unmasked},
};
use crate::{
    codec,
    event::{Record, Value as Data},
    log::{self, Filter},
    net::Bind,
    processor::{Side, Spec},
    trickle::{Limits as ProgramLimits, Program},
    wire::Limits,
};

/// Checks all settings of the layers.
pub(super) fn validate(layers: &Layers, host: &dyn Host) -> Result<Settings, SettingsError> {
    let reader = Reader::new(layers, host);
    let settings = settings(&reader);
    match settings {
        Some(settings) if reader.is_clean() => Ok(settings),
        _ => Err(SettingsError::Invalid(reader.into_problems())),
    }
}

/// Reports all problems. Returns settings even if there are problems; they must not be used then.
fn settings(reader: &Reader<'_>) -> Option<Settings> {
    reader.check_sections();
    let server = server(&reader.single("server"));
    let log = log(&reader.single("log"));
    let admin_section = reader.single("admin");
    let admin = admin(&admin_section);
    let drain = drain(&reader.single("drain"));
    let language = language(&reader.single("language"));
    let mut taken = Vec::new();
    if let Some(admin) = admin.as_ref().filter(|admin| admin.strict && !admin_section.is_wrong("bind")) {
        address::take(&mut taken, &admin_section, std::slice::from_ref(&admin.bind));
    }
    let sections = reader.named("listener");
    let listener_names: Vec<_> = sections.iter().map(|(name, _)| *name).collect();
    let listeners = listeners(&sections, &mut taken);
    let upstream_sections = reader.named("upstream");
    let upstreams: IndexMap<_, _> = upstream_sections
        .iter()
        .map(|(name, section)| ((*name).to_owned(), upstream(name, section)))
        .collect();
    let pipelines: IndexMap<_, _> = reader
        .named("pipeline")
        .iter()
        .map(|(name, section)| ((*name).to_owned(), pipeline(name, section, &language)))
        .collect();
    let known = routes::Known { listeners: &listener_names, upstreams: &upstreams, pipelines: &pipelines };
    let routes = routes::read(&reader.listed("route"), &known);
    check_presence(reader, &sections, &routes);
    if !reader.has_wrong("route[") {
        effects::check_restarts(&upstream_sections, &routes);
    }
    Some(Settings {
        server,
        log,
        admin,
        drain,
        language,
        listeners: listeners.into_iter().collect::<Option<_>>()?,
        upstreams: all_there(upstreams)?,
        pipelines: all_there(pipelines)?,
        routes: routes.into_iter().map(Arc::new).collect(),
    })
}

fn all_there<T>(map: IndexMap<String, Option<T>>) -> Option<IndexMap<String, T>> {
    map.into_iter().map(|(name, value)| Some((name, value?))).collect()
}

// --- sections that occur once ---

fn server(section: &Section<'_>) -> Server {
    let workers = match section.count("workers") {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => to_usize(count),
    };
    let max_sessions = section.count("max_sessions");
    Server {
        workers,
        max_sessions: (max_sessions > 0).then(|| to_usize(max_sessions)),
        max_handshakes: to_usize(section.count("max_handshakes")),
        buffer: section.size("buffer"),
    }
}

fn log(section: &Section<'_>) -> log::Config {
    let level = section.read("level", |value| {
        let level = text(value)?;
        Filter::parse(level).map_err(|error| error.to_string())?;
        Ok(level.to_owned())
    });
    let format = if section.chooses("format", "json") { log::Format::Json } else { log::Format::Text };
    log::Config { level: level.unwrap_or_default(), format }
}

fn admin(section: &Section<'_>) -> Option<Admin> {
    let set = section.said("bind");
    if set.is_some_and(|value| text(value) == Ok("")) {
        return None;
    }
    let strict = section.is_of_file() || set.is_some();
    let bind = section.read("bind", |value| address::parse(value, section.host()));
    bind.map(|bind| Admin { bind, strict })
}

fn drain(section: &Section<'_>) -> Drain {
    let close_code = section.count("close_code");
    Drain {
        window: section.duration("window"),
        grace: section.duration("grace"),
        close_code: u16::try_from(close_code).unwrap_or_default(),
    }
}

fn language(section: &Section<'_>) -> Language {
    let narrow = |name| u32::try_from(section.count(name)).unwrap_or(u32::MAX);
    Language {
        module_path: section.list("module_path").iter().map(|folder| section.folder().join(folder)).collect(),
        limits: ProgramLimits {
            max_steps: narrow("max_steps"),
            max_recursion: narrow("max_recursion"),
            max_value: section.size("max_value"),
        },
    }
}

// --- listeners and upstreams ---

/// Reads the listeners in order; an invalid one is included without a value.
fn listeners(
    sections: &[(&str, Section<'_>)],
    taken: &mut Vec<(String, Bind)>,
) -> Vec<Option<Arc<Listener>>> {
    let mut listeners = Vec::new();
    for (number, (name, section)) in (1..).zip(sections) {
        let listener = listener(name, number, section);
        if let Some(listener) = &listener {
            address::take(taken, section, &listener.bind);
        }
        listeners.push(listener.map(Arc::new));
    }
    listeners
}

fn listener(name: &str, number: u32, section: &Section<'_>) -> Option<Listener> {
    let bind = section.read("bind", |value| address::parse_all(value, section.host()));
    let format = format(section);
    let limits = limits(section);
    let handshake_timeout = section.duration("handshake_timeout");
    let close_timeout = section.duration("close_timeout");
    let liveness = guards::liveness(section, section.timeout("idle_timeout"));
    let slow_consumer = guards::slow_consumer(section);
    let tcp = guards::tcp(section);
    guards::check_slow_consumer(section, &liveness, slow_consumer, &tcp);
    let cancels = section.chooses("on_client_close", "cancel");
    let on_client_close = if cancels { OnClientClose::Cancel } else { OnClientClose::Finish };
    Some(Listener {
        name: name.to_owned(),
        number,
        bind: bind?,
        format: format?,
        limits,
        max_header: section.size("max_header"),
        admission: guards::admission(section),
        handshake_timeout,
        liveness,
        slow_consumer,
        tcp,
        close_timeout,
        on_client_close,
        rate: guards::rate(section, "rate"),
        address_rate: guards::rate(section, "address_rate"),
    })
}

fn upstream(name: &str, section: &Section<'_>) -> Option<Arc<Upstream>> {
    let url = section.read("url", |value| upstream_url(text(value)?).map_err(|error| error.to_string()));
    let allow_urls = section.read("allow_urls", allowed_urls);
    let format = format(section);
    let exchange = exchange(section);
    let correlation = correlation(section, exchange, format.as_ref());
    let headers = headers::fixed(section);
    headers::check_credentials(section, &headers, url.as_ref(), allow_urls.as_deref());
    let forward_headers = headers::forwarded(section, &headers);
    let (liveness, tcp) = (guards::liveness(section, None), guards::tcp(section));
    guards::check_slow_consumer(section, &liveness, SlowConsumer::Disconnect, &tcp);
    let upstream = Upstream {
        name: name.to_owned(),
        limits: limits(section),
        liveness,
        tcp,
        exchange,
        correlation,
        reply_timeout: section.duration("reply_timeout"),
        max_overdue: to_usize(section.count("max_overdue")),
        max_in_flight: to_usize(section.count("max_in_flight")),
        connect_timeout: section.duration("connect_timeout"),
        close_timeout: section.duration("close_timeout"),
        forward_path: section.flag("forward_path"),
        host: headers::host(section),
        forward_headers,
        forward_response_headers: headers::of_answers(section),
        headers,
        restart: restart(section),
        on_upstream_close: policies::on_end(section, "on_upstream_close"),
        on_refused: policies::on_end(section, "on_refused"),
        on_give_up: if section.chooses("on_give_up", "close") { OnGiveUp::Close } else { OnGiveUp::Keep },
        url: url?,
        allow_urls: allow_urls?,
        format: format?,
    };
    Some(Arc::new(upstream))
}

fn upstream_url(text: &str) -> Result<UpstreamUrl, UrlError> {
    check_unmasked(text)?;
    UpstreamUrl::parse(text)
}

fn exchange(section: &Section<'_>) -> ExchangeMode {
    let exchange =
        if section.chooses("exchange", "request") { ExchangeMode::Request } else { ExchangeMode::Stream };
    for key in ["reply_timeout", "max_overdue"] {
        if exchange == ExchangeMode::Stream && section.said(key).is_some() {
            let text = "needs exchange = \"request\": in a stream no event awaits a reply";
            section.conflict(key, &["exchange"], text);
        }
    }
    exchange
}

fn correlation(
    section: &Section<'_>,
    exchange: ExchangeMode,
    format: Option<&Format>,
) -> Option<Vec<String>> {
    let path = section.text("correlation").filter(|path| !path.is_empty())?;
    let keys: Vec<_> = path.split('.').map(str::to_owned).collect();
    if keys.iter().any(|key| key.is_empty() || key.contains(char::is_whitespace)) {
        section.problem("correlation", "takes keys with dots between them, such as \"id\" or \"params.id\"");
    }
    if exchange != ExchangeMode::Request {
        let text = "needs exchange = \"request\": in a stream no event awaits a reply";
        section.conflict("correlation", &["exchange"], text);
    }
    if format.is_some_and(|format| format.codec.name() != "json") {
        let text = "needs codec = \"json\": other codecs have no keys";
        section.conflict("correlation", &["codec"], text);
    }
    Some(keys)
}

fn restart(section: &Section<'_>) -> Restart {
    let restart = Restart {
        min: section.duration("restart.min"),
        max: section.duration("restart.max"),
        max_restarts: to_usize(section.count("restart.max_restarts")),
        window: section.duration("restart.window"),
        probe: section.duration("restart.probe"),
        rate: u32::try_from(section.count("restart.rate")).unwrap_or(u32::MAX),
    };
    if restart.min > restart.max {
        let max = humantime::format_duration(restart.max);
        let text = format!("is above restart.max, which is {max}");
        section.conflict("restart.min", &["restart.max"], text);
    }
    restart
}

fn format(section: &Section<'_>) -> Option<Format> {
    let codec = section.read("codec", |value| {
        let name = text(value)?;
        codec::lookup(name).ok_or_else(|| format!("unknown codec; use {}", codec::names().join(", ")))
    });
    let preprocessors = section.read("preprocessors", |value| processors(value, Side::Pre));
    let postprocessors = section.read("postprocessors", |value| processors(value, Side::Post));
    Some(Format { codec: codec?, preprocessors: preprocessors?, postprocessors: postprocessors? })
}

fn processors(value: &Value, side: Side) -> Result<Vec<Spec>, String> {
    match &value.kind {
        ValueKind::Array(items) => all(items.iter().map(|item| processor(item, side))),
        ValueKind::String(names) if value.origin().is_some() => {
            let spec = |name: &String| Spec::parse(side, name, &Record::new());
            all(commas(names).iter().map(|name| spec(name).map_err(|error| error.to_string())))
        }
        _ => Err(format!("takes a list of {}s", side.noun())),
    }
}

/// `"lines"`, or `{ name = "lines", … }`.
fn processor(item: &Value, side: Side) -> Result<Spec, String> {
    let wrong =
        || format!("a {} is a name, or a table with a name such as {{ name = \"lines\" }}", side.noun());
    let (name, options) = match &item.kind {
        ValueKind::String(name) => (name.as_str(), Record::new()),
        ValueKind::Table(table) => {
            let name = table.get("name").and_then(|name| text(name).ok()).ok_or_else(wrong)?;
            let options = table.iter().filter(|(key, _)| *key != "name");
            (name, options.map(|(key, value)| (key.as_str().into(), data(value))).collect())
        }
        _ => return Err(wrong()),
    };
    Spec::parse(side, name, &options).map_err(|error| error.to_string())
}

fn data(value: &Value) -> Data {
    match &value.kind {
        ValueKind::Boolean(flag) => Data::Bool(*flag),
        ValueKind::I64(number) => Data::Int(*number),
        ValueKind::Float(number) => Data::Float(*number),
        ValueKind::String(text) => Data::string(text.as_str()),
        ValueKind::Array(items) => Data::array(items.iter().map(data).collect()),
        ValueKind::Table(table) => Data::record(table.iter().map(|(key, value)| (key.as_str(), data(value)))),
        _ => Data::Null,
    }
}

fn limits(section: &Section<'_>) -> Limits {
    let limits = Limits {
        max_message: section.size("max_message"),
        max_frame: section.size("max_frame"),
        buffer: section.size("buffer"),
    };
    if limits.max_frame > limits.max_message {
        let explicit = if section.said("max_frame").is_some() { "max_frame" } else { "max_message" };
        let text = "a frame may not be longer than a message: max_frame is at most max_message";
        section.conflict(explicit, &["max_frame", "max_message"], text);
    }
    limits
}

fn allowed_urls(value: &Value) -> Result<Vec<AllowedUrl>, String> {
    let mut allowed: Vec<AllowedUrl> = Vec::new();
    all(list(value)?.iter().map(|entry| {
        let url = check_unmasked(entry)
            .and_then(|()| AllowedUrl::parse(entry))
            .map_err(|error| format!("{}: {error}", quoted(&super::mask(entry))))?;
        if allowed.iter().any(|known| known.is_like(&url)) {
            return Err(format!("{} is listed twice", quoted(&super::mask(entry))));
        }
        allowed.push(url.clone());
        Ok(url)
    }))
}

// --- pipelines ---

fn pipeline(name: &str, section: &Section<'_>, language: &Language) -> Option<Arc<Pipeline>> {
    let (key, label, source, file) = match (section.text("source"), section.text("file")) {
        (Some(source), None) => ("source", section.path.clone(), source, None),
        (None, Some(file)) => {
            let path = section.folder().join(file);
            let source = match section.host().read(&path) {
                Ok(source) => source,
                Err(error) => {
                    section.problem("file", format!("cannot read {}: {error}", path.display()));
                    return None;
                }
            };
            ("file", path.display().to_string(), source, Some(path))
        }
        (Some(_), Some(_)) => {
            section.problem("file", "set either source or file, not both");
            return None;
        }
        (None, None) => {
            if section.said("source").or(section.said("file")).is_none() {
                section.section_problem("needs a program: source = \"…\", or file = \"…\"".to_owned());
            }
            return None;
        }
    };
    let modules = Folders::new(language.module_path.clone(), section.host());
    match Program::compile_with(&label, &source, &modules, language.limits) {
        Ok(program) => Some(Arc::new(Pipeline { name: name.to_owned(), file, program: Arc::new(program) })),
        Err(diagnostics) => {
            let indented = diagnostics.to_string().replace('\n', "\n    ");
            section.problem(key, format!("the program does not compile\n    {indented}"));
            None
        }
    }
}

/// A proxy needs at least one listener and one route.
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
            section.section_problem("no route takes sessions from here".to_owned());
        }
    }
}

/// Counts are bounded by the table of keys far below what any platform's `usize` holds.
pub(super) fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
