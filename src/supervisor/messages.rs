//! What a supervisor is told and what it tells. Events that no connector takes come to it as
//! [`DataMessage`](crate::flow::DataMessage), connectors' fates as [`Report`](crate::connector::Report).

use actix::Message;

use crate::wire::CloseFrame;

/// Session → supervisor, control plane: the session winds up; close what it has upstream, and fail what is
/// not settled.
///
/// Reply: the failures, in the line of the replies. On full: cannot be; there is one in a session's life,
/// and `CONTROL_ROOM`.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopUpstream(pub Option<CloseFrame>);

/// Session → supervisor, control plane: the session is over; close what is left, and end.
///
/// Reply: none. On full: cannot be; there is one in a session's life, and `CONTROL_ROOM`.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SessionOver(pub Option<CloseFrame>);
