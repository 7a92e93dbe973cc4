//! TLS with a certificate of rota's own. A certificate that was renewed on disk is used from the next connection on; one that
//! cannot be used, or whose key is not there yet, changes nothing. Connections that are open keep theirs.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rota_core::sync::lock;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::Transport;

/// How often a new connection looks whether the files have changed.
const LOOK: Duration = Duration::from_secs(1);

/// A certificate with its key, from two files. Clones share what was read last.
#[derive(Clone)]
pub struct Certificate {
    files: Arc<CertificateFiles>,
}

struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<CurrentCertificate>,
}

struct CurrentCertificate {
    pair: Arc<CertifiedKey>,
    /// Of the files that were looked at last, be they good or not.
    stamps: [Stamp; 2],
    looked_at: Option<Instant>,
}

/// What changes when a file does: inode, length, and the time of its last change.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read, or is not what it should be.
    #[error("cannot read {}: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: pem::Error,
    },
    /// There is no certificate in the file.
    #[error("{} holds no certificate in PEM form", .0.display())]
    Empty(PathBuf),
    /// The two files do not belong together, or the key is of an unknown kind.
    #[error("the certificate and the key cannot be used together: {0}")]
    Unusable(rustls::Error),
}

impl Certificate {
    /// Reads the two files, in PEM form: the server's certificate with all but the last of those that it was signed by, and
    /// its private key.
    ///
    /// # Errors
    /// They cannot be read, or do not belong together.
    pub fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, CertificateError> {
        let stamps = [stamp(&certificate), stamp(&key)];
        let pair = Arc::new(read(&certificate, &key)?);
        let current = Mutex::new(CurrentCertificate { pair, stamps, looked_at: None });
        Ok(Self { files: Arc::new(CertificateFiles { certificate, key, current }) })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.files.certificate).finish()
    }
}

impl fmt::Debug for CertificateFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Files").field(&self.certificate).finish()
    }
}

impl CertificateFiles {
    /// The newest pair that can be used.
    fn newest(&self, now: Instant) -> Arc<CertifiedKey> {
        let mut current = lock(&self.current);
        if current.looked_at.is_none_or(|looked_at| now >= looked_at + LOOK) {
            current.looked_at = Some(now);
            let stamps = [stamp(&self.certificate), stamp(&self.key)];
            if stamps != current.stamps {
                current.stamps = stamps;
                match read(&self.certificate, &self.key) {
                    Ok(pair) => {
                        tracing::info!("{} was renewed", self.certificate.display());
                        current.pair = Arc::new(pair);
                    }
                    Err(error) => tracing::warn!("the certificate from before is kept: {error}"),
                }
            }
        }
        Arc::clone(&current.pair)
    }
}

impl ResolvesServerCert for CertificateFiles {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.newest(Instant::now()))
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = path.metadata().ok()?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        |error| CertificateError::Unreadable { path, error }
    };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(unreadable(certificate))?;
    if chain.is_empty() {
        return Err(CertificateError::Empty(certificate.to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(CertificateError::Unusable)
}

fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// TLS between TCP and HTTP.
pub(crate) struct TlsTransport {
    acceptor: TlsAcceptor,
}

impl TlsTransport {
    pub(crate) fn new(certificate: Certificate) -> Self {
        let versions =
            ServerConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions();
        let config =
            versions.expect("this provider knows the ciphers of both versions").with_no_client_auth();
        let mut config = config.with_cert_resolver(certificate.files);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { acceptor: TlsAcceptor::from(Arc::new(config)) }
    }
}

impl Transport for TlsTransport {
    type Stream = TlsStream<TcpStream>;

    async fn secure(&self, stream: TcpStream) -> io::Result<Self::Stream> {
        self.acceptor.accept(stream).await
    }
}
