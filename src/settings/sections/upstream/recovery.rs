//! The table `recovery`: how a session continues at a new connection to the upstream.

use std::{sync::Arc, time::Duration};

use config::{Value, ValueKind};

use super::ExchangeMode;
use crate::{
    recovery::{self, InFlight, Limits, Pattern, PatternError, Patterns, Protocol, Test},
    settings::{
        layers::Table,
        read::{Item, Section, text},
        sections::format::Format,
    },
    wire,
};

/// How a session continues at a new connection.
#[derive(Debug, Clone, Default)]
pub struct RecoveryConfig {
    /// The protocol for the journal of a session; `None` when no journal is kept.
    pub journal: Option<Arc<recovery::Recovery>>,
    /// Whether programs say to the journal what the messages are.
    pub by_program: bool,
    /// How long a message waits for a connection; `None` when it fails at once.
    pub hold: Option<Duration>,
    /// Whether the client gets a notice when its upstream connection was replaced.
    pub notice: bool,
}

/// Sets a path of a pattern.
type SetPath = fn(Pattern, &str) -> Pattern;

/// The keys that describe a protocol: the preset, and the lists of patterns.
const DESCRIPTIONS: [&str; 13] = [
    "recovery.preset",
    "recovery.hello",
    "recovery.open",
    "recovery.close",
    "recovery.request",
    "recovery.greeting",
    "recovery.accepted",
    "recovery.rejected",
    "recovery.leaving",
    "recovery.answer",
    "recovery.refused",
    "recovery.ended",
    "recovery.data",
];

/// The lists of patterns.
const LISTS: &[&str] = DESCRIPTIONS.split_at(1).1;

/// Lists that have an effect only with one of the others.
const NEEDS: [(&str, &[&str]); 7] = [
    ("recovery.close", &["recovery.open"]),
    ("recovery.accepted", &["recovery.hello"]),
    ("recovery.rejected", &["recovery.hello"]),
    ("recovery.answer", &["recovery.open", "recovery.request"]),
    ("recovery.refused", &["recovery.open", "recovery.request"]),
    ("recovery.ended", &["recovery.open"]),
    ("recovery.data", &["recovery.open"]),
];

/// Keys that have an effect only with a journal.
const OF_JOURNALS: [&str; 4] =
    ["recovery.in_flight", "recovery.timeout", "recovery.max_entries", "recovery.max_bytes"];

/// Reads the keys.
pub(super) fn read(
    section: &Section<'_>,
    exchange: ExchangeMode,
    format: Option<&Format>,
    limits: wire::Limits,
) -> RecoveryConfig {
    let journal = journal(section, exchange, format, limits);
    let notice = match section.said("recovery.notice") {
        Some(_) => section.flag("recovery.notice"),
        None => journal.is_some(),
    };
    let by_program = section.choice("recovery.preset").as_deref() == Some("program");
    RecoveryConfig { journal, by_program, hold: section.timeout("recovery.hold"), notice }
}

/// Reads the keys of the journal.
fn journal(
    section: &Section<'_>,
    exchange: ExchangeMode,
    format: Option<&Format>,
    limits: wire::Limits,
) -> Option<Arc<recovery::Recovery>> {
    let in_flight =
        if section.chooses("recovery.in_flight", "retry") { InFlight::Retry } else { InFlight::Error };
    let defaults = Limits::default();
    let settings = recovery::Settings {
        in_flight,
        limits: Limits {
            max_entries: section.count("recovery.max_entries"),
            max_bytes: section.size("recovery.max_bytes"),
            max_packet: limits.max_message.max(defaults.max_packet),
            ..defaults
        },
        timeout: section.duration("recovery.timeout"),
    };
    if DESCRIPTIONS.iter().all(|key| section.said(key).is_none()) {
        for key in OF_JOURNALS.iter().filter(|key| section.said(key).is_some()) {
            section.conflict(key, &[], "needs recovery.preset, or recovery.hello or recovery.open");
        }
    }
    let (key, protocol) = protocol(section)?;
    if exchange == ExchangeMode::Request {
        let text = "needs exchange = \"stream\": with \"request\", replies are matched with events instead";
        section.conflict(key, &["exchange"], text);
    }
    if format.is_some_and(|format| !format.preprocessors.is_empty() || !format.postprocessors.is_empty()) {
        let text =
            "needs an upstream without preprocessors and postprocessors: the journal reads its messages";
        section.conflict(key, &["preprocessors", "postprocessors"], text);
    }
    match recovery::Recovery::new(&protocol, settings) {
        Ok(journal) => Some(Arc::new(journal)),
        Err(error) => {
            let key = match error {
                PatternError::Missing { kind, .. } => &format!("recovery.{kind}"),
                PatternError::TooManyPaths => key,
            };
            section.conflict(key, LISTS, error.to_string());
            None
        }
    }
}

