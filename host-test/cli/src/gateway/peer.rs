//! A client's certificate as Envoy's attributes show it.
//!
//! **In:** the certificate that the TLS session has verified, DER. **Out:** `connection.subject_peer_certificate` and its like.
//! **Invariant:** an entry that the certificate lacks is no property, as in Envoy; the subject is always one: without a certificate, empty.
//! **Source:** Envoy's attributes (the first entry of a kind; the digest in lower-case hex); names in the form of RFC 2253 as OpenSSL's
//! `XN_FLAG_RFC2253` prints them: last entry first, bytes that are no ASCII as `\C3`, types without a short name as numbers and `#hex`.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::{Decode, Encode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

/// The short names that OpenSSL prints.
const SHORT: [(&str, &str); 18] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.46", "dnQualifier"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// The properties of a TLS session's client, by their paths.
pub(super) fn properties(der: Option<&[u8]>) -> Vec<(String, Vec<u8>)> {
    const SUBJECT: &str = "connection.subject_peer_certificate";
    der.map_or_else(|| vec![(SUBJECT.to_owned(), Vec::new())], of)
}

fn of(der: &[u8]) -> Vec<(String, Vec<u8>)> {
    let digest: String = Sha256::digest(der)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
    let mut found = vec![("sha256_peer_certificate_digest", digest)];
    // It has been verified, so it can be read; if this reader cannot, its names are not there.
    if let Ok(certificate) = Certificate::from_der(der) {
        let certificate = certificate.tbs_certificate();
        found.push(("subject_peer_certificate", rfc2253(certificate.subject())));
        let names = certificate.get_extension::<SubjectAltName>();
        let names = names
            .ok()
            .flatten()
            .map(|(_, names)| names.0)
            .unwrap_or_default();
        let uri = names.iter().find_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
            _ => None,
        });
        let dns = names.iter().find_map(|name| match name {
            GeneralName::DnsName(dns) => Some(dns.as_str()),
            _ => None,
        });
        found.extend(uri.map(|uri| ("uri_san_peer_certificate", uri.to_owned())));
        found.extend(dns.map(|dns| ("dns_san_peer_certificate", dns.to_owned())));
    }
    let path = |(name, value): (&str, String)| (format!("connection.{name}"), value.into_bytes());
    found.into_iter().map(path).collect()
}

fn rfc2253(name: &Name) -> String {
    let mut text = String::new();
    let names: Vec<_> = name.iter_rdn().collect();
    for (place, name) in names.into_iter().rev().enumerate() {
        if place > 0 {
            text.push(',');
        }
        let values: Vec<_> = name.iter().collect();
        for (place, value) in values.into_iter().rev().enumerate() {
            if place > 0 {
                text.push('+');
            }
            attribute(value, &mut text);
        }
    }
    text
}

fn attribute(attribute: &AttributeTypeAndValue, text: &mut String) {
    let oid = attribute.oid.to_string();
    let short = SHORT.iter().find(|(known, _)| *known == oid);
    let value = short.and_then(|_| string(&attribute.value));
    text.push_str(short.map_or(&oid, |(_, short)| short));
    text.push('=');
    let Some(value) = value else {
        text.push('#');
        for byte in attribute.value.to_der().unwrap_or_default() {
            let _ = write!(text, "{byte:02X}");
        }
        return;
    };
    let last = value.len().saturating_sub(1);
    for (place, byte) in value.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' ' if place == 0 || place == last => text.push_str("\\ "),
            b'#' if place == 0 => text.push_str("\\#"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:02X}");
            }
        }
    }
}

/// A string of any of the kinds that names are made of.
fn string(value: &x509_cert::der::Any) -> Option<String> {
    let bytes = value.value();
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString => String::from_utf8(bytes.to_vec()).ok(),
        Tag::TeletexString => Some(bytes.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let (units, rest) = bytes.as_chunks::<2>();
            let units: Vec<u16> = units.iter().copied().map(u16::from_be_bytes).collect();
            String::from_utf16(&units).ok().filter(|_| rest.is_empty())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType};

    use super::*;

    fn certificate(names: &[(DnType, &str)], others: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in names {
            let value = DnValue::Utf8String((*value).to_owned());
            params.distinguished_name.push(kind.clone(), value);
        }
        params.subject_alt_names = others;
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn get(properties: &[(String, Vec<u8>)], name: &str) -> Option<String> {
        let path = format!("connection.{name}");
        let found = properties.iter().find(|(held, _)| *held == path);
        found.map(|(_, value)| String::from_utf8(value.clone()).unwrap())
    }

    #[test]
    fn the_first_of_each_kind_and_the_digest() {
        let text = |text: &str| text.try_into().unwrap();
        let der = certificate(
            &[
                (DnType::CountryName, "GB"),
                (DnType::OrganizationName, "Shop, Ltd"),
                (DnType::CommonName, "partner"),
            ],
            vec![
                SanType::DnsName(text("a.example.com")),
                SanType::URI(text("spiffe://example.com/shop")),
                SanType::DnsName(text("b.example.com")),
                SanType::URI(text("https://example.com/")),
            ],
        );
        let seen = properties(Some(&der));
        let expected = [
            ("subject_peer_certificate", "CN=partner,O=Shop\\, Ltd,C=GB"),
            ("uri_san_peer_certificate", "spiffe://example.com/shop"),
            ("dns_san_peer_certificate", "a.example.com"),
        ];
        for (name, value) in expected {
            assert_eq!(get(&seen, name).as_deref(), Some(value), "{name}");
        }
        let digest = get(&seen, "sha256_peer_certificate_digest").unwrap();
        assert_eq!(digest.len(), 64);
        assert!(!digest.contains(|c: char| c.is_ascii_uppercase()));
    }

    #[test]
    fn what_is_not_in_it_is_no_property() {
        let seen = properties(Some(&certificate(&[], Vec::new())));
        assert_eq!(get(&seen, "subject_peer_certificate").as_deref(), Some(""));
        assert_eq!(get(&seen, "uri_san_peer_certificate"), None);
        assert_eq!(get(&seen, "dns_san_peer_certificate"), None);
        let seen = properties(Some(b"no certificate"));
        assert_eq!(get(&seen, "subject_peer_certificate"), None);
        let seen = properties(None);
        assert_eq!(get(&seen, "subject_peer_certificate").as_deref(), Some(""));
        assert_eq!(get(&seen, "sha256_peer_certificate_digest"), None);
    }

    #[test]
    fn names_are_escaped_as_openssl_does() {
        let rows = [
            ("a+b\"c\\d<e>f;g", "CN=a\\+b\\\"c\\\\d\\<e\\>f\\;g"),
            (" both ", "CN=\\ both\\ "),
            ("#1#", "CN=\\#1#"),
            ("caf\u{e9}", "CN=caf\\C3\\A9"),
            ("a\nb\u{7f}", "CN=a\\0Ab\\7F"),
            ("a=b/c", "CN=a=b/c"),
        ];
        for (name, expected) in rows {
            let seen = properties(Some(&certificate(
                &[(DnType::CommonName, name)],
                Vec::new(),
            )));
            let subject = get(&seen, "subject_peer_certificate");
            assert_eq!(subject.as_deref(), Some(expected));
        }
        let kind = DnType::CustomDnType(vec![1, 2, 3, 4]);
        let seen = properties(Some(&certificate(&[(kind, "ab")], Vec::new())));
        let subject = get(&seen, "subject_peer_certificate");
        assert_eq!(subject.as_deref(), Some("1.2.3.4=#0C026162"));
    }
}
