//! A private certificate authority and a server certificate, made for one server.

use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// What the server needs, and what its clients need.
#[derive(Debug)]
pub(super) struct Tls {
    config: Arc<ServerConfig>,
    pub(super) ca_pem: String,
}

// === impl Tls ===

impl Tls {
    /// For 127.0.0.1 and localhost.
    pub(super) fn generate() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "stand-in CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().context("cannot make a key")?)
            .context("cannot make a certificate authority")?;
        let key = KeyPair::generate().context("cannot make a key")?;
        let certificate = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])
            .and_then(|params| params.signed_by(&key, &ca))
            .context("cannot make a certificate")?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key))
            .context("cannot set up TLS")?;
        Ok(Self { config: Arc::new(config), ca_pem: ca.pem() })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.config).into()
    }
}
