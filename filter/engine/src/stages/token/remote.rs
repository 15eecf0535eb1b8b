//! Keys that move: when a provider's key set is fetched, who fetches it, and what one worker makes of it. No host.
//!
//! **In:** the rules of a provider, the clock, the entry all workers share. **Out:** [`Control`] to write back, a [`Plan`],
//! and [`Remote`], the keys one worker verifies with.
//! **Invariant:** one flight for all workers: a fetch begins with a compare-and-swap that takes the lease, and a lease that
//! its holder does not give back ends by itself. A document that cannot be read never replaces one that could; keys serve
//! until `max_stale` after their last fetch, whatever fails meanwhile. What clients send leads to a fetch only through the
//! bucket; kids that a fetch did not bring are remembered, a bounded number of them.
//! **Source:** RFC 7517 §5; RFC 9111 §4.2.4 for serving stale. `cache-control` is not looked at: the operator's `refresh` says
//! how long keys stay withdrawn unseen, and a rotation is met by its unknown kid.
//! **Cost:** a look is one shared entry of [`CONTROL_BYTES`]; a document is parsed once a worker when it changed.

use alloc::vec::Vec;

use super::jwk::{JwkError, JwkRules, KeySet};
use super::jws::{self, JwsError};
use super::key::Key;
use super::{Ask, Awaited, Failure, Jwt, Memory, Stop};
use crate::env::{Env, Outside};
use crate::verdict::Reason;

/// Where a provider's keys are, and how they are kept.
#[derive(Debug, Clone)]
pub struct RemoteKeys {
    /// Cluster of the host.
    pub cluster: Vec<u8>,
    /// Host of the URL.
    pub authority: Vec<u8>,
    /// Path and query of the URL.
    pub path: Vec<u8>,
    /// Milliseconds after which keys are fetched again.
    pub refresh_ms: u64,
    /// Milliseconds after their last fetch for which keys serve.
    pub max_stale_ms: u64,
    /// Milliseconds a request waits for keys.
    pub wait_ms: u64,
    /// What keys may be.
    pub rules: JwkRules,
    /// Name of the shared entries, from cluster, URL and what keys may be.
    pub name: [u8; 16],
}

/// How long a fetch may take; the whole answer must be there by then.
pub const FETCH_TIMEOUT_MS: u32 = 5_000;
/// How long a fetch holds the lease: nobody else fetches before.
pub const LEASE_MS: u64 = 6_000;
/// The first pause after a failed fetch; doubled with each further one.
const BACKOFF_MS: u64 = 1_000;
const MAX_BACKOFF_MS: u64 = 300_000;
/// An unknown key may lead to a fetch this often, and [`BURST`] times at once.
const BUCKET_MS: u64 = 30_000;
const BURST: u64 = 2;
/// Kids that a fetch did not bring, remembered by one worker until the next document or [`BUCKET_MS`] later.
const STRANGERS: usize = 128;

/// Bytes of the shared entry.
pub const CONTROL_BYTES: usize = 1 + 8 * 8 + 4 + 1;
const LAYOUT: u8 = 1;

/// What all workers agree on. Times are monotonic milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Control {
    /// Number of the last lease.
    pub lease: u64,
    /// When it was taken.
    pub taken: u64,
    /// When it ends by itself; 0: it was given back.
    pub until: u64,
    /// Lease that brought the document; 0: there is none yet.
    pub stamp: u64,
    /// When the last good answer came.
    pub fetched: u64,
    /// Lease that brought it.
    pub good: u64,
    /// When the keys are fetched next.
    pub next: u64,
    /// When the bucket is full again.
    pub full: u64,
    /// Failures since the last good answer.
    pub failures: u32,
    /// It was told that the keys are too old.
    pub told_stale: bool,
}

/// Why keys are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// It is time, or it is not.
    Schedule,
    /// A token names a key nobody knows.
    Unknown,
    /// There are none that serve.
    Cold,
}

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Whoever gets this written fetches.
    Fetch(Control),
    /// Somebody does.
    InFlight,
    /// Not before then.
    Later(u64),
    /// Not for this.
    Refused,
}

/// How good the keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// None came yet.
    Never,
    /// They are.
    Fresh,
    /// Older than `refresh`: fetches fail.
    Stale,
    /// Older than `max_stale`: they serve no more.
    TooStale,
}

