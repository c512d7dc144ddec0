//! Tests of the drain of a process with a thousand busy sessions (guarantee C9): every event is settled, and
//! the clients are closed over the whole window.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::harness::*;

const SESSIONS: usize = 1000;

/// The window of the drain, long enough for a slow machine.
const WINDOW: Duration = Duration::from_secs(8);

/// How the connection of one client ended.
struct Fate {
    /// The code of the close frame; `None` when there was no close frame.
    code: Option<u16>,
    closed: Instant,
    asked: usize,
    answered: usize,
    errors: usize,
}

/// Sends requests one after another, each after the reply to the one before, until the proxy closes the
/// connection.
fn chat(mut raw: Raw, asking: &AtomicUsize) -> Fate {
    let mut fate = Fate { code: None, closed: Instant::now(), asked: 0, answered: 0, errors: 0 };
    loop {
        raw.send(&Frame::client(TEXT, b"question"));
        fate.asked += 1;
        if fate.asked == 2 {
            asking.fetch_add(1, SeqCst);
        }
        let Some(frame) = raw.frame() else { break };
        match frame.opcode {
            CLOSE => {
                fate.code = Some(frame.close_parts().0);
                fate.closed = Instant::now();
                raw.send(&Frame::client(CLOSE, &frame.payload));
                break;
            }
            _ if frame.payload == b"question" => fate.answered += 1,
            _ => fate.errors += 1,
        }
        think(&raw);
    }
    fate
}

/// Pauses between two requests, because a thousand clients without a pause would only measure the machine. A
/// message that arrives ends the pause.
fn think(raw: &Raw) {
    raw.stream().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let _ = raw.stream().peek(&mut [0]);
    raw.stream().set_read_timeout(Some(PATIENCE)).unwrap();
}

fn start(addr: std::net::SocketAddr, asking: &Arc<AtomicUsize>) -> JoinHandle<Fate> {
    let raw = Raw::upgraded(addr);
    let asking = Arc::clone(asking);
    let builder = std::thread::Builder::new().stack_size(128 << 10);
    builder.spawn(move || chat(raw, &asking)).expect("a thread")
}

#[test]
fn a_thousand_busy_sessions_are_closed_over_the_window_without_loss() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(&format!("drain.window = \"{}s\"", WINDOW.as_secs()))
        .with(r#"drain.grace = "30s""#);
    let mut proxy = Proxy::start(&settings);
    let asking = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..SESSIONS).map(|_| start(proxy.addr(), &asking)).collect();
    wait_for("traffic in all sessions", 3 * PATIENCE, || asking.load(SeqCst) == SESSIONS);

    let begun = Instant::now();
    proxy.signal("TERM");
    let fates: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert_eq!(proxy.exit_code(), Some(0));

    assert!(fates.iter().all(|fate| fate.code == Some(1001)), "every client got its close frame");
    assert_eq!(fates.iter().map(|fate| fate.errors).sum::<usize>(), 0, "the upstream was there all the time");
    // Every request that the proxy accepted was answered. It did not accept requests that crossed the close frame.
    assert!(fates.iter().all(|fate| fate.asked - fate.answered <= 1));
    let ends: Vec<_> = proxy.log().into_iter().filter(|line| line.contains("session closed")).collect();
    assert_eq!(ends.len(), SESSIONS);
    assert!(ends.iter().all(|line| line.contains(" errored=0 dropped=0 unsettled=0 ")));

    let curve = curve(&fates, begun);
    println!("clients closed in each tenth of the window: {curve:?}");
    // A busy machine closes clients late, and never early. A tenth of the window has 100 closes on average, and the first
    // tenths have 80 more than that together in fewer than 1 of 10^6 runs.
    let mut sum = 0;
    for (tenth, closed) in curve.iter().enumerate() {
        sum += closed;
        assert!(sum <= 100 * (tenth + 1) + 80, "{sum} in {} tenths: {curve:?}", tenth + 1);
    }
    // A close may be a tenth of the window late.
    assert!(curve[..9].iter().sum::<usize>() >= 700, "{curve:?}");
}

/// The number of clients closed in each tenth of the window. The last number includes those closed later.
fn curve(fates: &[Fate], begun: Instant) -> [usize; 10] {
    let mut curve = [0; 10];
    for fate in fates {
        let tenth = (fate.closed - begun).as_secs_f64() / WINDOW.as_secs_f64() * 10.0;
        curve[(tenth as usize).min(9)] += 1;
    }
    curve
}
