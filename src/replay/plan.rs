//! The plan of a replay, made from the lines of a record.

use std::{
    collections::HashMap,
    io::{self, BufRead, Read},
    time::{Duration, SystemTime},
};

use indexmap::IndexMap;

use crate::recording::{BadEntry, Entry, Header, NotARecord, RecordedLine, RecordedPayload};

/// Maximum length of a line in bytes: a payload of the largest size that a tap copies, as base64 or with escapes.
const LINE_MAX: usize = 8 << 20;

/// Maximum size of all payloads, in bytes. They are kept in memory.
const PAYLOADS_MAX: usize = 512 << 20;

/// Maximum number of sessions, each of which is a connection.
const SESSIONS_MAX: usize = 10_000;

/// The plan of a replay.
#[derive(Debug, Default)]
pub struct Plan {
    /// The sessions, in the order of their first lines.
    pub sessions: Vec<SessionPlan>,
}

/// The messages that one client sends, and those that it got.
#[derive(Debug)]
pub struct SessionPlan {
    /// The session's id in the record.
    pub session: String,
    /// The time from the first line of the record to the first one of the session.
    pub begin: Duration,
    /// The messages to send.
    pub steps: Vec<Step>,
    /// The messages that the client got, in order.
    pub received: Vec<Exchanged>,
    /// The outcomes of its events by id.
    pub outcomes: IndexMap<String, String>,
}

/// A message to send.
#[derive(Debug)]
pub struct Step {
    /// The time from the first line of the record.
    pub at: Duration,
    /// The message.
    pub message: Exchanged,
    /// How many messages the client got until its events up to this message were answered.
    pub answered_at: usize,
}

/// A message of a record or of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanged {
    /// The event's id in the record, if it is known.
    pub event: Option<String>,
    /// Its role in the session.
    pub role: Role,
    /// Whether it is binary.
    pub binary: bool,
    /// Its content.
    pub payload: Vec<u8>,
    /// Whether values in the content are masked.
    pub is_redacted: bool,
}

/// The role of a message in its session, in the distinctions that a replay needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A message of the client.
    Request,
    /// A reply.
    Reply,
    /// A push. It may arrive at another time.
    Push,
    /// An error reply.
    Error,
}

/// Which records a replay accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incomplete {
    /// Records with missing lines, and masked or withheld messages, are refused.
    Refused,
    /// They are accepted. Withheld messages are not sent.
    Accepted,
}

/// A record that cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is not a record.
    #[error(transparent)]
    NotARecord(#[from] NotARecord),
    /// A line is not one of a tap.
    #[error("line {0}: {1}")]
    Line(usize, BadEntry),
    /// A line is too long.
    #[error("line {0}: longer than {max} MiB", max = LINE_MAX >> 20)]
    TooLong(usize),
    /// The record has no contents of messages.
    #[error("line {0}: the message has no payload; record with towline tap --payload --record FILE")]
    NoPayload(usize),
    /// A message of the client is cut.
    #[error(
        "line {line}: the payload is truncated: {kept} of {bytes} bytes; record with a larger --max-payload"
    )]
    Truncated {
        /// The line.
        line: usize,
        /// The bytes that the record has.
        kept: usize,
        /// The bytes that the message had.
        bytes: u64,
    },
    /// A message of the client has masked values.
    #[error("line {0}: values in the payload are masked; --allow-incomplete sends it as it is")]
    Redacted(usize),
    /// A message of the client has a credential.
    #[error(
        "line {0}: the message was withheld, because it has a credential; --allow-incomplete leaves it out"
    )]
    Withheld(usize),
    /// Lines are missing.
    #[error(
        "line {line}: {count} lines are missing, because the tap's reader was too slow; --allow-incomplete ignores that"
    )]
    Lost {
        /// The line.
        line: usize,
        /// The number of lines that are missing.
        count: u64,
    },
    /// The record is too large.
    #[error("the record has more than {SESSIONS_MAX} sessions, or more than {} MiB of payloads", PAYLOADS_MAX >> 20)]
    TooLarge,
    /// The record has no message of a client.
    #[error(
        "the record has no messages from clients; record the directions from_client, to_client and outcome"
    )]
    Empty,
}

// === impl Plan ===

impl Plan {
    /// Reads a record.
    ///
    /// # Errors
    /// When the file is not a record, or cannot be replayed.
    pub fn read(record: impl Read, incomplete: Incomplete) -> Result<Self, PlanError> {
        let mut lines = Lines { input: io::BufReader::new(record), number: 0 };
        let first = lines.next()?.ok_or(NotARecord::NoHeader)?;
        Header::parse(&first)?;
        let mut builder = Builder { incomplete, begin: None, sessions: IndexMap::new(), payloads: 0 };
        while let Some(line) = lines.next()? {
            if line.trim().is_empty() {
                continue;
            }
            let entry = Entry::parse(&line).map_err(|error| PlanError::Line(lines.number, error))?;
            builder.add(entry, lines.number)?;
        }
        builder.finish()
    }

