//! Accounts: what the policy says about a credential it lists itself (API keys, passwords, certificates).
//!
//! **In:** a hash of what was presented. **Out:** the place of the entry that has it; an entry's claims are read like
//! those of a token. **Invariant:** a look-up takes the same steps for every hash, listed or not: the rows lie in the
//! order of a hash keyed with a digest of all listed hashes together, which nobody can compute who does not know every
//! one of them; the search always takes as many steps as the list is long in bits, and ends in one comparison in
//! constant time. **Cost:** two compressions' worth of SipHash and twelve steps for 4,096 rows.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::claims::{Claims, owned, string};
use super::{Failure, Provider, RouteToken, VerifiedClaims, copy};
use crate::sip::Sip;
use crate::units::UnixTime;
use crate::verdict::Reason;

/// SHA-256 of something secret or claimed.
pub type Hash = [u8; 32];

/// Entries of one provider at most.
pub const MAX_ACCOUNTS: usize = 4096;

/// SHA-256.
#[must_use]
pub fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Whether two hashes are the same, in constant time.
pub(super) fn same(one: &Hash, other: &Hash) -> bool {
    let (one, _) = one.as_chunks::<8>();
    let (other, _) = other.as_chunks::<8>();
    let mut same = subtle::Choice::from(1);
    for (one, other) in one.iter().zip(other) {
        same &= u64::from_ne_bytes(*one).ct_eq(&u64::from_ne_bytes(*other));
    }
    bool::from(same)
}

/// What a listed credential stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// A JSON object with `sub`, and perhaps `roles` and `scope`.
    claims: Vec<u8>,
    /// The first second in which it holds no longer.
    expires: Option<u64>,
}

impl Account {
    /// An account. Texts of the policy: UTF-8 without control characters.
    #[must_use]
    pub fn new(subject: &[u8], grants: &Grants, expires: Option<u64>) -> Self {
        Self {
            claims: grants.object(subject),
            expires,
        }
    }

    /// Its claims, if it still holds.
    pub(super) fn verified(
        &self,
        index: usize,
        provider: &Provider,
        route: &RouteToken,
        now: UnixTime,
    ) -> Result<VerifiedClaims, Failure> {
        let UnixTime(now) = now;
        if self.expires.is_some_and(|expires| now >= expires) {
            return Err(Failure::new(Reason::TokenExpired, "expires"));
        }
        collect(index, provider, route, &self.claims)
    }

    /// Why its claims cannot be forwarded as `provider` asks; for the compiler of policies.
    #[must_use]
    pub fn fault(&self, provider: &Provider) -> Option<&'static str> {
        collect(0, provider, &RouteToken::nothing(), &self.claims)
            .err()
            .map(|failure| failure.what)
    }
}

/// Roles and scopes, as the members that follow `sub` in an object of claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    members: Vec<u8>,
}

impl Grants {
    /// Roles as an array, scopes as one text with blanks between (RFC 8693 §4.2).
    #[must_use]
    pub fn new(roles: &[Vec<u8>], scopes: &[Vec<u8>]) -> Self {
        let mut members = Vec::new();
        if !roles.is_empty() {
            members.extend_from_slice(b",\"roles\":[");
            let mut first = true;
            for role in roles {
                if !core::mem::replace(&mut first, false) {
                    members.push(b',');
                }
                push_text(&mut members, role);
            }
            members.push(b']');
        }
        if !scopes.is_empty() {
            members.extend_from_slice(b",\"scope\":");
            push_text(&mut members, &scopes.join(&b' '));
        }
        Self { members }
    }

    /// The claims of `subject`.
    pub(super) fn object(&self, subject: &[u8]) -> Vec<u8> {
        let mut claims = Vec::new();
        claims.extend_from_slice(b"{\"sub\":");
        push_text(&mut claims, subject);
        claims.extend_from_slice(&self.members);
        claims.push(b'}');
        claims
    }
}

/// Verified claims from an object written by [`Grants`].
pub(super) fn collect(
    index: usize,
    provider: &Provider,
    route: &RouteToken,
    claims: &[u8],
) -> Result<VerifiedClaims, Failure> {
    let claims = Claims::read(copy(claims))?;
    let subject = claims.get(b"sub").and_then(string);
    let subject = owned(subject.ok_or(Failure::claims("sub"))?.decode());
    claims.collect(index, provider, route, subject)
}