impl Control {
    /// Reads an entry; what is no entry of this layout counts as none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        Self::read(bytes).unwrap_or_default()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (&layout, rest) = bytes.split_first()?;
        if layout != LAYOUT || bytes.len() != CONTROL_BYTES {
            return None;
        }
        let (words, rest) = rest.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let mut word = || words.next();
        let (lease, taken, until) = (word()?, word()?, word()?);
        let (stamp, fetched, good) = (word()?, word()?, word()?);
        let (next, full) = (word()?, word()?);
        let (failures, rest) = rest.split_first_chunk::<4>()?;
        Some(Self {
            lease,
            taken,
            until,
            stamp,
            fetched,
            good,
            next,
            full,
            failures: u32::from_le_bytes(*failures),
            told_stale: rest.first() == Some(&1),
        })
    }

    /// Writes an entry.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CONTROL_BYTES);
        out.push(LAYOUT);
        let words = [
            self.lease,
            self.taken,
            self.until,
            self.stamp,
            self.fetched,
            self.good,
            self.next,
            self.full,
        ];
        for word in words {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.failures.to_le_bytes());
        out.push(u8::from(self.told_stale));
        out
    }

    /// What is done about a want. Who shares the entry may have put the next fetch later than `refresh_ms` allows.
    #[must_use]
    pub fn plan(&self, want: Want, now: u64, refresh_ms: u64) -> Plan {
        if now < self.until {
            return Plan::InFlight;
        }
        let mut next = Self {
            lease: self.lease.saturating_add(1),
            taken: now,
            until: now.saturating_add(LEASE_MS),
            ..*self
        };
        let old = self.stamp != 0 && now.saturating_sub(self.fetched) >= refresh_ms;
        if now >= self.next || (old && self.failures == 0) {
            return Plan::Fetch(next);
        }
        match want {
            // A provider that fails is not asked more often because clients name keys.
            Want::Unknown if self.failures == 0 && self.may_refetch(now) => {
                next.full = self.full.max(now).saturating_add(BUCKET_MS);
                Plan::Fetch(next)
            }
            Want::Unknown => Plan::Refused,
            Want::Schedule | Want::Cold => Plan::Later(self.next),
        }
    }

    /// Whether the bucket has a token.
    #[must_use]
    pub const fn may_refetch(&self, now: u64) -> bool {
        self.full <= now.saturating_add(BUCKET_MS.saturating_mul(BURST.saturating_sub(1)))
    }

    /// A good answer came; `changed`: its document is another one, written under this lease. `None`: the lease is lost, and
    /// the answer with it.
    #[must_use]
    pub fn succeeded(
        &self,
        lease: u64,
        changed: bool,
        now: u64,
        refresh_ms: u64,
        dice: u32,
    ) -> Option<Self> {
        if self.lease != lease || self.until == 0 {
            return None;
        }
        // Up to a tenth earlier, so that proxies that started together do not ask together for ever.
        let earlier = u64::from(dice).checked_rem((refresh_ms / 10).saturating_add(1));
        let pause = refresh_ms.saturating_sub(earlier.unwrap_or(0));
        Some(Self {
            until: 0,
            stamp: if changed { lease } else { self.stamp },
            fetched: now,
            good: lease,
            next: now.saturating_add(pause),
            failures: 0,
            told_stale: false,
            ..*self
        })
    }

    /// No good answer came. `None`: the lease is lost.
    #[must_use]
    pub fn failed(&self, lease: u64, now: u64, max_stale_ms: u64, dice: u32) -> Option<Self> {
        if self.lease != lease || self.until == 0 {
            return None;
        }
        let doublings = self.failures.min(16);
        let pause = BACKOFF_MS.wrapping_shl(doublings).min(MAX_BACKOFF_MS);
        // Three to five quarters of it.
        let part = u64::from(dice).checked_rem((pause / 2).saturating_add(1));
        let pause = pause
            .saturating_sub(pause / 4)
            .saturating_add(part.unwrap_or(0))
            .min(MAX_BACKOFF_MS);
        Some(Self {
            until: 0,
            next: now.saturating_add(pause),
            failures: self.failures.saturating_add(1),
            told_stale: self.freshness(now, 0, max_stale_ms) == Freshness::TooStale,
            ..*self
        })
    }

    /// How good its keys are.
    #[must_use]
    pub const fn freshness(&self, now: u64, refresh_ms: u64, max_stale_ms: u64) -> Freshness {
        if self.stamp == 0 {
            return Freshness::Never;
        }
        let age = now.saturating_sub(self.fetched);
        if age > max_stale_ms {
            Freshness::TooStale
        } else if age > refresh_ms {
            Freshness::Stale
        } else {
            Freshness::Fresh
        }
    }
}

/// The shared document: the lease that brought it, and its text.
#[must_use]
pub fn encode_document(stamp: u64, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len().saturating_add(8));
    out.extend_from_slice(&stamp.to_le_bytes());
    out.extend_from_slice(text);
    out
}

/// The lease that brought a document, and its text.
#[must_use]
pub fn decode_document(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (stamp, text) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*stamp), text))
}

