//! What a program says about a message of a protocol that neither a preset nor patterns describe.
//!
//! [`statement`](crate::statement) reads it from the value that the program sends to its port `journal`.

use std::ops::Range;

use bytes::Bytes;

use crate::{
    json::{path::Path, search, token},
    kind::{Cursor, FromClient, FromUpstream, Id, Located, Open, Slot, Verdict},
    outcome::Reason,
};

/// Where the id of a subscription is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// The id itself, as JSON. The message keeps it.
    Id(Bytes),
    /// The id is at this path of the message, which is JSON. Another id can be written there.
    At(Box<str>),
}

/// What a client's message is. Values are JSON tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientClass {
    /// It logs in. A later hello with the same key replaces it.
    Hello {
        /// Which of several logins it is; empty for the only one.
        key: Bytes,
    },
    /// It opens a subscription.
    Open {
        /// The subscription; `None` when the upstream assigns the id.
        id: Option<Named>,
        /// The id of the answer; `None` when there is none.
        request: Option<Bytes>,
        /// Distinguishes successive subscriptions that use the same id.
        instance: Option<Bytes>,
        /// The name of the subscription in gap notices; `None` means the id.
        key: Option<Bytes>,
        /// The path at which the replay writes the last cursor.
        resume: Option<Box<str>>,
    },
    /// It ends a subscription.
    Close {
        /// The subscription.
        id: Named,
        /// The id of the answer; `None` when there is none.
        request: Option<Bytes>,
    },
    /// It awaits an answer.
    Request {
        /// The id of the answer.
        request: Bytes,
    },
}

/// What an upstream's message is. Values are JSON tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamClass {
    /// It is the first message of a connection, sent without a request.
    Greeting,
    /// It accepts a login.
    Accepted,
    /// It refuses a login.
    Rejected,
    /// It announces that the upstream closes the connection.
    Leaving,
    /// It answers an `open` or a request.
    Answer {
        /// The id of the request that it answers.
        request: Bytes,
        /// The path of the id that the upstream assigns.
        id_at: Option<Box<str>>,
        /// The subscription continues at the cursor.
        resumed: bool,
    },
    /// It refuses an `open` or a request.
    Refused {
        /// The id of the request that it answers.
        request: Bytes,
    },
    /// It ends a subscription.
    Ended {
        /// The subscription.
        id: Named,
        /// The instance of the subscription, as in [`ClientClass::Open`].
        instance: Option<Bytes>,
    },
    /// It belongs to a subscription.
    Data {
        /// The subscription.
        id: Named,
        /// Its position in the subscription.
        cursor: Option<Bytes>,
        /// Whether the cursor increases by one with each message.
        numbered: bool,
    },
}

/// What the replay of a classified `open` needs besides its bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Classified {
    pub(crate) request: Option<Bytes>,
    pub(crate) resume: Option<Range<usize>>,
}

impl Named {
    /// # Errors
    /// When the message has no id at the path.
    fn located<'a>(&'a self, text: &'a [u8]) -> Result<Located<'a>, Reason> {
        match self {
            // Without a place, nothing is patched.
            Self::Id(id) => Ok(Located { id: Id::Borrowed(id), span: 0..0 }),
            Self::At(path) => at(path, text),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Id(id) => id.len(),
            Self::At(path) => path.len(),
        }
    }
}

fn span(path: &str, text: &[u8]) -> Option<Range<usize>> {
    search::find(text, &[Path::new(path)])?.first().cloned().flatten()
}

fn at<'a>(path: &str, text: &'a [u8]) -> Result<Located<'a>, Reason> {
    let span = span(path, text).filter(|span| text[span.clone()] != *b"null").ok_or(Reason::NoId)?;
    Ok(Located { id: token::canonical(&text[span.clone()]), span })
}

fn borrowed(token: &Option<Bytes>) -> Option<Id<'_>> {
    token.as_ref().map(|token| Id::Borrowed(&token[..]))
}

impl ClientClass {
    /// What the message `text` is to a journal.
    ///
    /// # Errors
    /// When the message has no id at a path that the class names.
    pub(crate) fn kind<'a>(&'a self, text: &'a [u8]) -> Result<FromClient<'a>, Reason> {
        let context = Box::default();
        Ok(match self {
            Self::Hello { key } => FromClient::Hello { slot: Slot::Key(key.clone()) },
            Self::Open { id, request, instance, key, resume } => {
                let id = id.as_ref().map(|id| id.located(text)).transpose()?.map(|id| id.id);
                let either = id.clone().or_else(|| borrowed(request)).ok_or(Reason::NoId)?;
                FromClient::Open(Open {
                    key: borrowed(key).unwrap_or(either),
                    id,
                    request: borrowed(request).map(|id| Located { id, span: 0..0 }),
                    instance: borrowed(instance),
                    resume: resume.as_ref().and_then(|path| span(path, text)),
                    once: false,
                    context,
                })
            }
            Self::Close { id, request } => {
                FromClient::Close { id: id.located(text)?, request: borrowed(request), context }
            }
            Self::Request { request } => FromClient::Call { request: Id::Borrowed(request), context },
        })
    }

    /// Bytes of its values.
    pub fn size(&self) -> usize {
        let len = |token: &Option<Bytes>| token.as_ref().map_or(0, Bytes::len);
        match self {
            Self::Hello { key } => key.len(),
            Self::Open { id, request, instance, key, resume } => {
                let resume = resume.as_ref().map_or(0, |path| path.len());
                id.as_ref().map_or(0, Named::len) + len(request) + len(instance) + len(key) + resume
            }
            Self::Close { id, request } => id.len() + len(request),
            Self::Request { request } => request.len(),
        }
    }
}

impl UpstreamClass {
    /// What the message `text` is to a journal.
    ///
    /// # Errors
    /// When the message has no id at a path that the class names.
    pub(crate) fn kind<'a>(&'a self, text: &'a [u8]) -> Result<FromUpstream<'a>, Reason> {
        Ok(match self {
            Self::Greeting => FromUpstream::Greeting,
            Self::Accepted => FromUpstream::Accepted,
            Self::Rejected => FromUpstream::Rejected,
            Self::Leaving => FromUpstream::Leaving,
            Self::Answer { request, id_at, resumed } => {
                let assigned = id_at.as_ref().map(|path| at(path, text)).transpose()?;
                let verdict = Verdict { ok: true, assigned, resumed: *resumed };
                FromUpstream::Answer { request: Id::Borrowed(request), verdict }
            }
            Self::Refused { request } => {
                let verdict = Verdict { ok: false, assigned: None, resumed: false };
                FromUpstream::Answer { request: Id::Borrowed(request), verdict }
            }
            Self::Ended { id, instance } => {
                FromUpstream::Ended { id: id.located(text)?, instance: borrowed(instance) }
            }
            Self::Data { id, cursor, numbered } => {
                let cursor = cursor.as_ref().map(|token| Cursor { token, numbered: *numbered });
                FromUpstream::Data { id: id.located(text)?, cursor, reference: None }
            }
        })
    }

    /// Bytes of its values, counted while the class waits with its message.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Data { id, cursor, .. } => id.len() + cursor.as_ref().map_or(0, Bytes::len),
            _ => 0,
        }
    }
}

impl Classified {
    pub(crate) fn new(open: &Open<'_>) -> Self {
        let request = open.request.as_ref().map(|request| Bytes::copy_from_slice(&request.id));
        Self { request, resume: open.resume.clone() }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.request.as_ref().map_or(0, Bytes::len)
    }
}
