//! Verified tokens: what a signature was found to cover, so that it is computed once.
//!
//! **In:** a token whose signature held, and its claims. **Out:** the same claims for the same token, byte for byte.
//! **Invariant:** a forged token never gets in, so nobody without a key can push anything out. What is remembered is that
//! a signature held and what it covered, never that a token is accepted: times, issuer, audience, claim rules, binding,
//! revocation, roles and scopes are judged by the same code on every request. An entry belongs to one provider under one
//! generation of its keys. The whole token is compared, in constant time; where it stands depends on a secret.
//! **Cost:** one keyed hash and one comparison of the token; at most [`WAYS`] entries looked at. Bounded in entries and
//! in bytes.

use alloc::vec::Vec;

use subtle::ConstantTimeEq as _;

use super::claims::Claims;
use super::copy;
use crate::sip::Sip;

/// Entries of a set.
const WAYS: usize = 4;

/// Bytes remembered for each entry the policy allows: larger ones take the room of several.
const BYTES_PER_ENTRY: usize = 4 * 1024;

/// Bytes at the end of a token that say where it stands.
const HASHED: usize = 96;

/// The tokens one worker has verified.
#[derive(Default)]
pub(super) struct TokenCache {
    secret: [u8; 16],
    /// A power of two of them; none: off.
    sets: Vec<[Option<Entry>; WAYS]>,
    /// Bytes of all entries.
    bytes: usize,
    most_bytes: usize,
    /// Counts uses, to tell the entry that was used longest ago.
    clock: u64,
    /// Where the next entry that makes room is looked for.
    hand: usize,
}

/// Where a token stands: whose it is, under which generation of keys, and a keyed hash of all that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    provider: usize,
    generation: u64,
    hash: u64,
}

struct Entry {
    place: Place,
    used: u64,
    /// Monotonic time from which on it is not there.
    until_ms: u64,
    token: Vec<u8>,
    claims: Claims,
}

impl core::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TokenCache")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Entry {
    const fn bytes(&self) -> usize {
        let text = self.token.capacity().saturating_add(self.claims.bytes());
        text.saturating_add(size_of::<Self>())
    }
}

impl TokenCache {
    /// Room for `entries`, rounded up to a power of two of sets; 0: off.
    pub(super) fn new(entries: usize, secret: [u8; 16]) -> Self {
        let mut cache = Self {
            secret,
            most_bytes: entries.saturating_mul(BYTES_PER_ENTRY),
            ..Self::default()
        };
        if entries > 0 {
            let sets = entries.div_ceil(WAYS).checked_next_power_of_two();
            let sets = sets.unwrap_or(1);
            cache.sets.resize_with(sets, || [const { None }; WAYS]);
        }
        cache
    }

    /// Where a token stands; nothing when the cache is off.
    pub(super) fn place(&self, provider: usize, generation: u64, token: &[u8]) -> Option<Place> {
        if self.sets.is_empty() {
            return None;
        }
        let mut sip = Sip::new(&self.secret);
        let index = u64::try_from(provider).unwrap_or(u64::MAX);
        sip.word(index.wrapping_shl(8) | PURPOSE);
        sip.word(generation);
        // The end of a token is its signature: as good as all of it to tell tokens apart, and all of it is compared.
        let from = token.len().saturating_sub(HASHED);
        sip.word(u64::try_from(from).unwrap_or(u64::MAX));
        sip.text(token.get(from..).unwrap_or_default());
        Some(Place {
            provider,
            generation,
            hash: sip.finish(),
        })
    }

    /// The claims of a token that the provider's keys, as they were at `place`, have verified.
    pub(super) fn get(&mut self, place: &Place, token: &[u8]) -> Option<&Claims> {
        self.get_fresh(place, token, 0)
    }

    /// The same, of what is to be known at that time.
    pub(super) fn get_fresh(
        &mut self,
        place: &Place,
        token: &[u8],
        now_ms: u64,
    ) -> Option<&Claims> {
        self.clock = self.clock.wrapping_add(1);
        let used = self.clock;
        let set = self.set(place);
        let entries = self.sets.get_mut(set)?.iter_mut().flatten();
        for entry in entries {
            if entry.place == *place && now_ms < entry.until_ms && same(&entry.token, token) {
                entry.used = used;
                return Some(&entry.claims);
            }
        }
        None
    }

    /// Remembers a token whose signature held.
    pub(super) fn insert(&mut self, place: Place, token: &[u8], claims: Claims) {
        self.insert_until(place, token, claims, u64::MAX);
    }

    /// Remembers what was answered about a token up to a monotonic time, in the place of an earlier answer.
    pub(super) fn insert_until(
        &mut self,
        place: Place,
        token: &[u8],
        claims: Claims,
        until_ms: u64,
    ) {
        self.clock = self.clock.wrapping_add(1);
        let entry = Entry {
            place,
            used: self.clock,
            until_ms,
            token: copy(token),
            claims,
        };
        let bytes = entry.bytes();
        let set = self.set(&place);
        if bytes > self.most_bytes {
            return;
        }
        let Some(set) = self.sets.get_mut(set) else {
            return;
        };
        // Its own, free, or used longest ago.
        let mut oldest: Option<(&mut Option<Entry>, u64)> = None;
        for slot in set {
            let used = match slot {
                Some(held) if held.place == place && same(&held.token, token) => 0,
                None => 1,
                Some(held) => held.used.saturating_add(1),
            };
            if oldest.as_ref().is_none_or(|(_, least)| used < *least) {
                oldest = Some((slot, used));
            }
        }
        if let Some((slot, _)) = oldest {
            let freed = slot.replace(entry).map_or(0, |old| old.bytes());
            self.bytes = self.bytes.saturating_sub(freed).saturating_add(bytes);
        }
        self.make_room();
    }

