//! The rows of the table `recovery` in `[upstream.NAME]`, and of the tables in its lists.

use std::time::Duration;

use super::{Key, Kind, Preset, Section, Shape};
use crate::recovery::Protocol;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Below 10 ms, no upstream answers. Above ten minutes, clients have given up.
const REPLAY: Kind = Kind::Duration(Duration::from_millis(10), Duration::from_secs(600));
/// Below 10 ms, a message fails before any upstream is back. Above ten minutes, clients have given up.
const HOLD: Kind = Kind::Timeout(Duration::from_millis(10), Duration::from_secs(600));
/// More subscriptions than a client has.
const ENTRIES_MAX: u64 = 1_000_000;
/// Below 1 KiB, no login fits. Above 64 MiB per session, memory runs out.
const JOURNAL: Kind = Kind::Size(KIB, 64 * MIB);

/// The keys of `recovery`.
pub(super) const RECOVERY: &[Key] = &[
    key("recovery.preset", Kind::Choice(&Protocol::PRESETS), Preset::Absent),
    key("recovery.methods", Kind::Tables(&METHOD), Preset::Absent),
    key("recovery.hello", Kind::Tables(&WHEN), Preset::Absent),
    key("recovery.open", Kind::Tables(&OPEN), Preset::Absent),
    key("recovery.close", Kind::Tables(&CLOSE), Preset::Absent),
    key("recovery.request", Kind::Tables(&REQUEST), Preset::Absent),
    key("recovery.greeting", Kind::Tables(&WHEN), Preset::Absent),
    key("recovery.accepted", Kind::Tables(&WHEN), Preset::Absent),
    key("recovery.rejected", Kind::Tables(&WHEN), Preset::Absent),
    key("recovery.leaving", Kind::Tables(&WHEN), Preset::Absent),
    key("recovery.answer", Kind::Tables(&ANSWER), Preset::Absent),
    key("recovery.refused", Kind::Tables(&REQUEST), Preset::Absent),
    key("recovery.ended", Kind::Tables(&ENDED), Preset::Absent),
    key("recovery.data", Kind::Tables(&DATA), Preset::Absent),
    key("recovery.in_flight", Kind::Choice(&["error", "retry"]), Preset::Text("error")),
    key("recovery.timeout", REPLAY, Preset::Text("5s")),
    key("recovery.max_entries", Kind::Count(1, ENTRIES_MAX), Preset::Count(1024)),
    key("recovery.max_bytes", JOURNAL, Preset::Text("256KiB")),
    key("recovery.hold", HOLD, Preset::Text("never")),
    key("recovery.notice", Kind::Flag, Preset::Absent),
];

// The tables in the lists. Each has the keys that its kind of message needs.

static METHOD: Section =
    list(&[&[key("open", Kind::Text, Preset::Required), key("close", Kind::Text, Preset::Required)]]);
static WHEN: Section = list(&[WHEN_KEY]);
static OPEN: Section = list(&[
    WHEN_KEY,
    &[
        key("id", Kind::Text, Preset::Absent),
        key("request", Kind::Text, Preset::Absent),
        key("instance", Kind::Text, Preset::Absent),
        key("key", Kind::Text, Preset::Absent),
        key("resume", Kind::Text, Preset::Absent),
    ],
]);
static CLOSE: Section =
    list(&[WHEN_KEY, &[key("id", Kind::Text, Preset::Required), key("request", Kind::Text, Preset::Absent)]]);
static REQUEST: Section = list(&[WHEN_KEY, &[key("request", Kind::Text, Preset::Required)]]);
static ANSWER: Section = list(&[
    WHEN_KEY,
    &[
        key("request", Kind::Text, Preset::Required),
        key("id", Kind::Text, Preset::Absent),
        key("resumed", Kind::Tests, Preset::Absent),
    ],
]);
static ENDED: Section = list(&[
    WHEN_KEY,
    &[key("id", Kind::Text, Preset::Required), key("instance", Kind::Text, Preset::Absent)],
]);
static DATA: Section = list(&[
    WHEN_KEY,
    &[
        key("id", Kind::Text, Preset::Required),
        key("cursor", Kind::Text, Preset::Absent),
        key("numbered", Kind::Flag, Preset::Flag(false)),
    ],
]);

/// A table in `move.on_message`.
pub(super) static MOVE_MESSAGE: Section =
    list(&[WHEN_KEY, &[key("deliver", Kind::Flag, Preset::Flag(false))]]);

/// The values by which a message is recognised.
const WHEN_KEY: &[Key] = &[key("when", Kind::Tests, Preset::Required)];

const fn list(groups: &'static [&'static [Key]]) -> Section {
    Section { name: "recovery", shape: Shape::Listed, groups }
}

const fn key(name: &'static str, kind: Kind, preset: Preset) -> Key {
    Key { name, kind, preset }
}
