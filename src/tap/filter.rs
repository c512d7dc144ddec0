//! Which lines a tap wants: session, listener, route, direction, and a condition in the language of the programs.

use std::sync::Arc;

use url::form_urlencoded;

use super::line::{Direction, OVERLAP, SessionLabels};
use crate::{
    event::{Data, Event, EventId, EventNumber, Meta, Record, Value},
    trickle::{Diagnostics, Limits, NoModules, Script, SearchLimits},
    wire::Message,
};

/// Maximum length of a condition in bytes.
const CONDITION_MAX: usize = 4 * 1024;
/// The size of a payload above which it is cut, unless the request names another one.
const PAYLOAD_DEFAULT: usize = 64 * 1024;
/// Maximum of that size.
const PAYLOAD_MAX: usize = 1 << 20;
/// Data above this size is not evaluated by conditions.
const EVALUATED_MAX: usize = 1 << 20;
/// The limits on the cost of a condition for one message: with at most `TAPS_MAX` taps, less than a millisecond. Compiling
/// an argument of `std::re` takes longer, once, and then counts as time.
const LIMITS: Limits = Limits {
    max_steps: 2_000,
    max_recursion: 64,
    max_value: 64 * 1024,
    search: SearchLimits { max_text: 4 * 1024, compile_steps: 500, max_compiled: 4 << 20 },
};

/// What a client asks a tap for.
#[derive(Debug, Clone)]
pub struct TapRequest {
    /// Which lines.
    pub filter: TapFilter,
    /// The maximum size of payloads in bytes; `None` without payloads.
    pub payload: Option<usize>,
}

/// Which lines a tap wants.
#[derive(Debug, Clone, Default)]
pub struct TapFilter {
    /// Only this session, by the first two parts of its event ids.
    session: Option<(u32, u64)>,
    listener: Option<String>,
    route: Option<String>,
    /// Only these directions; all if empty.
    directions: Box<[Direction]>,
    /// The text of the condition.
    condition: Option<Arc<str>>,
}

/// A request for a tap that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TapRequestError {
    /// There is no such parameter.
    #[error(
        "there is no parameter \"{0}\"; known: session, listener, route, direction, where, payload, max_payload"
    )]
    Parameter(String),
    /// A session's id is two numbers.
    #[error("session=\"{0}\": a session is two decimal numbers separated by a colon, such as 1:0")]
    Session(String),
    /// There is no such direction.
    #[error("direction=\"{0}\": known are from_client, to_upstream, from_upstream, to_client and outcome")]
    Direction(String),
    /// Neither yes nor no.
    #[error("payload=\"{0}\": takes true or false")]
    Payload(String),
    /// Not a size in the allowed range.
    #[error("max_payload=\"{0}\": takes a number of bytes from 1 to {PAYLOAD_MAX}")]
    Size(String),
    /// The condition does not compile.
    #[error("{0}")]
    Condition(String),
}

/// A compiled condition, for one thread.
#[derive(Debug)]
pub struct Condition {
    script: Script,
}

/// What a condition sees.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The session.
    pub session: &'a SessionLabels,
    /// The event; `None` for a message that is not an event yet.
    pub event: Option<EventNumber>,
    /// Where the tap sees it.
    pub direction: Direction,
    /// `event`.
    pub data: SubjectData<'a>,
    /// `$`, without `$tap`.
    pub meta: &'a Meta,
}

/// What a condition sees as `event`. It is made only for a condition.
#[derive(Debug, Clone, Copy)]
pub enum SubjectData<'a> {
    /// This data.
    Data(&'a Data),
    /// The content of this message: parsed if it is JSON.
    Message(&'a Message),
    /// `null`, for a message that could not be decoded.
    Null,
}

/// The reason why a condition has no result for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotEvaluated;

// === impl TapRequest ===

impl TapRequest {
    /// Reads the query of a request.
    ///
    /// # Errors
    /// When a parameter is unknown or wrong. For a condition, the text has the diagnostics of the compiler.
    pub fn parse(query: &str) -> Result<Self, TapRequestError> {
        let (mut filter, mut payload, mut max_payload) = (TapFilter::default(), false, PAYLOAD_DEFAULT);
        let mut directions = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match &*name {
                "session" => filter.session = Some(session(&value).ok_or(TapRequestError::Session(value))?),
                "listener" => filter.listener = Some(value),
                "route" => filter.route = Some(value),
                "direction" => directions.extend(self::directions(&value)?),
                "where" => filter.condition = Some(condition(&value)?),
                "payload" => payload = flag(value)?,
                "max_payload" => max_payload = size(value)?,
                _ => return Err(TapRequestError::Parameter(name.into_owned())),
            }
        }
        filter.directions = directions.into();
        Ok(Self { filter, payload: payload.then_some(max_payload) })
    }

    /// The number of bytes that are copied of a payload.
    pub fn copied(&self) -> Option<usize> {
        self.payload.map(|max| max + OVERLAP)
    }
}

