//! The exporter: takes spans from the queue on a separate thread, and sends them to the collector in batches.
//!
//! OTLP over HTTP with protobuf, as the specification recommends for all that export.

mod collector;
mod otlp;
mod retry;

use std::{io, sync::Arc, time::Duration};

use actix_rt::Arbiter;
use bytes::Bytes;
use prost::Message;
use tokio::{
    sync::{Mutex, mpsc::Receiver, oneshot, watch},
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use self::{
    collector::{Collector, NotTaken},
    otlp::{ExportRequest, PartialSuccess, Service},
};
use super::{EndedSpan, LossReason, SpanCounts, Tracer, TracesConfig};
use crate::{
    log::{PlaceLimit, Quoted},
    net::{Network, tls::reread},
    restart::restarted,
};

/// Maximum number of spans in a request, as in the SDKs of OpenTelemetry.
const BATCH_MAX: usize = 512;

/// How long the process waits at its end for the spans that are left.
const FINISH_MAX: Duration = Duration::from_secs(2);

/// How much longer the process waits for the exporter's thread.
const FINISH_SLACK: Duration = Duration::from_millis(500);

/// Maximum length of a text of the collector in a line of the log, in bytes.
const REASON_MAX: usize = 200;

/// The field of log lines about the certificates that the collector may have.
const OWNER: &str = "traces=url";

/// Limits the lines about spans that the collector refuses.
static REJECTED: PlaceLimit = PlaceLimit::new(1);

/// The exporter of the process.
pub struct Exporter {
    thread: Arbiter,
    end: watch::Sender<Option<Instant>>,
    finished: oneshot::Receiver<()>,
}

/// What the exporter's task needs, which outlives a panic of the task.
struct Work {
    config: Arc<TracesConfig>,
    counts: Arc<SpanCounts>,
    network: Arc<Network>,
    service: Service,
    /// Until when spans may be exported, once the process ends.
    end: watch::Receiver<Option<Instant>>,
    queue: Mutex<ExportQueue>,
}

struct ExportQueue {
    spans: Receiver<EndedSpan>,
    /// The spans of the next request.
    batch: Vec<EndedSpan>,
    /// Whether the last request has failed.
    is_failing: bool,
    finished: Option<oneshot::Sender<()>>,
}

// === impl Exporter ===

impl Exporter {
    /// Starts the exporter on its thread; `None` if the tracer has one already. Call it on an actix system.
    ///
    /// # Errors
    /// When the thread or its event loop cannot be created.
    pub fn start(tracer: &Tracer, network: &Arc<Network>) -> io::Result<Option<Self>> {
        let Some(spans) = tracer.take_spans() else { return Ok(None) };
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot start the thread that exports traces: {error}"))
        };
        let thread = Arbiter::try_new().map_err(failed)?;
        let (end, ending) = watch::channel(None);
        let (sender, finished) = oneshot::channel();
        let (config, counts) = (Arc::clone(tracer.config()), Arc::clone(tracer.counts()));
        log::info!("traces are exported url={}", config.url.shown);
        if let Some(tls) = config.tls.clone() {
            thread.spawn(restarted("roots", move || {
                let tls = tls.clone();
                async move { match reread::follow(&tls, OWNER).await {} }
            }));
        }
        let instance = format!("{:032x}", rand::random::<u128>());
        let service = Service { name: Arc::clone(&config.service), instance };
        let queue = ExportQueue { spans, batch: Vec::new(), is_failing: false, finished: Some(sender) };
        let (network, queue) = (Arc::clone(network), Mutex::new(queue));
        let work = Arc::new(Work { config, counts, network, service, end: ending, queue });
        thread.spawn(restarted("traces", move || export(Arc::clone(&work))));
        Ok(Some(Self { thread, end, finished }))
    }

    /// Exports what is left, for a moment, and ends the thread. Call it when no session is left.
    pub async fn finish(self) {
        self.end.send_replace(Some(Instant::now() + FINISH_MAX));
        let _ = timeout(FINISH_MAX + FINISH_SLACK, self.finished).await;
        self.thread.stop();
    }
}