    /// The number of messages to send.
    pub fn messages(&self) -> usize {
        self.sessions.iter().map(|session| session.steps.len()).sum()
    }
}

struct Lines<R> {
    input: io::BufReader<R>,
    /// The number of the line that was read last.
    number: usize,
}

impl<R: Read> Lines<R> {
    fn next(&mut self) -> Result<Option<String>, PlanError> {
        let mut line = Vec::new();
        self.number += 1;
        self.input.by_ref().take(LINE_MAX as u64 + 1).read_until(b'\n', &mut line)?;
        match String::from_utf8(line) {
            Ok(line) if line.is_empty() => Ok(None),
            Ok(line) if line.len() > LINE_MAX => Err(PlanError::TooLong(self.number)),
            Ok(line) => Ok(Some(line)),
            Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "the record is not UTF-8").into()),
        }
    }
}

struct Builder {
    incomplete: Incomplete,
    begin: Option<SystemTime>,
    sessions: IndexMap<String, SessionBuilder>,
    payloads: usize,
}

struct SessionBuilder {
    plan: SessionPlan,
    /// For each event, the number of messages that had been sent when it arrived.
    arrived: Vec<(String, usize)>,
}

impl Builder {
    fn add(&mut self, entry: Entry, number: usize) -> Result<(), PlanError> {
        let line = match entry {
            Entry::Line(line) => line,
            Entry::Lost(count) | Entry::Skipped(count) if self.incomplete == Incomplete::Refused => {
                return Err(PlanError::Lost { line: number, count });
            }
            Entry::Lost(_) | Entry::Skipped(_) | Entry::Other => return Ok(()),
        };
        let begin = *self.begin.get_or_insert(line.time);
        let at = line.time.duration_since(begin).unwrap_or_default();
        if !self.sessions.contains_key(&line.session) && self.sessions.len() == SESSIONS_MAX {
            return Err(PlanError::TooLarge);
        }
        let incomplete = self.incomplete;
        let session =
            self.sessions.entry(line.session.clone()).or_insert_with(|| SessionBuilder::new(&line, at));
        self.payloads += session.add(&line, at, number, incomplete)?;
        if self.payloads > PAYLOADS_MAX {
            return Err(PlanError::TooLarge);
        }
        Ok(())
    }

    fn finish(self) -> Result<Plan, PlanError> {
        let has_outcomes = self.sessions.values().any(|session| !session.plan.outcomes.is_empty());
        let sessions = self.sessions.into_values().map(|mut session| {
            if has_outcomes {
                session.drop_unfinished();
            }
            session.finish()
        });
        let sessions: Vec<_> = sessions.filter(|session| !session.steps.is_empty()).collect();
        if sessions.is_empty() { Err(PlanError::Empty) } else { Ok(Plan { sessions }) }
    }
}

impl SessionBuilder {
    fn new(line: &RecordedLine, begin: Duration) -> Self {
        let session = line.session.clone();
        let (steps, received) = (Vec::new(), Vec::new());
        let plan = SessionPlan { session, begin, steps, received, outcomes: IndexMap::new() };
        Self { plan, arrived: Vec::new() }
    }

    /// Adds a line. Returns the size of its payload.
    fn add(
        &mut self,
        line: &RecordedLine,
        at: Duration,
        number: usize,
        incomplete: Incomplete,
    ) -> Result<usize, PlanError> {
        if let (Some(outcome), Some(event)) = (&line.outcome, &line.event) {
            self.plan.outcomes.insert(event.clone(), outcome.outcome.clone());
            return Ok(0);
        }
        if line.direction == "from_client"
            && let Some(event) = &line.event
        {
            let sent = self.plan.steps.len() + usize::from(line.stage == "message");
            self.arrived.push((event.clone(), sent));
        }
        if !line.is_client_message() {
            return Ok(0);
        }
        match line.direction.as_str() {
            "from_client" => {
                let Some((payload, is_redacted)) = request(line, number, incomplete)? else { return Ok(0) };
                let size = payload.len();
                let message = Exchanged {
                    event: line.event.clone(),
                    role: Role::Request,
                    binary: line.binary,
                    payload,
                    is_redacted,
                };
                self.plan.steps.push(Step { at, message, answered_at: 0 });
                Ok(size)
            }
            _ => {
                let (payload, is_redacted) = reply(line, number)?;
                let size = payload.len();
                let role = role(&line.role);
                self.plan.received.push(Exchanged {
                    event: line.event.clone(),
                    role,
                    binary: line.binary,
                    payload,
                    is_redacted,
                });
                Ok(size)
            }
        }
    }