    /// Empties sets in turn until the bytes fit; the entry that was written now stays.
    fn make_room(&mut self) {
        for _ in 0..self.sets.len() {
            if self.bytes <= self.most_bytes {
                return;
            }
            self.hand = self.hand.wrapping_add(1) & self.sets.len().saturating_sub(1);
            let newest = self.clock;
            let slots = self.sets.get_mut(self.hand).into_iter().flatten();
            for slot in slots {
                if slot.as_ref().is_some_and(|entry| entry.used != newest) {
                    let freed = slot.take().map_or(0, |old| old.bytes());
                    self.bytes = self.bytes.saturating_sub(freed);
                }
            }
        }
    }

    fn set(&self, place: &Place) -> usize {
        let mask = self.sets.len().saturating_sub(1);
        usize::try_from(place.hash & u64::try_from(mask).unwrap_or(0)).unwrap_or(0)
    }
}

/// The kind of the hash's first word: no length of a text and no kind of the limiter's.
const PURPOSE: u64 = 0x54;

/// In constant time for equal lengths, a word at a time.
fn same(held: &[u8], given: &[u8]) -> bool {
    if held.len() != given.len() {
        return false;
    }
    let (held, rest) = held.as_chunks::<8>();
    let (given, other) = given.as_chunks::<8>();
    let mut differs = 0_u64;
    for (one, other) in held.iter().zip(given) {
        differs |= u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other);
    }
    bool::from(differs.ct_eq(&0) & rest.ct_eq(other))
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn claims(text: &str) -> Claims {
        Claims::read(format!("{{\"sub\":\"{text}\"}}").into_bytes()).unwrap()
    }

    fn insert(cache: &mut TokenCache, provider: usize, token: &str) {
        let place = cache.place(provider, 1, token.as_bytes()).unwrap();
        cache.insert(place, token.as_bytes(), claims(token));
    }

    fn has_under(cache: &mut TokenCache, provider: usize, generation: u64, token: &str) -> bool {
        let place = cache.place(provider, generation, token.as_bytes()).unwrap();
        let held = cache.get(&place, token.as_bytes());
        held.is_some_and(|claims| claims.get(b"sub") == Some(format!("\"{token}\"").as_bytes()))
    }

    fn has(cache: &mut TokenCache, provider: usize, token: &str) -> bool {
        has_under(cache, provider, 1, token)
    }

    #[test]
    fn a_token_is_found_by_its_provider_its_keys_and_every_byte() {
        let mut cache = TokenCache::new(64, [7; 16]);
        let token = "header.payload.signature-of-23";
        insert(&mut cache, 0, token);
        assert!(has(&mut cache, 0, token));
        assert!(!has(&mut cache, 1, token), "no entry of another provider");
        assert!(!has_under(&mut cache, 0, 2, token), "nor of other keys");
        let place = cache.place(0, 1, token.as_bytes()).unwrap();
        for at in 0..token.len() {
            let mut other = token.as_bytes().to_vec();
            other[at] ^= 1;
            // Even where the hash would be the same.
            assert!(cache.get(&place, &other).is_none(), "byte {at}");
        }
        for cut in 0..token.len() {
            assert!(cache.get(&place, &token.as_bytes()[..cut]).is_none());
        }
        for other in [
            Place {
                provider: 1,
                ..place
            },
            Place {
                generation: 2,
                ..place
            },
        ] {
            assert!(cache.get(&other, token.as_bytes()).is_none());
        }
    }

    #[test]
    fn bounded_in_entries_and_bytes() {
        let mut cache = TokenCache::new(16, [1; 16]);
        for number in 0..1_000 {
            insert(&mut cache, 0, &format!("t{number}"));
            assert!(has(&mut cache, 0, &format!("t{number}")), "{number}");
        }
        let held = (0..1_000).filter(|number| has(&mut cache, 0, &format!("t{number}")));
        assert!((8..=16).contains(&held.count()));
        let long = |number: usize| format!("{number}{}", "x".repeat(15_000));
        for number in 0..50 {
            insert(&mut cache, 0, &long(number));
            assert!(cache.bytes <= cache.most_bytes, "{}", cache.bytes);
        }
        let sum: usize = cache
            .sets
            .iter()
            .flatten()
            .flatten()
            .map(Entry::bytes)
            .sum();
        assert_eq!(sum, cache.bytes, "what is counted is what is there");
        assert!(
            TokenCache::new(0, [1; 16]).place(0, 0, b"a").is_none(),
            "off"
        );
    }

    #[test]
    fn neither_secret_nor_token_is_shown() {
        let mut cache = TokenCache::new(4, [7; 16]);
        insert(&mut cache, 0, "a");
        let bytes = cache.bytes;
        let shown = format!("{cache:?}");
        assert_eq!(shown, format!("TokenCache {{ bytes: {bytes}, .. }}"));
    }

    #[test]
    fn the_entry_used_longest_ago_makes_room() {
        let mut cache = TokenCache::new(4, [1; 16]);
        for token in ["a", "b", "c", "d"] {
            insert(&mut cache, 0, token);
        }
        assert!(has(&mut cache, 0, "a"));
        insert(&mut cache, 0, "e");
        assert!(!has(&mut cache, 0, "b"));
        assert!(has(&mut cache, 0, "a") && has(&mut cache, 0, "e"));
    }
}
