//! Client certificates: who the host has proved the connection's other end to be.
//!
//! **In:** what the host read out of the validated certificate. **Out:** [`VerifiedClaims`] by the first rule that fits.
//! **Invariant:** only the connection is believed, never a header (`x-forwarded-client-cert` is a text like any other).
//! A value that is no plain text (not UTF-8, control characters, over [`MAX_VALUE_BYTES`]) is no value. A `*` stands for
//! one segment or label of letters, digits, `-`, `_` and `.`, never for a separator, a dot segment or an escape.
//! **Source:** SPIFFE-ID §2 (paths), RFC 9525 §6.3 (a wildcard is one whole label), RFC 2253 (subjects as printed).
//! **Cost:** linear in rules times the length of the values.

use alloc::vec::Vec;

use super::accounts::{Grants, collect};
use super::{Failure, Provider, RouteToken, VerifiedClaims, copy};
use crate::env::Certificate;
use crate::verdict::Reason;

/// Bytes of a value that is looked at; a SPIFFE ID has at most 2,048, and those in use some 100.
pub const MAX_VALUE_BYTES: usize = 2048;

/// The rules of one provider.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// Tried in order.
    pub rules: Vec<CertificateRule>,
}

/// Whom a certificate stands for.
#[derive(Debug, Clone)]
pub struct CertificateRule {
    /// The URI it must have, such as `spiffe://example.org/ns/*/sa/web`.
    pub uri: Option<Vec<u8>>,
    /// The DNS name, such as `*.clients.example.com`.
    pub dns: Option<Vec<u8>>,
    /// The subject, as the host prints it.
    pub subject: Option<Vec<u8>>,
    /// The certificate's own SHA-256, in lower-case hex.
    pub sha256: Option<Vec<u8>>,
    /// Its subject for us; `None`: what the first of the given parts says.
    pub id: Option<Vec<u8>>,
    /// What it may.
    pub grants: Grants,
}

/// What rules look at: each part costs the plugin a call into the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CertificateParts {
    /// The URI.
    pub uri: bool,
    /// The DNS name.
    pub dns: bool,
    /// The subject.
    pub subject: bool,
    /// The digest.
    pub sha256: bool,
}

impl CertificateParts {
    /// Whether any is.
    #[must_use]
    pub const fn any(self) -> bool {
        self.uri || self.dns || self.subject || self.sha256
    }

    /// What either looks at.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            uri: self.uri || other.uri,
            dns: self.dns || other.dns,
            subject: self.subject || other.subject,
            sha256: self.sha256 || other.sha256,
        }
    }
}

impl Certificates {
    /// What its rules look at.
    #[must_use]
    pub fn parts(&self) -> CertificateParts {
        self.rules
            .iter()
            .fold(CertificateParts::default(), |parts, rule| {
                parts.or(CertificateParts {
                    uri: rule.uri.is_some(),
                    dns: rule.dns.is_some(),
                    subject: rule.subject.is_some(),
                    sha256: rule.sha256.is_some(),
                })
            })
    }

    pub(super) fn verify(
        &self,
        index: usize,
        provider: &Provider,
        route: &RouteToken,
        certificate: &Certificate<'_>,
    ) -> Result<VerifiedClaims, Failure> {
        for rule in &self.rules {
            if let Some(value) = rule.fits(certificate) {
                let subject = rule.id.as_deref().unwrap_or(value);
                return collect(index, provider, route, &rule.grants.object(subject));
            }
        }
        Err(Failure::new(Reason::CertificateInvalid, "rule"))
    }
}

impl CertificateRule {
    /// Whether all given parts hold; then the value of the first.
    fn fits<'c>(&self, certificate: &Certificate<'c>) -> Option<&'c [u8]> {
        let mut first = None;
        let parts = [
            (&self.uri, certificate.uri_san, Form::Uri),
            (&self.dns, certificate.dns_san, Form::Dns),
            (&self.subject, certificate.subject, Form::Text),
            (&self.sha256, certificate.sha256, Form::Text),
        ];
        for (pattern, value, form) in parts {
            let Some(pattern) = pattern else { continue };
            if !is_plain(value) || !form.fits(pattern, value) {
                return None;
            }
            first = first.or(Some(value));
        }
        first
    }
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Dns,
    Text,
    Uri,
}

impl Form {
    fn fits(self, pattern: &[u8], value: &[u8]) -> bool {
        match self {
            Self::Text => pattern == value,
            Self::Dns => by_pieces(pattern, value, b'.', |one, other| {
                one.eq_ignore_ascii_case(other)
            }),
            Self::Uri => by_pieces(pattern, value, b'/', |one, other| one == other),
        }
    }
}

