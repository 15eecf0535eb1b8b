//! Tokens: who asks, proved by the one credential a request may carry.
//!
//! **In:** what the route asks, and an [`Ask`]: all a verifier may look at. **Out:** a [`Subject`], a denial with a
//! challenge, or what is [`Awaited`] before either; [`TokenStage::edit`] turns verified claims into headers.
//! **Invariant:** [`VerifiedClaims`] are made in this folder only, after a MAC held. A refusal has pushed a
//! finding (provider and word, place, never the credential); the client learns the reason, not the rule.
//! Clients' copies of forwarded headers are removed whatever the route asks.
//! **Source:** RFC 6750 (bearer), RFC 7515/7519/8725 (JWT), RFC 9110 §11.6.1 (challenges).
//! **Cost:** linear in the head; MACs are bounded by accepted providers times [`jws::MAX_KEYS_TRIED`].

pub mod accounts;
mod algorithm;
pub mod api_key;
mod base64url;
pub mod basic;
mod binding;
mod cache;
mod callout;
pub mod certificate;
mod claims;
mod csrf;
mod der;
pub mod dpop;
mod extract;
mod forward;
pub mod introspection;
mod judge;
pub mod jwk;
pub mod jws;
mod key;
mod mac;
mod memory;
mod public;
pub mod remote;
mod revocation;
pub(crate) mod rule;
pub mod session;
pub mod signed;
mod software;

use alloc::vec::Vec;
use core::net::IpAddr;

use self::remote::RemoteKeys;
use crate::addition::Addition;
use crate::budget::MAX_TOKEN_BYTES;
use crate::env::{Connection, Env, Outside};
use crate::finding::{Finding, Findings};
use crate::json::Text;
use crate::marks::Marks;
use crate::request::RequestHead;
use crate::verdict::{Denial, Reason, Stage};

pub use algorithm::{Algorithm, Family};
pub(crate) use base64url::encode as encode_base64url;
pub use binding::{Bindings, Prefix};
pub use callout::{Callout, MAX_ANSWER_BYTES, Replied, Waited};
pub use csrf::Csrf;
pub use forward::{Form, Forward};
pub use key::Key;
pub use mac::{HmacAlgorithm, Secret};
pub use memory::Memory;
pub use revocation::{Credential, Revocation};
pub use rule::{Rule, Test};
pub use session::{CookieOut, Renewal};
pub use signed::{SignedBody, SignedMessage};

/// Where a credential is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `authorization: Basic …` (RFC 7617).
    Basic,
    /// `authorization: Bearer …` (RFC 6750 §2.1); the scheme is matched without regard to case.
    Bearer,
    /// The connection's certificate.
    Certificate,
    /// Another header, the whole value.
    Header(Vec<u8>),
    /// A header whose value is a scheme of its own and the token, such as `JWT …`.
    Scheme {
        /// The header.
        header: Vec<u8>,
        /// The scheme, without the blank after it; case does not count.
        prefix: Vec<u8>,
    },
    /// A cookie.
    Cookie(Vec<u8>),
    /// A query parameter, by its decoded name.
    Query(Vec<u8>),
}

/// A compiled provider (one entry of `tokens`).
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its name in the policy.
    pub name: Vec<u8>,
    /// Where its credential may be carried.
    pub from: Vec<Source>,
    /// What it is.
    pub kind: ProviderKind,
    /// Headers to set from claims; `/sub` is the subject for sessions too.
    pub forward: Vec<Forward>,
    /// JSON Pointer to the roles (string with blanks between, or array of strings).
    pub roles: Vec<u8>,
    /// JSON Pointer to the scopes, alike; `None`: `scope`, else `scp`.
    pub scopes: Option<Vec<u8>>,
    /// What its claims must be.
    pub claims: Vec<Rule>,
    /// JSON Pointers to claims that limits count by.
    pub counted: Vec<Vec<u8>>,
    /// Whether its credential is taken out of the request that goes on.
    pub strip: bool,
}

