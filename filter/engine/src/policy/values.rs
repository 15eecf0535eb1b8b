//! The scalars of the policy language: names, numbers with bounds, sizes, spans, quotas, networks, patterns.
//!
//! **In:** one [`Node`]. **Out:** a value that cannot be wrong by itself; what depends on other keys is checked in
//! `compile.rs`. **Invariant:** numbers are read alike from numbers and numeric text (`100`, `"100"`, `100.0`),
//! because Envoy's `Struct` turns one into another. A secret pasted by mistake is never repeated in an error.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use serde_json::{Value, json};

use super::node::Node;
use super::read::{Errors, FromNode, Path, keywords, texts};
use super::sealed::MAX_SEALED;
use super::{BodyCompressed, BodyOver, EventLog, Mode, RouteBody};
use crate::pattern::Pattern;
use crate::request::client_addr::Network;
use crate::request::target::PathPattern;
use crate::stages::headers::EscapedSlash;
use crate::stages::injection::Class;
use crate::stages::limits::{Cause, Scope};
use crate::stages::token::{Algorithm as JoseAlgorithm, HmacAlgorithm, SessionFormat};
use crate::units::{ByteSize, Quota, Span};

/// How a key is written in its environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Base64,
    Hex,
    Raw,
}

/// Parts of a request that injection detection looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Body,
    Cookies,
    Headers,
    Target,
}

/// What a session can be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    Client,
    Tls,
    UserAgent,
}

/// What costs a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    Injection,
}

/// `SameSite` of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SameSite {
    Lax,
    None,
    Strict,
}

/// Security headers on our own replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecurityHeaders {
    Off,
    Strict,
}

/// The tag of a JWT provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JwtTag;

/// Failures that a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failures {
    Authentication,
}

/// The tag of a provider of API keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ApiKeyTag;

/// The tag of a provider of users with passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BasicTag;

/// The tag of a provider of client certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CertificateTag;

/// The tag of a provider of opaque tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IntrospectionTag;

/// The tag of a session provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionTag;

