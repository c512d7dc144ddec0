//! Tests of the admin server and of the commands that use it.

mod access;
mod commands;
mod description;
mod docs;
mod invalid;
mod reloads;
mod sessions;
mod upstreams;

use crate::harness::*;

/// A proxy whose operators have a token.
fn operated(upstream: &TestUpstream) -> (Proxy, Operator) {
    let proxy = Proxy::start(&Settings::request(&upstream.url()).operated());
    let operator = Operator::new(proxy.admin()).with_token();
    (proxy, operator)
}