/// Exports spans until the process ends.
async fn export(work: Arc<Work>) {
    let collector = Collector::new(&work.config, &work.network);
    let mut queue = work.queue.lock().await;
    while !work.is_ending() {
        queue.fill(&work).await;
        queue.deliver(&work, &collector).await;
    }
    queue.spans.close();
    queue.take_waiting();
    while !queue.batch.is_empty() && !work.is_over() {
        queue.deliver(&work, &collector).await;
        queue.take_waiting();
    }
    let left = (queue.batch.len() + queue.spans.len()) as u64;
    if left > 0 {
        work.counts.lost(LossReason::NotExported, left);
        log::warn!("spans left at the end spans={left}");
    }
    queue.finished.take().into_iter().for_each(|finished| _ = finished.send(()));
}

// === impl Work ===

impl Work {
    /// Whether the process ends.
    fn is_ending(&self) -> bool {
        self.end.borrow().is_some()
    }

    /// Whether the time for the last spans is over.
    fn is_over(&self) -> bool {
        self.end.borrow().is_some_and(|end| end <= Instant::now())
    }

    /// Waits until the process ends. Returns until when spans may be exported.
    async fn ending(&self) -> Instant {
        let mut end = self.end.clone();
        let end = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        // Without the sender, the process has ended.
        end.unwrap_or_else(Instant::now)
    }

    /// Waits until the time for the last spans is over.
    async fn over(&self) {
        sleep_until(self.ending().await).await;
    }
}

// === impl ExportQueue ===

impl ExportQueue {
    /// Collects a batch: until it is full, its first span has waited for `traces.export_interval`, or the process ends.
    async fn fill(&mut self, work: &Work) {
        let mut end = None;
        while self.batch.len() < BATCH_MAX {
            let room = BATCH_MAX - self.batch.len();
            let more = async {
                let more = self.spans.recv_many(&mut self.batch, room);
                match end {
                    Some(end) => timeout_at(end, more).await.is_ok_and(|count| count > 0),
                    None => more.await > 0,
                }
            };
            tokio::select! {
                biased;
                _ = work.ending() => return,
                has_more = more => if !has_more { return },
            }
            end.get_or_insert_with(|| Instant::now() + work.config.interval);
        }
    }

    /// Fills the batch with what is in the queue now.
    fn take_waiting(&mut self) {
        while self.batch.len() < BATCH_MAX
            && let Ok(span) = self.spans.try_recv()
        {
            self.batch.push(span);
        }
    }

    /// Sends the batch, again and again where that may help. Then the batch is empty, and its spans are counted, unless
    /// the time at the end of the process is over.
    async fn deliver(&mut self, work: &Work, collector: &Collector) {
        if self.batch.is_empty() {
            return;
        }
        let body = Bytes::from(ExportRequest::new(&work.service, &self.batch).encode_to_vec());
        let mut failed = 0;
        loop {
            let sent = tokio::select! {
                sent = collector.send(body.clone()) => sent,
                () = work.over() => return,
            };
            let NotTaken { reason, is_retryable, retry_after } = match sent {
                Ok(refused) => return self.taken(work, &refused),
                Err(not_taken) => not_taken,
            };
            failed += 1;
            self.log_failure(work, &reason);
            let pause = retry::pause(failed, retry_after).filter(|_| is_retryable && !work.is_ending());
            let Some(pause) = pause else { break };
            tokio::select! {
                () = sleep(pause) => {}
                // Once more, and then there is no time.
                _ = work.ending() => {}
            }
        }
        work.counts.lost(LossReason::NotExported, self.batch.len() as u64);
        self.batch.clear();
    }

    /// The collector has taken the batch, without the spans that it refused.
    fn taken(&mut self, work: &Work, PartialSuccess { rejected_spans, error_message }: &PartialSuccess) {
        let all = self.batch.len() as u64;
        let rejected = u64::try_from(*rejected_spans).unwrap_or(0).min(all);
        work.counts.exported(all - rejected);
        work.counts.lost(LossReason::Rejected, rejected);
        self.batch.clear();
        if rejected > 0
            && let Some(suppressed) = REJECTED.line(std::time::Instant::now())
        {
            let reason = &error_message[..error_message.floor_char_boundary(REASON_MAX)];
            log::warn!(
                "spans refused by the collector spans={rejected} reason={}{suppressed}",
                Quoted(reason)
            );
        }
        if std::mem::take(&mut self.is_failing) {
            log::info!("traces are exported again url={}", work.config.url.shown);
        }
    }

    /// Logs the first failure after a success.
    fn log_failure(&mut self, work: &Work, reason: &str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let url = &work.config.url.shown;
            log::warn!("traces not exported url={url} reason={}", Quoted(reason));
        }
    }
}
