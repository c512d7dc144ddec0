//! A tap that does not keep up, or does not read, costs the sessions nothing.

use super::*;

/// Opens a tap and does not read.
fn stalled(proxy: &Proxy, query: &str) -> Raw {
    let mut raw = Raw::connect_narrow(proxy.admin());
    let request = format!(
        "GET /api/tap?{query} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n",
        proxy.admin()
    );
    raw.write(request.as_bytes());
    assert_eq!(raw.head().status(), 200);
    raw
}

/// More messages than a tap and the buffers of its socket hold.
const COUNT: usize = 20_000;

/// Sends messages and reads their replies.
fn converse(proxy: &Proxy, count: usize) {
    let mut client = proxy.client();
    let mut sender = client.sender();
    let frame = Frame::client(TEXT, vec![b'x'; 100]).bytes();
    let writer = std::thread::spawn(move || {
        for _ in 0..count {
            std::io::Write::write_all(&mut sender, &frame).unwrap();
        }
    });
    for number in 0..count {
        assert_eq!(client.recv_text().len(), 100, "reply {number}");
    }
    writer.join().unwrap();
}

#[test]
fn a_reader_that_stalls_loses_lines_and_no_message() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    converse(&proxy, 2000);
    let before = proxy.resident_kib();
    let mut raw = stalled(&proxy, "direction=from_client,outcome&payload=true");
    converse(&proxy, COUNT);
    let grown = proxy.resident_kib().saturating_sub(before);
    // The allocator takes memory in pieces of up to a mebibyte, so the process grows by more than what the tap holds.
    assert!(grown < 8 * 1024, "{grown} KiB: the tap's 4 MiB, and a part for the rest of the process");
    // The reader continues until everything that was kept has arrived, and the count of the rest.
    let (mut shown, mut lost) = (0, 0);
    while shown + lost < 2 * COUNT {
        for line in raw.chunk().lines().filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_str(line).unwrap();
            match line["lost"].as_u64() {
                Some(count) => lost += count as usize,
                None => shown += 1,
            }
        }
    }
    assert!(lost > 0, "the reader has stalled");
    assert_eq!(shown + lost, 2 * COUNT, "each line was shown or counted");
    assert_eq!(Scraped::of(proxy.admin()).sum("towline_tap_lost_total", &[]), lost as f64);
    let account = proxy.account("1:1");
    assert_eq!((account.answered, account.errored), (COUNT, 0));
}

#[test]
fn a_reader_that_is_gone_ends_its_tap() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let descriptors = proxy.descriptors_at_rest();
    let raw = stalled(&proxy, "");
    let mut client = proxy.client();
    client.ask("x");
    drop(raw);
    // Writing to the connection shows that it has ended.
    wait_for("the end of the tap", PATIENCE, || {
        client.ask("x");
        proxy.descriptors() <= descriptors + 2
    });
}

#[test]
fn conditions_that_fail_are_counted_and_sessions_go_on() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::json(&upstream.url())));
    let mut tap = Tap::open(&proxy, &["--where", "event.missing > 1", "--direction", "from_client"]);
    let mut client = proxy.client();
    for _ in 0..5 {
        client.ask("{\"x\":1}");
    }
    let mut skipped = 0;
    while skipped < 5 {
        skipped += tap.line()["skipped"].as_u64().unwrap();
    }
    assert_eq!(skipped, 5);
    assert_eq!(Scraped::of(proxy.admin()).sum("towline_tap_skipped_total", &[]), 5.0);
}

#[test]
fn a_drain_ends_the_taps() {
    let upstream = TestUpstream::echo();
    let mut proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let mut tap = Tap::open(&proxy, &[]);
    proxy.signal("TERM");
    assert_eq!(proxy.exit_code(), Some(0));
    let (_, errors, code) = tap.rest();
    assert_eq!(code, Some(1), "{errors}");
}