keywords!(Mode, "a mode", { "enforce" => Self::Enforce, "monitor" => Self::Monitor });
keywords!(EscapedSlash, "a choice", { "deny" => Self::Deny, "keep" => Self::Keep });
keywords!(HmacAlgorithm, "a supported algorithm", { "HS256" => Self::Sha256, "HS384" => Self::Sha384, "HS512" => Self::Sha512 });
keywords!(JoseAlgorithm, "a supported algorithm", {
    "HS256" => Self::Hs256, "HS384" => Self::Hs384, "HS512" => Self::Hs512,
    "RS256" => Self::Rs256, "RS384" => Self::Rs384, "RS512" => Self::Rs512,
    "PS256" => Self::Ps256, "PS384" => Self::Ps384, "PS512" => Self::Ps512,
    "ES256" => Self::Es256, "ES384" => Self::Es384, "ES512" => Self::Es512,
    "EdDSA" => Self::EdDsa,
});
keywords!(SessionFormat, "a session format", { "v1" => Self::V1, "colon" => Self::Colon });
keywords!(Encoding, "an encoding", { "raw" => Self::Raw, "base64" => Self::Base64, "hex" => Self::Hex });
keywords!(Part, "a part of a request", {
    "target" => Self::Target, "headers" => Self::Headers, "cookies" => Self::Cookies, "body" => Self::Body
});
keywords!(Class, "an attack class", {
    "custom" => Self::Custom,
    "encoding" => Self::Encoding,
    "protocol" => Self::Protocol,
    "crlf" => Self::Crlf,
    "java" => Self::Java,
    "jndi" => Self::Jndi,
    "ldap" => Self::Ldap,
    "node" => Self::Node,
    "nosql" => Self::Nosql,
    "php" => Self::Php,
    "prototype" => Self::Prototype,
    "rfi" => Self::Rfi,
    "scanner" => Self::Scanner,
    "shell" => Self::Shell,
    "sqli" => Self::Sqli,
    "ssrf" => Self::Ssrf,
    "ssti" => Self::Ssti,
    "traversal" => Self::Traversal,
    "xpath" => Self::Xpath,
    "xss" => Self::Xss,
    "xxe" => Self::Xxe
});
keywords!(Binding, "a binding", { "client" => Self::Client, "user_agent" => Self::UserAgent, "tls" => Self::Tls });
keywords!(Attack, "an attack", { "injection" => Self::Injection });
keywords!(SameSite, "a choice", { "lax" => Self::Lax, "strict" => Self::Strict, "none" => Self::None });
keywords!(SecurityHeaders, "a choice", { "strict" => Self::Strict, "off" => Self::Off });
keywords!(RouteBody, "a choice", { "inspect" => Self::Inspect, "stream" => Self::Stream });
keywords!(BodyOver, "a choice", { "deny" => Self::Deny, "prefix" => Self::Prefix });
keywords!(BodyCompressed, "a choice", { "inspect" => Self::Inspect, "refuse" => Self::Refuse });
keywords!(EventLog, "a choice", { "denied" => Self::Denied, "all" => Self::All, "none" => Self::None });
keywords!(Cause, "a cause", { "injection" => Self::Injection, "authentication" => Self::Authentication, "limits" => Self::Limits });
keywords!(Scope, "whom a ban stops", { "client" => Self::Client, "route" => Self::Route, "subject" => Self::Subject });
keywords!(JwtTag, "a JWT", { "jwt" => Self });
keywords!(Failures, "a kind of failure", { "authentication" => Self::Authentication });
keywords!(ApiKeyTag, "API keys", { "api_key" => Self });
keywords!(BasicTag, "users with passwords", { "basic" => Self });
keywords!(CertificateTag, "client certificates", { "certificate" => Self });
keywords!(IntrospectionTag, "opaque tokens", { "introspection" => Self });
keywords!(SessionTag, "a session token", { "session" => Self });