/// Kinds of provider.
#[derive(Debug, Clone)]
pub enum ProviderKind {
    /// API keys the policy lists.
    ApiKey(api_key::ApiKeys),
    /// Users and passwords the policy lists.
    Basic(basic::Basic),
    /// Client certificates.
    Certificate(certificate::Certificates),
    /// Opaque tokens that their server is asked about.
    Introspection(introspection::Introspection),
    /// A JWT in compact JWS.
    Jwt(Jwt),
    /// A session token.
    Session(Session),
    /// A body signed with an HMAC.
    SignedBody(SignedBody),
    /// A request signed with HTTP Message Signatures.
    SignedMessage(SignedMessage),
}

/// JWT rules (RFC 7519, RFC 8725).
#[derive(Debug, Clone)]
pub struct Jwt {
    /// Keys of the policy.
    pub keys: Vec<Key>,
    /// Where keys are fetched instead.
    pub remote: Option<RemoteKeys>,
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
    /// What is revoked before its end; what can be needs a `jti`.
    pub revocation: Revocation,
    /// Longest time from `iat` to `exp` in seconds; both must be there then.
    pub max_lifetime: Option<u64>,
    /// Longest time since `iat` in seconds; it must be there then.
    pub max_age: Option<u64>,
    /// Proofs of possession; `None`: none is looked at.
    pub dpop: Option<dpop::Dpop>,
}

/// Session token rules.
#[derive(Debug, Clone)]
pub struct Session {
    /// Keys; all verify, the first signs.
    pub keys: Vec<Key>,
    /// Which format.
    pub format: SessionFormat,
    /// Seconds after `issued_at` until the token expires.
    pub lifetime: u64,
    /// Clock skew in seconds.
    pub leeway: u64,
    /// Seconds after it was seen last until the token expires (`v1` only).
    pub idle: Option<u64>,
    /// What the token is bound to (`v1` only).
    pub bind: Bindings,
    /// Where a renewed token goes (`v1` only); `None`: there are none.
    pub renewal: Option<Renewal>,
    /// CSRF rules (`v1` in a cookie only).
    pub csrf: Option<Csrf>,
    /// What is revoked before its end.
    pub revocation: Revocation,
}

/// Session token formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionFormat {
    /// `v1.<base64url payload>.<base64url mac>`; payload: JSON
    /// `{"sub","sid","iat","seen"?,"kid"?,"cli"?,"ua"?,"tls"?,"roles"?}`.
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
    pub providers: Vec<usize>,
    /// Whether each of them must hold, with a credential of its own; the first is the subject.
    pub all: bool,
    /// The subject must hold one of these; empty: no role asked.
    pub roles: Vec<Vec<u8>>,
    /// An allowed request revokes its credential.
    pub revoke: bool,
    /// The subject must hold all of these.
    pub scopes: Vec<Vec<u8>>,
    /// What the subject's claims must be.
    pub claims: Vec<Rule>,
}

impl RouteToken {
    /// Nothing is asked.
    #[must_use]
    pub const fn nothing() -> Self {
        Self {
            need: Need::None,
            providers: Vec::new(),
            all: false,
            roles: Vec::new(),
            scopes: Vec::new(),
            claims: Vec::new(),
            revoke: false,
        }
    }
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
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::large_enum_variant,
    reason = "one a request, moved a few times; a box would cost it an allocation"
)]
pub enum Subject {
    /// Nobody said.
    #[default]
    Anonymous,
    /// A verified token.
    Verified(VerifiedClaims),
}

impl Subject {
    /// Provider and `sub` of whoever was verified.
    #[must_use]
    pub fn known(&self) -> Option<(usize, &[u8])> {
        match self {
            Self::Verified(claims) => Some((claims.provider, &claims.subject)),
            Self::Anonymous => None,
        }
    }

    /// Nothing is added to the response.
    pub fn forget_additions(&mut self) {
        if let Self::Verified(claims) = self {
            claims.additions.clear();
        }
    }
}

