//! Continues with other settings, after a reload.

use std::sync::Arc;

use super::Supervisor;
use crate::{
    flow::{Adopt, DataMessage, Edge},
    supervisor::child::Child,
};

impl Supervisor {
    /// Uses the settings of the upstream that are in force, and passes the message on.
    pub(super) fn adopt(&mut self, adopt: Arc<Adopt>) {
        let route = &adopt.route;
        if self.plan.adopt() {
            self.links.keeps_client = route.keeps_client();
            self.links.replies_errors = route.replies_errors();
            self.children.set_restart(&self.plan.settings().restart);
            for connector in self.children.all().filter_map(Child::connector) {
                Edge::to(connector).notify(DataMessage::Adopt(Arc::clone(&adopt)));
            }
        }
        self.links.back.notify(DataMessage::Adopt(adopt));
    }
}
