//! The command `towline sessions`.

use serde_json::{Map, Value, json};
use url::form_urlencoded::Serializer;

use super::{
    CommandError, print,
    table::{Align, counted, duration, items, table, visible},
};
use crate::{
    admin::AdminServer,
    cli::{AdminOptions, CloseSessions, Conditions, ListSessions, RenewSession, Sessions, SessionsCommand},
};

/// Runs a subcommand.
pub(super) fn sessions(options: &Sessions) -> Result<(), CommandError> {
    let server = server(&options.admin)?;
    let (answer, text): (_, fn(&Value) -> String) = match &options.command {
        SessionsCommand::List(list) => (server.get(&path_of_list(list))?, text_of_list),
        SessionsCommand::Show { id } => (server.get(&format!("/api/sessions/{}", segment(id)))?, text_of_one),
        SessionsCommand::Close(close) => (close_sessions(&server, close)?, text_of_close),
        SessionsCommand::Closing => (server.get("/api/sessions/closing")?, text_of_order),
        SessionsCommand::Abort => (server.post("/api/sessions/closing/abort", &json!({}))?, text_of_abort),
        SessionsCommand::Renew(RenewSession { id, subject, time }) => {
            let body = json!({ "subject": subject, "seconds": time.as_secs() });
            (server.post(&format!("/api/sessions/{}/renew", segment(id)), &body)?, text_of_renewal)
        }
    };
    show(&options.admin, &answer, text)
}

/// The admin server that the options name.
pub(super) fn server(options: &AdminOptions) -> Result<AdminServer, CommandError> {
    Ok(AdminServer::new(&options.admin, options.token_file.clone())?)
}

/// Prints an answer, as JSON or for people.
pub(super) fn show(
    options: &AdminOptions,
    answer: &Value,
    text: impl FnOnce(&Value) -> String,
) -> Result<(), CommandError> {
    let printed = match options.json {
        true => print(&format!("{answer:#}\n")),
        false => print(&text(answer)),
    };
    Ok(printed?)
}

/// A part of a path.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn given(conditions: &Conditions) -> impl Iterator<Item = (&'static str, &String)> {
    let Conditions { listener, route, peer, state, claim } = conditions;
    let all = [("listener", listener), ("route", route), ("peer", peer), ("state", state), ("claim", claim)];
    all.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)))
}

fn path_of_list(list: &ListSessions) -> String {
    let mut query = Serializer::new(String::new());
    query.extend_pairs(given(&list.conditions));
    query.append_pair("sort", &list.sort);
    query.append_pair("limit", &list.limit.to_string());
    query.append_pair("offset", &list.offset.to_string());
    format!("/api/sessions?{}", query.finish())
}

fn close_sessions(server: &AdminServer, close: &CloseSessions) -> Result<Value, CommandError> {
    let CloseSessions { id, conditions, all, code, reason, rate } = close;
    let mut body = Map::new();
    body.extend(code.map(|code| ("code".to_owned(), code.into())));
    body.extend(reason.clone().map(|reason| ("reason".to_owned(), reason.into())));
    let path = match id {
        Some(id) => format!("/api/sessions/{}/close", segment(id)),
        None => {
            let conditions: Map<_, _> =
                given(conditions).map(|(name, value)| (name.to_owned(), value.clone().into())).collect();
            if conditions.is_empty() && !all {
                let text = "close: give the ID of a session, a condition such as --route, or --all";
                return Err(CommandError::Usage(text.to_owned()));
            }
            body.insert("all".to_owned(), (*all).into());
            body.insert("where".to_owned(), conditions.into());
            body.extend(rate.map(|rate| ("rate".to_owned(), rate.into())));
            "/api/sessions/close".to_owned()
        }
    };
    Ok(server.post(&path, &Value::Object(body))?)
}

/// A value in a cell of a table.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// A table with a row for each item, and a column for each of these keys.
pub(super) fn table_of(items: &[Value], keys: &[&str]) -> String {
    let row = |item: &Value| keys.iter().map(|key| text(&item[*key])).collect::<Vec<_>>();
    let rows: Vec<_> = items.iter().map(row).collect();
    let headings: Vec<_> = keys.iter().map(|key| key.to_uppercase()).collect();
    let columns: Vec<_> = headings.iter().map(|heading| (heading.as_str(), Align::Left)).collect();
    table(&columns, &rows)
}

fn text_of_list(answer: &Value) -> String {
    let right = |name| (name, Align::Right);
    let left = |name| (name, Align::Left);
    let columns = [
        left("ID"),
        left("LISTENER"),
        left("ROUTE"),
        left("PEER"),
        left("STATE"),
        right("AGE"),
        right("IN"),
        right("OUT"),
        right("UNSETTLED"),
        right("ERRORS"),
        right("RESTARTS"),
    ];
    let row = |session: &Value| {
        let messages = |side: &str| text(&session[side]["messages"]);
        let key = |key: &str| text(&session[key]);
        let age = duration(session["seconds"].as_f64().unwrap_or_default());
        let first = ["id", "listener", "route", "peer", "state"].map(key);
        let last = ["unsettled", "errored", "restarts"].map(key);
        first.into_iter().chain([age, messages("received"), messages("sent")]).chain(last).collect()
    };
    let rows: Vec<_> = items(&answer["sessions"]).iter().map(row).collect();
    let mut out = table(&columns, &rows);
    let (shown, matched) = (rows.len(), text(&answer["matched"]));
    let total = counted(&answer["total"], "session", "sessions");
    out += &format!("{shown} shown, {matched} matched, {total}\n");
    out
}

