//! Metrics over reloads: numbers go on, and series end with what they are about.

use crate::harness::*;

/// Settings with one route for each name, for the path of that name.
fn settings(routes: &[&str]) -> Settings {
    let settings = Settings::bare().with(r#"listener.ws.bind = "127.0.0.1:0""#);
    let settings = settings.pipeline("echo", "select event from in into reply;");
    routes.iter().fold(settings, |settings, name| {
        let (name, path) = (format!("name = {name:?}"), format!("path = \"/{name}\""));
        settings.route(&[&name, &path, r#"incoming = ["echo"]"#])
    })
}

#[track_caller]
fn messages(scraped: &Scraped, route: &str) -> f64 {
    scraped.sum("towline_messages_total", &[("route", route), ("direction", "received")])
}

/// Waits until as many messages of the two routes are counted.
#[track_caller]
fn counted(proxy: &Proxy, expected: (f64, f64)) -> Scraped {
    proxy.wait_metrics("the messages", |scraped| {
        (messages(scraped, "kept"), messages(scraped, "removed")) == expected
    })
}

fn has(scraped: &Scraped, route: &str) -> bool {
    scraped.samples.keys().any(|(_, labels)| labels.get("route").is_some_and(|name| name == route))
}

#[test]
fn a_removed_route_keeps_its_series_until_its_last_session_has_ended() {
    let proxy =
        Proxy::start(&settings(&["kept", "removed"])).expect("reload failed").expect("reload problem");
    let open = |route: &str| Opening::new(proxy.addr()).path(&format!("/{route}")).open();
    let (mut kept, mut removed) = (open("kept"), open("removed"));
    for client in [&mut kept, &mut removed] {
        assert_eq!(client.ask("hello"), "hello");
    }
    let scraped = counted(&proxy, (1.0, 1.0));
    assert_eq!(scraped.sum("towline_reloads_total", &[]), 0.0);

    proxy.reload(&settings(&["kept", "added"]).with(r#"server.buffer = "123MiB""#));
    assert_eq!(removed.ask("again"), "again");
    assert_eq!(kept.ask("again"), "again");
    // The numbers go on.
    let scraped = counted(&proxy, (2.0, 2.0));
    assert!(has(&scraped, "added"), "it begins at zero");
    for (name, labels, number) in [
        ("towline_reloads_total", &[("result", "done")][..], 1.0),
        ("towline_reloads_total", &[("result", "failed")], 0.0),
        ("towline_configuration_number", &[], 2.0),
        ("towline_configurations_alive", &[], 2.0),
        ("towline_queue_limit_bytes", &[], f64::from(123 << 20)),
    ] {
        assert_eq!(scraped.sum(name, labels), number, "{name}");
    }

    removed.close(1000, "");
    let scraped = proxy.wait_metrics("the series to end", |scraped| !has(scraped, "removed"));
    assert_eq!(messages(&scraped, "kept"), 2.0);
    proxy.reload_broken(&settings(&["kept"]).with("server.unknown = 1"));
    proxy.wait_metrics("the failed reload", |scraped| {
        scraped.sum("towline_reloads_total", &[("result", "failed")]) == 1.0
    });
}
