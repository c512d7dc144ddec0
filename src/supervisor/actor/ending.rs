//! Ends a session together with its upstream connection.

use std::sync::Arc;

use super::Supervisor;
use crate::{
    connector::{Ended, Generation},
    failure::Failure,
    flow::{DataMessage, UpstreamEnd},
    log::Quoted,
    reply,
    settings::ExchangeMode,
    supervisor::loss::{self, Connection, Fate},
    wire::CloseFrame,
};

impl Supervisor {
    /// What the end of a connection by this failure means for the session.
    pub(super) fn fate(&mut self, generation: Generation, failure: &Failure) -> Fate {
        let is_main = generation == self.main.generation;
        let connection = match self.child(generation) {
            Some(child) => {
                Connection { is_main, was_up: child.up.is_some(), was_up_before: child.was_up_before }
            }
            None => Connection { is_main, was_up: false, was_up_before: false },
        };
        loss::fate(failure, connection, self.plan.settings(), self.links.keeps_client)
    }

    /// Gives the upstream up and ends the session. Servers chosen by `$url` answer until the session ends.
    pub(super) fn close_given_up(&self) {
        let frame = Some(CloseFrame::new(1013, "upstream is not available"));
        let end = UpstreamEnd { failed: Vec::new(), frame, loss: None };
        self.links.back.notify(DataMessage::Ended(Box::new(end)));
    }

    /// Ends the session with this connection: nothing is connected to again.
    pub(super) fn end_session(&mut self, fate: Fate, ended: Ended, server: Arc<str>, unsettled: usize) {
        let (reason, last_written) = (reply::reason(&ended.failure), ended.last_written);
        let failed = self.failures(ended, server);
        let streaming = self.plan.settings().exchange == ExchangeMode::Stream;
        let (frame, loss) = match fate {
            Fate::Keep => return self.fail(failed),
            Fate::Pass(frame) => (frame, None),
            Fate::Close(frame) => {
                let loss = loss::gap(&failed, last_written.filter(|_| streaming));
                (Some(frame), Some(loss))
            }
        };
        // A close that is passed on is the application's decision, not a fault.
        let level = if loss.is_some() { log::Level::Warn } else { log::Level::Info };
        log::log!(
            level,
            "upstream ended session={} upstream={} close={} reason={} unsettled={unsettled}",
            self.links.tracker,
            self.plan.settings().name,
            frame.as_ref().map_or(1005, |frame| frame.code),
            Quoted(&reason),
        );
        self.links.back.notify(DataMessage::Ended(Box::new(UpstreamEnd {
            failed,
            frame: frame.clone(),
            loss,
        })));
        self.stop_upstream(frame);
    }
}
