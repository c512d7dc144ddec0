//! Settings in their checked form, loaded from a file and the environment.
//!
//! ```text
//! file ─┐
//!       ├─► layers ─► read ─► sections ─► model
//! env ──┘
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | `keys` | the table of all keys: allowed values and defaults, which are defined nowhere else |
//! | `layers` | merges file and environment and keeps the origin of each value |
//! | `read` | finds the values of a section, parses them, and collects problems |
//! | `sections` | one file per section: its checked form, reading and checks |
//! | `model` | [`Settings`]: all sections, checked |
//! | `load` | turns files into [`Settings`], or into the list of *all* problems |
//! | `effective` | all keys with their effective values, for comparison |
//! | `problem`, `report` | texts of problems; the output of `towline check` |
//!
//! A check also compiles programs, resolves the names of listeners, and follows the references between
//! sections, so users of [`Settings`] need no further checks.
//!
//! CONTRIBUTING.md says how to add a setting.

mod effective;
mod embedded;
mod host;
mod keys;
mod layers;
mod lines;
mod load;
mod model;
mod problem;
mod read;
mod report;
mod sections;

#[cfg(test)]
pub(crate) use self::effective::all_keys;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use self::{
    effective::{Effective, EffectiveSection, EffectiveValue, Loaded},
    embedded::{demo, from_flags, template},
    host::{Host, Machine},
    layers::{DEFAULT_FILE, Layers, variables as environment},
    load::{check, check_on, report, report_on, report_running},
    model::Settings,
    problem::{Origin, Problem, SettingsError},
    report::{Extent, InForce, Pending, Running},
    sections::{
        admin::Admin,
        admission::Admission,
        drain::Drain,
        format::Format,
        language::Language,
        listener::{Listener, OnClientClose},
        modules::Folders,
        pipeline::Pipeline,
        route::{FixedAnswer, Route},
        server::Server,
        slow_consumer::SlowConsumer,
        upstream::{
            AddedHeaders, AllowedUrl, ENDPOINTS_MAX, EndpointConfig, EndpointsFile, EndpointsFileError,
            ExchangeMode, HostHeader, OnGiveUp, RecoveryConfig, Restart, Upstream, UpstreamUrl, UrlError,
            UrlParts,
        },
    },
};
