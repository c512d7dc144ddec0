//! TLS for the clients of a listener: the table `tls`.

use crate::{
    net::tls::{CertificateFiles, ClientAuth, FileRole, ServerFiles, TlsServer, server::FileProblem},
    settings::read::{Item, Section},
};

/// The keys that have no effect without certificates.
const OTHERS: [&str; 3] = ["tls.client_ca", "tls.client_auth", "tls.min_version"];

/// Maximum number of certificates: reading and checking more takes longer than a start may.
const CERTIFICATES_MAX: usize = 1000;

/// Reads the table; `None` without certificates.
pub(super) fn read(section: &Section<'_>) -> Option<TlsServer> {
    let tables: Vec<_> = section.items("tls.certificates").into_iter().filter_map(table).collect();
    let files: Vec<_> = tables.iter().map(certificate).collect();
    let only_tls13 = section.chooses("tls.min_version", "1.3");
    let clients = clients(section);
    if files.len() > CERTIFICATES_MAX {
        section.wrong("tls.certificates", format!("has more than {CERTIFICATES_MAX} items"));
        return None;
    }
    if files.is_empty() {
        if section.said("tls.certificates").is_some() {
            section.conflict("tls.certificates", &[], "takes at least one certificate");
        }
        for name in OTHERS.into_iter().filter(|name| section.said(name).is_some()) {
            section.conflict(name, &["tls.certificates"], "has no effect without tls.certificates");
        }
        return None;
    }
    let files: Option<Vec<_>> = files.into_iter().collect();
    let files = ServerFiles { certificates: files?, clients, only_tls13 };
    match TlsServer::load(files, |path| section.host().read(path)) {
        Ok(server) => Some(server),
        Err(problems) => {
            problems.into_iter().for_each(|problem| report(section, &tables, problem));
            None
        }
    }
}

fn report(section: &Section<'_>, tables: &[Section<'_>], FileProblem { role, text }: FileProblem) {
    match role {
        FileRole::Certificate(number) => tables[number].wrong("cert", text),
        FileRole::Key(number) => tables[number].wrong("key", text),
        FileRole::ClientCa => section.wrong("tls.client_ca", text),
        FileRole::Setup => section.section_problem(text),
    }
}

fn table<'a>(item: Item<'a>) -> Option<Section<'a>> {
    match item {
        Item::Table(section) => Some(section),
        Item::Scalar(..) => None,
    }
}

fn certificate(table: &Section<'_>) -> Option<CertificateFiles> {
    let (cert, key) = (table.path_to("cert"), table.path_to("key"));
    Some(CertificateFiles { cert: cert?, key: key? })
}

/// Whether clients have certificates.
fn clients(section: &Section<'_>) -> Option<ClientAuth> {
    let ca = section.path_to("tls.client_ca");
    let is_required = section.choice("tls.client_auth").is_none_or(|choice| choice == "required");
    if ca.is_none() && section.said("tls.client_auth").is_some() {
        section.conflict("tls.client_auth", &["tls.client_ca"], "needs tls.client_ca");
    }
    ca.map(|ca| ClientAuth { ca, is_required })
}
