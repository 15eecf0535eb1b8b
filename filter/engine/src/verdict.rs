//! Verdicts, denials, and the only mapping from a reason to what the client learns.

use alloc::vec::Vec;

use crate::addition::Addition;

/// The stages, in the order a request meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Decoding of the head.
    Request,
    /// Route choice.
    Route,
    /// Address lists.
    Access,
    /// Header inspection.
    Headers,
    /// Rate limits and bans.
    Limits,
    /// Credentials.
    Token,
    /// Roles.
    Authorize,
    /// Injection detection.
    Injection,
    /// Reading of a body.
    Body,
}

/// Why a request was refused. Adding one breaks the build until it has a row in [`Reason::row`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The client's address is on the deny list, or not on the allow list.
    AddressDenied,
    /// The client is banned for repeated excess.
    Banned,
    /// The body is longer than the policy's bound.
    BodyTooLarge,
    /// The body never came (host configuration); answered by the tick.
    BodyUnavailable,
    /// The client's certificate stands for nobody the policy knows.
    CertificateInvalid,
    /// The content type is not on the list.
    ContentTypeNotAllowed,
    /// The shared counters could not be read or written.
    CountersUnavailable,
    /// The shared counters were contended beyond the retry bound.
    CountersContended,
    /// The API key, or the user name and password, are not right.
    CredentialsInvalid,
    /// The body is not the one that was signed, or its digest cannot be judged.
    DigestMismatch,
    /// Nothing shows that the session's own pages caused the request.
    CsrfFailed,
    /// The proof of possession does not hold, or there is none where the token is bound.
    DpopInvalid,
    /// The service that counts for several Envoys did not answer, and its limit refuses without it.
    FleetUnavailable,
    /// A forbidden header was sent.
    ForbiddenHeader,
    /// Framing is ambiguous (several lengths, length and chunked, …).
    FramingAmbiguous,
    /// Too many headers or cookies, or too many bytes in them.
    HeadersTooLarge,
    /// The host is not on the list, or missing.
    HostNotAllowed,
    /// An injection attack was recognised.
    Injection,
    /// The inspection budget ran out.
    InspectionBudget,
    /// The server that judges the token did not say, in a way that can be read, what it is.
    IntrospectionUnavailable,
    /// The provider's keys could not be fetched, and none that serve are left.
    KeysUnavailable,
    /// A control byte in a header or target.
    MalformedHeader,
    /// The body is not what its content type says.
    MalformedBody,
    /// The path cannot be read in one way only.
    MalformedPath,
    /// The method is not on the list.
    MethodNotAllowed,
    /// The subject's claims are not what the route asks.
    MissingClaim,
    /// A header the policy requires is missing.
    MissingHeader,
    /// The subject lacks a role.
    MissingRole,
    /// The subject lacks a scope.
    MissingScope,
    /// More than one credential was sent.
    MultipleCredentials,
    /// A request of the operator, answered by the filter itself.
    Operator,
    /// A limit's quota is used up.
    RateLimited,
    /// A header that must be single was repeated.
    RepeatedHeader,
    /// The table of marks cannot tell whether the message came before.
    ReplayCapacity,
    /// The message was accepted before.
    Replayed,
    /// No route of the policy takes this request.
    RouteNotFound,
    /// The signed request is outside of its window of time.
    SignatureExpired,
    /// The request's signature does not verify, or does not cover what it must.
    SignatureInvalid,
    /// The request target or its parameters are over their bounds.
    TargetTooLarge,
    /// The token's times, issuer, audience or claims do not hold.
    TokenClaims,
    /// The token has expired.
    TokenExpired,
    /// The token is malformed, or its signature does not verify.
    TokenInvalid,
    /// The token names a key that its provider does not publish.
    TokenKeyUnknown,
    /// No token was sent where one is required.
    TokenMissing,
    /// The token is bound to another client.
    TokenNotBound,
    /// The token or session was revoked.
    TokenRevoked,
}

/// What a [`Reason`] tells the client: HTTP status, stable code, title of the problem (RFC 9457).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReasonRow {
    /// HTTP status.
    pub status: u16,
    /// Stable code: in the problem body, the event, the metric's name and the response details.
    pub code: &'static str,
    /// Title of the problem.
    pub title: &'static str,
    /// gRPC status (grpc/doc/statuscodes.md) for a gRPC request.
    pub grpc: u8,
}