fn session(text: &str) -> Option<(u32, u64)> {
    let EventId { source, stream, .. } = format!("{text}:0").parse().ok()?;
    Some((source, stream))
}

fn directions(text: &str) -> Result<Vec<Direction>, TapRequestError> {
    let known = |name: &str| {
        let found = Direction::ALL.into_iter().find(|direction| direction.name() == name);
        found.ok_or_else(|| TapRequestError::Direction(name.to_owned()))
    };
    text.split(',').map(known).collect()
}

fn condition(text: &str) -> Result<Arc<str>, TapRequestError> {
    if text.len() > CONDITION_MAX {
        return Err(TapRequestError::Condition(format!("a condition has at most {CONDITION_MAX} bytes")));
    }
    Condition::compile(text).map_err(|errors| TapRequestError::Condition(errors.to_string()))?;
    Ok(text.into())
}

fn flag(text: String) -> Result<bool, TapRequestError> {
    match text.as_str() {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(TapRequestError::Payload(text)),
    }
}

fn size(text: String) -> Result<usize, TapRequestError> {
    let size = text.parse().ok().filter(|size| (1..=PAYLOAD_MAX).contains(size));
    size.ok_or(TapRequestError::Size(text))
}

// === impl TapFilter ===

impl TapFilter {
    /// Whether lines of this session are wanted.
    pub fn wants_session(&self, session: &SessionLabels) -> bool {
        self.session.is_none_or(|wanted| wanted == (session.source, session.stream))
            && self.listener.as_ref().is_none_or(|listener| *listener == session.listener)
            && self.route.as_ref().is_none_or(|route| *route == session.route)
    }

    /// The only session that is wanted, by the first two parts of its event ids.
    pub fn session(&self) -> Option<(u32, u64)> {
        self.session
    }

    /// The only listener that is wanted.
    pub fn listener(&self) -> Option<&str> {
        self.listener.as_deref()
    }

    /// The only route that is wanted.
    pub fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// Whether lines of this direction are wanted.
    pub fn wants(&self, direction: Direction) -> bool {
        self.directions.is_empty() || self.directions.contains(&direction)
    }

    /// Whether there is a condition.
    pub fn has_condition(&self) -> bool {
        self.condition.is_some()
    }

    /// The condition, compiled for the current thread.
    pub fn condition(&self) -> Option<Condition> {
        Condition::compile(self.condition.as_ref()?).ok()
    }
}

// === impl Condition ===

impl Condition {
    fn compile(text: &str) -> Result<Self, Diagnostics> {
        Script::compile_with("where", text, &NoModules, LIMITS).map(|script| Self { script })
    }

    /// Whether a message satisfies the condition.
    ///
    /// # Errors
    /// When the message is too large, or the evaluation fails or does not give a boolean.
    pub fn holds(&mut self, subject: &Subject<'_>, now_ns: u64) -> Result<bool, NotEvaluated> {
        if subject.data.len() > EVALUATED_MAX {
            return Err(NotEvaluated);
        }
        let mut meta = subject.meta.clone();
        meta.set("tap", subject.described()).map_err(|_| NotEvaluated)?;
        let id = subject.session.id(subject.event.unwrap_or(EventNumber(0)));
        let event = Event { id, data: subject.data.to_data(), meta, origin: None, ingest_ns: now_ns };
        match self.script.run(event, now_ns) {
            Ok(Some((_, event))) => match event.data.into_value() {
                Value::Bool(holds) => Ok(holds),
                _ => Err(NotEvaluated),
            },
            // `drop`
            Ok(None) => Ok(false),
            Err(_) => Err(NotEvaluated),
        }
    }
}

impl SubjectData<'_> {
    fn len(self) -> usize {
        match self {
            Self::Data(data) => data.size(),
            Self::Message(message) => message.len(),
            Self::Null => 0,
        }
    }

    fn to_data(self) -> Data {
        match self {
            Self::Data(data) => data.clone(),
            Self::Message(Message::Text(text)) => {
                Data::json(text.clone()).unwrap_or_else(|_| Value::String(text.clone()).into())
            }
            Self::Message(Message::Binary(bytes)) => Value::Bytes(bytes.clone()).into(),
            Self::Null => Value::Null.into(),
        }
    }
}

