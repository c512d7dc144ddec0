//! Towline: a programmable, supervised WebSocket proxy.
//!
//! The modules, in the order in which a message passes them:
//!
//! ```text
//! cli, commands               the command line, and a module for each command
//! run                         opens the sockets, starts the workers, ends them after the drain
//! settings, log               the checked settings; the log
//! access                      the access log: one line for each session
//! listener                    accepts a client's connection and answers its handshake
//! client_address              the address of a client behind balancers
//! router                      selects the route of a request, checks its origin
//! authenticator, auth         authenticates the client by the credential in its request
//! header_list                 header values that are lists, headers for one connection only
//! http1                       messages of HTTP/1.1 with bodies, for requests that are forwarded
//! placeholders                texts with placeholders such as `${code}`
//! template                    header values with placeholders for parts of a request
//! spelling                    header names as the RFCs spell them
//! path                        paths of URLs, compared and checked
//! wiring                      starts and connects the actors of a session
//! wire, format                frames ⇄ messages ⇄ data (processor, codec)
//! channel                     socket, frames, format and byte budget: one bounded stream of events
//! session                     the client's actor: accepts events, settles each, keeps order
//! rate                        rate limits on clients
//! flow, event                 types that travel between actors: envelopes, tickets, permits
//! pipeline, trickle           programs over events
//! connector                   the upstream's actor: owns one connection and the events in flight on it
//! supervisor                  one per session: restarts connectors, turns their losses into failures
//! recovery                    journals: logins and subscriptions for a new upstream connection
//! upstream                    state of an upstream that all sessions share: endpoint, reconnect rate; dials
//! policy                      what happens to a client on the loss of its upstream
//! failure, format_error       kinds of failures
//! reply                       failures as texts and codes for the client
//! net                         streams, socket options, names, connecting
//! certificate                 certificates, and the properties of a client's TLS connection
//! files                       files that are read again when they change
//! authority, userinfo         user, password, host and port of a URL; the URL with its secrets masked
//! http_url                    URLs of servers that the proxy itself asks
//! figures                     numbers about sessions that other threads read
//! printable                   escapes of characters that change how a line is shown
//! turn, ticker, deadline      one turn of an actor with a socket; the actor's timers
//! clock, restart              the time of day; tasks that start again when they have panicked
//! memory                      frees memory of idle queues
//! reload                      what a reload of the settings changes, and when it takes effect
//! service                     systemd, and the process that takes over the sockets
//! server                      the process: live sessions, the configuration, the drain
//! metrics                     what Prometheus scrapes
//! admin                       the admin server: health pages and the API of operators
//! tap                         lets an operator follow messages and outcomes
//! traces                      spans of sessions and events, exported with OTLP
//! recording, replay           lines of a tap in a file; sends them again and compares what comes back
//! echo                        the demo upstream
//! tools                       programs without a proxy: evaluation and formatting
//! ```

pub mod access;
pub mod admin;
pub mod auth;
pub mod authenticator;
pub mod authority;
pub mod certificate;
pub mod channel;
pub mod cli;
pub mod client_address;
pub mod clock;
pub mod codec;
pub mod commands;
pub mod connector;
pub mod deadline;
pub mod echo;
pub mod failure;
pub mod figures;
pub mod files;
pub mod flow;
pub mod format;
pub mod format_error;
pub mod header_list;
pub mod http1;
pub mod http_url;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod net;
pub mod path;
pub mod pipeline;
pub mod placeholders;
pub mod policy;
pub mod printable;
pub mod processor;
pub mod rate;
pub mod recording;
pub mod reload;
pub mod replay;
pub mod reply;
pub mod restart;
pub mod router;
pub mod run;
pub mod server;
pub mod service;
pub mod session;
pub mod settings;
pub mod spelling;
pub mod supervisor;
pub mod tap;
pub mod template;
pub mod tools;
pub mod traces;
pub mod turn;
pub mod upstream;
pub mod userinfo;
pub mod wiring;

pub use towline_event as event;
pub use towline_recovery as recovery;
pub use towline_trickle as trickle;
pub use towline_wire as wire;

pub use self::run::run;