/// Piece by piece; `*` is any one piece that is a plain word.
fn by_pieces(
    pattern: &[u8],
    value: &[u8],
    separator: u8,
    same: impl Fn(&[u8], &[u8]) -> bool,
) -> bool {
    let mut pieces = value.split(|byte| *byte == separator);
    for wanted in pattern.split(|byte| *byte == separator) {
        match pieces.next() {
            Some(piece) if wanted == b"*" && is_word(piece) => {}
            Some(piece) if wanted != b"*" && same(wanted, piece) => {}
            _ => return false,
        }
    }
    pieces.next().is_none()
}

fn is_word(piece: &[u8]) -> bool {
    !matches!(piece, b"" | b"." | b"..")
        && piece
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_plain(value: &[u8]) -> bool {
    (1..=MAX_VALUE_BYTES).contains(&value.len())
        && core::str::from_utf8(value).is_ok()
        && !value.iter().any(|byte| *byte < 0x20 || *byte == 0x7f)
}

/// A certificate's digest as rules have it.
#[must_use]
pub fn digest_text(text: &[u8]) -> Option<Vec<u8>> {
    let hex = text.len() == 64 && text.iter().all(u8::is_ascii_hexdigit);
    hex.then(|| {
        let mut lower = copy(text);
        lower.make_ascii_lowercase();
        lower
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        const CASES: &[(&str, Form, &str, bool)] = &[
            (
                "spiffe://td/ns/*/sa/web",
                Form::Uri,
                "spiffe://td/ns/prod/sa/web",
                true,
            ),
            (
                "spiffe://td/ns/*/sa/web",
                Form::Uri,
                "spiffe://td/ns/prod/sa/web/",
                false,
            ),
            (
                "spiffe://td/ns/*/sa/web",
                Form::Uri,
                "spiffe://td/ns//sa/web",
                false,
            ),
            (
                "spiffe://td/ns/*/sa/web",
                Form::Uri,
                "spiffe://td/ns/../sa/web",
                false,
            ),
            (
                "spiffe://td/ns/*/sa/web",
                Form::Uri,
                "spiffe://td/ns/a/b/sa/web",
                false,
            ),
            (
                "spiffe://td/ns/*/sa/web",
                Form::Uri,
                "spiffe://td/ns/a%2fb/sa/web",
                false,
            ),
            (
                "spiffe://td/ns/*/sa/web",
                Form::Uri,
                "spiffe://td/ns/prod/sa/Web",
                false,
            ),
            (
                "spiffe://td/ns/*/sa/web",
                Form::Uri,
                "spiffe://evil/ns/prod/sa/web",
                false,
            ),
            (
                "spiffe://td/ns/*/sa/web",
                Form::Uri,
                "spiffe://td/ns/prod/sa",
                false,
            ),
            (
                "spiffe://td/ns/*/sa/web",
                Form::Uri,
                "xspiffe://td/ns/prod/sa/web",
                false,
            ),
            ("spiffe://td/*", Form::Uri, "spiffe://td/web", true),
            ("spiffe://td/*", Form::Uri, "spiffe://td/", false),
            ("spiffe://td/*", Form::Uri, "spiffe://td/*", false),
            ("*.example.com", Form::Dns, "a.example.com", true),
            ("*.example.com", Form::Dns, "A.Example.COM", true),
            ("*.example.com", Form::Dns, "example.com", false),
            ("*.example.com", Form::Dns, "a.b.example.com", false),
            ("*.example.com", Form::Dns, "*.example.com", false),
            ("a.example.com", Form::Dns, "a.example.com.", false),
            ("CN=web,O=x", Form::Text, "CN=web,O=x", true),
            ("CN=web,O=x", Form::Text, "CN=web,O=xy", false),
        ];
        for (pattern, form, value, fits) in CASES {
            assert_eq!(
                form.fits(pattern.as_bytes(), value.as_bytes()),
                *fits,
                "{pattern} {value}"
            );
        }
    }

    #[test]
    fn only_plain_values_are_values() {
        for (value, plain) in [
            (&b"spiffe://td/a"[..], true),
            ("CN=Zoë".as_bytes(), true),
            (b"", false),
            (b"a\0b", false),
            (b"a\nb", false),
            (b"a\xff", false),
            (&[b'a'; MAX_VALUE_BYTES], true),
            (&[b'a'; MAX_VALUE_BYTES + 1], false),
        ] {
            assert_eq!(
                is_plain(value),
                plain,
                "{:?}",
                value.escape_ascii().to_string().get(..20)
            );
        }
    }
}
