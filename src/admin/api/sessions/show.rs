//! One session.

use std::time::Duration;

use actix_web::{HttpResponse, http::StatusCode, web};
use serde_json::{Map, Value, json};
use tokio::{sync::oneshot, time::timeout};

use super::{list::row, time, time_of};
use crate::{
    admin::{AdminState, answer, api::events::failed, error::ApiError},
    figures::{Change, ServerSnapshot, SessionPhase, Snapshot},
    flow::Edge,
    server::{SessionId, SessionInfo, SessionState, Stage},
    session::Control,
};

/// How long a session may take to say what it does. It answers in its next turn.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// The error about a session that does not answer in time.
pub(super) const NO_ANSWER: &str = "the session does not answer";

/// Shows what a session is doing. A session that does not answer in time gives 504, with what is known.
pub(super) async fn show(
    state: web::Data<AdminState>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (info, session) = find(&state, &id)?;
    let (answer, stage) = match session {
        SessionState::Starting => (None, Stage::Starting),
        SessionState::Running(control) => {
            (Some(ask(&state, &control, Control::Inspect).await?), Stage::Running)
        }
    };
    let mut session = row(&info, stage);
    add_history(&mut session, &info);
    match answer {
        None => Ok(answer::ok(&Value::Object(session))),
        Some(Some(snapshot)) => {
            add_snapshot(&mut session, snapshot);
            Ok(answer::ok(&Value::Object(session)))
        }
        Some(None) => {
            session.insert("error".to_owned(), NO_ANSWER.into());
            Ok(answer::json(StatusCode::GATEWAY_TIMEOUT, &Value::Object(session)))
        }
    }
}

/// Sends a message with a reply to a session, and waits for the reply; `None` if the session does not answer in time.
pub(super) async fn ask<T>(
    state: &AdminState,
    session: &Edge<Control>,
    message: impl FnOnce(oneshot::Sender<T>) -> Control,
) -> Result<Option<T>, ApiError> {
    let slot = state.questions.try_acquire();
    let _slot = slot.map_err(|_| {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests for single sessions")
    })?;
    let (reply, answer) = oneshot::channel();
    session.notify(message(reply));
    Ok(timeout(ANSWER_TIME, answer).await.ok().and_then(Result::ok))
}

/// The session with this id.
fn find(state: &AdminState, id: &str) -> Result<(SessionInfo, SessionState), ApiError> {
    let id: SessionId = id.parse().map_err(|error| ApiError::invalid(format!("{error}")))?;
    let found = state.server.registry.session(id);
    found.ok_or_else(|| ApiError::not_found(format!("no session {id}: it has ended, or never began")))
}

/// The session with this id, and the way to its actor.
///
/// # Errors
/// Those of [`find`], and 409 while its handshake is being answered.
pub(super) fn find_running(state: &AdminState, id: &str) -> Result<(SessionInfo, Edge<Control>), ApiError> {
    match find(state, id)? {
        (info, SessionState::Running(control)) => Ok((info, control)),
        (_, SessionState::Starting) => {
            Err(ApiError::new(StatusCode::CONFLICT, "the handshake of the session is being answered"))
        }
    }
}

fn add_history(session: &mut Map<String, Value>, info: &SessionInfo) {
    let (errors, changes) = info.figures.history.latest();
    let change =
        |Change { at, kind, detail }: &Change| json!({ "at": time(*at), "kind": kind, "detail": &**detail });
    session.insert("errors".to_owned(), errors.iter().map(failed).collect());
    session.insert("timeline".to_owned(), changes.iter().map(change).collect());
}

fn add_snapshot(session: &mut Map<String, Value>, snapshot: Snapshot) {
    let Snapshot { phase, unsettled, oldest, from_client, from_upstream, held, claims, expires, servers } =
        snapshot;
    // It may have ended since the list named it.
    let phase = if phase == SessionPhase::Over { SessionPhase::Closing } else { phase };
    session.insert("state".to_owned(), phase.to_string().into());
    session.insert("unsettled".to_owned(), unsettled.into());
    session.insert("oldest".to_owned(), oldest.map(|id| id.to_string()).into());
    session.insert(
        "claims".to_owned(),
        claims.into_iter().map(|(name, value)| (name, value.into())).collect::<Map<_, _>>().into(),
    );
    session.insert("expires".to_owned(), expires.map(time_of).into());
    session.insert(
        "held".to_owned(),
        json!({
            "from_client": { "bytes": from_client.0, "limit": from_client.1 },
            "from_upstream": from_upstream.map(|bytes| json!({ "bytes": bytes })),
            "waiting": held,
        }),
    );
    session.insert("servers".to_owned(), servers.into_iter().map(server).collect());
}

fn server(ServerSnapshot { server, state, generation, attempts, next, failure }: ServerSnapshot) -> Value {
    json!({
        "server": server,
        "state": state,
        "generation": generation,
        "attempts": attempts,
        "next_ms": next.map(|next| next.as_millis() as u64),
        "failure": failure,
    })
}
