//! JSON messages: the places of values in them, and the patterns that recognise a message.

pub(crate) mod path;
mod pattern;
mod recognizer;
pub(crate) mod search;
pub(crate) mod token;

use bytes::Bytes;

use self::pattern::{Compiled, Needs, Paths, Scanned};
pub use self::pattern::{Pattern, PatternError, Test};
pub use self::recognizer::Recognizer;
use crate::kind::{Cursor, Dialect, FromClient, FromUpstream, Id, Located, Open, Slot, Verdict};

/// The kinds of messages of a JSON protocol. In each list the first pattern that holds counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    /// Client: logs in. Sent first on a new connection, in this order.
    pub hello: Box<[Pattern]>,
    /// Client: opens a subscription.
    pub open: Box<[Pattern]>,
    /// Client: ends the subscription at its `id`.
    pub close: Box<[Pattern]>,
    /// Client: any other message that awaits the answer with its `request`.
    pub request: Box<[Pattern]>,
    /// Upstream: the first message of a connection, sent without a request. The client receives only the first
    /// greeting.
    pub greeting: Box<[Pattern]>,
    /// Upstream: accepts a `hello`.
    pub accepted: Box<[Pattern]>,
    /// Upstream: refuses a `hello`.
    pub rejected: Box<[Pattern]>,
    /// Upstream: announces that it closes the connection.
    pub leaving: Box<[Pattern]>,
    /// Upstream: accepts an `open`, or answers a request. Its `id` is the subscription's, where the upstream
    /// assigns ids.
    pub answer: Box<[Pattern]>,
    /// Upstream: refuses the `open` with its `request`.
    pub refused: Box<[Pattern]>,
    /// Upstream: ends the subscription at its `id`.
    pub ended: Box<[Pattern]>,
    /// Upstream: a message of the subscription at its `id`.
    pub data: Box<[Pattern]>,
}

impl Patterns {
    /// # Errors
    /// When a pattern lacks something that its kind of message needs.
    fn check(&self) -> Result<(), PatternError> {
        let all = [
            ("hello", &self.hello, Needs::Nothing),
            ("open", &self.open, Needs::Either),
            ("close", &self.close, Needs::Id),
            ("request", &self.request, Needs::Request),
            ("greeting", &self.greeting, Needs::Nothing),
            ("accepted", &self.accepted, Needs::Nothing),
            ("rejected", &self.rejected, Needs::Nothing),
            ("leaving", &self.leaving, Needs::Nothing),
            ("answer", &self.answer, Needs::Request),
            ("refused", &self.refused, Needs::Request),
            ("ended", &self.ended, Needs::Id),
            ("data", &self.data, Needs::Id),
        ];
        for (kind, patterns, needs) in all {
            patterns.iter().try_for_each(|pattern| pattern.check(kind, needs))?;
        }
        if self.open.iter().any(|pattern| !pattern.has_id()) && !self.answer.iter().any(Pattern::has_id) {
            return Err(PatternError::Missing {
                kind: "answer",
                missing: "`id`, and one of `open` has none either",
            });
        }
        if self.open.iter().any(Pattern::has_resume) && !self.data.iter().any(Pattern::has_cursor) {
            return Err(PatternError::Missing {
                kind: "data",
                missing: "`cursor`, and one of `open` has `resume`",
            });
        }
        Ok(())
    }
}

/// Compiled patterns and what the preset adds to them.
#[derive(Debug)]
pub(crate) struct Rules {
    client: Paths,
    hello: Box<[Compiled]>,
    open: Box<[Compiled]>,
    close: Box<[Compiled]>,
    request: Box<[Compiled]>,
    upstream: Paths,
    greeting: Box<[Compiled]>,
    accepted: Box<[Compiled]>,
    rejected: Box<[Compiled]>,
    leaving: Box<[Compiled]>,
    answer: Box<[Compiled]>,
    refused: Box<[Compiled]>,
    ended: Box<[Compiled]>,
    data: Box<[Compiled]>,
    pub(crate) dialect: Dialect,
    /// Whether an `open` may be sent again, by its whole text. `None`: always.
    is_subscription: Option<fn(&[u8]) -> bool>,
    /// Messages may be arrays of messages.
    pub(crate) batches: bool,
}

impl Rules {
    /// # Errors
    /// When a pattern lacks an id, or the patterns have more different paths than a scan can find.
    pub(crate) fn new(patterns: &Patterns, mut dialect: Dialect) -> Result<Self, PatternError> {
        patterns.check()?;
        let (mut client, mut upstream) = (Paths::default(), Paths::default());
        dialect.greets |= !patterns.greeting.is_empty();
        dialect.assigns = patterns.answer.iter().any(Pattern::has_id);
        dialect.has_data = !patterns.data.is_empty();
        dialect.accepts |= !patterns.accepted.is_empty();
        let rules = Self {
            hello: client.compile(&patterns.hello)?,
            open: client.compile(&patterns.open)?,
            close: client.compile(&patterns.close)?,
            request: client.compile(&patterns.request)?,
            greeting: upstream.compile(&patterns.greeting)?,
            accepted: upstream.compile(&patterns.accepted)?,
            rejected: upstream.compile(&patterns.rejected)?,
            leaving: upstream.compile(&patterns.leaving)?,
            answer: upstream.compile(&patterns.answer)?,
            refused: upstream.compile(&patterns.refused)?,
            ended: upstream.compile(&patterns.ended)?,
            data: upstream.compile(&patterns.data)?,
            client: Paths::default(),
            upstream: Paths::default(),
            dialect,
            is_subscription: None,
            batches: false,
        };
        Ok(Self { client, upstream, ..rules })
    }

