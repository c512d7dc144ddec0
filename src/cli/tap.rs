//! The options of `towline tap` and `towline replay`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::replay::Speed;

pub(super) const TAP_EXAMPLES: &str = "\
Examples:
  towline tap --token-file admin.token
  towline tap --session 1:0 --payload
  towline tap --where 'event.type == \"order\"' --direction from_client,outcome
  towline tap --payload --record run.jsonl
  towline tap --for 10s --har run.har

The proxy allows taps if its settings have admin.tap = true. Prints lines for people on a terminal, and JSON
lines otherwise or with --json. SIGINT ends it.";

pub(super) const REPLAY_EXAMPLES: &str = "\
Examples:
  towline replay run.jsonl --url ws://127.0.0.1:9139
  towline replay run.jsonl --url ws://127.0.0.1:9139 --speed fast --wait-replies
  towline replay run.jsonl --url ws://127.0.0.1:9139 --speed 10 --json

Opens a connection for each session of the record, sends its messages again, and compares what comes back.
Exits with 1 if anything differs.";

/// The points at which a tap sees messages.
const DIRECTIONS: [&str; 5] = ["from_client", "to_upstream", "from_upstream", "to_client", "outcome"];

/// The options of `towline tap`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct Tap {
    /// The admin server.
    #[command(flatten)]
    pub access: Access,
    /// Only this session, such as 1:0
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Only sessions of this route
    #[arg(long, value_name = "NAME")]
    pub route: Option<String>,
    /// Only sessions of this listener
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// Only these directions, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = DIRECTIONS)]
    pub direction: Vec<String>,
    /// Only messages for which this expression is true; it sees event, $ and $tap
    #[arg(long = "where", value_name = "EXPR")]
    pub condition: Option<String>,
    /// Show the contents of messages, with secrets masked
    #[arg(long)]
    pub payload: bool,
    /// Cut contents above this number of bytes [default: 65536]
    #[arg(long, value_name = "BYTES", requires = "payload")]
    pub max_payload: Option<usize>,
    /// Write a record to this file, for towline replay
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Write the messages with their contents to this file as HAR when the command ends
    #[arg(long, value_name = "FILE")]
    pub har: Option<PathBuf>,
    /// Print JSON lines even on a terminal
    #[arg(long)]
    pub json: bool,
    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub time: Option<Duration>,
    /// End after this number of lines
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
}

/// How to reach the admin server of a proxy.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct Access {
    /// The admin server of the proxy
    #[arg(long, value_name = "URL", env = "TOWLINE_ADMIN", default_value = "http://127.0.0.1:9140")]
    pub admin: String,
    /// The file with the operator's token
    #[arg(long, value_name = "FILE", env = "TOWLINE_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

/// The options of `towline replay`.
#[derive(Debug, Args, PartialEq)]
pub struct Replay {
    /// The record
    #[arg(value_name = "FILE")]
    pub record: PathBuf,
    /// The URL to connect to: ws:// or wss://
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// A header of the handshakes, such as 'Authorization: Bearer x'; can be repeated
    #[arg(long, value_name = "HEADER")]
    pub header: Vec<String>,
    /// original, fast (without pauses), or a factor such as 10
    #[arg(long, value_name = "SPEED", default_value = "original", value_parser = speed)]
    pub speed: Speed,
    /// Send a message when those before it are answered
    #[arg(long)]
    pub wait_replies: bool,
    /// The longest wait for an expected message
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Replay even if lines are missing or values are masked
    #[arg(long)]
    pub allow_incomplete: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

fn speed(text: &str) -> Result<Speed, String> {
    match text {
        "original" => Ok(Speed::Times(1.0)),
        "fast" => Ok(Speed::Fast),
        number => {
            let times = number.parse::<f64>().ok().filter(|times| (0.01..=10_000.0).contains(times));
            times
                .map(Speed::Times)
                .ok_or_else(|| "takes original, fast, or a number from 0.01 to 10000".to_owned())
        }
    }
}