    /// Drops the last messages if the record has neither their outcomes nor their replies, because it ended before.
    fn drop_unfinished(&mut self) {
        let SessionPlan { steps, received, outcomes, .. } = &mut self.plan;
        while let Some(Step { message: Exchanged { event: Some(event), .. }, .. }) = steps.last()
            && !outcomes.contains_key(event)
            && !received.iter().any(|message| message.event.as_ref() == Some(event))
        {
            steps.pop();
        }
    }

    /// Drops the replies to events that arrived before the first message of the record. Nothing in a replay answers
    /// them.
    fn drop_earlier_replies(&mut self) {
        let arrived: HashMap<_, _> =
            self.arrived.iter().map(|(event, sent)| (event.as_str(), *sent)).collect();
        let first = self.arrived.iter().filter_map(|(event, _)| number_of(event)).min();
        let SessionPlan { received, outcomes, .. } = &mut self.plan;
        received.retain(|message| {
            let Some(event) = message.event.as_ref().filter(|_| message.role != Role::Push) else {
                return true;
            };
            match arrived.get(event.as_str()) {
                Some(sent) => *sent > 0,
                // Notices are errors without an event of the client.
                None if message.role == Role::Error && !outcomes.contains_key(event) => true,
                None => number_of(event) >= first,
            }
        });
    }

    fn finish(mut self) -> SessionPlan {
        self.drop_earlier_replies();
        // The position of the last message that answers each event.
        let answers = self.plan.received.iter().enumerate().filter(|(_, message)| message.role != Role::Push);
        let answers: IndexMap<_, _> =
            answers.filter_map(|(at, message)| Some((message.event.clone()?, at + 1))).collect();
        for (event, sent) in &self.arrived {
            let answered = answers.get(event).copied().unwrap_or_default();
            // Events that arrived before the first step belong to no message of the plan.
            if let Some(step) = sent.checked_sub(1).and_then(|step| self.plan.steps.get_mut(step)) {
                step.answered_at = step.answered_at.max(answered);
            }
        }
        let mut latest = 0;
        for step in &mut self.plan.steps {
            latest = latest.max(step.answered_at);
            step.answered_at = latest;
        }
        self.plan
    }
}

/// The number of an event in its session: 9 of `1:0:9`.
fn number_of(event: &str) -> Option<u64> {
    event.rsplit(':').next()?.parse().ok()
}

fn role(name: &str) -> Role {
    match name {
        "reply" => Role::Reply,
        "error" => Role::Error,
        "push" => Role::Push,
        _ => Role::Request,
    }
}

/// The content of a message to send; `None` if it is left out.
fn request(
    line: &RecordedLine,
    number: usize,
    incomplete: Incomplete,
) -> Result<Option<(Vec<u8>, bool)>, PlanError> {
    match (&line.payload, incomplete) {
        (RecordedPayload::Whole(bytes), _) => Ok(Some((bytes.clone(), false))),
        (RecordedPayload::Redacted(bytes), Incomplete::Accepted) => Ok(Some((bytes.clone(), true))),
        (RecordedPayload::Redacted(_), Incomplete::Refused) => Err(PlanError::Redacted(number)),
        (RecordedPayload::Truncated(bytes), _) => {
            Err(PlanError::Truncated { line: number, kept: bytes.len(), bytes: line.bytes })
        }
        (RecordedPayload::Withheld, Incomplete::Accepted) => Ok(None),
        (RecordedPayload::Withheld, Incomplete::Refused) => Err(PlanError::Withheld(number)),
        (RecordedPayload::None, _) => Err(PlanError::NoPayload(number)),
    }
}

/// The content of a message to compare with.
fn reply(line: &RecordedLine, number: usize) -> Result<(Vec<u8>, bool), PlanError> {
    match &line.payload {
        RecordedPayload::Whole(bytes) => Ok((bytes.clone(), false)),
        RecordedPayload::Redacted(bytes) => Ok((bytes.clone(), true)),
        RecordedPayload::Truncated(bytes) => {
            Err(PlanError::Truncated { line: number, kept: bytes.len(), bytes: line.bytes })
        }
        // It can be any message.
        RecordedPayload::Withheld => Ok((b"***".to_vec(), true)),
        RecordedPayload::None => Err(PlanError::NoPayload(number)),
    }
}

#[cfg(test)]
mod tests;
