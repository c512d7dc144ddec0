//! Settings from environment variables.
//!
//! `TOWLINE__LISTENER__WS__BIND` sets `listener.ws.bind`. A list is comma-separated or a TOML array. A table
//! is a TOML inline table, or has one variable per entry. Names of environment variables have no dashes, so
//! an underscore in a variable also matches a dash in the name of a section or a header.

use config::{Map, Value, ValueKind};

use super::table::{Table, as_table, lookup, toml};
use crate::settings::{
    keys::{self, Kind, Shape},
    problem::{Origin, Problem, near},
};

/// Prefix of the variables that are settings. `TOWLINE_CONFIG` is not one of them.
const PREFIX: &str = "TOWLINE__";
/// Prefix of all variables of the program.
const PROGRAM_PREFIX: &str = "TOWLINE_";
/// Maximum number of levels in a variable's name, more than any key has. The limit keeps the recursion over
/// the layers shallow.
const DEPTH_MAX: usize = 8;

/// The environment variables that begin with `TOWLINE_`. Bytes that are not UTF-8 are replaced by U+FFFD,
/// which [`Layers`](super::Layers) refuses.
pub fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(PROGRAM_PREFIX))
}

/// The settings in the environment, and the variables that were refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    pub(crate) root: Table,
    pub(crate) problems: Vec<Problem>,
}

/// A variable that was refused.
struct Refused {
    key: String,
    text: String,
}

impl Environment {
    /// Parses the settings in `env`. `file` has the names to which variables can refer.
    pub(crate) fn new(env: impl Iterator<Item = (String, String)>, file: &Table) -> Self {
        let mut ours: Vec<_> = env.filter(|(name, _)| name.starts_with(PROGRAM_PREFIX)).collect();
        ours.sort();
        let mut layer = Self::default();
        for (name, text) in ours {
            if let Err(Refused { key, text }) = layer.add(&name, &text, file) {
                layer.problems.push(Problem { key, value: None, origin: Origin::Env(name), text });
            }
        }
        layer
    }

    fn add(&mut self, name: &str, text: &str, file: &Table) -> Result<(), Refused> {
        let Some(rest) = name.strip_prefix(PREFIX) else { return check_prefix(name) };
        let mut path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        let refused = |text: String| Refused { key: key_of(rest), text };
        check_path(&path).map_err(|text| refused(text.to_owned()))?;
        // A replaced character would change the value, such as a password.
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return Err(refused("takes UTF-8 text without U+FFFD".to_owned()));
        }
        resolve_section(&mut path, file)?;
        resolve_header(&mut path, file).map_err(refused)?;
        let value = value(name, text, keys::find(&path)).map_err(refused)?;
        insert(&mut self.root, &path, value, name);
        Ok(())
    }
}

/// Converts `LISTENER__WS__BIND` to the key `listener.ws.bind`.
fn key_of(rest: &str) -> String {
    rest.to_ascii_lowercase().replace("__", ".")
}

/// Refuses a setting with only one underscore after `TOWLINE`. Other variables are not settings, such as
/// `TOWLINE_CONFIG`, or the `TOWLINE_PORT` that Kubernetes sets for a service.
fn check_prefix(name: &str) -> Result<(), Refused> {
    let rest = name.strip_prefix(PROGRAM_PREFIX).unwrap_or_default();
    let Some((section, _)) = rest.split_once("__") else { return check_program_variable(rest) };
    if !keys::SECTIONS.iter().any(|known| known.name.eq_ignore_ascii_case(section)) {
        return Ok(());
    }
    let text = format!("a setting begins with two underscores after TOWLINE; did you mean {PREFIX}{rest}?");
    Err(Refused { key: key_of(rest), text })
}

/// Refuses a misspelt variable of the command line.
fn check_program_variable(rest: &str) -> Result<(), Refused> {
    const KNOWN: [&str; 2] = ["CONFIG", "ECHO_BIND"];
    match near(rest, &KNOWN) {
        Some(known) if known != rest => {
            let text = format!("unknown variable; did you mean {PROGRAM_PREFIX}{known}?");
            Err(Refused { key: format!("{PROGRAM_PREFIX}{rest}"), text })
        }
        _ => Ok(()),
    }
}

fn check_path(path: &[String]) -> Result<(), &'static str> {
    if path.iter().any(String::is_empty) {
        return Err("a variable is named TOWLINE__SECTION__KEY, with two underscores between");
    }
    if path.len() > DEPTH_MAX {
        return Err("no setting is nested this deep");
    }
    if path[0] == "route" {
        return Err("routes are a list, so they are set in the file only");
    }
    Ok(())
}

