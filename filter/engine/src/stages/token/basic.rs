//! Basic authentication: a user's name and password, checked against what the policy stores of it.
//!
//! **In:** the credential after `Basic `, the wall clock, what this worker remembers. **Out:** [`VerifiedClaims`].
//! **Invariant:** a name that nobody has costs what a wrong password costs: every check hashes the name and the password,
//! looks the name up in time that tells nothing, and does as many iterations of PBKDF2 as the costliest user of the
//! provider asks, whoever is asked for; all comparisons are of hashes, in constant time. Every malformed credential fails
//! like a wrong password. What was right is remembered as a keyed hash for a short time, in a table of fixed size: an
//! entry can be reached with the right name and password only.
//! **Source:** RFC 7617, RFC 8018 §5.2 (PBKDF2), RFC 4648 §4.
//! **Cost:** the provider's iterations, two compressions each, at most [`MAX_ITERATIONS`]; remembered: six compressions.

use alloc::vec::Vec;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::accounts::{Account, Hash, Index, hash, same};
use super::{Failure, Provider, RouteToken, VerifiedClaims, base64url, split_first};
use crate::units::UnixTime;
use crate::verdict::Reason;

/// Iterations of PBKDF2 at most: a callback holds its worker until it ends, and wasm does about 1,500 in a millisecond. Full
/// strength (600,000) would hold every other request of the worker for some 400 ms.
pub const MAX_ITERATIONS: u32 = 10_000;

/// Iterations at least, where PBKDF2 is used at all.
pub const MIN_ITERATIONS: u32 = 1_000;

/// Bytes of a salt: none shorter tells users apart, and a longer one would cost a compression more than others.
pub const SALT_BYTES: core::ops::RangeInclusive<usize> = 8..=48;

/// Bytes of name, colon and password at most.
pub const MAX_PAIR_BYTES: usize = 1024;

/// How a user's password is stored.
#[derive(Clone, PartialEq, Eq)]
pub enum Stored {
    /// Its SHA-256: for long random passwords only.
    Sha256(Hash),
    /// PBKDF2-HMAC-SHA256.
    Pbkdf2 {
        /// How often.
        iterations: u32,
        /// The salt.
        salt: Vec<u8>,
        /// What comes of it.
        hash: Hash,
    },
}

impl core::fmt::Debug for Stored {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Stored(redacted)")
    }
}

impl Stored {
    const fn iterations(&self) -> u32 {
        match self {
            Self::Sha256(_) => 0,
            Self::Pbkdf2 { iterations, .. } => *iterations,
        }
    }

    const fn hash(&self) -> &Hash {
        match self {
            Self::Sha256(hash) | Self::Pbkdf2 { hash, .. } => hash,
        }
    }

    fn salt(&self) -> &[u8] {
        match self {
            // As long as others, for the same number of blocks.
            Self::Sha256(hash) => hash.get(..16).unwrap_or_default(),
            Self::Pbkdf2 { salt, .. } => salt,
        }
    }
}

/// A user of the policy.
#[derive(Debug, Clone)]
pub struct User {
    /// Its name.
    pub name: Vec<u8>,
    /// Its password.
    pub stored: Stored,
    /// What it stands for.
    pub account: Account,
}

/// The users of one provider.
#[derive(Clone)]
pub struct Basic {
    index: Index,
    users: Vec<User>,
    /// Iterations of every check.
    iterations: u32,
    /// Names what is remembered; keyed with all that is stored, so that nobody can aim.
    memory: Hmac<Sha256>,
    /// Seconds a right password is remembered; 0: never.
    cache: u64,
    challenge: Vec<u8>,
}