/// The claims of a verified token.
#[derive(Debug, Clone, Default)]
pub struct VerifiedClaims {
    provider: usize,
    subject: Vec<u8>,
    /// Each followed by a NUL.
    roles: Vec<u8>,
    /// The same; read when the route asks for some.
    scopes: Vec<u8>,
    /// How many of the route's claim rules hold, up to the first that does not.
    held: usize,
    /// What limits count by, as [`Provider::counted`] lists it.
    counted: Vec<Option<Vec<u8>>>,
    forward: Vec<(Vec<u8>, Vec<u8>)>,
    /// What its response is to carry.
    additions: Vec<Addition>,
    /// What revokes it, where that is asked for.
    credential: Option<Credential>,
    /// Where the credentials were that are taken out: provider and place among its sources.
    carried: Vec<(usize, usize)>,
}

impl VerifiedClaims {
    /// Index of the provider.
    #[must_use]
    pub const fn provider(&self) -> usize {
        self.provider
    }

    /// `sub`; empty when a JWT has none.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// Roles.
    pub fn roles(&self) -> impl Iterator<Item = &[u8]> {
        words(&self.roles)
    }

    /// Scopes, on a route that asks for some.
    pub fn scopes(&self) -> impl Iterator<Item = &[u8]> {
        words(&self.scopes)
    }

    /// Claims that limits count by: a `"` and the text of a string, a number or boolean as written; nothing for what is
    /// absent, `null`, a list or an object.
    #[must_use]
    pub fn counted(&self) -> &[Option<Vec<u8>>] {
        &self.counted
    }

    /// Headers to set.
    #[must_use]
    pub fn forward(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.forward
    }
}

/// Each word of a list is followed by a NUL.
fn words(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let words = list.strip_suffix(b"\0").into_iter();
    words.flat_map(|list| list.split(|byte| *byte == 0))
}

/// All a verifier may look at.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The head.
    pub head: &'a RequestHead<'a>,
    /// The client.
    pub client: IpAddr,
    /// Its connection.
    pub connection: Connection<'a>,
    /// The whole body, once it is there.
    pub body: Option<&'a [u8]>,
    /// Waits that are over, one for each provider that waited.
    pub waited: &'a [Waited],
    /// Marks of what was used once or revoked.
    pub marks: &'a Marks,
    /// Whether all else is to be judged, and nothing marked.
    pub rehearses: bool,
}

impl Ask<'_> {
    /// What the wait of a provider ended in; `None`: it has not waited yet.
    #[must_use]
    pub fn waited(&self, provider: usize) -> Option<&Waited> {
        self.waited.iter().find(|wait| wait.provider == provider)
    }

    fn lacks(&self, awaited: &Awaited) -> bool {
        match awaited.provider() {
            Some(provider) => self.waited(provider).is_none(),
            None => self.body.is_none(),
        }
    }
}

/// Whom a credential claims to be of, before it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// There is no credential to verify.
    Nothing,
    /// There is one, and it does not say.
    Nobody,
    /// It names an account.
    Account(Vec<u8>),
}

impl Claimed {
    /// The account that is named.
    #[must_use]
    pub fn account(&self) -> Option<&[u8]> {
        match self {
            Self::Account(name) => Some(name),
            Self::Nobody | Self::Nothing => None,
        }
    }
}

/// What a verifier cannot do without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// The whole body.
    Body,
    /// The keys of the provider, which the memory has noted as wanted.
    Keys {
        /// Its index.
        provider: usize,
    },
    /// The answer to a call-out.
    Callout(Callout),
}

impl Awaited {
    /// The provider that waits for somebody beside the client.
    #[must_use]
    pub const fn provider(&self) -> Option<usize> {
        match self {
            Self::Body => None,
            Self::Keys { provider } => Some(*provider),
            Self::Callout(callout) => Some(callout.provider),
        }
    }
}

/// What became of the credentials of a request.
#[derive(Debug)]
pub enum Outcome {
    /// Who asks.
    Known(Subject),
    /// Nothing can be said before this is there; then the stage is asked again.
    Awaits(Awaited),
}

/// Why a verifier has no claims to give.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stop {
    Failed(Failure),
    Awaits(Awaited),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The compiled `tokens` section.