/// Replaces the section's name in a variable by the name in the settings. A section that is not in the file
/// must be named by a route: otherwise it is misspelt or has no effect.
fn resolve_section(path: &mut [String], file: &Table) -> Result<(), Refused> {
    let [kind, name, ..] = path else { return Ok(()) };
    if !keys::SECTIONS.iter().any(|section| section.shape == Shape::Named && section.name == kind) {
        return Ok(());
    }
    let known = known_names(kind, file);
    let refused = |text| Refused { key: format!("{kind}.{name}"), text };
    match matching(name, &known).as_slice() {
        [one] => *name = (*one).to_owned(),
        [] => {
            let hint = match (near(name, &known), known.as_slice()) {
                (Some(near), _) => format!("; did you mean {near:?}?"),
                (None, []) => String::new(),
                (None, known) => format!("; the file has {}", known.join(", ")),
            };
            let text = format!("the file has no [{kind}.{name}] and no route names it{hint}");
            return Err(refused(text));
        }
        several => {
            let names: Vec<_> = several.iter().map(|name| format!("[{kind}.{name}]")).collect();
            let text = format!(
                "is ambiguous: an underscore matches a dash too, and there are {}",
                names.join(" and ")
            );
            return Err(refused(text));
        }
    }
    Ok(())
}

/// Replaces the header's name in a variable by the name in the file. If the file does not have the header,
/// replaces each underscore by a dash.
fn resolve_header(path: &mut [String], file: &Table) -> Result<(), String> {
    let Some((header, table)) = path.split_last_mut() else { return Ok(()) };
    if !keys::find(table).is_some_and(|key| key.kind.is_secret_table()) {
        return Ok(());
    }
    let headers = table.iter().try_fold(file, |table, name| entry(table, name));
    let known: Vec<_> = headers.into_iter().flat_map(|headers| headers.keys().map(String::as_str)).collect();
    match matching(header, &known).as_slice() {
        [one] => *header = (*one).to_owned(),
        [] => *header = header.replace('_', "-"),
        several => {
            return Err(format!(
                "is ambiguous: an underscore matches a dash too, and there are {}",
                several.join(" and ")
            ));
        }
    }
    Ok(())
}

/// The names of sections of this kind that the file defines or its routes refer to.
fn known_names<'a>(kind: &str, file: &'a Table) -> Vec<&'a str> {
    let mut names: Vec<_> =
        entry(file, kind).into_iter().flat_map(|it| it.keys().map(String::as_str)).collect();
    for name in named_by_routes(kind, file) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn named_by_routes<'a>(kind: &str, file: &'a Table) -> Vec<&'a str> {
    let routes = file.get("route").map(|value| &value.kind);
    let Some(ValueKind::Array(routes)) = routes else { return Vec::new() };
    let refers = |key: &&keys::Key| match key.kind {
        Kind::Reference(named) | Kind::References(named) => named == kind,
        _ => false,
    };
    let mut names = Vec::new();
    for key in keys::section("route").keys().filter(refers) {
        for route in routes.iter().filter_map(as_table) {
            match lookup(route, key.name).map(|value| &value.kind) {
                Some(ValueKind::String(name)) => names.push(name.as_str()),
                Some(ValueKind::Array(items)) => names.extend(items.iter().filter_map(text)),
                _ => {}
            }
        }
    }
    names
}

/// The known names that a variable's name can stand for. A dash in the variable, which some container tools
/// allow, matches only a dash.
fn matching<'a>(name: &str, known: &[&'a str]) -> Vec<&'a str> {
    let equal = |known: &&&str| match name.contains('-') {
        true => known.eq_ignore_ascii_case(name),
        false => known.replace('-', "_").eq_ignore_ascii_case(name),
    };
    known.iter().filter(equal).copied().collect()
}

fn entry<'a>(table: &'a Table, key: &str) -> Option<&'a Table> {
    as_table(table.get(key)?)
}

fn text(value: &Value) -> Option<&str> {
    match &value.kind {
        ValueKind::String(text) => Some(text),
        _ => None,
    }
}

/// The text as a value whose origin is the variable `name`.
fn value(name: &str, text: &str, key: Option<&keys::Key>) -> Result<Value, String> {
    let origin = name.to_owned();
    let compound = key.is_some_and(|key| key.kind.is_compound());
    if !compound || !text.starts_with(['[', '{']) {
        return Ok(Value::new(Some(&origin), text));
    }
    let parsed = toml(&format!("it = {text}")).ok().and_then(|mut table| table.swap_remove("it"));
    let parsed = match (parsed, key.map(|key| key.kind)) {
        (Some(parsed), _) => parsed,
        // `[::1]:9139`
        (None, Some(Kind::Addresses)) => return Ok(Value::new(Some(&origin), text)),
        (None, _) => return Err("starts like TOML but is not valid TOML".to_owned()),
    };
    Ok(Value::new(Some(&origin), with_origin(parsed.kind, &origin)))
}