/// The protocol, and the key that describes it; `None` when no key does, or one is wrong.
fn protocol(section: &Section<'_>) -> Option<(&'static str, Protocol)> {
    let (patterns, methods) = (patterns(section), methods(section)?);
    let preset = section.choice("recovery.preset");
    if section.said("recovery.methods").is_some() && preset.as_deref() != Some("json-rpc") {
        section.conflict("recovery.methods", &["recovery.preset"], "needs recovery.preset = \"json-rpc\"");
    }
    let Some(preset) = preset else {
        let first = LISTS.iter().find(|key| section.said(key).is_some())?;
        let patterns = patterns?;
        if !are_lists_complete(section, first, &patterns) {
            return None;
        }
        return Some((first, Protocol::Patterns(Box::new(patterns))));
    };
    for key in LISTS.iter().filter(|key| section.said(key).is_some()) {
        section.conflict(key, &[], "has no effect with recovery.preset: remove one of them");
    }
    let protocol = match Protocol::preset(&preset)? {
        Protocol::JsonRpc { .. } => Protocol::JsonRpc { more: methods },
        other => other,
    };
    Some(("recovery.preset", protocol))
}

/// Reports lists without effect, and a list that another one needs. Returns whether there is none of these.
fn are_lists_complete(section: &Section<'_>, first: &str, patterns: &Patterns) -> bool {
    let is_set = |key: &str| section.said(key).is_some();
    if !["recovery.hello", "recovery.open"].into_iter().any(is_set) {
        section.conflict(first, &["recovery.preset"], "needs recovery.hello or recovery.open");
        return false;
    }
    let needing = |(key, others): &&(&str, &[&str])| is_set(key) && !others.iter().any(|other| is_set(other));
    if let Some((key, others)) = NEEDS.iter().find(needing) {
        section.conflict(key, &[], format!("needs {}", others.join(" or ")));
        return false;
    }
    let awaits_answer = |patterns: &[Pattern]| patterns.iter().any(Pattern::has_request);
    let waiting = [("recovery.open", &patterns.open), ("recovery.request", &patterns.request)];
    match waiting.iter().find(|(_, patterns)| awaits_answer(patterns)) {
        Some((key, _)) if !is_set("recovery.answer") => {
            section.conflict(key, &[], "needs recovery.answer, because request awaits an answer");
            false
        }
        _ => true,
    }
}

/// The patterns of all lists; `None` when one is wrong.
fn patterns(section: &Section<'_>) -> Option<Patterns> {
    let mut is_complete = true;
    let mut list = |name: &str| {
        let items = section.items(&format!("recovery.{name}"));
        let patterns: Box<[_]> = items.iter().filter_map(pattern).collect();
        is_complete &= patterns.len() == items.len();
        patterns
    };
    let patterns = Patterns {
        hello: list("hello"),
        open: list("open"),
        close: list("close"),
        request: list("request"),
        greeting: list("greeting"),
        accepted: list("accepted"),
        rejected: list("rejected"),
        leaving: list("leaving"),
        answer: list("answer"),
        refused: list("refused"),
        ended: list("ended"),
        data: list("data"),
    };
    is_complete.then_some(patterns)
}