const fn row(status: u16, code: &'static str, title: &'static str, grpc: u8) -> ReasonRow {
    ReasonRow {
        status,
        code,
        title,
        grpc,
    }
}

impl Reason {
    /// All reasons, in the order of the enum.
    pub const ALL: [Self; 46] = [
        Self::AddressDenied,
        Self::Banned,
        Self::BodyTooLarge,
        Self::BodyUnavailable,
        Self::CertificateInvalid,
        Self::ContentTypeNotAllowed,
        Self::CountersUnavailable,
        Self::CountersContended,
        Self::CredentialsInvalid,
        Self::DigestMismatch,
        Self::CsrfFailed,
        Self::DpopInvalid,
        Self::FleetUnavailable,
        Self::ForbiddenHeader,
        Self::FramingAmbiguous,
        Self::HeadersTooLarge,
        Self::HostNotAllowed,
        Self::Injection,
        Self::InspectionBudget,
        Self::IntrospectionUnavailable,
        Self::KeysUnavailable,
        Self::MalformedHeader,
        Self::MalformedBody,
        Self::MalformedPath,
        Self::MethodNotAllowed,
        Self::MissingClaim,
        Self::MissingHeader,
        Self::MissingRole,
        Self::MissingScope,
        Self::MultipleCredentials,
        Self::Operator,
        Self::RateLimited,
        Self::RepeatedHeader,
        Self::ReplayCapacity,
        Self::Replayed,
        Self::RouteNotFound,
        Self::SignatureExpired,
        Self::SignatureInvalid,
        Self::TargetTooLarge,
        Self::TokenClaims,
        Self::TokenExpired,
        Self::TokenInvalid,
        Self::TokenKeyUnknown,
        Self::TokenMissing,
        Self::TokenNotBound,
        Self::TokenRevoked,
    ];

    /// Whether it says that somebody tried a credential that is not right: what limits with `count: { failures:
    /// authentication }` count. What was right once (expired), elsewhere (audience) or cannot be told is no guess.
    #[must_use]
    pub const fn is_failed_authentication(self) -> bool {
        matches!(
            self,
            Self::CertificateInvalid
                | Self::CredentialsInvalid
                | Self::DpopInvalid
                | Self::Replayed
                | Self::SignatureInvalid
                | Self::TokenInvalid
                | Self::TokenNotBound
        )
    }

