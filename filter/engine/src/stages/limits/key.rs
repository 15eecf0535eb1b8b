//! Counter keys: what tells two counters apart, hashed with a secret.
//!
//! **In:** the key parts of a limit and the facts of a request. **Out:** 64 bits, or nothing: not counted.
//! **Invariant:** nothing a client sent is stored; each part is written with its kind and length, so that two different
//! lists of values never make the same text; without the secret nobody can aim at a set. Whoever leaves a value out, or
//! sends it several times differently, gets no counter of his own: all of them share one.
//! **Source:** RFC 4291 §2.5 (prefixes). How applications read names and values is in `reading.rs`.
//! **Cost:** linear in the values.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::limit::Phase;
use super::reading::{fold, is_below, same_name};
use crate::env::Certificate;
use crate::request::RequestHead;
use crate::request::body::decode_form;
use crate::sip::Sip;

/// Parts of a counter's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// The account that a credential claims before it is verified.
    Account,
    /// The id of the API key that was verified.
    ApiKey,
    /// A claim of the verified credential: its JSON Pointer, and its place among those that are kept.
    Claim(Vec<u8>, usize),
    /// The client's network: bits of an IPv4 and of an IPv6 address that count.
    Client {
        /// Of 32.
        v4: u8,
        /// Of 128.
        v6: u8,
    },
    /// A cookie.
    Cookie(Named),
    /// A field of the body (needs the body).
    Field(Named),
    /// A header.
    Header(Named),
    /// The method.
    Method,
    /// The pattern of the route's path.
    Path,
    /// A parameter of the query.
    Query(Named),
    /// The route, by its name.
    Route,
    /// The verified subject (and provider).
    Subject,
    /// A property of the client certificate.
    Tls(Property),
}

/// A value that is looked up by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Name.
    pub name: Vec<u8>,
    /// Whether spellings of one account are one value: see [`fold`].
    pub folded: bool,
}

/// Properties of a client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// First DNS name.
    Dns,
    /// Digest of the certificate.
    Sha256,
    /// Subject.
    Subject,
    /// First URI.
    Uri,
}

/// What becomes of a request without a value that the key asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missing {
    /// Counted together with all others without it; not counted where nobody was verified (or no account claimed).
    #[default]
    Usual,
    /// Counted together, also where nobody was verified.
    Count,
    /// Not counted.
    Skip,
}

impl KeyPart {
    /// The client's address, of IPv6 its /64.
    pub const CLIENT: Self = Self::Client { v4: 32, v6: 64 };

    /// When it is known.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Client { .. }
            | Self::Cookie(_)
            | Self::Header(_)
            | Self::Method
            | Self::Path
            | Self::Query(_)
            | Self::Route
            | Self::Tls(_) => Phase::Client,
            Self::Account => Phase::Credential,
            Self::ApiKey | Self::Claim(..) | Self::Subject => Phase::Subject,
            Self::Field(_) => Phase::Field,
        }
    }

    /// Whether it is a field of the body.
    pub(super) const fn field(&self) -> Option<&Named> {
        match self {
            Self::Field(named) => Some(named),
            _ => None,
        }
    }
}

/// What a limit may look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Method.
    pub method: &'a [u8],
    /// Judged path.
    pub path: &'a [u8],
    /// Name of the route.
    pub route: &'a [u8],
    /// Pattern of its path; empty: it takes every path.
    pub pattern: &'a [u8],
    /// Client.
    pub client: IpAddr,
    /// Its certificate.
    pub certificate: Option<Certificate<'a>>,
    /// The account that the request's credential claims.
    pub account: Option<&'a [u8]>,
    /// The provider's name and the subject, once verified.
    pub subject: Option<(&'a [u8], &'a [u8])>,
    /// Whether the subject is the id of an API key.
    pub api_key: bool,
    /// The claims that are kept for limits.
    pub claims: &'a [Option<Vec<u8>>],
    /// Bytes of the body, where the head tells.
    pub length: Option<u64>,
    /// The head.
    pub head: Option<&'a RequestHead<'a>>,
}

impl Facts<'_> {
    /// Nothing is known but the client.
    #[must_use]
    pub const fn of(client: IpAddr) -> Self {
        Self {
            method: b"",
            path: b"",
            route: b"",
            pattern: b"",
            client,
            certificate: None,
            account: None,
            subject: None,
            api_key: false,
            claims: &[],
            length: None,
            head: None,
        }
    }
}

/// A value that a key asks for.
enum Value<'a> {
    /// This one.
    One(Cow<'a, [u8]>),
    /// There is none.
    Missing,
    /// There are several that differ: the application takes one of them, who knows which.
    Several,
    /// There is none, because nobody was verified.
    Nobody,
}

impl<'a> Value<'a> {
    fn of(value: Option<&'a [u8]>) -> Self {
        value.map_or(Self::Missing, |value| Self::One(Cow::Borrowed(value)))
    }

