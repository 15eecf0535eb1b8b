//! `type: certificate`.

use alloc::vec;
use alloc::vec::Vec;

use super::Forwarded;
use super::api_key::ROLES;
use crate::policy::compile::Compiler;
use crate::policy::read::{Located, Named, Path, section};
use crate::policy::values::{
    CertificateDigest, CertificateDns, CertificateTag, CertificateUri, Text,
};
use crate::stages::token::certificate::{CertificateRule, Certificates};
use crate::stages::token::{Provider, ProviderKind, Source};

section! {
    /// Client certificates that the listener has validated.
    struct CertificateConfig {
        /// `certificate`.
        r#type: CertificateTag,
        /// Whom a certificate stands for; the first rule that fits.
        rules: Vec<Located<CertificateRuleConfig>>,
        /// Headers to set: header name to JSON Pointer; `/sub` is the subject.
        forward: Named<Forwarded> = {},
    }
}

section! {
    /// A rule for certificates.
    struct CertificateRuleConfig {
        /// What the certificate must say; all given parts must hold.
        r#match: CertificateMatch,
        /// The subject; absent: what the first given part of `match` says (in the order uri, dns, subject, sha256).
        id: Option<Text>,
        /// Roles.
        roles: Vec<Text> = [],
        /// Scopes.
        scopes: Vec<Text> = [],
    }
}

section! {
    /// Parts of a certificate.
    struct CertificateMatch {
        /// Its first URI, such as `spiffe://example.org/ns/*/sa/web`; `*` is one segment.
        uri: Option<CertificateUri>,
        /// Its first DNS name, such as `*.clients.example.com`; `*` is one label.
        dns: Option<CertificateDns>,
        /// Its subject, exactly as Envoy prints it, such as `CN=web,O=Example`.
        subject: Option<Text>,
        /// SHA-256 of the certificate in hex.
        sha256: Option<CertificateDigest>,
    }
}

impl Compiler<'_> {
    pub(super) fn certificate(
        &mut self,
        at: &Path,
        name: Vec<u8>,
        config: CertificateConfig,
    ) -> Provider {
        let CertificateTag = config.r#type;
        let mut rules = Vec::new();
        for Located { at, value } in &config.rules {
            let parts = &value.r#match;
            let rule = CertificateRule {
                uri: parts.uri.as_ref().map(|it| it.0.clone()),
                dns: parts.dns.as_ref().map(|it| it.0.clone()),
                subject: parts.subject.as_ref().map(|it| it.0.clone()),
                sha256: parts.sha256.as_ref().map(|it| it.0.clone()),
                id: value.id.as_ref().map(|it| it.0.clone()),
                grants: self.grants(at, &value.roles, &value.scopes),
            };
            let given = [&rule.uri, &rule.dns, &rule.subject, &rule.sha256];
            if given.iter().all(|part| part.is_none()) && self.errors.is_empty() {
                self.errors.push(
                    &at.key("match"),
                    "fits every certificate",
                    "write `uri`, `dns`, `subject` or `sha256`",
                );
            }
            rules.push(rule);
        }
        self.count_accounts(&at.key("rules"), rules.len());
        Provider {
            name,
            from: vec![Source::Certificate],
            kind: ProviderKind::Certificate(Certificates { rules }),
            forward: self.forward(config.forward),
            roles: ROLES.to_vec(),
            scopes: None,
            claims: Vec::new(),
            counted: Vec::new(),
            strip: false,
        }
    }
}
