//! The metrics of a proxy: reads them and checks the exposition format.

use std::{collections::BTreeMap, net::SocketAddr};

use super::http;

/// The labels of a series, by name.
pub type Labels = BTreeMap<String, String>;

/// One scrape of `/metrics`.
#[derive(Debug, Clone)]
pub struct Scraped {
    pub text: String,
    /// The type of each metric, by name.
    pub types: BTreeMap<String, String>,
    /// The numbers, by name and labels. Buckets, sums and counts of histograms are separate names.
    pub samples: BTreeMap<(String, Labels), f64>,
}

impl Scraped {
    /// Scrapes the admin server at this address.
    #[track_caller]
    pub fn of(admin: SocketAddr) -> Self {
        let (status, text) = http::get(admin, "/metrics");
        assert_eq!(status, 200, "{text}");
        Self::parse(text)
    }

    /// Parses the text format, and checks it: each metric has help, type and all its samples together, names and labels
    /// are valid, no series occurs twice, and the buckets of histograms are cumulative.
    #[track_caller]
    fn parse(text: String) -> Self {
        let (mut types, mut samples) = (BTreeMap::new(), BTreeMap::new());
        let (mut help, mut current) = (None, None);
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, words) = rest.split_once(' ').expect(line);
                assert!(!words.is_empty(), "{line}");
                help = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert_eq!(help.as_deref(), Some(name), "the help of {name}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} has two types");
                current = Some((name.to_owned(), kind == "histogram"));
            } else {
                let (name, labels, number) = sample(line);
                let (family, is_histogram) = current.as_ref().expect(line);
                let suffix = name.strip_prefix(family.as_str());
                let suffixes: &[&str] = if *is_histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(suffix.is_some_and(|suffix| suffixes.contains(&suffix)), "{line} in {family}");
                assert!(samples.insert((name, labels), number).is_none(), "a series occurs twice: {line}");
            }
        }
        assert!(text.ends_with('\n'));
        let scraped = Self { text, types, samples };
        scraped.check_histograms();
        scraped
    }

    #[track_caller]
    fn check_histograms(&self) {
        for name in self.types.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name) {
            let (count, bucket) = (format!("{name}_count"), format!("{name}_bucket"));
            for (labels, count) in self.series(&count) {
                let mut buckets: Vec<(f64, f64)> = self
                    .series(&bucket)
                    .filter(|(of_bucket, _)| {
                        labels.iter().all(|label| of_bucket.get_key_value(label.0) == Some(label))
                    })
                    .map(|(of_bucket, number)| {
                        (of_bucket["le"].replace("+Inf", "inf").parse().unwrap(), number)
                    })
                    .collect();
                buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
                assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1), "{name}: {buckets:?}");
                assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)), "{name}");
            }
        }
    }

    /// The series of a name.
    pub fn series(&self, name: &str) -> impl Iterator<Item = (&Labels, f64)> {
        self.samples
            .iter()
            .filter(move |((of, _), _)| of == name)
            .map(|((_, labels), number)| (labels, *number))
    }

    /// The sum of the series of a name that have these labels, as in `("towline_outcomes_total", &[("outcome", "errored")])`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has =
            |of: &Labels| labels.iter().all(|(name, value)| of.get(*name).is_some_and(|of| of == value));
        self.series(name).filter(|(of, _)| has(of)).map(|(_, number)| number).sum()
    }

    /// The number of series.
    pub fn len(&self) -> usize {
        self.samples.len()
    }
}

/// Name, labels and number of a line with a sample.
#[track_caller]
fn sample(line: &str) -> (String, Labels, f64) {
    let (series, number) = line.rsplit_once(' ').expect(line);
    let number = number.replace("+Inf", "inf").parse().unwrap_or_else(|_| panic!("{line}"));
    let (name, labels) = match series.split_once('{') {
        None => (series, Labels::new()),
        Some((name, rest)) => (name, labels(rest.strip_suffix('}').expect(line))),
    };
    assert!(is_name(name), "{line}");
    (name.to_owned(), labels, number)
}

/// Labels as in `a="b",c="d"`.
#[track_caller]
fn labels(text: &str) -> Labels {
    let (mut labels, mut rest) = (Labels::new(), text);
    while !rest.is_empty() {
        let (name, behind) = rest.split_once("=\"").expect(text);
        assert!(is_name(name) && !name.contains(':'), "{text}");
        let mut value = String::new();
        let mut letters = behind.char_indices();
        let end = loop {
            match letters.next().expect(text) {
                (at, '"') => break at,
                (_, '\\') => match letters.next().expect(text).1 {
                    'n' => value.push('\n'),
                    letter @ ('\\' | '"') => value.push(letter),
                    other => panic!("\\{other} in {text}"),
                },
                (_, letter) => value.push(letter),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{text}");
        rest = &behind[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}

fn is_name(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_' || letter == ':';
    name.starts_with(is_letter) && name.chars().all(|letter| is_letter(letter) || letter.is_ascii_digit())
}
