//! Tests of the admin server and of the commands that use it.

mod access;
mod closing;
mod commands;
mod connections;
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

/// A client whose first event, 1:0:0, has failed, and whose session has connected again. The upstream is silent.
fn failed_once(proxy: &Proxy, upstream: &TestUpstream) -> Client {
    let mut client = proxy.client();
    client.text("a");
    upstream.conn(0).wait_messages(1);
    upstream.conn(0).die(Death::Reset);
    client.recv_error();
    proxy.wait_ups(2);
    client
}
