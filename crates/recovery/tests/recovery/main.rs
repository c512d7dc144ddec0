//! Recovery of sessions, from outside: each preset message by message, and random histories.

// Clippy sees tests only in functions with `#[test]`.
#![allow(clippy::unwrap_used)]

mod action_cable;
mod graphql;
mod json_rpc;
mod model;
mod mqtt;
mod mqtt_model;
mod openai_realtime;
mod patterns;
mod phoenix;
mod program;
mod rig;
mod stomp;

use towline_recovery::{Protocol, Recovery, Settings};

const LOST: &str = "the connection to the upstream was lost before it answered";
const REFUSED: &str = "the upstream refused the subscription after a reconnect";
const NONE: [&str; 0] = [];

fn preset(name: &str) -> Protocol {
    Protocol::preset(name).unwrap()
}

/// The line of a message to the upstream.
fn sent(text: &str) -> [String; 1] {
    [format!("> {text}")]
}

/// The line of a message to the client.
fn delivered(text: &str) -> [String; 1] {
    [format!("< {text}")]
}

#[test]
fn each_preset_has_a_protocol_that_compiles() {
    for name in Protocol::PRESETS {
        Recovery::new(&preset(name), Settings::default()).unwrap();
    }
    assert_eq!(Protocol::preset("socket.io"), None);
}

/// A journal moves with its session's connector.
#[test]
fn a_journal_may_move_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<towline_recovery::Journal>();
    is_send::<Recovery>();
}
