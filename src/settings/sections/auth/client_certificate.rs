//! The table `client_certificate` of a section `[auth.NAME]`.

use std::fmt::Display;

use config::Value;

use super::Read;
use crate::{
    auth::{ClientCertificateConfig, MethodConfig, NamePattern, SubjectPattern},
    settings::read::{Section, all, list, quoted},
};

/// Maximum number of patterns in one list.
const ITEMS_MAX: usize = 1000;

/// Reads the table.
pub(super) fn read(_name: &str, section: &Section<'_>) -> Option<Read> {
    for key in ["from", "forward_as"].into_iter().filter(|key| section.said(key).is_some()) {
        section.conflict(key, &[], "has no effect with client_certificate, whose credential is part of TLS");
    }
    let subjects =
        section.read("client_certificate.subjects", |value| patterns(value, SubjectPattern::parse));
    let names = section.read("client_certificate.names", |value| patterns(value, NamePattern::parse));
    let (subjects, names) = (subjects.unwrap_or_default(), names.unwrap_or_default());
    if subjects.is_empty() && names.is_empty() {
        let key = "client_certificate.subjects";
        section.conflict(
            key,
            &["client_certificate.names"],
            "takes at least one pattern, or names does; \"*\" accepts all",
        );
        return None;
    }
    Some((MethodConfig::ClientCertificate(ClientCertificateConfig { subjects, names }), None))
}

fn patterns<T, E: Display>(value: &Value, parse: fn(&str) -> Result<T, E>) -> Result<Box<[T]>, String> {
    let texts = list(value)?;
    if texts.len() > ITEMS_MAX {
        return Err(format!("has more than {ITEMS_MAX} entries"));
    }
    all(texts.iter().map(|text| parse(text).map_err(|error| format!("{}: {error}", quoted(text)))))
        .map(Vec::into_boxed_slice)
}