impl core::fmt::Debug for Basic {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Basic")
            .field("users", &self.users)
            .field("iterations", &self.iterations)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl Basic {
    /// Users; of those with the same name the first counts. `None` when the hash will not have a key, which it always will.
    #[must_use]
    pub fn new(users: Vec<User>, cache: u64, realm: &[u8]) -> Option<Self> {
        let mut challenge = Vec::from(&b"Basic realm=\""[..]);
        challenge.extend_from_slice(realm);
        challenge.extend_from_slice(b"\", charset=\"UTF-8\"");
        let names: Vec<Hash> = users.iter().map(|user| hash(&user.name)).collect();
        let mut all = Vec::from(&b"palisade passwords"[..]);
        for user in &users {
            all.extend_from_slice(&hash(&user.name));
            all.extend_from_slice(user.stored.hash());
            all.extend_from_slice(&hash(user.stored.salt()));
        }
        Some(Self {
            index: Index::new(&names),
            iterations: users
                .iter()
                .map(|user| user.stored.iterations())
                .max()
                .unwrap_or_default(),
            users,
            memory: Hmac::new_from_slice(&hash(&all)).ok()?,
            cache,
            challenge,
        })
    }

    /// What asks for a password (RFC 7617 §2).
    pub(super) fn challenge(&self) -> &[u8] {
        &self.challenge
    }

    /// The users.
    #[must_use]
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// Iterations of every check.
    #[must_use]
    pub const fn iterations(&self) -> u32 {
        self.iterations
    }

    pub(super) fn verify(
        &self,
        index: usize,
        provider: &Provider,
        route: &RouteToken,
        credential: &[u8],
        remembered: &mut Remembered,
        now: UnixTime,
    ) -> Result<VerifiedClaims, Failure> {
        let pair = Pair::decode(credential)
            .map_err(|what| Failure::new(Reason::CredentialsInvalid, what))?;
        let (name, password) = pair.parts();
        let wrong = Failure::new(Reason::CredentialsInvalid, "password");
        let named = self.index.find(&hash(name));
        let entry = (self.cache > 0).then(|| self.entry(index, name, password));
        if let (Some(entry), Some(place)) = (&entry, named)
            && remembered.has(entry, now, self.cache)
        {
            let user = self.users.get(place).ok_or(wrong)?;
            return user.account.verified(index, provider, route, now);
        }
        // Nobody is asked for the first one's password, and does not get in with it.
        let user = self.users.get(named.unwrap_or_default()).ok_or(wrong)?;
        let right = self.is_password(&user.stored, password).ok_or(wrong)?;
        if !right || named.is_none() {
            return Err(wrong);
        }
        if let Some(entry) = entry {
            remembered.add(entry, now, self.cache);
        }
        user.account.verified(index, provider, route, now)
    }

    /// Does the provider's iterations, whatever `stored` asks, and both ways of hashing.
    fn is_password(&self, stored: &Stored, password: &[u8]) -> Option<bool> {
        let plain = hash(password);
        let derived = if self.iterations > 0 {
            derive(
                password,
                stored.salt(),
                stored.iterations(),
                self.iterations,
            )?
        } else {
            plain
        };
        let given = match stored {
            Stored::Sha256(_) => &plain,
            Stored::Pbkdf2 { .. } => &derived,
        };
        Some(same(given, stored.hash()))
    }

    fn entry(&self, index: usize, name: &[u8], password: &[u8]) -> Hash {
        let mut mac = self.memory.clone();
        let index = u64::try_from(index).unwrap_or(u64::MAX);
        let length = u64::try_from(name.len()).unwrap_or(u64::MAX);
        mac.update(&index.to_le_bytes());
        mac.update(&length.to_le_bytes());
        mac.update(name);
        mac.update(password);
        mac.finalize().into_bytes().into()
    }
}

/// The first block of PBKDF2-HMAC-SHA256 after `iterations`; the work is that of `all`.
fn derive(password: &[u8], salt: &[u8], iterations: u32, all: u32) -> Option<Hash> {
    let keyed = Hmac::<Sha256>::new_from_slice(password).ok()?;
    let mut mac = keyed.clone();
    mac.update(salt);
    mac.update(&1_u32.to_be_bytes());
    let mut block: Hash = mac.finalize().into_bytes().into();
    let mut sum = [0_u64; 4];
    let mut left = iterations;
    for _ in 0..all {
        // All ones until `iterations` are summed up, then zero.
        let counts = 0_u64.wrapping_sub(u64::from(left > 0));
        left = left.saturating_sub(1);
        let (words, _) = block.as_chunks::<8>();
        for (sum, word) in sum.iter_mut().zip(words) {
            *sum ^= u64::from_ne_bytes(*word) & counts;
        }
        let mut mac = keyed.clone();
        mac.update(&block);
        block = mac.finalize().into_bytes().into();
    }
    let mut out = [0; 32];
    for (to, from) in out
        .iter_mut()
        .zip(sum.iter().flat_map(|word| word.to_ne_bytes()))
    {
        *to = from;
    }
    Some(out)
}

/// A decoded credential.
#[derive(Debug)]
struct Pair {
    bytes: Vec<u8>,
}

impl Pair {
    /// Decodes `token68` in its one canonical form. An error says what is wrong, never with what.
    fn decode(credential: &[u8]) -> Result<Self, &'static str> {
        // Four letters for three bytes.
        if credential.len() > MAX_PAIR_BYTES.div_ceil(3).saturating_mul(4) {
            return Err("size");
        }
        let bytes = decode_base64(credential).ok_or("base64")?;
        if bytes.len() > MAX_PAIR_BYTES {
            return Err("size");
        }
        let Some((name, _)) = split_first(&bytes, b':') else {
            return Err("colon");
        };
        if name.is_empty() {
            return Err("name");
        }
        // RFC 7617 §2: neither part may contain control characters.
        if bytes.iter().any(|byte| *byte < 0x20 || *byte == 0x7f) {
            return Err("control");
        }
        Ok(Self { bytes })
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        split_first(&self.bytes, b':').unwrap_or_default()
    }
}

