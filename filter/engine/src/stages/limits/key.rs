//! Counter keys: what tells two counters apart, hashed with a secret.
//!
//! **In:** the key parts of a limit and the facts of a request. **Out:** 64 bits.
//! **Invariant:** nothing a client sent is stored; each part is written with its kind and length, so that two
//! different lists of values never make the same text; without the secret nobody can aim at a set.
//! **Source:** SipHash-2-4 (Aumasson, Bernstein 2012), over input padded to whole words.

use core::net::IpAddr;

use super::{Facts, KeyPart};

/// Hash of the parts, or `None` when the limit does not count this request (a subject where there is none).
/// A missing header or field counts under an empty list of values.
pub(super) fn hash(secret: &[u8; 16], parts: &[KeyPart], facts: &Facts<'_>) -> Option<u64> {
    let mut sip = Sip::new(secret);
    for part in parts {
        match part {
            KeyPart::Client => sip.client(facts.client),
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

// Kinds of words. The low byte of a text's first word is `TAG_TEXT`, so that no length reads as another kind.
const TAG_V4: u64 = 1;
const TAG_V6: u64 = 2;
const TAG_SUBJECT: u64 = 3;
const TAG_HEADER: u64 = 4;
const TAG_FIELD: u64 = 5;
const TAG_END: u64 = 6;
const TAG_TEXT: u64 = 7;

/// SipHash-2-4, fed with whole words.
struct Sip {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
    words: u64,
}

impl Sip {
    const fn new(secret: &[u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *secret;
        let k0 = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let k1 = u64::from_le_bytes([i, j, k, l, m, n, o, p]);
        Self {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
            words: 0,
        }
    }

    const fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }

    const fn word(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.round();
        self.v0 ^= word;
        self.words = self.words.wrapping_add(1);
    }

    /// A length and the bytes, the last word padded with zeros.
    fn text(&mut self, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.word(length.wrapping_shl(8) | TAG_TEXT);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0_u8; 8];
            for (to, from) in last.iter_mut().zip(rest) {
                *to = *from;
            }
            self.word(u64::from_le_bytes(last));
        }
    }

    /// IPv4 whole; IPv6 its /64, because a client owns all of it. A mapped address is the IPv4 one.
    fn client(&mut self, client: IpAddr) {
        match client.to_canonical() {
            IpAddr::V4(address) => {
                self.word(u64::from(address.to_bits()).wrapping_shl(8) | TAG_V4);
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                self.word(TAG_V6);
                self.word(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
            }
        }
    }

    const fn finish(mut self) -> u64 {
        // The length in bytes, modulo 256, in the last byte: always a multiple of eight here.
        self.word(self.words.wrapping_shl(59));
        self.v2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    #[expect(
        deprecated,
        reason = "the standard library's SipHash-2-4 is the oracle"
    )]
    fn agrees_with_the_standard_library() {
        use core::hash::{Hasher, SipHasher};
        let secret: [u8; 16] = core::array::from_fn(|i| u8::try_from(i).unwrap() * 7 + 3);
        let half = |from: usize| u64::from_le_bytes(secret[from..from + 8].try_into().unwrap());
        for count in 0..70_u64 {
            let mut ours = Sip::new(&secret);
            let mut theirs = SipHasher::new_with_keys(half(0), half(8));
            for word in 0..count {
                let word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                ours.word(word);
                theirs.write(&word.to_le_bytes());
            }
            assert_eq!(ours.finish(), theirs.finish(), "{count} words");
        }
        assert_eq!(
            Sip::new(&core::array::from_fn(|i| u8::try_from(i).unwrap())).finish(),
            0x726f_db47_dd0e_0e31
        );
    }

    fn of(parts: &[KeyPart], client: IpAddr, fields: &[(Vec<u8>, Vec<u8>)]) -> u64 {
        let facts = Facts {
            method: b"",
            path: b"",
            client,
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