    /// The same for what only the verified have.
    fn of_known(value: Option<&'a [u8]>) -> Self {
        value.map_or(Self::Nobody, |value| Self::One(Cow::Borrowed(value)))
    }

    /// The one value of all occurrences.
    fn single(named: &Named, values: impl Iterator<Item = Cow<'a, [u8]>>) -> Self {
        let mut single: Option<Cow<'a, [u8]>> = None;
        for value in values {
            let value = if named.folded {
                Cow::Owned(fold(&value))
            } else {
                value
            };
            match &single {
                Some(first) if *first != value => return Self::Several,
                Some(_) => {}
                None => single = Some(value),
            }
        }
        single.map_or(Self::Missing, Self::One)
    }
}

/// Hash of the parts, or `None` when the limit does not count this request. Of body fields only that they follow.
pub(super) fn hash(
    secret: &[u8; 16],
    parts: &[KeyPart],
    missing: Missing,
    facts: &Facts<'_>,
) -> Option<u64> {
    let mut sip = Sip::new(secret);
    for part in parts {
        add(&mut sip, part, missing, facts)?;
    }
    Some(sip.finish())
}

/// The hash of a key with body fields: of what was known before them, and of the fields in their order. Without fields it
/// is the hash that was known before.
pub(super) fn with_fields(
    secret: &[u8; 16],
    before: u64,
    parts: &[KeyPart],
    missing: Missing,
    fields: Fields<'_>,
) -> Option<u64> {
    if !parts.iter().any(|part| part.field().is_some()) {
        return Some(before);
    }
    let mut sip = Sip::new(secret);
    sip.word(TAG_BEFORE);
    sip.word(before);
    for named in parts.iter().filter_map(KeyPart::field) {
        sip.word(TAG_FIELD);
        sip.text(&named.name);
        let values = fields.of(&named.name).map(Cow::Borrowed);
        value(&mut sip, &Value::single(named, values), missing)?;
    }
    Some(sip.finish())
}

/// The fields of a body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields<'a> {
    /// Names and values, decoded; of JSON the names are paths.
    pub pairs: &'a [(Vec<u8>, Vec<u8>)],
    /// Whether it is a form: its readers are free with names.
    pub form: bool,
    /// Bytes of it, where that is known.
    pub length: Option<u64>,
}

impl<'a> Fields<'a> {
    fn of(self, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        self.pairs
            .iter()
            .filter(move |(field, _)| same_name(name, field, self.form))
            .map(|(_, value)| value.as_slice())
    }

    /// Whether a field has several values, or is a value and a list at once: readers differ in which they take.
    pub(super) fn contradict(self, named: &Named) -> bool {
        let values = self.of(&named.name).map(Cow::Borrowed);
        match Value::single(named, values) {
            Value::Several => true,
            Value::Missing | Value::Nobody => false,
            Value::One(_) => {
                let mut names = self.pairs.iter();
                names.any(|(field, _)| is_below(&named.name, field, self.form))
            }
        }
    }
}

