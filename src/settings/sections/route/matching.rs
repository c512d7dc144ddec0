//! The keys of a route that determine which requests it takes.

use config::Value;

use super::{Known, answer, no_such};
use crate::{
    authority::MASK,
    header_list::is_token,
    router::{HostPattern, OriginPattern, Origins, PathPattern, Pattern, PatternError, ValueTest, hidden_by},
    settings::{
        layers::as_table,
        read::{Section, all, list, quoted, text},
        sections::networks,
    },
};

/// The keys that the pattern of a route depends on.
const KEYS: [&str; 12] = [
    "listener",
    "path",
    "match.host",
    "match.path",
    "match.path_exact",
    "match.path_regex",
    "match.headers",
    "match.query",
    "match.cookies",
    "match.subprotocol",
    "match.networks",
    "match.tls_name",
];

/// The keys of which one sets the path.
const PATHS: [&str; 4] = ["path", "match.path", "match.path_exact", "match.path_regex"];

/// Maximum number of tests in one table.
const ITEMS_MAX: usize = 1000;

/// Reads the pattern of a route.
pub(super) fn pattern(section: &Section<'_>, known: &Known<'_>) -> Pattern {
    let listener = section.text("listener");
    if let Some(name) = listener.as_deref().filter(|name| !known.listeners.contains(name)) {
        section.problem("listener", no_such("listener", name, known.listeners.iter().copied()));
    }
    Pattern {
        host: section.read("match.host", |value| HostPattern::parse(text(value)?).map_err(words)),
        headers: section.read("match.headers", headers).unwrap_or_default(),
        query: section.read("match.query", |value| tests(value, str::to_owned)).unwrap_or_default(),
        cookies: section.read("match.cookies", cookies).unwrap_or_default(),
        subprotocol: section.read("match.subprotocol", subprotocol),
        networks: section.read("match.networks", networks::parse).unwrap_or_default(),
        tls_name: section.read("match.tls_name", |value| HostPattern::parse(text(value)?).map_err(words)),
        takes_handshakes: !answer::is_set(section),
        takes_plain: answer::is_set(section) || section.flag("forward_http"),
        ..Pattern::of_path(listener, path(section))
    }
}

/// Whether a key that the pattern depends on is invalid. Such a pattern says nothing about other routes.
pub(super) fn is_wrong(section: &Section<'_>) -> bool {
    KEYS.iter().any(|key| section.is_wrong(key))
}

/// Refuses a route that no request can reach, because each request that it matches reaches one of `before`.
pub(super) fn check_reachable(
    section: &Section<'_>,
    pattern: &Pattern,
    before: &[(usize, &Pattern)],
    known: &Known<'_>,
) {
    let patterns: Vec<_> = before.iter().map(|(_, pattern)| *pattern).collect();
    let Some(hiding) = hidden_by(pattern, &patterns, known.listeners) else { return };
    let numbers: Vec<_> = hiding.iter().map(|position| format!("route[{}]", before[*position].0)).collect();
    let verb = if hiding.len() == 1 { "matches" } else { "match" };
    let path = PATHS.into_iter().find(|key| section.said(key).is_some());
    let text = format!("unreachable: {} already {verb}", numbers.join(" and "));
    section.conflict(path.unwrap_or("path"), &[], text);
}

/// Reads the origins that the route accepts; `None` if they are not checked.
pub(super) fn origins(section: &Section<'_>) -> Option<Origins> {
    let patterns = section.read("origins", |value| {
        let texts = list(value)?;
        if texts.is_empty() {
            return Err("takes at least one origin; \"*\" accepts all".to_owned());
        }
        let mut seen: Vec<OriginPattern> = Vec::new();
        all(texts.iter().map(|text| {
            let pattern = OriginPattern::parse(text).map_err(|error| format!("{}: {error}", quoted(text)))?;
            if seen.contains(&pattern) {
                return Err(format!("{} is listed twice", quoted(text)));
            }
            if pattern == OriginPattern::Any && texts.len() > 1 {
                return Err("\"*\" accepts all origins, so it is listed alone".to_owned());
            }
            seen.push(pattern.clone());
            Ok(pattern)
        }))
    });
    Some(patterns?.into_iter().collect())
}

/// Reads the path: one of four keys, or the default of `path`.
fn path(section: &Section<'_>) -> PathPattern {
    let set: Vec<_> = PATHS.into_iter().filter(|key| section.said(key).is_some()).collect();
    if let [others @ .., last] = &set[..] {
        for key in others {
            section.conflict(key, &[last], format!("a route has one path, and {last} is set too"));
        }
    }
    type Parse = fn(&str) -> Result<PathPattern, PatternError>;
    let parsers: [(&str, Parse); 4] = [
        ("match.path_regex", PathPattern::regex),
        ("match.path_exact", PathPattern::exact),
        ("match.path", PathPattern::prefix),
        ("path", PathPattern::prefix),
    ];
    let read = |(key, parse): (&str, Parse)| section.read(key, |value| parse(text(value)?).map_err(words));
    // All are read, so that each wrong one is reported.
    let paths: Vec<_> = parsers.into_iter().filter_map(read).collect();
    paths.into_iter().next().unwrap_or_else(|| PathPattern::Prefix("/".to_owned()))
}

fn headers(value: &Value) -> Result<Box<[ValueTest]>, String> {
    let tests = tests(value, str::to_ascii_lowercase)?;
    tokens(&tests, "a header name is a token: letters, digits and dashes")?;
    if let Some(test) = tests.iter().find(|test| test.name == "host" || test.name == "cookie") {
        let key = if test.name == "host" { "match.host" } else { "match.cookies" };
        return Err(format!("{}: use {key}", quoted(&test.name)));
    }
    Ok(tests)
}

fn cookies(value: &Value) -> Result<Box<[ValueTest]>, String> {
    let tests = tests(value, str::to_owned)?;
    tokens(&tests, "the name of a cookie is a token, without spaces and separators")?;
    Ok(tests)
}

fn tokens(tests: &[ValueTest], rule: &str) -> Result<(), String> {
    match tests.iter().find(|test| !is_token(test.name.as_bytes())) {
        Some(test) => Err(format!("{}: {rule}", quoted(&test.name))),
        None => Ok(()),
    }
}

/// Parses a table of names and values.
fn tests(value: &Value, name_of: fn(&str) -> String) -> Result<Box<[ValueTest]>, String> {
    let takes = || "takes a table of names and values, such as { tenant = \"a\" }".to_owned();
    let table = as_table(value).ok_or_else(takes)?;
    if table.len() > ITEMS_MAX {
        return Err(format!("has more than {ITEMS_MAX} entries"));
    }
    let mut tests: Vec<ValueTest> = Vec::new();
    for (name, value) in table {
        let name = name_of(name);
        let expected = text(value).map_err(|_| takes())?;
        if expected == MASK {
            return Err("a masked secret is not accepted; write the value".to_owned());
        }
        if tests.iter().any(|known| known.name == name) {
            return Err(format!("{} is listed twice", quoted(&name)));
        }
        tests.push(ValueTest { name, expected: expected.into() });
    }
    Ok(tests.into())
}

fn subprotocol(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    match is_token(name.as_bytes()) {
        true => Ok(name.to_owned()),
        false => Err("takes a subprotocol: a token without spaces and separators".to_owned()),
    }
}

fn words(error: PatternError) -> String {
    error.to_string()
}
