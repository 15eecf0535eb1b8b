//! Certificates for trying `envoy/tls.yaml`: an authority, a server and a client. Never for production.

use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};

/// Writes `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key` into `folder`.
///
/// # Errors
/// When a key cannot be made or a file not written.
pub fn write(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "Palisade test authority");
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?;
    std::fs::write(folder.join("ca.pem"), authority.pem())?;
    let issuer = Issuer::new(params, key);
    for (name, usage, names) in [
        (
            "server",
            ExtendedKeyUsagePurpose::ServerAuth,
            vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        ),
        ("client", ExtendedKeyUsagePurpose::ClientAuth, Vec::new()),
    ] {
        let mut params = CertificateParams::new(names)?;
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Palisade test {name}"));
        params.extended_key_usages = vec![usage];
        if name == "client" {
            params
                .subject_alt_names
                .push(SanType::URI("spiffe://example.com/client".try_into()?));
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem())?;
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}
