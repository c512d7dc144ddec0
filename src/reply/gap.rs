//! The notice that an upstream connection was replaced (guarantee C11).

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::Bytes;

use crate::{
    codec,
    event::{EventNumber, Value},
    flow::AckTracker,
    recovery::{Gap, GapEntry, Missing},
};

/// The text of the notice.
const TEXT: &str = "upstream connection replaced";

/// The data of the notice `event`. `now` and `clock` are the same moment; they convert the times of the gap.
///
/// ```json
/// {"error":"upstream connection replaced","event_id":"1:0:12",
///  "gap":{"since":"2026-01-02T03:04:05.678Z","until":"2026-01-02T03:04:06.100Z","last_event":"1:0:9",
///         "generation":2,"lost":"unknown","entry":{"key":"news","id":"7","event_id":"1:0:3"}}}
/// ```
///
/// `last_event` is missing if nothing was written before the gap, and `entry` if the gap concerns the whole session.
/// `lost` is `"none"`, `"unknown"`, or the number of messages that the client has missed.
pub fn gap_data(
    gap: &Gap,
    tracker: &Arc<AckTracker>,
    event: EventNumber,
    now: Instant,
    clock: SystemTime,
) -> Value {
    let id = |event| Value::string(tracker.id(EventNumber(event)).to_string());
    let time = |at: Instant| {
        let at = clock.checked_sub(now.saturating_duration_since(at)).unwrap_or(SystemTime::UNIX_EPOCH);
        Value::string(humantime::format_rfc3339_millis(at).to_string())
    };
    let mut fields = vec![("since", time(gap.since)), ("until", time(gap.until))];
    fields.extend(gap.last_event.map(|event| ("last_event", id(event))));
    fields.push(("generation", number(gap.generation)));
    fields.push(("lost", lost(gap.missing)));
    fields.extend(gap.entry.as_ref().map(|entry| ("entry", entry_data(entry, id(entry.event)))));
    Value::record([("error", Value::string(TEXT)), ("event_id", id(event.0)), ("gap", Value::record(fields))])
}

fn entry_data(GapEntry { key, id, .. }: &GapEntry, event: Value) -> Value {
    Value::record([("key", written(key)), ("id", written(id)), ("event_id", event)])
}

fn lost(missing: Missing) -> Value {
    match missing {
        Missing::None | Missing::Unknown => Value::string(missing.to_string()),
        Missing::Count(count) => number(count),
    }
}

/// A value in a protocol's writing: JSON, or else a text.
fn written(bytes: &Bytes) -> Value {
    let json = codec::lookup("json").and_then(|json| json.decode(bytes.clone()).ok());
    json.map_or_else(|| Value::string(String::from_utf8_lossy(bytes).into_owned()), |data| data.to_value())
}

fn number(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn data(change: impl FnOnce(&mut Gap)) -> String {
        let now = Instant::now() + Duration::from_secs(10);
        let at = |before| now - Duration::from_millis(before);
        let mut gap = Gap {
            entry: None,
            last_event: Some(9),
            since: at(1500),
            until: at(250),
            generation: 2,
            missing: Missing::Unknown,
        };
        change(&mut gap);
        let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        gap_data(&gap, &AckTracker::new(1, 0), EventNumber(12), now, clock).to_json()
    }

    #[test]
    fn a_notice_has_the_times_and_the_events_of_the_gap() {
        let expected = r#"{"error":"upstream connection replaced","event_id":"1:0:12","gap":{"since":"2026-01-02T03:04:03.500Z","until":"2026-01-02T03:04:04.750Z","last_event":"1:0:9","generation":2,"lost":"unknown"}}"#;
        assert_eq!(data(|_| ()), expected);
        let without = expected.replace(r#""last_event":"1:0:9","#, "");
        assert_eq!(data(|gap| gap.last_event = None), without);
    }

    #[test]
    fn a_notice_says_how_many_messages_were_lost() {
        assert!(data(|gap| gap.missing = Missing::None).ends_with(r#""lost":"none"}}"#));
        assert!(data(|gap| gap.missing = Missing::Count(7)).ends_with(r#""lost":7}}"#));
    }

    #[test]
    fn the_entry_of_a_notice_is_in_the_words_of_its_protocol() {
        for (key, id, expected) in [
            ("sensors/+", "3", r#"{"key":"sensors/+","id":3,"event_id":"1:0:4"}"#),
            (r#""newHeads""#, r#""0x1""#, r#"{"key":"newHeads","id":"0x1","event_id":"1:0:4"}"#),
        ] {
            let entry = GapEntry { key: Bytes::from(key), id: Bytes::from(id), event: 4 };
            let data = data(|gap| gap.entry = Some(entry));
            assert!(data.ends_with(&format!(r#","entry":{expected}}}}}"#)), "{data}");
        }
    }
}