texts! {
    /// Any short text that is not blank.
    Text(Vec<u8>): "text of 1 to 1024 bytes", "write a word or a quoted text", "^[^\\x00-\\x1f]{1,1024}$",
        |text| plain(text, 1024);
    /// Name of a limit, route or pattern; appears in events and, for limits, in `RateLimit-Policy`.
    Name(String): "a name", "write letters, digits, `-`, `_` or `.`, at most 64, such as `per-client`",
        "^[A-Za-z0-9_.-]{1,64}$", name;
    /// Header name; kept in lower case.
    HeaderName(Vec<u8>): "a header name", "write a name such as `x-user`", "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$",
        |text| header_name(text).map(|name| name.to_ascii_lowercase());
    /// Cookie name; case counts.
    CookieName(Vec<u8>): "a cookie name", "write a name such as `sid`", "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$",
        |text| header_name(text).map(<[u8]>::to_vec);
    /// Name of a header, cookie, parameter or body field, kept in lower case.
    FieldName(Vec<u8>): "the name of a field", "write a name such as `password`", "^[^\\x00-\\x1f]{1,128}$",
        |text| plain(text, 128).map(|name| name.to_ascii_lowercase());
    /// Name of a body field as sent.
    BodyField(Vec<u8>): "the name of a body field", "write a name such as `username`", "^[^\\x00-\\x1f]{1,128}$",
        |text| plain(text, 128);
    /// Method; case counts (RFC 9110 §9.1).
    Method(Vec<u8>): "a method", "write an upper-case name such as `GET`", "^[A-Z][A-Z_-]{0,31}$", method;
    /// Host without port, or `*.` and a domain.
    Host(Vec<u8>): "a host", "write a name without scheme, port and path such as `api.example.com` or `*.example.com`",
        "^(\\*\\.)?[A-Za-z0-9._-]{1,253}$|^\\[[0-9A-Fa-f:.]{2,45}\\]$", host;
    /// `Path` of a cookie.
    CookiePath(Vec<u8>): "a path", "write a path such as `/`", "^/[!-:<-~]{0,255}$", cookie_path;
    /// Origin of a page (RFC 6454).
    OriginText(Vec<u8>): "an origin", "write scheme and host, without a path, such as `https://app.example.com`",
        "^https?://[A-Za-z0-9._:\\[\\]-]{1,255}$", origin;
    /// Media type, or `type/*`.
    MediaType(Vec<u8>): "a media type", "write a type without parameters such as `application/json` or `text/*`",
        "^[A-Za-z0-9.+-]{1,64}/(\\*|[A-Za-z0-9.+-]{1,64})$", media_type;
    /// A claim: JSON Pointer (RFC 6901), or names with dots between; kept as a pointer.
    Pointer(Vec<u8>): "a JSON Pointer or a dotted name",
        "write a path such as `/sub` or `realm_access.roles`; a name with a dot or a slash of its own needs the pointer: `/a.b~1c`",
        "^(/([^~/]|~[01])*)+$|^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$", pointer;
    /// A scope (RFC 6749 §3.3).
    ScopeName(Vec<u8>): "a scope", "write one scope without blanks, quotes and backslashes such as `orders:read`",
        "^[\\x21\\x23-\\x5B\\x5D-\\x7E]{1,256}$", scope;
    /// A length of time with its unit.
    Duration(Span): "a duration", "write a number and a unit such as `500ms`, `30s`, `10m`, `1h` or `7d`",
        "^[0-9]+(ms|s|m|h|d)$", Span::parse;
    /// A quota.
    QuotaText(Quota): "a quota", "write a count and a window such as `100/10m`, or a count such as `50` for requests in flight",
        "^[1-9][0-9]*(/[1-9][0-9]*(ms|s|m|h|d))?$",
        Quota::parse;
    /// A size in bytes.
    Size(ByteSize): "a size", "write a number and a unit such as `512B`, `32KiB` or `1MiB`", "^[0-9]+(B|KiB|MiB)?$",
        |text| ByteSize::parse(text.strip_suffix(".0").unwrap_or(text));
    /// A day or a time.
    Time(u64): "a day or a time", "write a day such as `2027-01-01` or a time such as `2027-01-01T12:00:00Z`",
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2}))?$", time;
    /// A user's name.
    UserName(Vec<u8>): "a user's name", "write 1 to 256 bytes without a colon and control characters",
        "^[^:\\x00-\\x1f]{1,256}$", user_name;
    /// What a browser shows when it asks for a password.
    Realm(Vec<u8>): "a realm", "write letters, digits, blanks and `-_.`, at most 64", "^[A-Za-z0-9 ._-]{1,64}$", realm;
    /// URI of a certificate.
    CertificateUri(Vec<u8>): "a URI", "write a URI such as `spiffe://example.org/ns/*/sa/web`; `*` is one whole segment after the authority",
        "^[A-Za-z][A-Za-z0-9+.-]*:[^ ?#\\x00-\\x1f]{1,2000}$", certificate_uri;
    /// DNS name of a certificate.
    CertificateDns(Vec<u8>): "a DNS name", "write a name such as `web.example.com` or `*.clients.example.com`; `*` is one whole label, the first",
        "^(\\*\\.)?[A-Za-z0-9._-]{1,253}$", certificate_dns;
    /// An address or a network.
    Cidr(Network): "an address or network", "write an address such as `203.0.113.7` or a network such as `203.0.113.0/24`",
        "^[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?$", network;
}

/// A whole number between bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count<const LEAST: u32, const MOST: u32>(pub(crate) u32);

