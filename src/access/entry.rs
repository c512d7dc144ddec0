//! The access line of one session: what is known at its start is kept until its end.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::SystemTime,
};

use super::{
    field::Field,
    format::{LineFormat, Part, Style},
};
use crate::{
    auth::{Identity, text_of},
    figures::SessionTotals,
    printable,
};

/// Maximum length of a value, in bytes.
pub const VALUE_MAX: usize = 1024;

/// The facts about a session that are known at its start.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The listener's name.
    pub listener: &'a str,
    /// The route's name.
    pub route: &'a str,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// Address and port of the client.
    pub peer: SocketAddr,
    /// The header `Host`.
    pub host: Option<&'a [u8]>,
    /// The path of the request, without its query.
    pub path: &'a str,
    /// The header `Origin`.
    pub origin: Option<&'a [u8]>,
    /// The header `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<&'a str>,
    /// The version of TLS.
    pub tls: Option<&'a str>,
}

/// The facts about a session that are known at its end.
#[derive(Clone, Copy)]
pub struct Closing<'a> {
    /// The session's id.
    pub session: &'a dyn fmt::Display,
    /// The close code.
    pub code: u16,
    /// The reason of the close frame.
    pub reason: &'a str,
    /// Who ended the session.
    pub side: &'a str,
    /// Why it ended.
    pub cause: &'a str,
    /// How long it lived.
    pub seconds: f64,
    /// Events without outcome.
    pub unsettled: usize,
    /// What the session has done.
    pub totals: &'a SessionTotals,
    /// Who the client is; `None` on a route without authentication.
    pub identity: Option<&'a Identity>,
}

/// The part of an access line that is known at the start of the session.
#[derive(Debug)]
pub struct Entry {
    format: Arc<LineFormat>,
    opened: SystemTime,
    /// The values of those fields of the format that are known at the start.
    known: Box<[(Field, Option<Box<str>>)]>,
}

/// A value of a field.
enum Value<'a> {
    Nothing,
    Text(Cow<'a, str>),
    Count(u64),
    Seconds(f64),
}

// === impl Entry ===

impl Entry {
    /// Keeps what the format needs. `opened` is the present time.
    pub fn new(format: &Arc<LineFormat>, opening: &Opening<'_>, opened: SystemTime) -> Self {
        let known = format.fields().filter_map(|field| Some((field.clone(), opening.value(field)?)));
        let known = known.map(|(field, value)| (field, value.map(|value| cut(&value).into())));
        Self { format: Arc::clone(format), opened, known: known.collect() }
    }

    /// The line, without its end. `closed` is the present time.
    pub fn line(&self, closing: &Closing<'_>, closed: SystemTime) -> String {
        match self.format.style() {
            Style::Text => self.text(closing, closed),
            Style::Json => self.json(closing, closed),
        }
    }

    fn text(&self, closing: &Closing<'_>, closed: SystemTime) -> String {
        let mut line = String::new();
        for part in self.format.parts() {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Placeholder(field) => self.value(field, closing, closed).append_to(&mut line),
            }
        }
        line
    }

    fn json(&self, closing: &Closing<'_>, closed: SystemTime) -> String {
        let fields = self.format.fields().map(|field| {
            let value = match self.value(field, closing, closed) {
                Value::Nothing => serde_json::Value::Null,
                Value::Text(text) => text.into(),
                Value::Count(count) => count.into(),
                Value::Seconds(seconds) => ((seconds * 1000.0).round() / 1000.0).into(),
            };
            format!("{}:{value}", serde_json::Value::from(field.name()))
        });
        printable::json(&format!("{{{}}}", fields.collect::<Vec<_>>().join(",")))
    }

    fn value<'a>(&'a self, field: &Field, closing: &Closing<'a>, closed: SystemTime) -> Value<'a> {
        let time = |time| Value::Text(humantime::format_rfc3339_millis(time).to_string().into());
        match field {
            Field::Opened => time(self.opened),
            Field::Closed => time(closed),
            field => closing.value(field).unwrap_or_else(|| {
                let known = self.known.iter().find(|(known, _)| known == field);
                Value::optional(known.and_then(|(_, value)| value.as_deref()))
            }),
        }
    }
}

