//! TLS towards clients: certificates from files, read again when they change, or one made on the spot for localhost.
//!
//! **Invariant:** TLS 1.2 or newer; a certificate and key that do not work together never replace ones that do.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Where the certificate comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Files {
        certificate: PathBuf,
        key: PathBuf,
        client_ca: Option<PathBuf>,
    },
    SelfSigned {
        client_ca: Option<PathBuf>,
    },
}

/// The configuration in force; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) source: Source,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    pub(crate) fn load(source: Source) -> Result<Self> {
        let config = Arc::new(RwLock::new(Arc::new(source.read()?)));
        Ok(Self { source, config })
    }

    /// What the next connection is served with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again; new connections get what they say.
    pub(crate) fn reload(&self) -> Result<()> {
        let fresh = Arc::new(self.source.read()?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The files to watch.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match &self.source {
            Source::Files {
                certificate,
                key,
                client_ca,
            } => [Some(certificate), Some(key), client_ca.as_ref()]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            Source::SelfSigned { client_ca } => client_ca.iter().cloned().collect(),
        }
    }
}

impl Source {
    fn read(&self) -> Result<ServerConfig> {
        let (chain, key, client_ca) = match self {
            Self::Files {
                certificate,
                key,
                client_ca,
            } => {
                let chain = certificates(certificate)?;
                let key = PrivateKeyDer::from_pem_file(key).with_context(|| {
                    format!("--tls-key {}: no private key in PEM form", key.display())
                })?;
                (chain, key, client_ca)
            }
            Self::SelfSigned { client_ca } => {
                let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
                let made = rcgen::generate_simple_self_signed(names)
                    .context("cannot make a certificate")?;
                let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
                (vec![made.cert.der().clone()], key, client_ca)
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .context("TLS versions")?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots
                        .add(certificate)
                        .with_context(|| format!("--tls-client-ca {}", path.display()))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .with_context(|| format!("--tls-client-ca {}", path.display()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .context("--tls-cert and --tls-key do not go together")?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let list: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect())
        .with_context(|| format!("cannot read certificates from {}", path.display()))?;
    if list.is_empty() {
        bail!(
            "{}: no certificate in it; PEM text with BEGIN CERTIFICATE is wanted",
            path.display()
        );
    }
    Ok(list)
}
