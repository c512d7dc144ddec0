//! The result of a replay, as a table and as JSON.

use serde_json::{Value, json};

use super::compare::Difference;
use crate::printable::Printable;

/// Maximum number of differences in the table.
const ROWS_MAX: usize = 50;

/// The result of a replay.
#[derive(Debug, Default)]
pub struct Report {
    /// The number of sessions.
    pub sessions: usize,
    /// The number of messages that were sent.
    pub sent: usize,
    /// The number of messages that were received.
    pub received: usize,
    /// The differences.
    pub differences: Vec<Difference>,
}

/// The result of one session.
#[derive(Debug, Default)]
pub struct SessionReport {
    /// The number of messages that were sent.
    pub sent: usize,
    /// The number of messages that were received.
    pub received: usize,
    /// The differences.
    pub differences: Vec<Difference>,
}

// === impl Report ===

impl Report {
    /// Adds the result of one session.
    pub fn add(&mut self, session: SessionReport) {
        self.sessions += 1;
        self.sent += session.sent;
        self.received += session.received;
        self.differences.extend(session.differences);
    }

    /// The result for people.
    pub fn table(&self) -> String {
        let Self { sessions, sent, received, differences } = self;
        let mut text = format!(
            "{}, {} sent, {received} received, {}\n",
            counted(*sessions, "session"),
            counted(*sent, "message"),
            counted(differences.len(), "difference")
        );
        if differences.is_empty() {
            return text;
        }
        let cells = differences.iter().take(ROWS_MAX).map(|difference| {
            let event = difference.event.as_deref().unwrap_or(&difference.session).to_owned();
            [
                event,
                difference.kind.name().to_owned(),
                difference.recorded.clone(),
                difference.replayed.clone(),
            ]
            .map(|cell| Printable(&cell).to_string())
        });
        let head = ["EVENT", "DIFFERENCE", "RECORDED", "REPLAYED"].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(head).chain(cells).collect();
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths = [width(0), width(1), width(2)];
        for [event, kind, recorded, replayed] in &rows {
            let [first, second, third] = widths;
            let line = format!("{event:<first$}  {kind:<second$}  {recorded:<third$}  {replayed}");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        if differences.len() > ROWS_MAX {
            text.push_str(&format!("… and {} more; --json has all\n", differences.len() - ROWS_MAX));
        }
        text
    }

    /// The result for programs.
    pub fn json(&self) -> Value {
        let differences = self.differences.iter().map(|difference| {
            json!({
                "session": difference.session,
                "event": difference.event,
                "difference": difference.kind.name(),
                "recorded": difference.recorded,
                "replayed": difference.replayed,
            })
        });
        json!({
            "sessions": self.sessions,
            "sent": self.sent,
            "received": self.received,
            "differences": differences.collect::<Vec<_>>(),
        })
    }
}

/// A number with what it counts: `1 session`, `2 sessions`.
fn counted(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::DifferenceKind;

    fn report(count: usize) -> Report {
        let difference = |number| Difference {
            session: "1:0".to_owned(),
            event: Some(format!("1:0:{number}")),
            kind: DifferenceKind::Content,
            recorded: "answered: hello".to_owned(),
            replayed: "answered: hi".to_owned(),
        };
        let differences = (0..count).map(difference).collect();
        let mut report = Report::default();
        report.add(SessionReport { sent: 3, received: 2, differences });
        report
    }

    #[test]
    fn the_table_lists_differences_in_columns() {
        assert_eq!(
            report(1).table(),
            "1 session, 3 messages sent, 2 received, 1 difference\n\
             EVENT  DIFFERENCE  RECORDED         REPLAYED\n\
             1:0:0  content     answered: hello  answered: hi\n"
        );
        assert_eq!(report(0).table().lines().count(), 1);
        assert!(report(60).table().ends_with("… and 10 more; --json has all\n"));
    }

    #[test]
    fn the_json_has_all_differences() {
        let json = report(60).json();
        assert_eq!(json["differences"].as_array().map(Vec::len), Some(60));
        assert_eq!(json["differences"][0]["difference"], "content");
        assert_eq!((json["sent"].as_u64(), json["sessions"].as_u64()), (Some(3), Some(1)));
    }
}
