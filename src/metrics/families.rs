//! The metrics: their names, types, labels and help texts. docs/metrics.md lists the same.

use prometheus_client::{metrics::MetricType, registry::Unit};

/// A metric with all its series.
#[derive(Debug)]
pub struct Family {
    /// The name, with the unit and, for counters, `_total`.
    pub name: &'static str,
    /// The type: counter, gauge or histogram.
    pub kind: FamilyKind,
    /// The names of the labels. Their values come from the configuration or from closed lists.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyKind {
    /// A number that never falls while the series exists.
    Counter,
    /// A number at this moment.
    Gauge,
    /// Durations by bucket.
    Histogram,
}

const ROUTE: &[&str] = &["listener", "route"];
const ROUTE_DIRECTION: &[&str] = &["listener", "route", "direction"];
const ENDPOINT: &[&str] = &["upstream", "endpoint"];
const ENDPOINT_DIRECTION: &[&str] = &["upstream", "endpoint", "direction"];
const UPSTREAM: &[&str] = &["upstream"];

/// Declares the metrics, and [`ALL`] with every one of them.
macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal $labels:expr, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Family =
                Family { name: $name, kind: FamilyKind::$kind, labels: $labels, help: $help };
        )*

        /// All metrics, in the order in which a scrape has them.
        pub const ALL: &[Family] = &[$($constant),*];
    };
}

families! {
    SESSIONS_ACTIVE = Gauge "towline_sessions_active" ROUTE,
        "Sessions that have not ended, with requests that are forwarded as plain HTTP.";
    SESSIONS = Counter "towline_sessions_total" ROUTE, "Sessions that have started.";
    MESSAGES = Counter "towline_messages_total" ROUTE_DIRECTION,
        "Complete data messages of clients, read from them or written to them.";
    MESSAGE_BYTES = Counter "towline_message_bytes_total" ROUTE_DIRECTION,
        "Bytes of the payloads of these messages.";
    EVENTS = Counter "towline_events_total" ROUTE, "Events that were accepted from clients.";
    OUTCOMES = Counter "towline_outcomes_total" &["listener", "route", "outcome"],
        "Events that have their outcome.";
    PUSHES = Counter "towline_pushes_total" ROUTE, "Messages to clients that settle no event.";
    DISCARDED = Counter "towline_messages_discarded_total" ROUTE,
        "Messages that were dropped because their client does not read.";
    GAPS = Counter "towline_gaps_total" ROUTE, "Times that a client may have missed messages of its upstream.";
    REPLY = Histogram "towline_reply_seconds" ROUTE,
        "Time from a request that was written to the upstream to its reply.";
    ERRORS = Counter "towline_errors_total" &["stage", "kind"],
        "Failures of events and of messages, reported to the client where the route has error replies.";
    CLOSES = Counter "towline_close_total" &["side", "code"], "Closes of clients' connections.";
    REFUSED = Counter "towline_handshakes_refused_total" &["reason"], "Handshakes that were refused.";
    UPSTREAM_UP = Gauge "towline_upstream_up" ENDPOINT, "Whether the endpoint is up: 1, or 0 while it is down or ejected.";
    UPSTREAM_SESSIONS = Gauge "towline_upstream_sessions" ENDPOINT,
        "Connections to the endpoint that are up, and dials in progress.";
    UPSTREAM_CONNECTIONS = Counter "towline_upstream_connections_total" ENDPOINT,
        "Connections to the endpoint that came up for a session.";
    UPSTREAM_MESSAGES = Counter "towline_upstream_messages_total" ENDPOINT_DIRECTION,
        "Complete data messages, read from the endpoint or written to it.";
    UPSTREAM_MESSAGE_BYTES = Counter "towline_upstream_message_bytes_total" ENDPOINT_DIRECTION,
        "Bytes of the payloads of these messages.";
    RESTARTS = Counter "towline_connector_restarts_total" &["upstream", "reason"],
        "Lost connections and failed dials after which another attempt follows.";
    OUTAGE = Histogram "towline_outage_seconds" UPSTREAM,
        "Time from the loss of a session's connection to its next one.";
    MOVES = Counter "towline_moves_total" UPSTREAM, "Moves of sessions to another connection.";
    REPLAYS = Counter "towline_replays_total" UPSTREAM, "Journals that were replayed at a new connection.";
    QUEUE = Gauge "towline_queue_bytes" &[], "Bytes that sessions hold, in whole pieces of 16 KiB.";
    QUEUE_LIMIT = Gauge "towline_queue_limit_bytes" &[], "Bytes that all sessions together may hold.";
    LOG_DROPPED = Counter "towline_log_lines_dropped_total" &[],
        "Lines of the log that were dropped because its reader is too slow.";
    ACCESS_DROPPED = Counter "towline_access_lines_dropped_total" &[],
        "Lines of the access log that were dropped because its reader is too slow.";
    LOG_SUPPRESSED = Counter "towline_log_lines_suppressed_total" &[],
        "Lines of the log that were left out because many others say the same.";
    TAP_LOST = Counter "towline_tap_lost_total" &[],
        "Lines of taps that were lost because their reader is too slow.";
    TAP_SKIPPED = Counter "towline_tap_skipped_total" &[],
        "Lines of taps that were left out because their condition has no result.";
    SPANS_EXPORTED = Counter "towline_trace_spans_exported_total" &[], "Spans that the collector of traces has taken.";
    SPANS_LOST = Counter "towline_trace_spans_lost_total" &["reason"], "Spans that were not exported.";
    CONFIGURATION = Gauge "towline_configuration_number" &[], "Number of the configuration in force, from 1.";
    CONFIGURATIONS = Gauge "towline_configurations_alive" &[],
        "Configurations in use: the one in force, and those that sessions keep.";
    RELOADS = Counter "towline_reloads_total" &["result"], "Reloads of the settings.";
    WORKER_CONNECTIONS = Gauge "towline_worker_connections" &["worker"],
        "Connections of clients that each worker thread has, with those whose handshake is in progress.";
    DRAINING = Gauge "towline_draining" &[], "Whether the process drains: 1, or 0.";
    CERTIFICATE = Gauge "towline_certificate_expiry_timestamp_seconds" &["listener"],
        "When the first certificate of the listener expires, in seconds since the Unix epoch.";
    BUILD = Gauge "towline_build_info" &["version"], "The version of the program; the value is 1.";
    CPU = Counter "process_cpu_seconds_total" &[], "Processor time of the process.";
    RESIDENT = Gauge "process_resident_memory_bytes" &[], "Resident memory of the process.";
    OPEN_FDS = Gauge "process_open_fds" &[], "Open file descriptors of the process.";
    MAX_FDS = Gauge "process_max_fds" &[], "Limit on open file descriptors.";
    STARTED = Gauge "process_start_time_seconds" &[], "When the process started, in seconds since the Unix epoch.";
}

