//! What a program says about a message of a protocol that neither a preset nor patterns describe.
//!
//! The client chooses the ids of such a protocol, and the upstream does not answer an `open`: a program sees one
//! message at a time, and cannot tell where an id is in its bytes.

use bytes::Bytes;

use crate::kind::{Cursor, FromClient, FromUpstream, Id, Located, Open};

/// What a client's message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientClass {
    /// It logs in. A later hello with the same `slot` replaces it.
    Hello {
        /// Which of several logins it is, from 0.
        slot: usize,
    },
    /// It opens the subscription `id`.
    Open {
        /// The subscription.
        id: Bytes,
    },
    /// It ends the subscription `id`.
    Close {
        /// The subscription.
        id: Bytes,
    },
}

/// What an upstream's message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamClass {
    /// It ends the subscription `id`.
    Ended {
        /// The subscription.
        id: Bytes,
    },
    /// It belongs to the subscription `id`.
    Data {
        /// The subscription.
        id: Bytes,
        /// Its position in the subscription, a number that rises by one with each message.
        cursor: Option<u64>,
    },
}

impl ClientClass {
    pub(crate) fn kind(&self) -> FromClient<'_> {
        let context = Box::default();
        match self {
            Self::Hello { slot } => FromClient::Hello { slot: *slot },
            Self::Open { id } => FromClient::Open(Open {
                id: Some(Id::Borrowed(id)),
                request: None,
                instance: None,
                key: Id::Borrowed(id),
                resume: None,
                once: false,
                context,
            }),
            Self::Close { id } => FromClient::Close { id: located(id), request: None, context },
        }
    }
}

impl UpstreamClass {
    /// `token`: the text of the cursor.
    pub(crate) fn kind<'a>(&'a self, token: &'a str) -> FromUpstream<'a> {
        match self {
            Self::Ended { id } => FromUpstream::Ended { id: located(id), instance: None },
            Self::Data { id, cursor } => {
                let cursor = cursor.map(|_| Cursor { token: token.as_bytes(), numbered: true });
                FromUpstream::Data { id: located(id), cursor, reference: None }
            }
        }
    }

    pub(crate) fn cursor(&self) -> String {
        match self {
            Self::Data { cursor: Some(cursor), .. } => cursor.to_string(),
            _ => String::new(),
        }
    }
}

/// An id that is not in the message, so that nothing is patched.
fn located(id: &Bytes) -> Located<'_> {
    Located { id: Id::Borrowed(id), span: 0..0 }
}
