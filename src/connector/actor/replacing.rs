//! Reports to the client that its upstream connection was replaced (guarantee C11).

use std::time::Instant;

use super::Connector;
use crate::{
    connector::messages::Replaced,
    flow::{Cause, DataMessage, Notice},
    recovery::{Gap, Missing},
};

impl Connector {
    /// Reports the gap between the lost connection and this one. Nothing shows what the upstream sent meanwhile.
    pub(super) fn replace(&mut self, replaced: Option<Replaced>) {
        if let Some(Replaced { since, last_event }) = replaced {
            self.notice(Gap {
                entry: None,
                last_event: last_event.map(|event| event.0),
                since,
                until: Instant::now(),
                generation: self.generation.0,
                missing: Missing::Unknown,
            });
        }
    }

    /// Reports a gap, if the client gets notices. The client gets the notice after the messages that were read before,
    /// and before all later ones.
    pub(super) fn notice(&mut self, gap: Gap) {
        if gap.missing != Missing::None && !self.figures.is_over() {
            self.figures.count(|tally| tally.gaps.add(1));
        }
        if self.has_notices {
            let ticket = self.tracker.issue(Cause::Push);
            self.send_back(DataMessage::Notice(Box::new(Notice { ticket, gap })));
        }
    }
}