impl<const LEAST: u32, const MOST: u32> FromNode for Count<LEAST, MOST> {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let number = match node {
            Node::Number(text) | Node::String(text) => whole(text),
            Node::Null | Node::Bool(_) | Node::List(_) | Node::Map(_) => None,
        };
        let Some(number) = number else {
            errors.wrong(at, node, "a whole number", Self::help());
            return None;
        };
        match u32::try_from(number)
            .ok()
            .filter(|number| (LEAST..=MOST).contains(number))
        {
            Some(number) => Some(Self(number)),
            None => {
                errors.push(at, format!("`{number}` is out of range"), Self::help());
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }

    fn help() -> String {
        format!("write a whole number from {LEAST} to {MOST}")
    }
}

/// SHA-256 of a secret, never shown: a fast hash of a weak secret is the secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl core::fmt::Debug for Digest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Digest(redacted)")
    }
}

impl FromNode for Digest {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let text = node.as_text().unwrap_or_default().trim().as_bytes();
        let bytes = if text.len() == 64 {
            super::tokens::decode_hex(text)
        } else {
            super::tokens::decode_base64(text)
        };
        let digest = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        if digest.is_none() {
            errors.push(at, "not a SHA-256 (value not shown)", Self::help());
        }
        digest.map(Self)
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^([0-9A-Fa-f]{64}|[A-Za-z0-9+/_-]{43}=?)$" })
    }

    fn help() -> String {
        "write the SHA-256 of the key in 64 hex digits or in base64, never the key itself"
            .to_owned()
    }
}

/// SHA-256 of a certificate; public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateDigest(pub(crate) Vec<u8>);

impl FromNode for CertificateDigest {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let text = node.as_text().unwrap_or_default().replace(':', "");
        let digest = crate::stages::token::certificate::digest_text(text.as_bytes());
        if digest.is_none() {
            errors.wrong(at, node, "a SHA-256 in hex", Self::help());
        }
        digest.map(Self)
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[0-9A-Fa-f:]{64,95}$" })
    }

    fn help() -> String {
        "write 64 hex digits, as `openssl x509 -noout -fingerprint -sha256` prints them (colons may stay)".to_owned()
    }
}

/// Name of an environment variable. What does not look like one may be a pasted secret: it is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvName(pub(crate) String);

impl FromNode for EnvName {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let fits = |text: &&str| {
            (1..=128).contains(&text.len())
                && !text.starts_with(|c: char| c.is_ascii_digit())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if let Node::String(text) = node
            && fits(&text.as_str())
        {
            return Some(Self(text.clone()));
        }
        errors.push(
            at,
            "not the name of an environment variable (value not shown)",
            Self::help(),
        );
        None
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,127}$" })
    }

    fn help() -> String {
        "write the name of the variable that holds the key, such as `JWT_KEY`, never the key itself"
            .to_owned()
    }
}

/// A sealed secret. It is not shown: what does not look like one may be the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed(pub(crate) String);

impl FromNode for Sealed {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let fits = |text: &str| {
            text.len() <= MAX_SEALED
                && text.starts_with("gAAAA")
                && text
                    .trim_end_matches('=')
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if let Node::String(text) = node
            && fits(text.trim())
        {
            return Some(Self(text.trim().to_owned()));
        }
        errors.push(at, "not a sealed secret (value not shown)", Self::help());
        None
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^\\s*gAAAA[A-Za-z0-9_-]+={0,2}\\s*$", "maxLength": MAX_SEALED })
    }

    fn help() -> String {
        "write what `palisade token seal` prints: URL-safe base64 that begins with `gAAAA`"
            .to_owned()
    }
}

