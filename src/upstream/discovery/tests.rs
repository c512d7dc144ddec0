use proptest::prelude::*;

use super::*;
use crate::settings::fixture;

fn endpoint(url: &str, weight: u32) -> EndpointConfig {
    EndpointConfig { weight, ..EndpointConfig::new(UpstreamUrl::parse(url).unwrap()) }
}

fn discovery(urls: &[&str]) -> Discovery {
    let mut settings = fixture::upstream();
    settings.endpoints = urls.iter().map(|url| endpoint(url, 2)).collect();
    settings.resolve_each = Some(std::time::Duration::from_secs(30));
    Discovery::new(&settings)
}

fn addresses(last: &[u8]) -> Vec<SocketAddr> {
    last.iter().map(|last| SocketAddr::from(([10, 0, 0, *last], 0))).collect()
}

fn labels(discovery: &Discovery) -> Vec<String> {
    discovery.endpoints().endpoints.iter().map(|endpoint| endpoint.url.label()).collect()
}

fn names(discovery: &Discovery) -> Vec<&str> {
    discovery.names().iter().map(|name| &**name).collect()
}

/// Takes an answer with these addresses. Returns whether the list of endpoints is made again.
fn answer(discovery: &mut Discovery, name: &str, last: &[u8]) -> bool {
    let before = Arc::clone(discovery.endpoints());
    discovery.resolved(name, &addresses(last));
    !Arc::ptr_eq(&before, discovery.endpoints())
}

fn list(endpoints: impl Into<Vec<EndpointConfig>>) -> EndpointList {
    EndpointList { endpoints: endpoints.into(), left_out: LeftOut::default() }
}

#[test]
fn a_name_is_one_endpoint_until_it_is_looked_up_and_then_one_for_each_address() {
    let mut discovery =
        discovery(&["ws://chat.test:81/a", "ws://10.0.0.9", "ws://[::1]:1", "unix:/run/c.sock"]);
    let literal = ["ws://10.0.0.9", "ws://[::1]:1", "unix:/run/c.sock"];
    assert_eq!(names(&discovery), ["chat.test"]);
    assert_eq!(labels(&discovery)[..1], ["ws://chat.test:81/a"]);
    assert!(answer(&mut discovery, "chat.test", &[2, 1, 2]));
    assert_eq!(labels(&discovery)[..2], ["ws://chat.test:81/a (10.0.0.1)", "ws://chat.test:81/a (10.0.0.2)"]);
    assert_eq!(labels(&discovery)[2..], literal);
    let first = &discovery.endpoints().endpoints[0];
    assert_eq!(first.weight, 2, "each address has the weight of its name");
    assert_eq!(first.url.place(), Some(&Place::Address(([10, 0, 0, 1], 81).into())));
    assert_eq!(&*first.url.request(), "ws://chat.test:81/a", "the request names the host");
    assert!(!answer(&mut discovery, "chat.test", &[1, 2]), "the order says nothing");
    assert!(!answer(&mut discovery, "chat.test", &[]), "no address is a failed look-up");
    assert!(!answer(&mut discovery, "other.test", &[1]));
    assert_eq!(labels(&discovery).len(), 5);
    discovery.list(vec![endpoint("ws://other.test", 1)]);
    assert_eq!((names(&discovery), labels(&discovery)), (vec!["other.test"], vec!["ws://other.test".into()]));
    assert!(discovery.found.is_empty());
}