    /// Only an `open` that passes `test` is a subscription; others are requests.
    #[must_use]
    pub(crate) fn with_subscriptions(self, test: fn(&[u8]) -> bool) -> Self {
        Self { is_subscription: Some(test), ..self }
    }

    /// A message may be an array of messages.
    #[must_use]
    pub(crate) fn with_batches(self) -> Self {
        Self { batches: true, ..self }
    }

    pub(crate) fn client<'a>(&self, text: &'a [u8]) -> FromClient<'a> {
        self.client.scan(text).and_then(|scanned| self.client_kind(&scanned)).unwrap_or(FromClient::Plain)
    }

    fn client_kind<'a>(&self, scanned: &Scanned<'a>) -> Option<FromClient<'a>> {
        if let Some(slot) = scanned.position(&self.hello) {
            return Some(FromClient::Hello { slot: Slot::Position(slot) });
        }
        if let Some(pattern) = scanned.first(&self.close) {
            let (id, request) = (scanned.located(pattern.id)?, scanned.id(pattern.request));
            return Some(FromClient::Close { id, request, context: scanned.context(pattern) });
        }
        if let Some(pattern) = scanned.first(&self.open) {
            return self.open_kind(scanned, pattern);
        }
        let pattern = scanned.first(&self.request)?;
        let request = scanned.request(pattern)?;
        Some(FromClient::Call { request, context: scanned.context(pattern) })
    }

    fn open_kind<'a>(&self, scanned: &Scanned<'a>, pattern: &Compiled) -> Option<FromClient<'a>> {
        let (id, request) = (scanned.id(pattern.id), scanned.located(pattern.request));
        let either = id.clone().or_else(|| request.clone().map(|request| request.id))?;
        if self.is_subscription.is_some_and(|test| !test(scanned.text)) {
            return Some(FromClient::Call { request: either, context: scanned.context(pattern) });
        }
        Some(FromClient::Open(Open {
            key: scanned.id(pattern.key).unwrap_or(either),
            id,
            request,
            instance: scanned.id(pattern.instance),
            resume: pattern.resume.and_then(|path| scanned.span(path)),
            once: pattern.once,
            context: scanned.context(pattern),
        }))
    }

    pub(crate) fn upstream<'a>(&self, text: &'a [u8]) -> FromUpstream<'a> {
        self.upstream
            .scan(text)
            .and_then(|scanned| self.upstream_kind(&scanned))
            .unwrap_or(FromUpstream::Plain)
    }

    fn upstream_kind<'a>(&self, scanned: &Scanned<'a>) -> Option<FromUpstream<'a>> {
        let simple = [
            (&self.greeting, FromUpstream::Greeting),
            (&self.accepted, FromUpstream::Accepted),
            (&self.leaving, FromUpstream::Leaving),
            (&self.rejected, FromUpstream::Rejected),
        ];
        for (patterns, kind) in simple {
            if scanned.first(patterns).is_some() {
                return Some(kind);
            }
        }
        for (patterns, ok) in [(&self.refused, false), (&self.answer, true)] {
            if let Some(pattern) = scanned.first(patterns) {
                let (request, assigned) = (scanned.request(pattern)?, scanned.located(pattern.id));
                let verdict = Verdict { ok, assigned, resumed: scanned.is_resumed(pattern) };
                return Some(FromUpstream::Answer { request, verdict });
            }
        }
        if let Some(pattern) = scanned.first(&self.ended) {
            let (id, instance) = (scanned.located(pattern.id)?, scanned.id(pattern.instance));
            return Some(FromUpstream::Ended { id, instance });
        }
        let pattern = scanned.first(&self.data)?;
        let token = pattern.cursor.and_then(|path| scanned.token(path));
        let cursor = token.map(|token| Cursor { token, numbered: pattern.numbered });
        Some(FromUpstream::Data { id: scanned.located(pattern.id)?, cursor, reference: None })
    }
}

impl<'a> Scanned<'a> {
    fn id(&self, path: Option<usize>) -> Option<Id<'a>> {
        self.located(path).map(|located| located.id)
    }

    fn request(&self, pattern: &Compiled) -> Option<Id<'a>> {
        let constant = pattern.constant.map(|id| Id::Borrowed(id.as_bytes()));
        constant.or_else(|| self.id(pattern.request))
    }

    fn located(&self, path: Option<usize>) -> Option<Located<'a>> {
        let span = self.span(path?)?;
        let token = &self.text[span.clone()];
        (token != b"null").then(|| Located { id: token::canonical(token), span })
    }

    /// The values that the preset needs, `null` for a missing one.
    fn context(&self, pattern: &Compiled) -> Box<[Bytes]> {
        let token =
            |path: &usize| self.token(*path).map_or(Bytes::from_static(b"null"), Bytes::copy_from_slice);
        pattern.context.iter().map(token).collect()
    }
}
