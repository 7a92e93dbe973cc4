//! Whom a command believes to be the server it was told to ask: whoever has a certificate for that name, signed by one of the
//! system's authorities, or by one of `--ca FILE` and nobody else.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::failure::Failure;

/// The settings of TLS. Without any authorities, for plain HTTP, it costs nothing.
pub(super) fn config(roots: RootCertStore) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.context("TLS cannot be set up")?.with_root_certificates(roots);
    Ok(config.with_no_client_auth())
}

/// The authorities of a file, or of the system.
pub(super) fn roots(file: Option<&Path>) -> anyhow::Result<RootCertStore> {
    match file {
        Some(file) => of_file(file),
        None => of_system(),
    }
}

fn of_file(file: &Path) -> anyhow::Result<RootCertStore> {
    let refuse = |what: String| {
        Failure::usage(what)
            .at(format!("--ca {}", file.display()))
            .expected("a PEM file with the certificate of whoever signed the server's")
    };
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|error| refuse(format!("the certificates cannot be read: {error}")))?;
    let mut roots = RootCertStore::empty();
    for certificate in found {
        let added = roots.add(certificate);
        added.map_err(|error| refuse(format!("a certificate cannot be used: {error}")))?;
    }
    if roots.is_empty() {
        return Err(refuse("the file holds no certificate".to_owned()).into());
    }
    Ok(roots)
}

fn of_system() -> anyhow::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(Failure::failed(format!("this system names no authorities for certificates{why}"))
            .help("install them (ca-certificates), or name the server's with --ca FILE")
            .into());
    }
    Ok(roots)
}
