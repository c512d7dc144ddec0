//! The figures of a session after traffic that the test knows.

use std::{sync::Arc, time::Duration};

use super::{
    start,
    tests::{PROXY, TestBed, on_worker},
};
use crate::figures::{Counts, SessionFigures, SessionTotals, TrafficTotals};

/// Waits until the figures are as `is_done` wants.
async fn wait(figures: &SessionFigures, is_done: impl Fn(&SessionTotals) -> bool) -> SessionTotals {
    loop {
        let totals = figures.totals();
        if is_done(&totals) {
            return totals;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn the_figures_count_messages_bytes_outcomes_and_restarts() {
    on_worker(async {
        let mut bed = TestBed::new(PROXY);
        let (parts, mut client) = bed.parts().await;
        let figures = Arc::clone(&parts.figures);
        let (start_of_upstream, mut upstream) = bed.upstream().await;
        start(parts, bed.route(), Some(start_of_upstream));
        assert_eq!(figures.totals(), SessionTotals::default());

        client.send("four").await;
        assert_eq!(upstream.text().await, "four");
        upstream.send("answer").await;
        assert_eq!(client.text().await, "answer");
        upstream.send("push").await;
        assert_eq!(client.text().await, "push");
        client.send("lost").await;
        assert_eq!(upstream.text().await, "lost");
        let asked = wait(&figures, |totals| totals.sent.messages == 2).await;
        assert_eq!(asked.received, TrafficTotals { messages: 2, bytes: 8 });
        assert_eq!(asked.sent, TrafficTotals { messages: 2, bytes: 10 });
        assert_eq!(asked.counts, Counts { accepted: 2, answered: 1, ..Counts::default() });
        assert_eq!((asked.counts.unsettled(), asked.pushed, asked.restarts), (1, 1, 0));
        assert!(asked.active.is_some());

        drop(upstream);
        let error = client.text().await;
        let ended = wait(&figures, |totals| totals.sent.messages == 3 && totals.restarts == 1).await;
        assert_eq!(ended.counts, Counts { accepted: 2, answered: 1, errored: 1, ..Counts::default() });
        assert_eq!(ended.sent.bytes, 10 + error.len() as u64);
        assert_eq!((ended.counts.unsettled(), ended.discarded, ended.moves), (0, 0, 0));
        drop(client);
        bed.gone().await;
        assert_eq!(figures.totals(), ended, "the figures outlive the session");
    });
}