#[derive(Debug, Clone, Default)]
pub struct TokenStage {
    /// Providers in document order.
    pub providers: Vec<Provider>,
    /// Verified tokens that a worker remembers; 0: none.
    pub remembered: usize,
}

impl TokenStage {
    /// Whether a provider marks what it accepted, or looks up what was revoked.
    #[must_use]
    pub fn uses_marks(&self) -> bool {
        self.providers
            .iter()
            .any(|provider| provider.marks() || provider.revocation().is_some_and(|it| it.marks))
    }

    /// Whether a provider looks at the monotonic clock: one that remembers answers for a time.
    #[must_use]
    pub fn reads_clock(&self) -> bool {
        self.providers.iter().any(|provider| {
            matches!(&provider.kind, ProviderKind::Introspection(rules) if rules.cache_ms > 0)
        })
    }

    /// Whether a provider is one of API keys.
    #[must_use]
    pub fn has_api_keys(&self, provider: usize) -> bool {
        self.providers
            .get(provider)
            .is_some_and(|provider| matches!(provider.kind, ProviderKind::ApiKey(_)))
    }

    /// Providers whose keys are fetched, with their indexes.
    pub fn remote_keys(&self) -> impl Iterator<Item = (usize, &RemoteKeys)> {
        let providers = self.providers.iter().enumerate();
        providers.filter_map(|(index, provider)| Some((index, provider.remote_keys()?)))
    }

    /// Where the keys of a provider are fetched.
    #[must_use]
    pub fn remote_of(&self, provider: usize) -> Option<&RemoteKeys> {
        self.providers.get(provider)?.remote_keys()
    }

    /// Whether a provider that the route accepts verifies nothing without the body.
    #[must_use]
    pub fn signs_body(&self, route: &RouteToken) -> bool {
        let providers = route.providers.iter();
        providers
            .filter_map(|index| self.providers.get(*index))
            .any(|provider| matches!(provider.kind, ProviderKind::SignedBody(_)))
    }

    /// Whether a provider that the route accepts may need the body to judge.
    #[must_use]
    pub fn reads_body(&self, route: &RouteToken) -> bool {
        route
            .providers
            .iter()
            .filter_map(|index| self.providers.get(*index))
            .any(|provider| match provider.kind {
                ProviderKind::ApiKey(_)
                | ProviderKind::Basic(_)
                | ProviderKind::Certificate(_)
                | ProviderKind::Introspection(_)
                | ProviderKind::Jwt(_)
                | ProviderKind::Session(_) => false,
                ProviderKind::SignedBody(_) | ProviderKind::SignedMessage(_) => true,
            })
    }
}

impl Provider {
    const fn remote_keys(&self) -> Option<&RemoteKeys> {
        match &self.kind {
            ProviderKind::Jwt(rules) => rules.remote.as_ref(),
            ProviderKind::ApiKey(_)
            | ProviderKind::Basic(_)
            | ProviderKind::Certificate(_)
            | ProviderKind::Introspection(_)
            | ProviderKind::Session(_)
            | ProviderKind::SignedBody(_)
            | ProviderKind::SignedMessage(_) => None,
        }
    }