// === impl Opening ===

impl Opening<'_> {
    /// The value of a field at the start; the outer `None` if it is not known then.
    fn value(&self, field: &Field) -> Option<Option<Cow<'_, str>>> {
        let header =
            |value: Option<&'_ [u8]>| value.map(|value| String::from_utf8_lossy(value).into_owned().into());
        Some(match field {
            Field::Listener => Some(self.listener.into()),
            Field::Route => Some(self.route.into()),
            Field::Upstream => self.upstream.map(Into::into),
            Field::Peer => Some(self.peer.to_string().into()),
            Field::PeerIp => Some(self.peer.ip().to_string().into()),
            Field::Host => header(self.host),
            Field::Path => Some(self.path.into()),
            Field::Origin => header(self.origin),
            Field::UserAgent => header(self.user_agent),
            Field::Subprotocol => self.subprotocol.map(Into::into),
            Field::Tls => self.tls.map(Into::into),
            _ => return None,
        })
    }
}

// === impl Closing ===

impl<'a> Closing<'a> {
    /// The value of a field at the end; `None` if it was known at the start.
    fn value(&self, field: &Field) -> Option<Value<'a>> {
        let totals = self.totals;
        let subject = || self.identity.and_then(|identity| identity.subject.as_deref());
        let claim = |name: &str| self.identity.and_then(|identity| identity.claim(name)).map(text_of);
        Some(match field {
            Field::Session => Value::Text(self.session.to_string().into()),
            Field::Subject => Value::optional(subject()),
            Field::Claim(name) => {
                claim(name).map_or(Value::Nothing, |text| Value::Text(cut(&text).to_owned().into()))
            }
            Field::Code => Value::Count(self.code.into()),
            Field::Reason => Value::optional(Some(self.reason).filter(|reason| !reason.is_empty())),
            Field::Side => Value::optional(Some(self.side)),
            Field::Cause => Value::optional(Some(self.cause)),
            Field::Seconds => Value::Seconds(self.seconds),
            Field::Received => Value::Count(totals.received.messages),
            Field::ReceivedBytes => Value::Count(totals.received.bytes),
            Field::Sent => Value::Count(totals.sent.messages),
            Field::SentBytes => Value::Count(totals.sent.bytes),
            Field::Accepted => Value::Count(totals.counts.accepted),
            Field::Answered => Value::Count(totals.counts.answered),
            Field::Delivered => Value::Count(totals.counts.delivered),
            Field::Errored => Value::Count(totals.counts.errored),
            Field::Dropped => Value::Count(totals.counts.dropped),
            Field::Unsettled => Value::Count(self.unsettled as u64),
            Field::Pushed => Value::Count(totals.pushed),
            Field::Discarded => Value::Count(totals.discarded),
            Field::Restarts => Value::Count(totals.restarts),
            Field::Gaps => Value::Count(totals.gaps),
            Field::Moves => Value::Count(totals.moves),
            _ => return None,
        })
    }
}

// === impl Value ===

impl<'a> Value<'a> {
    fn optional(text: Option<&'a str>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(cut(text).into()))
    }

    /// Appends the value to a text line: `-` where there is none. Quotes, backslashes and control characters are
    /// escaped, so that a value in quotes ends where it should.
    fn append_to(&self, line: &mut String) {
        // Writing to memory does not fail.
        let _ = match self {
            Self::Nothing => line.write_char('-'),
            Self::Text(text) if text.is_empty() => line.write_char('-'),
            Self::Text(text) => {
                for letter in text.chars() {
                    let _ = match letter {
                        '"' | '\\' => write!(line, "\\{letter}"),
                        letter if letter.is_control() => write!(line, "{}", letter.escape_default()),
                        letter => line.write_char(letter),
                    };
                }
                Ok(())
            }
            Self::Count(count) => write!(line, "{count}"),
            Self::Seconds(seconds) => write!(line, "{seconds:.3}"),
        };
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(VALUE_MAX)]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{event, figures::SessionFigures};