impl FromNode for PathPattern {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let Some(text) = node.as_text() else {
            errors.wrong(at, node, "a path", Self::help());
            return None;
        };
        if text.len() > 1024 {
            errors.wrong(at, node, "a path of at most 1024 bytes", Self::help());
            return None;
        }
        match Self::new(text.as_bytes()) {
            Ok(pattern) => Some(pattern),
            Err(help) => {
                errors.wrong(at, node, "a path", help);
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^/[^?#\\x00-\\x20\\x7f]{0,1023}$" })
    }

    fn help() -> String {
        "write a decoded path such as `/login`, or `/admin/*` for `/admin` and all below it"
            .to_owned()
    }
}

impl FromNode for Pattern {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let Node::String(text) = node else {
            errors.wrong(at, node, "a pattern", Self::help());
            return None;
        };
        match Self::new(text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                errors.push(
                    at,
                    format!("`{}` is not a pattern: {error}", super::read::excerpt(text)),
                    Self::help(),
                );
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "type": "string", "format": "regex" })
    }

    fn help() -> String {
        "write a regular expression without look-around and back-references such as `(?i)\\bdrop\\s+table\\b`".to_owned()
    }
}

/// Digits, with the `.0` that doubles gain on their way through a `Struct`.
fn whole(text: &str) -> Option<u64> {
    let digits = text.split_once('.').map_or(Some(text), |(digits, zeros)| {
        (!zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0')).then_some(digits)
    })?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Seconds since 1970 of a day's start in UTC, or of an RFC 3339 time; a fraction is cut off.
fn time(text: &str) -> Option<u64> {
    let number = |text: &str, least: u64, most: u64| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = text.parse().ok().filter(|_| digits)?;
        (least..=most).contains(&number).then_some(number)
    };
    let (year, rest) = text.split_at_checked(4)?;
    let (month, rest) = rest.strip_prefix('-')?.split_at_checked(2)?;
    let (day, rest) = rest.strip_prefix('-')?.split_at_checked(2)?;
    let (year, month) = (number(year, 1970, 9999)?, number(month, 1, 12)?);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths: [u64; 12] = [
        31,
        if leap { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let before = usize::try_from(month).ok()?.checked_sub(1)?;
    let day = number(day, 1, *lengths.get(before)?)?;
    // Leap days of the years before this one.
    let past = year.checked_sub(1)?;
    let leaps = (past / 4)
        .checked_sub(past / 100)?
        .checked_add(past / 400)?
        .checked_sub(477)?;
    let days = year
        .checked_sub(1970)?
        .checked_mul(365)?
        .checked_add(leaps)?
        .checked_add(lengths.iter().take(before).sum())?
        .checked_add(day)?
        .checked_sub(1)?;
    let start = days.checked_mul(86_400)?;
    if rest.is_empty() {
        return Some(start);
    }
    let (hour, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(2)?;
    let (minute, rest) = rest.strip_prefix(':')?.split_at_checked(2)?;
    let (second, rest) = rest.strip_prefix(':')?.split_at_checked(2)?;
    let within = number(hour, 0, 23)?
        .checked_mul(3600)?
        .checked_add(number(minute, 0, 59)?.checked_mul(60)?)?
        .checked_add(number(second, 0, 60)?)?;
    let local = start.checked_add(within)?;
    let zone = match rest.strip_prefix('.') {
        Some(rest) => {
            let zone = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            (zone.len() < rest.len()).then_some(zone)?
        }
        None => rest,
    };
    if zone.eq_ignore_ascii_case("z") {
        return Some(local);
    }
    let (sign, zone) = zone.split_at_checked(1)?;
    let (hours, minutes) = zone.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let offset = number(hours, 0, 23)?
        .checked_mul(3600)?
        .checked_add(number(minutes, 0, 59)?.checked_mul(60)?)?;
    match sign {
        "+" => local.checked_sub(offset),
        "-" => local.checked_add(offset),
        _ => None,
    }
}

/// RFC 7617 §2: no colon, no control characters.
pub(crate) fn user_name(text: &str) -> Option<Vec<u8>> {
    let fits = (1..=256).contains(&text.len())
        && !text.contains(':')
        && !text.chars().any(char::is_control);
    fits.then(|| text.as_bytes().to_vec())
}

fn realm(text: &str) -> Option<Vec<u8>> {
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b" ._-".contains(&byte));
    fits.then(|| text.as_bytes().to_vec())
}

fn certificate_uri(text: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = text.split_once(':')?;
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte));
    // A star stands for a whole segment of the path, and never for whose name space it is.
    let stars = match rest.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            !authority.contains('*')
                && path
                    .split('/')
                    .all(|piece| piece == "*" || !piece.contains('*'))
        }
        None => !rest.contains('*'),
    };
    let fits = text.len() <= 2048
        && !rest.is_empty()
        && !text.contains(['?', '#', ' '])
        && !text.chars().any(char::is_control);
    (named && stars && fits).then(|| text.as_bytes().to_vec())
}