/// Sets the variable's name as the origin of a table's entries, because tables are merged entry by entry, and of a
/// list's items, because problems are reported for each.
fn with_origin(kind: ValueKind, origin: &String) -> ValueKind {
    match kind {
        ValueKind::Array(items) => ValueKind::Array(
            items.into_iter().map(|item| Value::new(Some(origin), with_origin(item.kind, origin))).collect(),
        ),
        ValueKind::Table(table) => ValueKind::Table(
            table
                .into_iter()
                .map(|(key, value)| (key, Value::new(Some(origin), with_origin(value.kind, origin))))
                .collect(),
        ),
        other => other,
    }
}

fn insert(table: &mut Table, path: &[String], value: Value, name: &str) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let origin = name.to_owned();
            let entry = table
                .entry(key.clone())
                .or_insert_with(|| Value::new(Some(&origin), ValueKind::Table(Map::new())));
            // When one variable sets a table and another sets an entry of it, the entry wins.
            if !matches!(entry.kind, ValueKind::Table(_)) {
                *entry = Value::new(Some(&origin), ValueKind::Table(Map::new()));
            }
            if let ValueKind::Table(inner) = &mut entry.kind {
                insert(inner, rest, value, name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[listener.ws-public]
bind = "a:1"
[upstream.chat-api]
headers = { x_token = "1", "X-Tenant" = "2" }
[upstream.a-b]
[upstream.a_b]
[[route]]
upstream = "not-there"
incoming = ["in-1"]
"#;

    /// The settings of one variable with the text `v`, as JSON-like text, or the error.
    fn layer(name: &str) -> Result<Vec<String>, String> {
        let file = toml(FILE).unwrap();
        let env = [(name.to_owned(), "v".to_owned())];
        let layer = Environment::new(env.into_iter(), &file);
        match layer.problems.first() {
            Some(problem) => Err(problem.text.clone()),
            None => Ok(path(&layer.root)),
        }
    }

    fn path(table: &Table) -> Vec<String> {
        let Some((key, value)) = table.first() else { return Vec::new() };
        let mut path = vec![key.clone()];
        if let ValueKind::Table(inner) = &value.kind {
            path.extend(self::path(inner));
        }
        path
    }

    #[test]
    fn a_value_that_is_not_utf_8_is_refused() {
        let value = String::from_utf8_lossy(b"pass\xffword").into_owned();
        let env = [("TOWLINE__UPSTREAM__A_B2__URL".to_owned(), value)];
        let layer = Environment::new(env.into_iter(), &toml("[upstream.a-b2]").unwrap());
        assert_eq!(layer.problems[0].text, "takes UTF-8 text without U+FFFD");
        assert!(layer.problems[0].value.is_none(), "the value may be a secret");
    }

    #[test]
    fn an_underscore_of_a_variable_finds_the_name_with_a_dash() {
        let table = [
            ("TOWLINE__LISTENER__WS_PUBLIC__BIND", "listener ws-public bind"),
            ("TOWLINE__UPSTREAM__CHAT_API__URL", "upstream chat-api url"),
            ("TOWLINE__UPSTREAM__CHAT-API__URL", "upstream chat-api url"),
            ("TOWLINE__UPSTREAM__A-B__URL", "upstream a-b url"),
            ("TOWLINE__UPSTREAM__NOT_THERE__URL", "upstream not-there url"),
            ("TOWLINE__PIPELINE__IN_1__SOURCE", "pipeline in-1 source"),
            ("TOWLINE__UPSTREAM__CHAT_API__HEADERS__X_TOKEN", "upstream chat-api headers x_token"),
            ("TOWLINE__UPSTREAM__CHAT_API__HEADERS__X_TENANT", "upstream chat-api headers X-Tenant"),
            ("TOWLINE__UPSTREAM__CHAT_API__HEADERS__X_NEW", "upstream chat-api headers x-new"),
        ];
        for (name, expected) in table {
            assert_eq!(layer(name).map(|path| path.join(" ")), Ok(expected.to_owned()), "{name}");
        }
    }

    #[test]
    fn a_name_that_two_sections_fit_is_ambiguous() {
        let error = layer("TOWLINE__UPSTREAM__A_B__URL").unwrap_err();
        assert!(
            error.starts_with("is ambiguous") && error.contains("[upstream.a-b] and [upstream.a_b]"),
            "{error}"
        );
    }

    #[test]
    fn a_section_that_nothing_uses_is_refused() {
        let error = layer("TOWLINE__LISTENER__WS_PUBLIK__BIND").unwrap_err();
        assert!(error.ends_with("no route names it; did you mean \"ws-public\"?"), "{error}");
    }

    #[test]
    fn one_underscore_is_refused_where_a_section_follows() {
        assert!(layer("TOWLINE_UPSTREAM__CHAT_API__URL").is_err());
        assert!(layer("TOWLINE_SERVER__WORKERS").is_err());
        for other in ["TOWLINE_CONFIG", "TOWLINE_TEST_SEED", "TOWLINE_PORT_9139_TCP", "TOWLINE_X__Y"] {
            assert_eq!(layer(other), Ok(Vec::new()), "{other}");
        }
    }
}
