//! API keys: a long random text whose SHA-256 the policy lists.
//!
//! **In:** the key as presented, the wall clock. **Out:** [`VerifiedClaims`] of its entry.
//! **Invariant:** neither key nor stored hash is ever compared byte by byte: the key is hashed, the hash is looked up in
//! time that tells nothing (`accounts.rs`). A key that nobody listed and one that is malformed fail alike. A fast hash
//! is right for keys of 128 random bits and more, and for nothing a person chose: see `basic.rs` for those.
//! **Cost:** SHA-256 of the key, at most [`MAX_KEY_BYTES`], and one look-up.

use alloc::vec::Vec;

use super::accounts::{Account, Hash, Index, hash};
use super::{Failure, Provider, RouteToken, VerifiedClaims};
use crate::units::UnixTime;
use crate::verdict::Reason;

/// Bytes of a presented key; those we generate have 43 to 64.
pub const MAX_KEY_BYTES: usize = 1024;

/// Texts whose hashes nobody may list: everybody's first guesses, and what documentation prints.
const KNOWN: &[&str] = &[
    "",
    "0",
    "1",
    "123",
    "1234",
    "12345",
    "123456",
    "12345678",
    "123456789",
    "1234567890",
    "abc",
    "abc123",
    "admin",
    "api-key",
    "api_key",
    "apikey",
    "bar",
    "changeme",
    "change-me",
    "default",
    "demo",
    "dev",
    "example",
    "foo",
    "guest",
    "hello",
    "key",
    "letmein",
    "null",
    "pass",
    "passw0rd",
    "password",
    "Password1",
    "qwerty",
    "root",
    "s3cr3t",
    "secret",
    "test",
    "test1",
    "test123",
    "testing",
    "token",
    "undefined",
    "user",
    "welcome",
];

/// The keys of one provider.
#[derive(Debug, Clone)]
pub struct ApiKeys {
    index: Index,
    accounts: Vec<Account>,
}

impl ApiKeys {
    /// Hashes of keys and what each stands for.
    #[must_use]
    pub fn new(list: Vec<(Hash, Account)>) -> Self {
        let (hashes, accounts): (Vec<Hash>, Vec<Account>) = list.into_iter().unzip();
        Self {
            index: Index::new(&hashes),
            accounts,
        }
    }

    /// What they stand for.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    pub(super) fn verify(
        &self,
        index: usize,
        provider: &Provider,
        route: &RouteToken,
        key: &[u8],
        now: UnixTime,
    ) -> Result<VerifiedClaims, Failure> {
        if key.len() > MAX_KEY_BYTES {
            return Err(Failure::new(Reason::CredentialsInvalid, "size"));
        }
        self.index
            .find(&hash(key))
            .and_then(|place| self.accounts.get(place))
            .ok_or(Failure::new(Reason::CredentialsInvalid, "key"))?
            .verified(index, provider, route, now)
    }
}

/// The well-known text that `stored` is the hash of.
#[must_use]
pub fn well_known(stored: &Hash) -> Option<&'static str> {
    KNOWN
        .iter()
        .find(|text| hash(text.as_bytes()) == *stored)
        .copied()
}