    /// Whether it marks what it accepted.
    fn marks(&self) -> bool {
        match &self.kind {
            ProviderKind::ApiKey(_)
            | ProviderKind::Basic(_)
            | ProviderKind::Certificate(_)
            | ProviderKind::Introspection(_)
            | ProviderKind::Session(_) => false,
            ProviderKind::Jwt(rules) => rules.dpop.is_some(),
            ProviderKind::SignedBody(signed) => signed.rules.replay != signed::Replay::Ignore,
            ProviderKind::SignedMessage(signed) => signed.rules.replay != signed::Replay::Ignore,
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "facts of one request; a struct for them would have one user"
    )]
    fn verify<S: Outside>(
        &self,
        index: usize,
        route: &RouteToken,
        token: &[u8],
        ask: &Ask<'_>,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> Result<VerifiedClaims, Stop> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Failure::new(self.kind.invalid(), "size").into());
        }
        let claims = match &self.kind {
            ProviderKind::ApiKey(rules) => rules.verify(index, self, route, token, env.wall)?,
            ProviderKind::Basic(rules) => {
                rules.verify(index, self, route, token, &mut memory.passwords, env.wall)?
            }
            ProviderKind::Certificate(rules) => match &ask.connection.certificate {
                Some(certificate) => rules.verify(index, self, route, certificate)?,
                None => return Err(Failure::new(Reason::TokenMissing, "certificate").into()),
            },
            ProviderKind::Introspection(rules) => {
                rules.verify(index, self, route, token, ask, memory, env)?
            }
            ProviderKind::Jwt(rules) => {
                claims::verify(index, self, rules, route, token, ask, memory, env, found)?
            }
            ProviderKind::Session(rules) => {
                session::verify(index, self, rules, route, token, ask, env.wall)?
            }
            ProviderKind::SignedBody(rules) => {
                signed::verify_body(index, self, rules, token, ask, env, found)?
            }
            ProviderKind::SignedMessage(rules) => {
                signed::verify_message(index, self, rules, token, ask, env, found)?
            }
        };
        if let (Some(credential), Some(revocation)) = (&claims.credential, self.revocation()) {
            credential.judge(self, revocation, ask, env)?;
        }
        Ok(claims)
    }
}

impl ProviderKind {
    /// What a credential of this kind is that cannot be right.
    const fn invalid(&self) -> Reason {
        match self {
            Self::ApiKey(_) | Self::Basic(_) => Reason::CredentialsInvalid,
            Self::Certificate(_) => Reason::CertificateInvalid,
            Self::Introspection(_) | Self::Jwt(_) | Self::Session(_) => Reason::TokenInvalid,
            Self::SignedBody(_) | Self::SignedMessage(_) => Reason::SignatureInvalid,
        }
    }
}

impl Source {
    fn place(&self, finding: Finding) -> Finding {
        match self {
            Self::Basic | Self::Bearer => finding.place(b"header", b"authorization"),
            Self::Certificate => finding.place(b"connection", b"certificate"),
            Self::Header(name) | Self::Scheme { header: name, .. } => {
                finding.place(b"header", name)
            }
            Self::Cookie(name) => finding.place(b"cookie", name),
            Self::Query(name) => finding.place(b"query", name),
        }
    }
}

/// Why a provider does not accept a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failure {
    reason: Reason,
    /// What failed, for the finding only.
    what: &'static str,
    /// Which of the provider's claim rules.
    rule: Option<usize>,
}

impl Failure {
    const fn new(reason: Reason, what: &'static str) -> Self {
        Self {
            reason,
            what,
            rule: None,
        }
    }

    const fn rule(rule: usize) -> Self {
        Self {
            rule: Some(rule),
            ..Self::claims("claim")
        }
    }

    const fn claims(what: &'static str) -> Self {
        Self::new(Reason::TokenClaims, what)
    }

    /// How far the token got: a MAC that held says more than one that did not, and a signature or a server that says no
    /// more than a key that nobody knows.
    fn closeness(self) -> u8 {
        match self.reason {
            Reason::CountersContended | Reason::CountersUnavailable | Reason::ReplayCapacity => 7,
            Reason::CsrfFailed => 6,
            Reason::DpopInvalid | Reason::Replayed | Reason::TokenRevoked => FINAL,
            Reason::SignatureExpired | Reason::TokenExpired => 4,
            Reason::TokenClaims => 3,
            Reason::TokenNotBound | Reason::KeysUnavailable | Reason::IntrospectionUnavailable => 2,
            Reason::TokenInvalid if matches!(self.what, "inactive" | "signature") => 1,
            _ => 0,
        }
    }

    /// Whether the credential is authentic and must not pass for what it was used for, or for how it is used now: who has
    /// the same keys would let it pass, so nobody else is asked.
    fn is_final(self) -> bool {
        self.closeness() >= FINAL
    }
}

/// The least closeness of a failure that no other provider can make good.
const FINAL: u8 = 5;