/// A text as a JSON string. What must be escaped is; the rest goes as it is.
fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => {
                let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or(b'0');
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0x0f)]);
            }
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// Hashes and where each stood in the list they came from.
#[derive(Clone)]
pub struct Index {
    key: [u8; 16],
    /// Keyed hashes of the rows, ascending, filled up to a power of two.
    tags: Vec<u64>,
    rows: Vec<(Hash, usize)>,
}

impl Index {
    /// An index; of equal hashes the first counts.
    #[must_use]
    pub fn new(hashes: &[Hash]) -> Self {
        let mut key = [0; 16];
        let digest = hashes
            .iter()
            .fold(
                Sha256::new().chain_update(b"palisade accounts"),
                |all, hash| all.chain_update(hash),
            )
            .finalize();
        for (to, from) in key.iter_mut().zip(digest) {
            *to = from;
        }
        let mut index = Self {
            key,
            tags: Vec::new(),
            rows: Vec::new(),
        };
        for (place, hash) in hashes.iter().enumerate() {
            let tag = index.tag(hash);
            let at = index.tags.partition_point(|other| *other < tag);
            index.tags.insert(at, tag);
            index.rows.insert(at, (*hash, place));
        }
        let room = index.tags.len().next_power_of_two();
        index.tags.resize(room, u64::MAX);
        index
    }

    /// Where the list has `hash`.
    #[must_use]
    pub(super) fn find(&self, hash: &Hash) -> Option<usize> {
        let tag = self.tag(hash);
        let mut at = 0_usize;
        let mut step = self.tags.len() / 2;
        while step > 0 {
            let next = at.wrapping_add(step);
            let below = self.tags.get(next).is_some_and(|other| *other <= tag);
            // Added or not, without a branch on it.
            at = at.wrapping_add(step & 0_usize.wrapping_sub(usize::from(below)));
            step /= 2;
        }
        // Past the last row lies filling: the last row is compared instead, and differs.
        let at = at.min(self.rows.len().saturating_sub(1));
        let (row, place) = self.rows.get(at)?;
        same(row, hash).then_some(*place)
    }

    fn tag(&self, hash: &Hash) -> u64 {
        let mut sip = Sip::new(&self.key);
        let (words, _) = hash.as_chunks::<8>();
        for word in words {
            sip.word(u64::from_le_bytes(*word));
        }
        sip.finish()
    }
}

impl core::fmt::Debug for Index {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Index")
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hash_is_found_and_no_other() {
        for count in [0_u32, 1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 1000, 4096] {
            let hashes: Vec<Hash> = (0..count).map(|i| hash(&i.to_le_bytes())).collect();
            let index = Index::new(&hashes);
            for (place, hash) in hashes.iter().enumerate() {
                assert_eq!(index.find(hash), Some(place), "{place} of {count}");
                let mut other = *hash;
                other[31] ^= 1;
                assert_eq!(index.find(&other), None);
            }
            assert_eq!(index.find(&[0xff; 32]), None);
            assert_eq!(index.find(&[0; 32]), None);
        }
    }

    /// The rows' order tells nothing: it depends on hashes that nobody knows together.
    #[test]
    fn one_more_hash_orders_all_of_them_anew() {
        let hashes: Vec<Hash> = (0..64_u32).map(|i| hash(&i.to_le_bytes())).collect();
        let order = |index: &Index| -> Vec<usize> {
            let places = index.rows.iter().map(|(_, place)| *place);
            places.filter(|place| *place < 63).collect()
        };
        assert_ne!(
            order(&Index::new(&hashes)),
            order(&Index::new(&hashes[..63]))
        );
        let shown = alloc::format!("{:?}", Index::new(&hashes));
        assert_eq!(shown, "Index { rows: 64, .. }");
    }

    #[test]
    fn texts_are_written_as_json() {
        let account = Account::new("a\"b\\ü\u{1}".as_bytes(), &Grants::default(), None);
        let read: serde_json::Value = serde_json::from_slice(&account.claims).unwrap();
        assert_eq!(read["sub"], "a\"b\\ü\u{1}");
        let list = [b"one".to_vec(), b"two".to_vec()];
        let account = Account::new(b"x", &Grants::new(&list, &list), Some(1));
        let read: serde_json::Value = serde_json::from_slice(&account.claims).unwrap();
        assert_eq!(
            read,
            serde_json::json!({"sub": "x", "roles": ["one", "two"], "scope": "one two"})
        );
    }
}
