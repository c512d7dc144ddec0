//! End-to-end tests of the real program, one file for each concern. `harness` has the proxy under test, test
//! upstreams and clients.
//!
//! Three folders are collections of cases: `malformed` has invalid input from clients; `upstreams` has
//! misbehaving upstreams; `faults` has one file for each fault, with a test for each side.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs,
    reason = "a test fails by panicking and prints for its reader, and nothing here is a public interface"
)]

mod access_log;
mod admin;
mod admission;
mod affinity;
mod architecture;
mod auth;
mod auth_basic;
mod auth_certificates;
mod auth_forward;
mod binding;
mod breakers;
mod bursts;
mod chaos;
mod checks;
mod chosen;
mod client_address;
mod closing;
mod codecs;
mod commands;
mod correlation;
mod demo;
mod descriptors;
mod discovery;
mod draining;
mod evacuation;
mod expiry;
mod faults;
mod figures;
mod fileless;
mod first_dial;
mod floods;
mod forwarding;
mod frames;
mod handshakes;
mod harness;
mod headers;
mod health;
mod hold;
mod issuers;
mod journal_chaos;
mod journal_programs;
mod keepalives;
mod key_limits;
mod lang;
mod language;
mod lifetimes;
mod liveness;
mod lock_files;
mod log_reader;
mod logging;
mod logs;
mod losses;
mod malformed;
mod memory;
mod metrics;
mod moves;
mod names;
mod notices;
mod operations;
mod origins;
mod outages;
mod outcomes;
mod packaging;
mod page;
mod paths;
mod pipelines;
mod plain;
mod pools;
mod pressure;
mod protocol_failures;
mod rates;
mod readme;
mod real_clients;
mod realworld;
mod reasons;
mod recovery;
mod refusals;
mod reload;
mod renewals;
mod routes;
mod secrets;
mod selftest;
mod service;
mod siege;
mod sockets;
mod streaming;
mod subprotocols;
mod supervision;
mod tap;
mod tls_listener;
mod tls_upstreams;
mod tokens;
mod tools;
mod traces;
mod unfinished;
mod upstreams;
mod workers;
