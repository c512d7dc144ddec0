//! Tests of misbehaving upstreams: the client gets error replies, the log names the reason, and the session
//! continues (guarantees C1, C5).

mod answers;
mod behaviour;
mod frames;

use crate::harness::*;

/// The error text `Error receiving reply from server URL: REASON`.
fn receiving(upstream: &TestUpstream, reason: &str) -> String {
    format!("Error receiving reply from server {}: {reason}", upstream.url())
}

/// The error text `Error sending event to server URL: REASON`.
fn sending(upstream: &TestUpstream, reason: &str) -> String {
    format!("Error sending event to server {}: {reason}", upstream.url())
}

/// Ends the session, and checks that each of its `accepted` events has one outcome.
#[track_caller]
fn finish(mut client: Client, proxy: &Proxy, session: usize, accepted: usize) {
    client.close(1000, "");
    client.expect_closed(1000);
    let account = proxy.account(&format!("1:{session}"));
    assert_eq!((account.accepted, account.unsettled), (accepted, 0), "{account:?}");
    assert!(account.is_balanced(), "{account:?}");
}