/// A denial with its challenge. RFC 9110 §15.5.2 wants one with every 401, whatever carried the token; the
/// texts depend on the reason only.
fn refusal(stage: Stage, reason: Reason) -> Denial {
    if matches!(
        reason,
        Reason::KeysUnavailable | Reason::IntrospectionUnavailable
    ) {
        // Not the client's fault: the same credential may do later.
        let mut denial = Denial::new(stage, reason);
        denial.headers.push(("retry-after", copy(b"1")));
        return denial;
    }
    let challenge: &[u8] = match reason {
        Reason::CountersContended
        | Reason::CountersUnavailable
        | Reason::CsrfFailed
        | Reason::DigestMismatch
        | Reason::ReplayCapacity => {
            // Nothing that another credential would answer.
            return Denial::new(stage, reason);
        }
        Reason::DpopInvalid => dpop::WRONG_PROOF,
        Reason::Replayed | Reason::SignatureExpired | Reason::SignatureInvalid => {
            b"Signature realm=\"palisade\""
        }
        Reason::TokenMissing | Reason::CertificateInvalid => b"Bearer realm=\"palisade\"",
        Reason::MissingClaim | Reason::MissingRole | Reason::MissingScope => {
            b"Bearer realm=\"palisade\", error=\"insufficient_scope\""
        }
        Reason::MultipleCredentials => {
            b"Bearer realm=\"palisade\", error=\"invalid_request\", \
              error_description=\"more than one credential\""
        }
        Reason::TokenExpired => {
            b"Bearer realm=\"palisade\", error=\"invalid_token\", error_description=\"the token expired\""
        }
        Reason::TokenRevoked => {
            b"Bearer realm=\"palisade\", error=\"invalid_token\", error_description=\"the token was revoked\""
        }
        Reason::TokenClaims => {
            b"Bearer realm=\"palisade\", error=\"invalid_token\", \
              error_description=\"the token is not valid here or now\""
        }
        Reason::TokenNotBound => {
            b"Bearer realm=\"palisade\", error=\"invalid_token\", \
              error_description=\"the token was issued to another client\""
        }
        _ => b"Bearer realm=\"palisade\", error=\"invalid_token\", error_description=\"the token is not valid\"",
    };
    let mut denial = Denial::new(stage, reason);
    denial.headers.push(("www-authenticate", copy(challenge)));
    denial
}

/// Header names that a recipient may take for one another.
fn same_header(one: &[u8], other: &[u8]) -> bool {
    const fn plain(byte: u8) -> u8 {
        match byte {
            b'_' => b'-',
            other => other.to_ascii_lowercase(),
        }
    }
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| plain(*a) == plain(*b))
}

/// Whether two JSON strings are the same text.
fn same_text(one: &Text<'_>, other: &Text<'_>) -> bool {
    if one.escaped || other.escaped {
        one.decode() == other.decode()
    } else {
        one.raw == other.raw
    }
}

/// A copy by growing: `to_vec` and `clone` bring a way into a panic (a capacity that overflows) along.
fn copy(bytes: &[u8]) -> Vec<u8> {
    let mut copied = Vec::new();
    copied.extend_from_slice(bytes);
    copied
}

/// Around the first `byte`.
fn split_first(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    around(bytes, bytes.iter().position(|other| *other == byte)?)
}

/// Around the last `byte`.
fn split_last(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    around(bytes, bytes.iter().rposition(|other| *other == byte)?)
}

fn around(bytes: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    let (before, rest) = bytes.split_at_checked(at)?;
    Some((before, rest.get(1..)?))
}

/// A file of the shared vectors; nothing, loudly, when they are not there.
#[cfg(test)]
fn vectors(name: &str) -> Option<serde_json::Value> {
    let folder = std::env::var_os("PALISADE_VECTORS").map_or_else(
        || std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        std::path::PathBuf::from,
    );
    let path = folder.join("jose").join(name);
    let Ok(text) = std::fs::read(&path) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "no {}: CI skips nothing",
            path.display()
        );
        std::eprintln!("SKIPPED: no {}; set PALISADE_VECTORS", path.display());
        return None;
    };
    Some(serde_json::from_slice(&text).expect("JSON"))
}

#[cfg(test)]
mod tests;
