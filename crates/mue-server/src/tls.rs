//! TLS by rustls: a certificate that can be replaced while connections are open.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Accepts TLS connections; clones share their certificate.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

/// Why a certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate in it.
    #[error("the certificate is no PEM: {0}")]
    Certificate(pem::Error),
    /// There is no private key in it.
    #[error("the key is no PEM: {0}")]
    Key(pem::Error),
    /// A file without any certificate.
    #[error("there is no certificate in the PEM")]
    Empty,
    /// They do not belong together, or are of a kind that rustls does not know.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// What new connections are shown.
#[derive(Debug)]
struct Certificate(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// Shows a certificate chain, whose first is the server's; both are PEM.
    ///
    /// # Errors
    ///
    /// If one of them is not, or they do not belong together.
    pub fn new(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let certified = certified(certificate, key, &provider)?;
        let certificate = Arc::new(Certificate(ArcSwap::from_pointee(certified)));
        let resolver = Arc::clone(&certificate);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: Arc::new(config).into(), certificate })
    }

    /// Shows another certificate to connections to come.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); the former certificate stays.
    pub fn replace(&self, certificate: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let provider = self.acceptor.config().crypto_provider();
        self.certificate.0.store(Arc::new(certified(certificate, key, provider)?));
        Ok(())
    }

    pub(crate) async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.acceptor.accept(stream).await
    }
}

fn certified(
    certificate: &[u8],
    key: &[u8],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(TlsError::Certificate)?;
    if chain.is_empty() {
        return Err(TlsError::Empty);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}