/// One provider's keys as one worker has them.
#[derive(Debug, Default)]
pub struct Remote {
    keys: Vec<Key>,
    stamp: u64,
    serves: bool,
    may_refetch: bool,
    want: Option<Want>,
    strangers: Vec<Vec<u8>>,
    /// Where the next stranger goes, and when they are forgotten.
    place: usize,
    forget_at: u64,
}

impl Remote {
    /// The keys that serve now.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        if self.serves { &self.keys } else { &[] }
    }

    /// The lease that brought them.
    #[must_use]
    pub const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// How many keys it has, whether or not they serve.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are keys that serve.
    #[must_use]
    pub const fn serves(&self) -> bool {
        self.serves
    }

    /// What requests asked for since the last look.
    pub const fn take_want(&mut self) -> Option<Want> {
        self.want.take()
    }

    /// Reads a document and, if it can be used, verifies with its keys from now on.
    ///
    /// # Errors
    /// What is wrong with it; the keys stay as they are. A set without a key that can be used is such a case.
    pub fn install(&mut self, stamp: u64, text: &[u8], rules: &JwkRules) -> Result<(), JwkError> {
        self.keys = KeySet::parse(text, rules)?.into_keys();
        self.stamp = stamp;
        self.strangers.clear();
        Ok(())
    }

    /// Takes over what the shared entry says.
    pub fn look(&mut self, control: &Control, now: u64, rules: &RemoteKeys) {
        let freshness = control.freshness(now, rules.refresh_ms, rules.max_stale_ms);
        self.serves = self.stamp != 0
            && match freshness {
                Freshness::Fresh | Freshness::Stale => true,
                Freshness::Never | Freshness::TooStale => false,
            };
        self.may_refetch = control.failures == 0
            && (control.may_refetch(now) || now < control.until || now >= control.next);
        if now >= self.forget_at {
            self.strangers.clear();
            self.forget_at = now.saturating_add(BUCKET_MS);
        }
    }

    /// Whether a request may wait for a key that is not here.
    pub(super) fn ask(&mut self, kid: Option<&[u8]>) -> bool {
        let want = if self.serves {
            let known = kid.is_some_and(|kid| self.strangers.iter().any(|other| other == kid));
            if known || !self.may_refetch {
                return false;
            }
            Want::Unknown
        } else {
            Want::Cold
        };
        self.want = self.want.max(Some(want));
        true
    }

    /// A fetch that began after somebody asked for this kid did not bring it.
    pub(super) fn is_stranger(&mut self, kid: &[u8]) {
        if self.strangers.iter().any(|other| other == kid) {
            return;
        }
        let mut text = Vec::new();
        text.extend_from_slice(kid);
        if self.strangers.len() < STRANGERS {
            self.strangers.push(text);
        } else if let Some(slot) = self.strangers.get_mut(self.place) {
            *slot = text;
            self.place = self
                .place
                .saturating_add(1)
                .checked_rem(STRANGERS)
                .unwrap_or(0);
        }
    }
}

impl Jwt {
    /// The payload of a token whose signature holds under a key of the policy, or of the fetched set.
    pub(super) fn authentic<S: Outside>(
        &self,
        index: usize,
        token: &[u8],
        ask: &Ask<'_>,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
    ) -> Result<Vec<u8>, Stop> {
        let refused = |error: JwsError| Failure::new(Reason::TokenInvalid, error.word());
        let Some(rules) = &self.remote else {
            return Ok(jws::verify_compact(&self.keys, env.counters, token).map_err(refused)?);
        };
        let unavailable = Failure::new(Reason::KeysUnavailable, "keys");
        let remote = memory.remote(index).ok_or(unavailable)?;
        let error = match jws::verify_compact(remote.keys(), env.counters, token) {
            Ok(payload) => return Ok(payload),
            Err(error) => error,
        };
        // Only a token that a key could serve if it were here is worth a wait.
        let (JwsError::UnknownKey | JwsError::Signature, Some(named)) = (error, jws::named(token))
        else {
            return Err(refused(error).into());
        };
        let kid = named.kid.as_deref();
        let held = remote
            .keys()
            .iter()
            .any(|key| kid.is_some() && key.id() == kid);
        if !rules.rules.algorithms.contains(&named.algorithm)
            || (error == JwsError::Signature && held)
        {
            return Err(refused(error).into());
        }
        match ask.waited(index) {
            None if remote.ask(kid) => return Err(Stop::Awaits(Awaited::Keys { provider: index })),
            None => {}
            Some(_) if !remote.serves() => return Err(unavailable.into()),
            Some(waited) => {
                if let (true, Some(kid)) = (waited.keys, kid) {
                    remote.is_stranger(kid);
                }
            }
        }
        Err(match kid {
            Some(_) => Failure::new(Reason::TokenKeyUnknown, "kid"),
            // No key was named: the signature is what is wrong.
            None => refused(error),
        }
        .into())
    }
}

#[cfg(test)]
mod tests;
