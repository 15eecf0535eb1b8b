//! Revocation: credentials that hold no longer, though their signature and times do.
//!
//! **In:** what a verified credential is known by. **Out:** whether it was revoked; the mark that revokes it.
//! **Invariant:** a credential is named by provider and session id, or by provider, `iss` and `jti`; never by its bytes:
//! a renewed cookie of the same session is revoked with it. Two places say so: the policy's list, which outlives
//! everything, and marks in shared data, which all workers see at once and which last as long as the process and
//! never less than the credential. Looked at for every request, whatever was cached. What cannot be read refuses.
//! **Cost:** the list: a hash and a comparison with each of its entries; the marks: one load; nothing when the
//! policy revokes nothing.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use super::{Ask, Failure, Provider, ProviderKind, RouteToken, Subject, TokenStage, copy};
use crate::env::{Env, Outside};
use crate::finding::{Finding, Findings};
use crate::marks::{Marks, Purpose};
use crate::units::UnixTime;
use crate::verdict::{Denial, Reason, Stage};

/// What a provider revokes.
#[derive(Debug, Clone, Default)]
pub struct Revocation {
    /// Whether marks are looked at, and routes may set them.
    pub marks: bool,
    /// Whether a request that is refused as an injection costs its credential.
    pub on_injection: bool,
    /// SHA-256 of session ids or `jti`s that are revoked.
    pub list: Vec<[u8; 32]>,
}

impl Revocation {
    /// Whether credentials must have a name.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.marks || !self.list.is_empty()
    }

    /// The name in a list is the hash: the policy's reader may know the id, nobody else learns it from there.
    #[must_use]
    pub fn entry(id: &[u8]) -> [u8; 32] {
        Sha256::digest(id).into()
    }

    /// Whether `id` is on the list; every entry is looked at.
    fn lists(&self, id: &[u8]) -> bool {
        let entry = Self::entry(id);
        let mut found = false;
        for other in &self.list {
            found |= entry == *other;
        }
        found
    }
}

impl Provider {
    /// What it revokes.
    #[must_use]
    pub const fn revocation(&self) -> Option<&Revocation> {
        match &self.kind {
            ProviderKind::Jwt(rules) => Some(&rules.revocation),
            ProviderKind::Session(rules) => Some(&rules.revocation),
            ProviderKind::ApiKey(_)
            | ProviderKind::Basic(_)
            | ProviderKind::Certificate(_)
            | ProviderKind::Introspection(_)
            | ProviderKind::SignedBody(_)
            | ProviderKind::SignedMessage(_) => None,
        }
    }
}

impl TokenStage {
    /// What a request is known by that may be revoked for what it was used for: by its route, or (`attacked`) because
    /// it was refused as an injection.
    #[must_use]
    pub fn to_revoke(
        &self,
        route: &RouteToken,
        subject: &Subject,
        attacked: bool,
    ) -> Option<(usize, Credential)> {
        let Subject::Verified(claims) = subject else {
            return None;
        };
        let revocation = self.providers.get(claims.provider)?.revocation()?;
        let asked = if attacked {
            revocation.on_injection
        } else {
            route.revoke
        };
        let credential = claims.credential.as_ref()?;
        asked.then(|| (claims.provider, credential.copied()))
    }

    /// Revokes a credential, for all workers, from the next request on.
    ///
    /// # Errors
    /// `CountersUnavailable`, `CountersContended`: it is not revoked.
    pub fn revoke<S: Outside>(
        &self,
        (provider, credential): &(usize, Credential),
        marks: &Marks,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> Result<(), Denial> {
        let Some(provider) = self.providers.get(*provider) else {
            return Ok(());
        };
        credential.revoke(provider, marks, env).map_err(|reason| {
            let finding = Finding::new(Stage::Token, reason).rule(&provider.name);
            found.push(match provider.from.first() {
                Some(source) => source.place(finding),
                None => finding,
            });
            Denial::new(Stage::Token, reason)
        })
    }
}

/// What a verified credential is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// A session or a token.
    pub(super) purpose: Purpose,
    /// `iss` of a token.
    pub(super) issuer: Vec<u8>,
    /// Session id, or `jti`.
    pub(super) id: Vec<u8>,
    /// Seconds since 1970; 0 when the token does not say.
    pub(super) issued: u64,
    /// The last second it is accepted in.
    pub(super) until: u64,
    /// How far ahead of our clock `issued` may be.
    pub(super) leeway: u64,
}

impl Credential {
    pub(super) fn copied(&self) -> Self {
        Self {
            issuer: copy(&self.issuer),
            id: copy(&self.id),
            ..*self
        }
    }

    fn named<T>(&self, provider: &Provider, look: impl FnOnce(&[&[u8]]) -> T) -> T {
        look(&[&provider.name, &self.issuer, &self.id])
    }

    /// Whether it was revoked.
    pub(super) fn judge<S: Outside>(
        &self,
        provider: &Provider,
        revocation: &Revocation,
        ask: &Ask<'_>,
        env: &mut Env<'_, S>,
    ) -> Result<(), Failure> {
        if !revocation.list.is_empty() && revocation.lists(&self.id) {
            return Err(Failure::new(Reason::TokenRevoked, "listed"));
        }
        if !revocation.marks {
            return Ok(());
        }
        let (issued, until) = (UnixTime(self.issued), UnixTime(self.until));
        let marked = self.named(provider, |name| {
            ask.marks.is_revoked(self.purpose, name, issued, until, env)
        });
        match marked {
            Ok(false) => Ok(()),
            Ok(true) => Err(Failure::new(Reason::TokenRevoked, "revoked")),
            Err(reason) => Err(Failure::new(reason, "revocation")),
        }
    }

    /// Revokes it, for all workers, from the next request on.
    pub(super) fn revoke<S: Outside>(
        &self,
        provider: &Provider,
        marks: &Marks,
        env: &mut Env<'_, S>,
    ) -> Result<(), Reason> {
        self.named(provider, |name| {
            marks.revoke(self.purpose, name, UnixTime(self.until), self.leeway, env)
        })
    }
}
