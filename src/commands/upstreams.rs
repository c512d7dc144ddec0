//! The command `towline upstreams`.

use serde_json::{Map, Value, json};

use super::{
    CommandError,
    sessions::{segment, server, show, text},
    table::{Align, counted, duration, items, table},
};
use crate::cli::{EndpointName, Upstreams, UpstreamsCommand};

/// Runs a subcommand.
pub(super) fn upstreams(options: &Upstreams) -> Result<(), CommandError> {
    let server = server(&options.admin)?;
    let path = |EndpointName { upstream, endpoint }: &EndpointName, what: &str| {
        format!("/api/upstreams/{}/endpoints/{}/{what}", segment(upstream), segment(endpoint))
    };
    let (answer, text): (_, fn(&Value) -> String) = match &options.command {
        UpstreamsCommand::List => (server.get("/api/upstreams")?, text_of_list),
        UpstreamsCommand::Drain { endpoint, rate } => {
            let answer = server.post(&path(endpoint, "drain"), &numbers([("rate", rate.map(u64::from))]))?;
            (answer, text_of_drain)
        }
        UpstreamsCommand::Undrain(endpoint) => {
            let answer = server.post(&path(endpoint, "undrain"), &json!({}))?;
            (answer, text_of_undrain)
        }
        UpstreamsCommand::Move { endpoint, count, rate } => {
            let parameters = [("count", count.map(|count| count as u64)), ("rate", rate.map(u64::from))];
            let answer = server.post(&path(endpoint, "move"), &numbers(parameters))?;
            (answer, |answer| counted(&answer["sessions"], "session moves\n", "sessions move\n"))
        }
        UpstreamsCommand::Abort(endpoint) => {
            let answer = server.post(&path(endpoint, "abort"), &json!({}))?;
            (answer, |answer| counted(&answer["sessions"], "session stays\n", "sessions stay\n"))
        }
    };
    show(&options.admin, &answer, text)
}

/// The parameters that are given.
fn numbers<const N: usize>(parameters: [(&str, Option<u64>); N]) -> Value {
    let given = parameters.into_iter().filter_map(|(name, number)| Some((name.to_owned(), number?.into())));
    Value::Object(given.collect::<Map<_, _>>())
}

fn text_of_drain(answer: &Value) -> String {
    let mut text = "the endpoint drains: follow it with towline upstreams list\n".to_owned();
    if answer["usable"] == 0 {
        text.push_str(
            "warning: no other endpoint of the upstream takes connections now: its sessions stay, and new ones wait or \
             are refused\n",
        );
    }
    text
}

fn text_of_undrain(answer: &Value) -> String {
    match answer["listed"].as_bool() {
        Some(false) => "the endpoint is not listed now; it is used when it is listed again\n".to_owned(),
        _ => "the endpoint is used again\n".to_owned(),
    }
}

/// The state of an endpoint, and why it drains.
fn state(endpoint: &Value) -> String {
    let name = text(&endpoint["state"]);
    let Some(reason) = endpoint["draining"].as_str() else { return name };
    match endpoint["drained_by_operator"].as_bool() {
        Some(true) if reason != "operator" => format!("{name} (operator, {reason})"),
        _ => format!("{name} ({reason})"),
    }
}

fn text_of_list(answer: &Value) -> String {
    let right = |name| (name, Align::Right);
    let left = |name| (name, Align::Left);
    let columns = [
        left("UPSTREAM"),
        right("NO"),
        left("ENDPOINT"),
        left("STATE"),
        right("SESSIONS"),
        right("DUE"),
        right("FAILURES"),
        right("OUTAGES"),
        left("SINCE"),
        left("LAST FAILURE"),
    ];
    let mut rows = Vec::new();
    for upstream in items(&answer["upstreams"]) {
        for endpoint in items(&upstream["endpoints"]) {
            let since = endpoint["outage_seconds"].as_f64().or(endpoint["up_seconds"].as_f64());
            rows.push(vec![
                text(&upstream["name"]),
                text(&endpoint["number"]),
                text(&endpoint["url"]),
                state(endpoint),
                text(&endpoint["sessions"]),
                text(&endpoint["moves"]["due"]),
                text(&endpoint["failures"]),
                items(&endpoint["outages"]).len().to_string(),
                since.map_or_else(|| "-".to_owned(), duration),
                text(&endpoint["last_failure"]["reason"]),
            ]);
        }
    }
    table(&columns, &rows)
}
