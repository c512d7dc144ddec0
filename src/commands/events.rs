//! The command `towline events`.

use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::{
    CommandError,
    sessions::{segment, server, show, table_of, text},
    table::{counted, items, visible},
};
use crate::cli::{Events, EventsCommand, ListEvents};

/// The fields of an event, in their order.
const FIELDS: [&str; 7] = ["id", "session", "at", "stage", "kind", "upstream", "reason"];

/// Runs a subcommand.
pub(super) fn events(options: &Events) -> Result<(), CommandError> {
    let server = server(&options.admin)?;
    let (answer, text): (_, fn(&Value) -> String) = match &options.command {
        EventsCommand::List(list) => (server.get(&path_of_list(list))?, text_of_list),
        EventsCommand::Show { id } => (server.get(&format!("/api/events/{}", segment(id)))?, text_of_one),
    };
    show(&options.admin, &answer, text)
}

fn path_of_list(list: &ListEvents) -> String {
    let ListEvents { session, stage, kind, contains, limit } = list;
    let given = [("session", session), ("stage", stage), ("kind", kind), ("contains", contains)];
    let mut query = Serializer::new(String::new());
    query.extend_pairs(given.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
    query.append_pair("limit", &limit.to_string());
    format!("/api/events?{}", query.finish())
}

fn text_of_list(answer: &Value) -> String {
    let keys = ["at", "id", "stage", "kind", "upstream", "reason"];
    let events = items(&answer["events"]);
    let matched = counted(&answer["matched"], "event", "events");
    format!("{}{} shown, {matched} kept\n", table_of(events, &keys), events.len())
}

fn text_of_one(event: &Value) -> String {
    FIELDS.iter().map(|name| format!("{name:<10} {}\n", visible(&text(&event[*name])))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_a_line_of_the_list_and_a_field_on_each_line() {
        let event = json!({
            "id": "1:42:7", "session": "1:42", "at": "2026-11-30T07:44:58.000Z", "stage": "upstream",
            "kind": "closed", "reason": "Error sending\u{1b}", "upstream": null,
        });
        let list = text_of_list(&json!({ "matched": 1, "events": [event] }));
        assert_eq!(
            list,
            "AT                        ID      STAGE     KIND    UPSTREAM  REASON\n\
             2026-11-30T07:44:58.000Z  1:42:7  upstream  closed  -         Error sending?\n\
             1 shown, 1 event kept\n"
        );
        let one = text_of_one(&event);
        assert!(one.starts_with("id         1:42:7\nsession    1:42\n"), "{one}");
        assert!(one.ends_with("upstream   -\nreason     Error sending?\n"), "{one}");
    }

    #[test]
    fn conditions_are_parameters() {
        let list = ListEvents {
            session: Some("1:42".to_owned()),
            stage: None,
            kind: None,
            contains: Some("a b&c".to_owned()),
            limit: 3,
        };
        assert_eq!(path_of_list(&list), "/api/events?session=1%3A42&contains=a+b%26c&limit=3");
    }
}