#[test]
fn an_address_goes_with_the_second_answer_in_a_row_that_lacks_it() {
    let mut discovery = discovery(&["ws://chat.test"]);
    let mut after = |last: &[u8]| {
        answer(&mut discovery, "chat.test", last);
        let addresses = discovery.endpoints().endpoints.iter().filter_map(|endpoint| endpoint.url.address());
        addresses.map(|address| address.to_string().replace("10.0.0.", "")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(after(&[1, 2]), "1 2");
    assert_eq!(after(&[2, 3]), "1 2 3");
    assert_eq!(after(&[1, 3]), "1 2 3", "the first is back, and the second is missing for the first time");
    assert_eq!(after(&[3]), "1 3", "the second is missing for the second time");
    assert_eq!(after(&[]), "1 3", "a look-up that fails is no answer");
    assert_eq!(after(&[3]), "3");
}

#[test]
fn each_name_has_an_endpoint_and_there_are_at_most_a_thousand() {
    let literal = (1..=899).map(|port| format!("ws://10.0.0.1:{port}"));
    let urls: Vec<_> =
        ["ws://a.test".to_owned(), "ws://b.test".to_owned()].into_iter().chain(literal).collect();
    let mut discovery = discovery(&urls.iter().map(String::as_str).collect::<Vec<_>>());
    let all: Vec<_> = (0..=255).collect();
    answer(&mut discovery, "a.test", &all[..99]);
    assert_eq!((labels(&discovery).len(), discovery.endpoints().left_out.total()), (999, 0));
    answer(&mut discovery, "b.test", &all);
    assert_eq!((labels(&discovery).len(), discovery.endpoints().left_out.total()), (ENDPOINTS_MAX, 254));
    answer(&mut discovery, "a.test", &all);
    assert_eq!((labels(&discovery).len(), discovery.endpoints().left_out.total()), (ENDPOINTS_MAX, 411));
    let of_b: Vec<_> = labels(&discovery).into_iter().filter(|label| label.contains("b.test")).collect();
    assert_eq!(of_b, ["ws://b.test (10.0.0.0)"], "the names before it have the others");
    let text = Difference::between(&EndpointList::default(), discovery.endpoints()).to_string();
    assert!(text.ends_with("endpoints=1000 left_out=411"), "{text}");
    let more = (1..=1001).map(|port| endpoint(&format!("ws://10.0.0.1:{port}"), 1)).collect();
    discovery.list(more);
    assert_eq!((labels(&discovery).len(), discovery.endpoints().left_out.total()), (ENDPOINTS_MAX, 0));
}

/// Addresses of the last answer come first.
#[test]
fn missing_addresses_are_the_first_that_are_left_out() {
    let mut discovery = discovery(&["ws://a.test"]);
    let low: Vec<_> = (0..200).collect();
    let high: Vec<_> = (100..=255).collect();
    answer(&mut discovery, "a.test", &low);
    answer(&mut discovery, "a.test", &high);
    assert_eq!((labels(&discovery).len(), discovery.endpoints().left_out.total()), (256, 0));
    let other: Vec<_> = (1..=255).map(|last| SocketAddr::from(([10, 0, 1, last], 0))).collect();
    discovery.resolved("a.test", &other);
    let labels = labels(&discovery);
    assert_eq!((labels.len(), discovery.endpoints().left_out.total()), (ADDRESSES_MAX, 155));
    assert_eq!(labels.iter().filter(|label| label.contains("(10.0.1.")).count(), 255, "{labels:?}");
}

/// The endpoints are the same then, and only the number of the others differs.
#[test]
fn addresses_that_are_left_out_are_counted_by_the_limit_that_leaves_them_out() {
    let left_out = |by_upstream, by_name| LeftOut { by_upstream, by_name };
    let literal = (1..=899).map(|port| format!("ws://10.0.0.1:{port}"));
    let urls: Vec<_> = ["ws://a.test".to_owned()].into_iter().chain(literal).collect();
    let mut full = discovery(&urls.iter().map(String::as_str).collect::<Vec<_>>());
    let all: Vec<_> = (0..=255).collect();
    answer(&mut full, "a.test", &all[..101]);
    let before = Arc::clone(full.endpoints());
    assert_eq!((before.endpoints.len(), before.left_out), (ENDPOINTS_MAX, left_out(0, 0)));
    assert!(answer(&mut full, "a.test", &all[..102]));
    assert!(Difference::between(&before, full.endpoints()).is_empty());
    assert_eq!(full.endpoints().left_out, left_out(1, 0));

    let mut one = discovery(&["ws://a.test"]);
    let more: Vec<_> = (0..8).map(|last| SocketAddr::from(([10, 0, 1, last], 0))).collect();
    one.resolved("a.test", &[addresses(&all), more].concat());
    assert_eq!(one.endpoints().left_out, left_out(0, 8));

    let begun = |before: LeftOut, now: LeftOut| now.begun(before).collect::<Vec<_>>();
    let by_upstream = (1, "an upstream takes at most 1000 endpoints".to_owned());
    let by_name = (8, "a name has at most 256 endpoints".to_owned());
    assert_eq!(begun(left_out(0, 0), left_out(1, 8)), [by_upstream, by_name.clone()]);
    assert_eq!(begun(left_out(1, 0), left_out(2, 8)), [by_name], "each limit is warned of once");
    assert_eq!(begun(left_out(1, 8), left_out(0, 9)), []);
}

/// A look-up that finds the same costs no new list, however many endpoints there are.
#[test]
fn the_same_addresses_make_no_new_list() {
    let urls: Vec<_> = (0..500).map(|number| format!("ws://{number}.test")).collect();
    let mut discovery = discovery(&urls.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(answer(&mut discovery, "7.test", &[1, 2]));
    assert!(!answer(&mut discovery, "7.test", &[2, 1]));
    assert!(!answer(&mut discovery, "8", &[1]));
}

#[test]
fn other_settings_keep_the_addresses_of_names() {
    let mut discovery = discovery(&["ws://chat.test"]);
    discovery.resolved("chat.test", &addresses(&[1]));
    let mut settings = fixture::upstream();
    settings.endpoints = vec![endpoint("ws://chat.test", 1)];
    settings.resolve_each = Some(std::time::Duration::from_secs(1));
    discovery.configure(&settings);
    assert_eq!(labels(&discovery), ["ws://chat.test (10.0.0.1)"]);
    settings.resolve_each = None;
    discovery.configure(&settings);
    assert_eq!((names(&discovery), labels(&discovery)), (vec![], vec!["ws://chat.test".to_owned()]));
}

#[test]
fn a_difference_names_what_came_went_and_changed() {
    let before = [endpoint("ws://a", 1), endpoint("ws://b", 1), endpoint("ws://me:secret@c", 1)];
    let after = [endpoint("ws://d", 1), endpoint("ws://b", 2), endpoint("ws://me:secret@c", 1)];
    let (before, mut after) = (list(before), list(after));
    let difference = Difference::between(&before, &after);
    let text = r#"added="ws://d" removed="ws://a" changed="ws://b (weight 1 to 2)" endpoints=3"#;
    assert_eq!(difference.to_string(), text);
    assert!(!difference.is_empty());
    assert!(Difference::between(&after, &after).is_empty());
    let unchanged = after.endpoints.clone();
    (after.endpoints[2].priority, after.endpoints[2].drain) = (1, true);
    let text = Difference::between(&list(unchanged), &after).to_string();
    assert!(text.contains(r#"changed="ws://***@c (priority 0 to 1, drain false to true)""#), "{text}");
    let many: Vec<_> = (1..=10).map(|port| endpoint(&format!("ws://me:secret@a:{port}"), 1)).collect();
    let text = Difference::between(&list(many), &list([])).to_string();
    assert!(text.contains("ws://***@a:8 and 2 more") && !text.contains("secret"), "{text}");
}

proptest! {
    /// Whatever is found in any order, each endpoint has a known address or none, and none comes twice.
    #[test]
    fn endpoints_are_distinct(steps in prop::collection::vec((0..3_usize, prop::collection::vec(0..4_u8, 0..4)), 0..12)) {
        const NAMES: [&str; 3] = ["a.test", "b.test", "c.test"];
        let mut discovery = discovery(&["ws://a.test", "ws://b.test:81", "ws://a.test/x"]);
        // What the last two answers had, and what the last one had.
        let (mut last, mut previous) = ([vec![], vec![], vec![]], [vec![], vec![], vec![]]);
        for (name, found) in steps {
            discovery.resolved(NAMES[name], &addresses(&found));
            if !found.is_empty() {
                let before = std::mem::replace(&mut previous[name], found.clone());
                last[name] = [before, found].concat();
            }
            let labels = labels(&discovery);
            let mut distinct = labels.clone();
            distinct.sort();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), labels.len());
            let count = |of: usize| { let mut all = last[of].clone(); all.sort_unstable(); all.dedup(); all.len().max(1) };
            prop_assert_eq!(labels.len(), 2 * count(0) + count(1));
        }
    }
}