// === impl Family ===

impl Family {
    /// The name without unit and suffix, which the encoder adds again.
    pub(super) fn base(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        self.unit_name().and_then(|unit| name.strip_suffix(unit)?.strip_suffix('_')).unwrap_or(name)
    }

    /// The unit.
    pub(super) fn unit(&self) -> Option<&'static Unit> {
        self.unit_name().map(|unit| if unit == "bytes" { &Unit::Bytes } else { &Unit::Seconds })
    }

    fn unit_name(&self) -> Option<&'static str> {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        ["bytes", "seconds"].into_iter().find(|unit| name.ends_with(&format!("_{unit}")))
    }
}

impl FamilyKind {
    pub(super) fn metric_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
        }
    }

    /// The name of the type.
    pub fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_base_unit_and_suffix() {
        assert_eq!((MESSAGE_BYTES.base(), MESSAGE_BYTES.unit()), ("towline_message", Some(&Unit::Bytes)));
        assert_eq!((REPLY.base(), REPLY.unit()), ("towline_reply", Some(&Unit::Seconds)));
        assert_eq!((SESSIONS.base(), SESSIONS.unit()), ("towline_sessions", None));
    }

    #[test]
    fn counters_and_only_they_end_in_total() {
        for family in ALL {
            assert_eq!(family.name.ends_with("_total"), family.kind == FamilyKind::Counter, "{family:?}");
            assert!(family.help.ends_with('.'), "{family:?}");
        }
    }

    #[test]
    fn the_documentation_lists_each_metric_with_type_and_labels() {
        let docs = include_str!("../../docs/metrics.md");
        let rows =
            docs.lines().filter(|line| line.starts_with("| `towline_") || line.starts_with("| `process_"));
        let documented: Vec<_> = rows.map(|row| row.split('|').nth(1).unwrap().trim().to_owned()).collect();
        let names: Vec<_> = ALL.iter().map(|family| format!("`{}`", family.name)).collect();
        assert_eq!(documented, names);
        for family in ALL {
            let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
            let begins = format!("| `{}` | {} | {labels} |", family.name, family.kind.label());
            assert!(docs.contains(&begins), "{begins}");
        }
    }
}