/// The name that a credential claims, right or not.
pub(super) fn claimed(credential: &[u8]) -> Option<Vec<u8>> {
    let pair = Pair::decode(credential).ok()?;
    Some(super::copy(pair.parts().0))
}

/// RFC 4648 §4 with its padding: through the decoder of the other alphabet, which knows one text for one byte string.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || text.len() & 3 != 0 {
        return None;
    }
    let body = text.strip_suffix(b"=").unwrap_or(text);
    let body = body.strip_suffix(b"=").unwrap_or(body);
    let mut other = Vec::with_capacity(body.len());
    for byte in body {
        other.push(match byte {
            b'+' => b'-',
            b'/' => b'_',
            b'-' | b'_' => return None,
            byte => *byte,
        });
    }
    base64url::decode_vec(&other)
}

/// Right passwords of late, as keyed hashes.
#[derive(Default)]
pub(super) struct Remembered {
    /// Hash and the first second in which it is forgotten.
    entries: Vec<(Hash, u64)>,
}

/// Places of the table; 40 bytes each.
const PLACES: usize = 1024;

impl Remembered {
    fn place(hash: &Hash) -> usize {
        let [a, b, ..] = *hash;
        usize::from(u16::from_le_bytes([a, b])) & (PLACES - 1)
    }

    /// Whether it was right within the last `seconds`; a time of after now says that the clock was set back.
    fn has(&self, hash: &Hash, now: UnixTime, seconds: u64) -> bool {
        let UnixTime(now) = now;
        let lives = |until: u64| {
            until
                .checked_sub(now)
                .is_some_and(|left| (1..=seconds).contains(&left))
        };
        self.entries
            .get(Self::place(hash))
            .is_some_and(|(entry, until)| same(entry, hash) && lives(*until))
    }

    /// Takes the place of whoever had it.
    fn add(&mut self, hash: Hash, now: UnixTime, seconds: u64) {
        if self.entries.is_empty() {
            self.entries.resize(PLACES, ([0; 32], 0));
        }
        let UnixTime(now) = now;
        if let Some(entry) = self.entries.get_mut(Self::place(&hash)) {
            *entry = (hash, now.saturating_add(seconds));
        }
    }
}

impl core::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Remembered(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7914 §11, the first 32 bytes of each; then the work of more iterations changes nothing.
    #[test]
    fn pbkdf2() {
        let unhex = |text: &str| -> Vec<u8> {
            let pairs = text.as_bytes().chunks(2);
            pairs
                .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect()
        };
        for (password, salt, iterations, expected) in [
            (
                "passwd",
                "salt",
                1,
                "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc",
            ),
            (
                "Password",
                "NaCl",
                80_000,
                "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56",
            ),
        ] {
            for all in [iterations, iterations + 3] {
                let hash = derive(password.as_bytes(), salt.as_bytes(), iterations, all).unwrap();
                assert_eq!(hash.as_slice(), unhex(expected), "{iterations} of {all}");
            }
        }
        assert!(derive(&[0; MAX_PAIR_BYTES], b"saltsalt", 1, 1).is_some());
        assert!(derive(b"", b"saltsalt", 1, 1).is_some());
    }

    #[test]
    fn what_was_right_is_forgotten_in_time() {
        let mut remembered = Remembered::default();
        let (one, mut two) = (hash(b"one"), hash(b"two"));
        assert!(!remembered.has(&one, UnixTime(100), 60));
        remembered.add(one, UnixTime(100), 60);
        for (now, has) in [
            (99, false),
            (100, true),
            (159, true),
            (160, false),
            (0, false),
        ] {
            assert_eq!(remembered.has(&one, UnixTime(now), 60), has, "{now}");
        }
        assert!(!remembered.has(&two, UnixTime(100), 60));
        // The same place: who comes later stays.
        two[0] = one[0];
        two[1] = one[1];
        remembered.add(two, UnixTime(100), 60);
        assert!(
            remembered.has(&two, UnixTime(100), 60) && !remembered.has(&one, UnixTime(100), 60)
        );
        for i in 0..10_000_u32 {
            remembered.add(hash(&i.to_le_bytes()), UnixTime(100), 60);
        }
        assert_eq!(remembered.entries.len(), PLACES);
        assert!(!remembered.has(&[0; 32], UnixTime(0), 60));
    }
}
