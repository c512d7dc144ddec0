//! Messages that a program has classified.

use std::time::Instant;

use super::{Engine, Phase, upstream::Processing};
use crate::{
    class::{ClientClass, UpstreamClass},
    kind::{FromClient, FromUpstream, Unit},
    outcome::{ClientStep, Failure, Message, Offline, Reason, UpstreamStep},
};

impl Engine {
    /// Takes a message that a program has classified.
    pub(crate) fn client_as(&mut self, event: u64, message: Message, class: &ClientClass) -> ClientStep {
        if !self.is_ready() {
            return ClientStep::Wait(message);
        }
        self.is_full = false;
        let kind = match self.classified(&message, class) {
            Ok(kind) => kind,
            Err(reason) => return ClientStep::Refuse(Failure { event, reason, reply: None }),
        };
        let mut refused = None;
        let left = match self.client_or_refuse(event, &message, kind, &mut refused) {
            Unit::Keep => Some(message),
            Unit::Replace(payload) => Some(Message { payload, ..message }),
            Unit::Drop => None,
        };
        self.client_step(left, refused)
    }

    /// Handles a classified message that cannot be sent. A close takes effect; if it has a request, it gets no
    /// answer.
    pub(crate) fn offline_as(&mut self, message: &Message, class: &ClientClass) -> Offline {
        match class.kind(&message.payload) {
            Ok(FromClient::Close { id, request, .. }) => {
                self.close_offline(&id.id);
                if request.is_some() { Offline::Failed(None) } else { Offline::Done(None) }
            }
            _ => Offline::Failed(None),
        }
    }

    /// Takes a message that a program has classified.
    pub(crate) fn upstream_as(
        &mut self,
        generation: u64,
        message: Message,
        class: &UpstreamClass,
        now: Instant,
    ) -> UpstreamStep {
        if generation != self.generation || self.phase == Phase::Down {
            return UpstreamStep::Hide;
        }
        let kind = match self.classified_upstream(&message, class) {
            Ok(kind) => kind,
            Err(reason) => return UpstreamStep::Refuse(reason),
        };
        let mut processing = Processing::new(message.binary, now);
        processing.class = Some(class.clone());
        let left = match self.upstream_unit(&message.payload, kind, &mut processing) {
            Unit::Keep => Some(message),
            Unit::Replace(payload) => Some(Message { payload, ..message }),
            Unit::Drop => None,
        };
        self.finish(left, processing)
    }

    fn classified<'a>(
        &mut self,
        message: &'a Message,
        class: &'a ClientClass,
    ) -> Result<FromClient<'a>, Reason> {
        let kind = class.kind(&message.payload)?;
        match &kind {
            FromClient::Open(open) => self.dialect.assigns |= open.id.is_none(),
            FromClient::Close { id, .. } if self.dialect.assigns && id.span.is_empty() => {
                return Err(Reason::Unplaced);
            }
            _ => {}
        }
        Ok(kind)
    }

    /// Records which features the protocol has, as the classified messages show them one by one. With patterns they
    /// are known in advance.
    fn classified_upstream<'a>(
        &mut self,
        message: &'a Message,
        class: &'a UpstreamClass,
    ) -> Result<FromUpstream<'a>, Reason> {
        let kind = class.kind(&message.payload)?;
        match &kind {
            FromUpstream::Greeting => self.dialect.greets = true,
            FromUpstream::Accepted => self.dialect.accepts = true,
            FromUpstream::Data { id, .. } | FromUpstream::Ended { id, .. } => {
                if self.dialect.assigns && id.span.is_empty() {
                    return Err(Reason::Unplaced);
                }
                self.dialect.has_data |= matches!(kind, FromUpstream::Data { .. });
            }
            _ => {}
        }
        Ok(kind)
    }
}
