//! Ids of traces and spans, the headers `traceparent` and `tracestate` (W3C Trace Context), and sampling.
//!
//! No clocks are used here, and chance is passed in.

use std::fmt;

use actix_http::header::{HeaderMap, HeaderName, HeaderValue};

/// The header that names a trace and a span in it.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header with what the participants of a trace add to it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Maximum length of a `tracestate` that is kept, in bytes. Participants must pass on 512.
const STATE_MAX: usize = 512;

/// The flag of a trace that its participants record.
const SAMPLED: u8 = 1;

/// Identifies a trace. It is never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

/// Identifies a span in its trace. It is never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(u64);

/// A span, as others refer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
}

/// The span of a client that its request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteContext {
    /// The span.
    pub context: SpanContext,
    /// Whether the client records the trace.
    pub is_sampled: bool,
    /// The `tracestate` of the request, if it can be kept.
    pub state: Option<Box<str>>,
}

/// A part of all traces, from none to all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio(f64);

// === impl TraceId ===

impl TraceId {
    /// The id made of a random number.
    pub fn new(random: u128) -> Self {
        Self(random.max(1))
    }

    /// The bytes of the id, in the order in which it is written.
    pub fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

// === impl SpanId ===

impl SpanId {
    /// The id made of a random number.
    pub fn new(random: u64) -> Self {
        Self(random.max(1))
    }

    /// The bytes of the id, in the order in which it is written.
    pub fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

// === impl SpanContext ===

impl SpanContext {
    /// A span with these random numbers for its ids.
    pub fn new(trace: u128, span: u64) -> Self {
        Self { trace: TraceId::new(trace), span: SpanId::new(span) }
    }

    /// The `traceparent` for requests that belong to this span. The trace is recorded.
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.to_string()).ok()
    }
}

impl fmt::Display for SpanContext {
    /// The value of a `traceparent` of a trace that is recorded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{SAMPLED:02x}", self.trace.0, self.span.0)
    }
}

// === impl RemoteContext ===

impl RemoteContext {
    /// The span that a request names; `None` if it names none, or not in the form of the specification.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT);
        let (value, None) = (values.next()?, values.next()) else { return None };
        let (context, flags) = parse(value.to_str().ok()?)?;
        Some(Self { context, is_sampled: flags & SAMPLED != 0, state: state(headers) })
    }
}

/// The span and the flags in a `traceparent`. A later version than 00 may have more after them.
fn parse(text: &str) -> Option<(SpanContext, u8)> {
    let mut parts = text.split('-');
    let version = digits::<2>(parts.next()?)?;
    let trace = digits::<32>(parts.next()?)?;
    let span = digits::<16>(parts.next()?)?;
    let flags = digits::<2>(parts.next()?)?;
    let is_valid = version != 0xff && (version > 0 || parts.next().is_none()) && trace != 0 && span != 0;
    let span = u64::try_from(span).ok()?;
    let context = SpanContext { trace: TraceId(trace), span: SpanId(span) };
    is_valid.then_some((context, u8::try_from(flags).ok()?))
}

/// The number that exactly `N` hexadecimal digits in lower case stand for.
fn digits<const N: usize>(text: &str) -> Option<u128> {
    let are_digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == N && are_digits).then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// The `tracestate` of a request, unless it is too long.
fn state(headers: &HeaderMap) -> Option<Box<str>> {
    let values: Option<Vec<_>> = headers.get_all(&TRACESTATE).map(|value| value.to_str().ok()).collect();
    let state = values?.join(",");
    (!state.is_empty() && state.len() <= STATE_MAX).then(|| state.into())
}

// === impl Ratio ===

impl Ratio {
    /// All traces.
    pub const ALL: Self = Self(1.0);

    /// This part of all traces; `None` if it is not from 0 to 1.
    pub fn new(part: f64) -> Option<Self> {
        (0.0..=1.0).contains(&part).then_some(Self(part))
    }

    /// Whether a trace belongs to the part. All participants with the same ratio agree.
    pub fn includes(self, trace: TraceId) -> bool {
        // The last 63 bits of the id are random.
        let random = (trace.0 as u64) & (u64::MAX >> 1);
        self.0 >= 1.0 || (random as f64) < self.0 * (1_u64 << 63) as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::header_list::header_map;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let (context, flags) = parse(PARENT).unwrap();
        assert_eq!((context.to_string().as_str(), flags), (PARENT, 1));
        assert_eq!(context.trace.bytes()[..2], [0x4b, 0xf9]);
        assert_eq!(context.span.bytes()[..3], [0, 0xf0, 0x67]);
        let read = RemoteContext::of(&header_map(&[
            ("traceparent", PARENT),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
        ]));
        let read = read.unwrap();
        assert_eq!((read.context, read.is_sampled, read.state.as_deref()), (context, true, Some("a=1,b=2")));
    }

    #[test]
    fn a_traceparent_that_breaks_the_form_names_nothing() {
        let zero_trace = PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = PARENT.replace("00f067aa0ba902b7", &"0".repeat(16));
        for text in [
            "",
            "00",
            zero_trace.as_str(),
            &zero_span,
            &PARENT.to_uppercase(),
            &PARENT.replacen("00", "ff", 1),
            &format!("{PARENT}-"),
            &format!("{PARENT}-00"),
            &PARENT[..PARENT.len() - 1],
            &PARENT.replace("4bf", "+bf"),
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(parse(&format!("01{}-more", &PARENT[2..])).is_some(), "a later version may have more");
        assert_eq!(parse(&PARENT.replace("-01", "-00")).unwrap().1, 0);
        let twice = header_map(&[("traceparent", PARENT), ("traceparent", PARENT)]);
        assert_eq!(RemoteContext::of(&twice), None);
        let long = "x".repeat(STATE_MAX + 1);
        let long = header_map(&[("traceparent", PARENT), ("tracestate", &long)]);
        assert_eq!(RemoteContext::of(&long).unwrap().state, None);
    }

    #[test]
    fn ids_are_never_zero() {
        assert_eq!(SpanContext::new(0, 0), SpanContext::new(1, 1));
    }

    #[test]
    fn a_ratio_includes_its_part_of_the_traces() {
        assert_eq!([-0.1, 1.1, f64::NAN].map(Ratio::new), [None; 3]);
        // Ids that are spread evenly over all that there are.
        let ids =
            || (0..1000_u64).map(|part| TraceId::new(u128::from((2 * part + 1) * (u64::MAX / 2 / 2000))));
        for (ratio, count) in [(0.0, 0), (0.001, 1), (0.25, 250), (1.0, 1000)] {
            let ratio = Ratio::new(ratio).unwrap();
            assert_eq!(ids().filter(|id| ratio.includes(*id)).count(), count, "{ratio:?}");
        }
        assert!(Ratio::ALL.includes(TraceId::new(u128::MAX)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace in 1_u128.., span in 1_u64..) {
            let context = SpanContext::new(trace, span);
            prop_assert_eq!(parse(&context.to_string()), Some((context, SAMPLED)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9a-fA-F+-]{0,60}|\\PC{0,60}") {
            let _ = parse(&text);
        }
    }
}