    /// The problem type of draft-ietf-httpapi-ratelimit-headers, of a refusal by limits.
    #[must_use]
    pub const fn problem_type(self) -> Option<&'static str> {
        match self {
            Self::RateLimited => Some("quota-exceeded"),
            Self::Banned => Some("abnormal-usage-detected"),
            Self::CountersContended | Self::CountersUnavailable | Self::FleetUnavailable => {
                Some("temporary-reduced-capacity")
            }
            _ => None,
        }
    }

    /// The one table: exhaustive, no wildcard.
    #[must_use]
    pub const fn row(self) -> ReasonRow {
        match self {
            Self::AddressDenied => row(403, "address_denied", "Forbidden", 7),
            Self::Banned => row(429, "banned", "Too Many Requests", 8),
            Self::BodyTooLarge => row(413, "body_too_large", "Content Too Large", 8),
            Self::BodyUnavailable => row(503, "body_unavailable", "Service Unavailable", 14),
            Self::CertificateInvalid => row(403, "certificate_invalid", "Forbidden", 7),
            Self::ContentTypeNotAllowed => {
                row(415, "content_type_not_allowed", "Unsupported Media Type", 3)
            }
            Self::CountersUnavailable => {
                row(503, "counters_unavailable", "Service Unavailable", 14)
            }
            Self::CountersContended => row(503, "counters_contended", "Service Unavailable", 14),
            Self::CredentialsInvalid => row(401, "credentials_invalid", "Unauthorized", 16),
            Self::DigestMismatch => row(400, "digest_mismatch", "Bad Request", 3),
            Self::CsrfFailed => row(403, "csrf_failed", "Forbidden", 7),
            Self::DpopInvalid => row(401, "dpop_invalid", "Unauthorized", 16),
            Self::FleetUnavailable => row(503, "fleet_unavailable", "Service Unavailable", 14),
            Self::ForbiddenHeader => row(400, "forbidden_header", "Bad Request", 3),
            Self::FramingAmbiguous => row(400, "framing_ambiguous", "Bad Request", 3),
            Self::HeadersTooLarge => row(
                431,
                "headers_too_large",
                "Request Header Fields Too Large",
                8,
            ),
            Self::HostNotAllowed => row(421, "host_not_allowed", "Misdirected Request", 3),
            Self::Injection => row(403, "injection", "Forbidden", 7),
            Self::InspectionBudget => row(403, "inspection_budget", "Forbidden", 8),
            Self::IntrospectionUnavailable => {
                row(503, "introspection_unavailable", "Service Unavailable", 14)
            }
            Self::KeysUnavailable => row(503, "keys_unavailable", "Service Unavailable", 14),
            Self::MalformedHeader => row(400, "malformed_header", "Bad Request", 3),
            Self::MalformedBody => row(400, "malformed_body", "Bad Request", 3),
            Self::MalformedPath => row(400, "malformed_path", "Bad Request", 3),
            Self::MethodNotAllowed => row(405, "method_not_allowed", "Method Not Allowed", 12),
            Self::MissingClaim => row(403, "missing_claim", "Forbidden", 7),
            Self::MissingHeader => row(400, "missing_header", "Bad Request", 3),
            Self::MissingRole => row(403, "missing_role", "Forbidden", 7),
            Self::MissingScope => row(403, "missing_scope", "Forbidden", 7),
            Self::MultipleCredentials => row(400, "multiple_credentials", "Bad Request", 16),
            Self::Operator => row(200, "operator", "OK", 0),
            Self::RateLimited => row(429, "rate_limited", "Too Many Requests", 8),
            Self::RepeatedHeader => row(400, "repeated_header", "Bad Request", 3),
            Self::ReplayCapacity => row(503, "replay_capacity", "Service Unavailable", 14),
            Self::Replayed => row(401, "replayed", "Unauthorized", 16),
            Self::SignatureExpired => row(401, "signature_expired", "Unauthorized", 16),
            Self::SignatureInvalid => row(401, "signature_invalid", "Unauthorized", 16),
            Self::RouteNotFound => row(404, "route_not_found", "Not Found", 5),
            Self::TargetTooLarge => row(414, "target_too_large", "URI Too Long", 3),
            Self::TokenClaims => row(401, "token_claims", "Unauthorized", 16),
            Self::TokenExpired => row(401, "token_expired", "Unauthorized", 16),
            Self::TokenInvalid => row(401, "token_invalid", "Unauthorized", 16),
            Self::TokenKeyUnknown => row(401, "token_key_unknown", "Unauthorized", 16),
            Self::TokenMissing => row(401, "token_missing", "Unauthorized", 16),
            Self::TokenNotBound => row(401, "token_not_bound", "Unauthorized", 16),
            Self::TokenRevoked => row(401, "token_revoked", "Unauthorized", 16),
        }
    }
}

/// A refusal: the reason and the header fields the client is owed (`retry-after`, `ratelimit`,
/// `www-authenticate`, `allow`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Where.
    pub stage: Stage,
    /// Why.
    pub reason: Reason,
    /// Response header fields, lower-case names.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// Names of limits that refuse, of those the client may be told of.
    pub violated: Vec<Vec<u8>>,
    /// JSON instead of the problem.
    pub body: Option<Vec<u8>>,
}

impl Denial {
    /// A denial without extra header fields.
    #[must_use]
    pub const fn new(stage: Stage, reason: Reason) -> Self {
        Self {
            stage,
            reason,
            headers: Vec::new(),
            violated: Vec::new(),
            body: None,
        }
    }
}

/// Changes to the request before it goes upstream, and to what comes back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// Header names to remove (client's copies of forwarded claims).
    pub remove: Vec<Vec<u8>>,
    /// Headers to set, after the removals.
    pub set: Vec<(Vec<u8>, Vec<u8>)>,
    /// Fields to add to the upstream's response.
    pub add: Vec<Addition>,
}