fn add(sip: &mut Sip, part: &KeyPart, missing: Missing, facts: &Facts<'_>) -> Option<()> {
    match part {
        KeyPart::Account => {
            sip.word(TAG_ACCOUNT);
            value(sip, &Value::of_known(facts.account), missing)
        }
        KeyPart::ApiKey => {
            sip.word(TAG_API_KEY);
            let id = facts.subject.filter(|_| facts.api_key);
            provided(sip, id, missing)
        }
        KeyPart::Claim(pointer, place) => {
            sip.word(TAG_CLAIM);
            sip.text(pointer);
            let claim = match facts.subject {
                None => Value::Nobody,
                Some(_) => Value::of(facts.claims.get(*place).and_then(Option::as_deref)),
            };
            value(sip, &claim, missing)
        }
        KeyPart::Client { v4, v6 } => {
            add_client(sip, facts.client, *v4, *v6);
            Some(())
        }
        KeyPart::Cookie(named) => {
            sip.word(TAG_COOKIE);
            sip.text(&named.name);
            let cookies = facts.head.into_iter().flat_map(RequestHead::cookies);
            let values = cookies.filter(|(name, _)| *name == named.name);
            let values = values.map(|(_, value)| Cow::Borrowed(value));
            value(sip, &Value::single(named, values), missing)
        }
        // Looked at when the body is there.
        KeyPart::Field(_) => Some(()),
        KeyPart::Header(named) => {
            sip.word(TAG_HEADER);
            sip.text(&named.name);
            let values = facts
                .head
                .into_iter()
                .flat_map(|head| head.all(&named.name));
            let values = values.map(Cow::Borrowed);
            value(sip, &Value::single(named, values), missing)
        }
        KeyPart::Method => {
            sip.word(TAG_METHOD);
            sip.text(facts.method);
            Some(())
        }
        KeyPart::Path => {
            sip.word(TAG_PATH);
            sip.text(facts.pattern);
            Some(())
        }
        KeyPart::Query(named) => {
            sip.word(TAG_QUERY);
            sip.text(&named.name);
            let params = facts.head.into_iter().flat_map(RequestHead::params);
            let values =
                params.filter(|(name, _)| same_name(&named.name, &decode_form(name), true));
            let values = values.map(|(_, value)| Cow::Owned(decode_form(value)));
            value(sip, &Value::single(named, values), missing)
        }
        KeyPart::Route => {
            sip.word(TAG_ROUTE);
            sip.text(facts.route);
            Some(())
        }
        KeyPart::Subject => {
            sip.word(TAG_SUBJECT);
            provided(sip, facts.subject, missing)
        }
        KeyPart::Tls(property) => {
            let (tag, text) = match (property, &facts.certificate) {
                (Property::Dns, Some(it)) => (TAG_TLS_DNS, it.dns_san),
                (Property::Sha256, Some(it)) => (TAG_TLS_SHA256, it.sha256),
                (Property::Subject, Some(it)) => (TAG_TLS_SUBJECT, it.subject),
                (Property::Uri, Some(it)) => (TAG_TLS_URI, it.uri_san),
                (Property::Dns, None) => (TAG_TLS_DNS, &b""[..]),
                (Property::Sha256, None) => (TAG_TLS_SHA256, &b""[..]),
                (Property::Subject, None) => (TAG_TLS_SUBJECT, &b""[..]),
                (Property::Uri, None) => (TAG_TLS_URI, &b""[..]),
            };
            sip.word(tag);
            value(sip, &Value::of((!text.is_empty()).then_some(text)), missing)
        }
    }
}

/// Who was verified, and by which provider: by its name, which is the same wherever the policy lists it.
fn provided(sip: &mut Sip, subject: Option<(&[u8], &[u8])>, missing: Missing) -> Option<()> {
    if let Some((provider, _)) = subject {
        sip.text(provider);
    }
    value(sip, &Value::of_known(subject.map(|(_, id)| id)), missing)
}

fn value(sip: &mut Sip, value: &Value<'_>, missing: Missing) -> Option<()> {
    match (value, missing) {
        (Value::One(text), _) => sip.text(text),
        (Value::Several, _) => sip.word(TAG_SEVERAL),
        (Value::Nobody, Missing::Usual) | (_, Missing::Skip) => return None,
        (Value::Missing | Value::Nobody, Missing::Count) | (Value::Missing, Missing::Usual) => {
            sip.word(TAG_MISSING);
        }
    }
    Some(())
}

// Kinds of words; none is `sip::TEXT`.
const TAG_V4: u64 = 1;
const TAG_V6: u64 = 2;
const TAG_SUBJECT: u64 = 3;
const TAG_HEADER: u64 = 4;
const TAG_FIELD: u64 = 5;
const TAG_MISSING: u64 = 6;
const TAG_ACCOUNT: u64 = 8;
const TAG_API_KEY: u64 = 9;
const TAG_CLAIM: u64 = 10;
const TAG_COOKIE: u64 = 11;
const TAG_METHOD: u64 = 12;
const TAG_PATH: u64 = 13;
const TAG_QUERY: u64 = 14;
const TAG_ROUTE: u64 = 15;
const TAG_TLS_DNS: u64 = 16;
const TAG_TLS_SHA256: u64 = 17;
const TAG_TLS_SUBJECT: u64 = 18;
const TAG_TLS_URI: u64 = 19;
const TAG_SEVERAL: u64 = 20;
const TAG_BEFORE: u64 = 21;

/// A network, with the length of its prefix. A mapped address is the IPv4 one.
fn add_client(sip: &mut Sip, client: IpAddr, v4: u8, v6: u8) {
    match client.to_canonical() {
        IpAddr::V4(address) => {
            let beyond = 32_u32.saturating_sub(u32::from(v4));
            let mask = u32::MAX.checked_shl(beyond).unwrap_or(0);
            let network = u64::from(address.to_bits() & mask);
            sip.word(network.wrapping_shl(16) | u64::from(v4).wrapping_shl(8) | TAG_V4);
        }
        IpAddr::V6(address) => {
            let beyond = 128_u32.saturating_sub(u32::from(v6));
            let mask = u128::MAX.checked_shl(beyond).unwrap_or(0);
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] =
                (address.to_bits() & mask).to_be_bytes();
            sip.word(u64::from(v6).wrapping_shl(8) | TAG_V6);
            sip.word(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
            sip.word(u64::from_le_bytes([i, j, k, l, m, n, o, p]));
        }
    }
}

#[cfg(test)]
mod tests;