    const PATH: &str = "/chat\"\n";

    fn opening(path: &str) -> Opening<'_> {
        Opening {
            listener: "ws",
            route: "chat",
            upstream: None,
            peer: ([192, 0, 2, 1], 50000).into(),
            host: Some(b"example.com"),
            path,
            origin: None,
            user_agent: Some(b"\xff agent"),
            subprotocol: None,
            tls: Some("1.3"),
        }
    }

    fn line(style: Style, format: &str, path: &str) -> String {
        let figures = SessionFigures::default();
        figures.count(|tally| tally.received.message(5));
        figures.count(|tally| tally.received.message(2));
        let Ok(event::Value::Record(claims)) = event::Value::from_json(r#"{"tenant":7}"#) else { panic!() };
        let identity =
            Identity { method: "users".into(), subject: Some("ann".into()), claims, expires: None };
        let closing = Closing {
            session: &"1:0",
            code: 1001,
            reason: "",
            side: "client",
            cause: "client_close",
            seconds: 1.23456,
            unsettled: 0,
            totals: &figures.totals(),
            identity: Some(&identity),
        };
        let opened = humantime::parse_rfc3339("2026-11-25T03:20:18.123Z").unwrap();
        let format = Arc::new(LineFormat::parse(style, format).unwrap());
        let entry = Entry::new(&format, &opening(path), opened);
        entry.line(&closing, opened + Duration::from_secs(2))
    }

    const ALL: &str = "${opened} ${closed} ${session} ${peer_ip} ${upstream} ${tls} \"${path}\" ${code} ${reason} \
                       ${seconds} ${received}/${received_bytes} ${subject} ${claim.tenant} ${claim.none}";

    #[test]
    fn a_text_line_has_the_values_in_place_of_the_placeholders() {
        assert_eq!(
            line(Style::Text, ALL, PATH),
            "2026-11-25T03:20:18.123Z 2026-11-25T03:20:20.123Z 1:0 192.0.2.1 - 1.3 \"/chat\\\"\\n\" 1001 - 1.235 \
             2/7 ann 7 -"
        );
    }

    #[test]
    fn a_json_line_has_the_fields_in_their_order() {
        assert_eq!(
            line(
                Style::Json,
                "${path} ${code} ${code} and ${seconds} ${reason} ${user_agent} ${claim.tenant}",
                PATH
            ),
            "{\"path\":\"/chat\\\"\\n\",\"code\":1001,\"seconds\":1.235,\"reason\":null,\"user_agent\":\"\u{fffd} \
             agent\",\"claim.tenant\":\"7\"}"
        );
    }

    #[test]
    fn a_long_value_is_cut() {
        let path = format!("/{}", "ä".repeat(VALUE_MAX));
        assert_eq!(line(Style::Text, "${path}", &path).len(), VALUE_MAX - 1);
    }

    #[test]
    fn each_field_has_a_value_at_the_start_or_at_the_end() {
        let totals = SessionFigures::default().totals();
        let closing = Closing {
            session: &"1:0",
            code: 1000,
            reason: "",
            side: "",
            cause: "",
            seconds: 0.0,
            unsettled: 0,
            totals: &totals,
            identity: None,
        };
        for name in Field::names() {
            let field = Field::named(name).unwrap();
            let has = [closing.value(&field).is_some(), opening("/").value(&field).is_some()];
            let is_time = matches!(field, Field::Opened | Field::Closed);
            assert_eq!(has.iter().filter(|has| **has).count(), usize::from(!is_time), "{name}");
        }
    }
}
