//! Token verification (this file becomes `token/mod.rs` with `extract`, `jws`, `claims`, `session`).

mod mac;

use alloc::vec::Vec;
use core::net::IpAddr;

use crate::finding::Findings;
use crate::request::RequestHead;
use crate::units::UnixTime;
use crate::verdict::{Denial, Edits};

pub use mac::{HmacAlgorithm, Key, Secret};

/// Where a credential is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `authorization: Bearer …` (RFC 6750 §2.1); the scheme is matched without regard to case.
    Bearer,
    /// Another header, the whole value.
    Header(Vec<u8>),
    /// A cookie.
    Cookie(Vec<u8>),
}

/// A compiled provider (one entry of `tokens`).
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its name in the policy.
    pub name: Vec<u8>,
    /// Where its credential is carried.
    pub from: Source,
    /// What it is.
    pub kind: ProviderKind,
    /// Headers to set from claims: (lower-case name, JSON Pointer; `/sub` is the subject for sessions too).
    pub forward: Vec<(Vec<u8>, Vec<u8>)>,
    /// JSON Pointer to the roles (string with blanks between, or array of strings).
    pub roles: Vec<u8>,
}

/// Kinds of provider.
#[derive(Debug, Clone)]
pub enum ProviderKind {
    /// A JWT in compact JWS.
    Jwt(Jwt),
    /// A session token.
    Session(Session),
}

/// JWT rules (RFC 7519, RFC 8725).
#[derive(Debug, Clone)]
pub struct Jwt {
    /// Keys.
    pub keys: Vec<Key>,
    /// Required `iss`, if any.
    pub issuer: Option<Vec<u8>>,
    /// Accepted `aud` values; empty: not looked at (and a token with an `aud` is accepted).
    pub audiences: Vec<Vec<u8>>,
    /// Clock skew in seconds for exp, nbf and iat.
    pub leeway: u64,
    /// Names of claims that must be present.
    pub require: Vec<Vec<u8>>,
    /// Whether `exp` must be present.
    pub require_exp: bool,
}

/// Session token rules.
#[derive(Debug, Clone)]
pub struct Session {
    /// Keys; all verify.
    pub keys: Vec<Key>,
    /// Which format.
    pub format: SessionFormat,
    /// Seconds after `issued_at` until the token expires.
    pub lifetime: u64,
    /// Clock skew in seconds.
    pub leeway: u64,
    /// Whether the token holds for the client address it was issued to only (`v1` only).
    pub bind_client: bool,
}

/// Session token formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionFormat {
    /// `v1.<base64url payload>.<base64url mac>`; payload: JSON `{"sub","sid","iat","kid"?,"cli"?,"roles"?}`.
    V1,
    /// `subject:issued_at:hex-hmac`, split from the right; HMAC-SHA256 over `subject:issued_at`.
    Colon,
}

/// What a route asks (compiled `routes[].token`).
#[derive(Debug, Clone)]
pub struct RouteToken {
    /// Whether a token is needed.
    pub need: Need,
    /// Indexes of accepted providers, in the order the route names them.
    pub any: Vec<usize>,
    /// The subject must hold one of these; empty: no role asked.
    pub roles: Vec<Vec<u8>>,
}

/// Whether a token is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// No token is looked at.
    None,
    /// Verified if sent; a bad one is refused.
    Optional,
    /// Must be sent.
    Required,
}

/// Who asks. `Verified` can be built by this stage only.
#[derive(Debug, Clone)]
pub enum Subject {
    /// Nobody said.
    Anonymous,
    /// A verified token.
    Verified(VerifiedClaims),
}

/// The claims of a verified token.
#[derive(Debug, Clone)]
pub struct VerifiedClaims {
    provider: usize,
    subject: Vec<u8>,
    roles: Vec<Vec<u8>>,
    forward: Vec<(Vec<u8>, Vec<u8>)>,
}

impl VerifiedClaims {
    /// Index of the provider.
    #[must_use]
    pub const fn provider(&self) -> usize {
        self.provider
    }

    /// `sub`.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// Roles.
    #[must_use]
    pub fn roles(&self) -> &[Vec<u8>] {
        &self.roles
    }

    /// Headers to set.
    #[must_use]
    pub fn forward(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.forward
    }
}

/// The compiled `tokens` section.
#[derive(Debug, Clone, Default)]
pub struct TokenStage {
    /// Providers in document order.
    pub providers: Vec<Provider>,
}

impl TokenStage {
    /// Verifies the one credential of the request.
    ///
    /// # Errors
    /// `MultipleCredentials`, `TokenMissing`, `TokenInvalid`, `TokenExpired`, `TokenClaims`, `TokenNotBound`,
    /// each with `www-authenticate` (RFC 6750 §3) among the denial's headers.
    pub fn verify(
        &self,
        _route: &RouteToken,
        _head: &RequestHead<'_>,
        _client: IpAddr,
        _now: UnixTime,
        _found: &mut Findings,
    ) -> Result<Subject, Denial> {
        Ok(Subject::Anonymous)
    }

    /// Checks roles.
    ///
    /// # Errors
    /// `MissingRole`.
    pub fn authorize(
        &self,
        _route: &RouteToken,
        _subject: &Subject,
        _found: &mut Findings,
    ) -> Result<(), Denial> {
        Ok(())
    }

    /// Adds to `edits`: removal of every client copy of any provider's forwarded headers that is present in
    /// `head`, whatever the route asks; then the forwarded claims of `subject`.
    pub fn edit(&self, _head: &RequestHead<'_>, _subject: &Subject, _edits: &mut Edits) {}
}