impl Subject<'_> {
    /// `$tap`.
    fn described(&self) -> Value {
        let event = self.event.map_or(Value::Null, |event| Value::string(self.session.id(event).to_string()));
        let record: Record = [
            ("direction".into(), Value::string(self.direction.name())),
            ("session".into(), Value::string(self.session.to_string())),
            ("event".into(), event),
            ("listener".into(), Value::string(self.session.listener.clone())),
            ("route".into(), Value::string(self.session.route.clone())),
        ]
        .into_iter()
        .collect();
        Value::Record(Arc::new(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> SessionLabels {
        SessionLabels { source: 1, stream: 7, listener: "ws".to_owned(), route: "main".to_owned() }
    }

    fn holds(condition: &str, json: &str) -> Result<bool, NotEvaluated> {
        let request = TapRequest::parse(
            &form_urlencoded::Serializer::new(String::new()).append_pair("where", condition).finish(),
        );
        let data = Data::json(json.into()).unwrap();
        let (session, direction) = (&labels(), Direction::ToClient);
        let meta = &Meta::new(true, None);
        let data = SubjectData::Data(&data);
        let subject = Subject { session, event: Some(EventNumber(3)), direction, data, meta };
        request.unwrap().filter.condition().unwrap().holds(&subject, 0)
    }

    #[test]
    fn a_query_is_read() {
        let request =
            TapRequest::parse("session=1:7&listener=ws&route=main&direction=to_client,outcome").unwrap();
        let filter = &request.filter;
        assert!(filter.wants_session(&labels()) && request.payload.is_none());
        assert!(filter.wants(Direction::Outcome) && !filter.wants(Direction::FromClient));
        for other in ["session=1:8", "listener=x", "route=x", "session=2:7"] {
            assert!(!TapRequest::parse(other).unwrap().filter.wants_session(&labels()), "{other}");
        }
        assert_eq!(TapRequest::parse("payload=true&max_payload=9").unwrap().payload, Some(9));
        assert_eq!(TapRequest::parse("payload").unwrap().payload, Some(PAYLOAD_DEFAULT));
        assert!(TapRequest::parse("").unwrap().filter.wants(Direction::ToUpstream));
    }

    #[test]
    fn a_wrong_query_is_refused_with_the_reason() {
        let text = |query: &str| TapRequest::parse(query).unwrap_err().to_string();
        assert!(text("sesion=1:0").starts_with("there is no parameter \"sesion\"; known: session,"));
        assert!(text("session=1").starts_with("session=\"1\": a session is two"));
        assert!(text("direction=up").contains("from_client"));
        assert!(text("payload=maybe").contains("true or false"));
        assert!(text("max_payload=0").contains("from 1 to 1048576"));
        assert!(text("max_payload=2000000").contains("from 1 to 1048576"));
        let diagnostics = text("where=event.x+%3D%3D");
        assert!(diagnostics.contains("where:1:"), "{diagnostics}");
        assert!(text(&format!("where={}", "1".repeat(5000))).contains("at most 4096 bytes"));
    }

    #[test]
    fn a_condition_sees_the_event_and_its_metadata() {
        assert_eq!(holds("event.x > 1", r#"{"x":2}"#), Ok(true));
        assert_eq!(holds("event.x > 1", r#"{"x":1}"#), Ok(false));
        assert_eq!(holds("$binary and $tap.direction == \"to_client\"", "1"), Ok(true));
        assert_eq!(holds("$tap.session == \"1:7\" and $tap.event == \"1:7:3\"", "1"), Ok(true));
        assert_eq!(holds("$tap.route == \"main\" and $tap.listener == \"ws\"", "1"), Ok(true));
        assert_eq!(holds("drop", "1"), Ok(false));
    }

    #[test]
    fn a_condition_without_result_is_not_evaluated() {
        assert_eq!(holds("event.y > 1", r#"{"x":2}"#), Err(NotEvaluated));
        assert_eq!(holds("event", r#"{"x":2}"#), Err(NotEvaluated));
        let text = format!("\"{}\"", "x".repeat(EVALUATED_MAX + 1));
        assert_eq!(holds("true", &text), Err(NotEvaluated));
    }

    #[test]
    fn a_condition_has_a_bounded_cost() {
        let list = format!("[{}1]", "1,".repeat(5000));
        assert_eq!(holds("let n = for event of case (i, e) => e * 2 end; true", &list), Err(NotEvaluated));
    }

    #[test]
    fn regular_expressions_search_short_texts() {
        for condition in [
            "std::re::is_match(\"^a+$\", event)",
            "match event of case ~ re|^a+$| => true default => false end",
            "match event of case ~ rerg|a| => true default => false end",
            "match event of case ~ glob|a*| => true default => false end",
        ] {
            assert_eq!(holds(condition, "\"aaa\""), Ok(true), "{condition}");
            assert_eq!(holds(condition, "\"bbb\""), Ok(false), "{condition}");
            let long = format!("\"{}\"", "a".repeat(LIMITS.search.max_text + 1));
            assert_eq!(holds(condition, &long), Err(NotEvaluated), "{condition}");
        }
        let large = (0..20).map(|number| format!("case ~ re|(a{{1,100}}){{1,90}}x{number}| => true "));
        let text = |cases: String| format!("match event of {cases} default => false end");
        let refused = condition(&text(large.collect())).unwrap_err().to_string();
        assert!(refused.contains("more than 4 MiB"), "{refused}");
    }
}
