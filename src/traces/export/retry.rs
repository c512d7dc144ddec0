//! Whether and when a request to the collector is repeated.
//!
//! No clocks are used here.

use std::time::Duration;

/// Maximum number of attempts to send the same spans. With the pauses between them, they span about half a minute;
/// meanwhile new spans wait in the queue.
pub(super) const ATTEMPTS_MAX: u32 = 6;

/// The pause after the first attempt. It doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause, whatever the collector asks for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Whether the same spans may be accepted later (OTLP: "Retryable Response Codes").
pub(super) fn is_retryable(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// The pause after this many failed attempts; `None` if there is no further one. `retry_after` is what the collector asks
/// for.
pub(super) fn pause(failed: u32, retry_after: Option<Duration>) -> Option<Duration> {
    let doubled = PAUSE_MIN.saturating_mul(1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX));
    (failed < ATTEMPTS_MAX).then(|| doubled.max(retry_after.unwrap_or_default()).min(PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_last_attempt() {
        let pauses: Vec<_> =
            (1..).map_while(|failed| pause(failed, None)).map(|pause| pause.as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16]);
    }

    #[test]
    fn the_collector_may_ask_for_a_longer_pause() {
        let asked = |seconds| pause(2, Some(Duration::from_secs(seconds))).unwrap().as_secs();
        assert_eq!([asked(0), asked(10), asked(86_400)], [2, 10, 30]);
        assert_eq!(pause(ATTEMPTS_MAX, Some(Duration::from_secs(1))), None);
    }

    #[test]
    fn only_these_statuses_are_retried() {
        let retried: Vec<_> = (100..600).filter(|status| is_retryable(*status)).collect();
        assert_eq!(retried, [429, 502, 503, 504]);
    }
}