/// A pattern; `None` when one of its keys is wrong.
fn pattern(item: &Item<'_>) -> Option<Pattern> {
    let Item::Table(table) = item else { return None };
    let mut pattern = recognising(table)?;
    let setters: [(&str, SetPath); 6] = [
        ("id", Pattern::id),
        ("request", Pattern::request),
        ("instance", Pattern::instance),
        ("key", Pattern::key),
        ("cursor", Pattern::cursor),
        ("resume", Pattern::resume),
    ];
    for (key, set) in setters.into_iter().filter(|(key, _)| table.has_key(key)) {
        match table.read(key, path) {
            Some(at) => pattern = set(pattern, &at),
            None if is_needed(table, key) => return None,
            None => {}
        }
    }
    if table.has_key("resumed") && table.said("resumed").is_some() {
        let (at, test) = table.read("resumed", one_test)?;
        pattern = pattern.resumed(&at, test);
    }
    if table.has_key("numbered") && table.flag("numbered") {
        if table.said("cursor").is_none() {
            table.conflict("numbered", &[], "needs cursor");
        }
        pattern = pattern.numbered();
    }
    Some(pattern)
}

/// A pattern with the tests of `when`; `None` when they are wrong.
pub(super) fn recognising(table: &Section<'_>) -> Option<Pattern> {
    let tests = table.read("when", tests)?;
    Some(tests.into_iter().fold(Pattern::default(), |pattern, (path, test)| pattern.and(&path, test)))
}

/// Whether a key without a valid value is wrong: it is set, or required.
fn is_needed(table: &Section<'_>, key: &str) -> bool {
    table.said(key).is_some() || table.is_required(key)
}

/// The methods of `json-rpc` besides the preset's; `None` when one is wrong.
fn methods(section: &Section<'_>) -> Option<Box<[(String, String)]>> {
    let items = section.items("recovery.methods");
    let methods = items.iter().map(|item| match item {
        Item::Table(table) => table.text("open").zip(table.text("close")),
        Item::Scalar(..) => None,
    });
    methods.collect()
}

/// A path into a message.
fn path(value: &Value) -> Result<String, String> {
    let path = text(value)?;
    match path.split('.').any(str::is_empty) {
        true => Err("takes keys separated by dots, such as \"id\" or \"params.0.topic\"".to_owned()),
        false => Ok(path.to_owned()),
    }
}

/// The only entry of a table of tests.
fn one_test(value: &Value) -> Result<(String, Test), String> {
    match <[_; 1]>::try_from(tests(value)?) {
        Ok([test]) => Ok(test),
        Err(_) => Err("takes a table with one path".to_owned()),
    }
}

/// A table of paths and the tests of the values there. Tables in it continue the path.
fn tests(value: &Value) -> Result<Vec<(String, Test)>, String> {
    let ValueKind::Table(table) = &value.kind else {
        return Err("takes a table of paths and values, such as { op = \"subscribe\" }".to_owned());
    };
    let mut found = Vec::new();
    add_tests("", table, &mut found)?;
    if found.is_empty() { Err("takes at least one path".to_owned()) } else { Ok(found) }
}

fn add_tests(prefix: &str, table: &Table, found: &mut Vec<(String, Test)>) -> Result<(), String> {
    for (key, value) in table {
        let at = path(&Value::from(format!("{prefix}{key}")))?;
        match &value.kind {
            ValueKind::Table(inner) => add_tests(&format!("{at}."), inner, found)?,
            _ => found.push((at, test(value)?)),
        }
    }
    Ok(())
}

/// What the value at a path has to be.
fn test(value: &Value) -> Result<Test, String> {
    let takes = || {
        "a value is a string, \"text*\" for strings that begin like this, \"*\" for any value but null, a list of \
         strings, [] for no value or null, true, false, or a whole number"
            .to_owned()
    };
    match &value.kind {
        ValueKind::String(text) => Ok(Test::from(text.as_str())),
        ValueKind::Boolean(flag) => Ok(Test::Json(flag.to_string())),
        ValueKind::I64(number) => Ok(Test::Json(number.to_string())),
        ValueKind::Array(items) if items.is_empty() => Ok(Test::Absent),
        ValueKind::Array(items) => {
            let texts = items.iter().map(|item| text(item).map(str::to_owned).map_err(|_| takes()));
            Ok(Test::one_of(texts.collect::<Result<Vec<_>, _>>()?))
        }
        _ => Err(takes()),
    }
}