/// What the list shows, in the same order; the rest follows.
const FIRST: [&str; 8] = ["id", "listener", "route", "upstream", "peer", "state", "since", "seconds"];

/// A field of a session that is not a table. An object is one line: `messages 2, bytes 6`.
fn field(name: &str, value: &Value) -> String {
    let text = match value {
        Value::Object(fields) if fields.is_empty() => "-".to_owned(),
        Value::Object(fields) if fields.values().all(|value| !value.is_object()) => {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{name} {}", text(value))).collect();
            fields.join(", ")
        }
        Value::Object(fields) => {
            return fields.iter().map(|(inner, value)| field(&format!("{name}.{inner}"), value)).collect();
        }
        Value::Number(seconds) if name == "seconds" => duration(seconds.as_f64().unwrap_or_default()),
        value => text(value),
    };
    format!("{name:<20} {}\n", visible(&text))
}

fn text_of_one(session: &Value) -> String {
    let nested = ["servers", "errors", "timeline", "error"];
    let fields = session.as_object().into_iter().flatten();
    let rest = fields.filter(|(name, _)| !nested.contains(&name.as_str()) && !FIRST.contains(&name.as_str()));
    let first = FIRST.iter().filter_map(|name| Some((*name, session.get(name)?)));
    let all = first.chain(rest.map(|(name, value)| (name.as_str(), value)));
    let mut out: String = all.map(|(name, value)| field(name, value)).collect();
    let section = |name: &str, keys: &[&str]| match items(&session[name]) {
        [] => String::new(),
        items => format!("\n{name}\n{}", table_of(items, keys)),
    };
    out += &section("servers", &["server", "state", "generation", "attempts", "next_ms", "failure"]);
    out += &section("timeline", &["at", "kind", "detail"]);
    out += &section("errors", &["at", "id", "stage", "kind", "reason"]);
    out
}

fn text_of_close(answer: &Value) -> String {
    let matched = || counted(&answer["matched"], "session is", "sessions are");
    match answer["seconds"].as_f64() {
        Some(seconds) => format!("{} being closed within {}\n", matched(), duration(seconds.ceil())),
        None => "the session is being closed\n".to_owned(),
    }
}

fn text_of_order(answer: &Value) -> String {
    let order = &answer["order"];
    if order.is_null() {
        return "no order to close sessions is in progress\n".to_owned();
    }
    let key = |key: &str| text(&order[key]);
    let rest = duration(order["seconds"].as_f64().unwrap_or_default().ceil());
    format!(
        "{} of {} closed, {} ended otherwise, {} left for {rest} at {} a second, code {}, reason {}\n",
        key("closed"),
        counted(&order["matched"], "session", "sessions"),
        key("ended"),
        key("left"),
        key("rate"),
        key("code"),
        visible(&key("reason")),
    )
}

fn text_of_abort(answer: &Value) -> String {
    format!("{} open\n", counted(&answer["sessions"], "session stays", "sessions stay"))
}

fn text_of_renewal(answer: &Value) -> String {
    format!("the credential of the client expires at {}\n", text(&answer["expires"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_begins_with_what_the_list_shows_and_has_no_json() {
        let session = json!({
            "accepted": 2, "claims": {}, "held": {"waiting": 0, "from_client": {"bytes": 0, "limit": 9}},
            "id": "1:0", "received": {"bytes": 6, "messages": 2}, "seconds": 62.017_5, "state": "open",
        });
        let text = text_of_one(&session);
        let fields: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).collect();
        let fields: Vec<_> = fields.into_iter().map(|(name, value)| (name, value.trim())).collect();
        assert_eq!(
            fields,
            [
                ("id", "1:0"),
                ("state", "open"),
                ("seconds", "1m 2s"),
                ("accepted", "2"),
                ("claims", "-"),
                ("held.from_client", "bytes 0, limit 9"),
                ("held.waiting", "0"),
                ("received", "bytes 6, messages 2"),
            ]
        );
    }

    #[test]
    fn a_list_fits_a_terminal() {
        let session = json!({
            "id": "1:123456", "listener": "websocket", "route": "chat-europe", "peer": "203.0.113.255:65535",
            "state": "draining", "seconds": 86_399.0, "received": {"messages": 1_234_567},
            "sent": {"messages": 1_234_567}, "unsettled": 128, "errored": 1000, "restarts": 100,
        });
        let text = text_of_list(&json!({ "sessions": [session], "matched": 1, "total": 20_000 }));
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");
        assert!(text.contains("23h 59m") && text.ends_with("1 shown, 1 matched, 20000 sessions\n"), "{text}");
    }
}
