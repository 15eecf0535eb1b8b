//! Counter keys: what tells two counters apart, hashed with a secret.
//!
//! **In:** the key parts of a limit and the facts of a request. **Out:** 64 bits.
//! **Invariant:** nothing a client sent is stored; each part is written with its kind and length, so that two
//! different lists of values never make the same text; without the secret nobody can aim at a set.

use alloc::vec::Vec;
use core::net::IpAddr;

use crate::request::RequestHead;
use crate::sip::Sip;

/// Parts of a counter's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// The client's address (IPv6: its /64).
    Client,
    /// The account that a credential claims before it is verified; one that names none is not counted by this limit.
    Account,
    /// The verified subject (and provider); anonymous requests are not counted by this limit.
    Subject,
    /// All values of a header.
    Header(Vec<u8>),
    /// A field of the body (needs the body).
    Field(Vec<u8>),
}

/// What a limit may look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Method.
    pub method: &'a [u8],
    /// Judged path.
    pub path: &'a [u8],
    /// Client.
    pub client: IpAddr,
    /// The account that the request's credential claims.
    pub account: Option<&'a [u8]>,
    /// Provider index and subject, once verified.
    pub subject: Option<(usize, &'a [u8])>,
    /// The head, in the head phase.
    pub head: Option<&'a RequestHead<'a>>,
    /// Body fields (name, value), in the body phase.
    pub fields: &'a [(Vec<u8>, Vec<u8>)],
}

/// Hash of the parts, or `None` when the limit does not count this request (a subject where there is none).
/// A missing header or field counts under an empty list of values.
pub(super) fn hash(secret: &[u8; 16], parts: &[KeyPart], facts: &Facts<'_>) -> Option<u64> {
    let mut sip = Sip::new(secret);
    for part in parts {
        match part {
            KeyPart::Account => {
                sip.word(TAG_ACCOUNT);
                sip.text(facts.account?);
            }
            KeyPart::Client => add_client(&mut sip, facts.client),
            KeyPart::Subject => {
                let (provider, subject) = facts.subject?;
                sip.word(TAG_SUBJECT);
                sip.word(u64::try_from(provider).unwrap_or(u64::MAX));
                sip.text(subject);
            }
            KeyPart::Header(name) => {
                sip.word(TAG_HEADER);
                sip.text(name);
                if let Some(head) = facts.head {
                    for value in head.all(name) {
                        sip.text(value);
                    }
                }
                sip.word(TAG_END);
            }
            KeyPart::Field(name) => {
                sip.word(TAG_FIELD);
                sip.text(name);
                for (_, value) in facts.fields.iter().filter(|(field, _)| field == name) {
                    sip.text(value);
                }
                sip.word(TAG_END);
            }
        }
    }
    Some(sip.finish())
}

// Kinds of words; none is `sip::TEXT`.
const TAG_V4: u64 = 1;
const TAG_V6: u64 = 2;
const TAG_SUBJECT: u64 = 3;
const TAG_HEADER: u64 = 4;
const TAG_FIELD: u64 = 5;
const TAG_END: u64 = 6;
const TAG_ACCOUNT: u64 = 8;

/// IPv4 whole; IPv6 its /64, because a client owns all of it. A mapped address is the IPv4 one.
fn add_client(sip: &mut Sip, client: IpAddr) {
    match client.to_canonical() {
        IpAddr::V4(address) => {
            sip.word(u64::from(address.to_bits()).wrapping_shl(8) | TAG_V4);
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h, ..] = address.octets();
            sip.word(TAG_V6);
            sip.word(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};

    fn of(parts: &[KeyPart], client: IpAddr, fields: &[(Vec<u8>, Vec<u8>)]) -> u64 {
        let facts = Facts {
            method: b"",
            path: b"",
            client,
            account: Some(b"s"),
            subject: Some((0, b"s")),
            head: None,
            fields,
        };
        hash(&[1; 16], parts, &facts).unwrap()
    }

    #[test]
    fn clients_are_v4_addresses_or_v6_networks() {
        let v4 = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let v6 = |last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, last));
        let key = [KeyPart::Client];
        assert_eq!(of(&key, v6(1), &[]), of(&key, v6(2), &[]));
        assert_ne!(
            of(&key, v6(1), &[]),
            of(
                &key,
                IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 9, 9, 9, 1)),
                &[]
            )
        );
        assert_ne!(
            of(&key, v4, &[]),
            of(&key, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), &[])
        );
        let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
        assert_eq!(of(&key, v4, &[]), of(&key, mapped, &[]));
    }

    #[test]
    fn values_never_run_together() {
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let field = |name: &[u8], value: &[u8]| (name.to_vec(), value.to_vec());
        let key = [KeyPart::Field(b"u".to_vec()), KeyPart::Field(b"v".to_vec())];
        let lists: [&[(Vec<u8>, Vec<u8>)]; 8] = [
            &[],
            &[field(b"u", b"")],
            &[field(b"v", b"")],
            &[field(b"u", b"ab")],
            &[field(b"u", b"a"), field(b"u", b"b")],
            &[field(b"u", b"a"), field(b"v", b"b")],
            &[field(b"u", b"ab\0")],
            &[field(b"u", b"b"), field(b"v", b"a")],
        ];
        for (i, a) in lists.iter().enumerate() {
            for b in lists.iter().skip(i + 1) {
                assert_ne!(of(&key, v4, a), of(&key, v4, b), "{a:?} {b:?}");
            }
        }
        assert_eq!(of(&key, v4, &[field(b"x", b"1")]), of(&key, v4, &[]));
    }
}
