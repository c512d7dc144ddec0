//! Resolves the value `auto` in a route's keys.

use super::Route;
use crate::{
    policy::{ErrorReplies, OnUpstreamLoss},
    settings::sections::upstream::ExchangeMode,
};

impl Route {
    /// Whether a client stays connected when its upstream connection is lost.
    pub fn keeps_client(&self) -> bool {
        match self.on_upstream_loss {
            OnUpstreamLoss::Auto => self.auto_keeps_client().0,
            OnUpstreamLoss::Keep => true,
            OnUpstreamLoss::Close => false,
        }
    }

    /// Whether failures become messages to the client.
    pub fn replies_errors(&self) -> bool {
        match self.error_replies {
            ErrorReplies::Auto => self.auto_replies_errors().0,
            ErrorReplies::On => true,
            ErrorReplies::Off => false,
        }
    }

    /// The meaning of `auto` as the value of a key, for error texts: `; here "close": …`. `None` for other
    /// keys, or if the value is not `auto`.
    pub fn explain_auto(&self, key: &str) -> Option<String> {
        let (means, why) = match key {
            "on_upstream_loss" if self.on_upstream_loss == OnUpstreamLoss::Auto => {
                let (keeps, why) = self.auto_keeps_client();
                (if keeps { "\"keep\"" } else { "\"close\"" }, why)
            }
            "error_replies" if self.error_replies == ErrorReplies::Auto => {
                let (replies, why) = self.auto_replies_errors();
                (if replies { "true" } else { "false" }, why)
            }
            _ => return None,
        };
        Some(format!("; here {means}: {why}"))
    }

    /// The meaning of `on_upstream_loss = "auto"` for the route: whether the client is kept, and why.
    pub fn auto_keeps_client(&self) -> (bool, &'static str) {
        match &self.upstream {
            None => (true, "the route has no upstream"),
            _ if self.stateless => (true, "stateless = true"),
            Some(upstream) if upstream.exchange == ExchangeMode::Request => (true, "exchange = \"request\""),
            Some(upstream) if upstream.recovery.journal.is_some() => (true, "the upstream has recovery"),
            Some(_) => (false, "exchange = \"stream\" and the route is not stateless"),
        }
    }

    /// The meaning of `error_replies = "auto"` for the route: whether there are error replies, and why.
    pub fn auto_replies_errors(&self) -> (bool, &'static str) {
        match &self.upstream {
            None => (true, "the route has no upstream"),
            _ if !self.errors.is_empty() => (true, "the route has errors pipelines"),
            Some(upstream) if upstream.exchange == ExchangeMode::Request => (true, "exchange = \"request\""),
            Some(_) => (false, "exchange = \"stream\" and the route has no errors pipelines"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::settings::fixture;

    fn route(exchange: ExchangeMode) -> Route {
        let upstream = crate::settings::Upstream { exchange, ..fixture::upstream() };
        Route { upstream: Some(Arc::new(upstream)), ..fixture::route(None, "/") }
    }

    #[test]
    fn auto_keeps_a_client_whose_session_can_continue() {
        let stream = route(ExchangeMode::Stream);
        assert!(!stream.keeps_client());
        assert!(route(ExchangeMode::Request).keeps_client());
        assert!(Route { stateless: true, ..stream.clone() }.keeps_client());
        let journal = fixture::load(
            &fixture::MINIMAL.replace("[pipeline", "recovery.preset = \"mqtt\"\n[pipeline"),
            &[],
        );
        assert!(journal.unwrap().routes[0].keeps_client());
        assert!(Route { upstream: None, ..stream.clone() }.keeps_client());
        assert!(Route { on_upstream_loss: OnUpstreamLoss::Keep, ..stream }.keeps_client());
        let close = Route { on_upstream_loss: OnUpstreamLoss::Close, ..route(ExchangeMode::Request) };
        assert!(!close.keeps_client());
    }

    #[test]
    fn auto_sends_no_error_replies_into_a_stream() {
        let stream = route(ExchangeMode::Stream);
        assert!(!stream.replies_errors());
        assert!(!Route { stateless: true, ..stream.clone() }.replies_errors());
        assert!(route(ExchangeMode::Request).replies_errors());
        assert!(Route { upstream: None, ..stream.clone() }.replies_errors());
        assert!(Route { error_replies: ErrorReplies::On, ..stream.clone() }.replies_errors());
        let errors = crate::settings::fixture::load(fixture::MINIMAL, &[]).unwrap().pipelines["pass"].clone();
        assert!(Route { errors: vec![errors], ..stream }.replies_errors());
        let off = Route { error_replies: ErrorReplies::Off, ..route(ExchangeMode::Request) };
        assert!(!off.replies_errors());
    }
}