fn certificate_dns(text: &str) -> Option<Vec<u8>> {
    let bare = text.strip_prefix("*.").unwrap_or(text);
    let fits = (1..=253).contains(&bare.len())
        && bare.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        });
    // `*.com` would be everybody.
    let wide = text.len() > bare.len() && !bare.contains('.');
    (fits && !wide).then(|| text.as_bytes().to_vec())
}

fn plain(text: &str, most: usize) -> Option<Vec<u8>> {
    let fits = !text.trim().is_empty() && text.len() <= most && !text.chars().any(char::is_control);
    fits.then(|| text.as_bytes().to_vec())
}

fn name(text: &str) -> Option<String> {
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    fits.then(|| text.to_owned())
}

/// RFC 9110 §5.6.2 `token`.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn header_name(text: &str) -> Option<&[u8]> {
    (is_token(text) && text.len() <= 128).then_some(text.as_bytes())
}

fn method(text: &str) -> Option<Vec<u8>> {
    let fits = text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'));
    fits.then(|| text.as_bytes().to_vec())
}

fn host(text: &str) -> Option<Vec<u8>> {
    let bare = text.strip_prefix("*.").unwrap_or(text);
    let named = !bare.is_empty()
        && !bare.starts_with('.')
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let literal = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let numbered = literal.is_some_and(|inner| inner.parse::<core::net::Ipv6Addr>().is_ok());
    ((named || numbered) && text.len() <= 255).then(|| text.to_ascii_lowercase().into_bytes())
}

fn cookie_path(text: &str) -> Option<Vec<u8>> {
    let fits = text.starts_with('/')
        && text.len() <= 256
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b';');
    fits.then(|| text.as_bytes().to_vec())
}

fn origin(text: &str) -> Option<Vec<u8>> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))?;
    let fits = (1..=255).contains(&rest.len())
        && rest
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    fits.then(|| text.to_ascii_lowercase().into_bytes())
}

fn media_type(text: &str) -> Option<Vec<u8>> {
    let (kind, sub) = text.split_once('/')?;
    let part = |text: &str| {
        (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'))
    };
    (part(kind) && (sub == "*" || part(sub))).then(|| text.to_ascii_lowercase().into_bytes())
}

fn pointer(text: &str) -> Option<Vec<u8>> {
    if text.len() > 256 {
        return None;
    }
    if text.starts_with('/') {
        let escapes = text
            .split('~')
            .skip(1)
            .all(|rest| rest.starts_with(['0', '1']));
        return escapes.then(|| text.as_bytes().to_vec());
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    text.split('.')
        .all(|name| !name.is_empty() && name.bytes().all(plain))
        .then(|| format!("/{}", text.replace('.', "/")).into_bytes())
}

fn scope(text: &str) -> Option<Vec<u8>> {
    let fits = (1..=256).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    fits.then(|| text.as_bytes().to_vec())
}

fn network(text: &str) -> Option<Network> {
    let (address, prefix) = text
        .split_once('/')
        .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => u8::try_from(whole(prefix)?)
            .ok()
            .filter(|prefix| *prefix <= most)?,
        None => most,
    };
    Some(Network { address, prefix })
}
