//! `tokens` and `routes[].token`: what all types of provider share. Each type has a file of its own beside this one.
//!
//! **In:** the sections as written. **Out:** [`TokenStage`] and [`RouteToken`], or errors with their key paths.
//! **Invariant:** a secret comes from the environment of the VM, or is opened with a key from there ([`Compiler::secret`]); an
//! error names the variable, never its value.
//! **Source:** RFC 7518 §3.2 (key length), RFC 9110 §7.6.1 (hop-by-hop fields), RFC 4648.

mod api_key;
mod basic;
mod certificate;
mod hmac;
mod jwt;
mod jwt_keys;
mod message_signature;
mod remote_keys;
mod session;

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Value, json};

use self::api_key::ApiKeyConfig;
use self::basic::BasicConfig;
use self::certificate::CertificateConfig;
use self::hmac::HmacConfig;
use self::jwt::JwtConfig;
use self::message_signature::MessageSignatureConfig;
use self::session::SessionConfig;
use super::compile::{Compiler, Secrets};
use super::config::one_key;
use super::node::Node;
use super::read::{Errors, FromNode, Located, Named, Path, nearest, quoted, section};
use super::sealed::{self, SealError, SealKey};
use super::values::{CookieName, Encoding, EnvName, HeaderName, Pointer, Sealed, Text, is_token};
use crate::stages::token::{HmacAlgorithm, Key, Need, RouteToken, Secret, Source, TokenStage};

/// Where a secret is, as a section has it.
#[derive(Debug, Clone, Copy)]
pub(in crate::policy) struct Written<'c> {
    /// Variable that holds it, or the key of what is sealed.
    pub(in crate::policy) env: &'c EnvName,
    /// It stands here, sealed.
    pub(in crate::policy) sealed: Option<&'c Sealed>,
    /// How it is written.
    pub(in crate::policy) encoding: Encoding,
}

impl Written<'_> {
    /// The policy's key that errors point at, and the place in words.
    fn place(self) -> (&'static str, String) {
        match self.sealed {
            Some(_) => ("sealed", "`sealed`".to_owned()),
            None => ("env", format!("`{}`", self.env.0)),
        }
    }
}

/// A token provider, told apart by `type`.
#[derive(Debug, Clone)]
pub(crate) enum Token {
    ApiKey(ApiKeyConfig),
    Basic(BasicConfig),
    Certificate(CertificateConfig),
    Hmac(HmacConfig),
    Jwt(JwtConfig),
    MessageSignature(MessageSignatureConfig),
    Session(SessionConfig),
}

impl FromNode for Token {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        super::read::entries(node, at, errors)?;
        match node.entry("type").map(|tag| (tag, tag.as_text())) {
            Some((_, Some("api_key"))) => ApiKeyConfig::read(node, at, errors).map(Self::ApiKey),
            Some((_, Some("basic"))) => BasicConfig::read(node, at, errors).map(Self::Basic),
            Some((_, Some("certificate"))) => {
                CertificateConfig::read(node, at, errors).map(Self::Certificate)
            }
            Some((_, Some("hmac"))) => HmacConfig::read(node, at, errors).map(Self::Hmac),
            Some((_, Some("jwt"))) => JwtConfig::read(node, at, errors).map(Self::Jwt),
            Some((_, Some("message_signature"))) => {
                MessageSignatureConfig::read(node, at, errors).map(Self::MessageSignature)
            }
            Some((_, Some("session"))) => SessionConfig::read(node, at, errors).map(Self::Session),
            Some((tag, _)) => {
                errors.wrong(&at.key("type"), tag, "a type of token", Self::help());
                None
            }
            None => {
                errors.push(&at.key("type"), "missing", Self::help());
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "oneOf": [
            ApiKeyConfig::schema(), BasicConfig::schema(), CertificateConfig::schema(),
            HmacConfig::schema(), JwtConfig::schema(), MessageSignatureConfig::schema(),
            SessionConfig::schema()
        ] })
    }

    fn help() -> String {
        "write one of `api_key`, `basic`, `certificate`, `hmac`, `jwt`, `message_signature`, `session`".to_owned()
    }
}

/// Where a credential is carried.
#[derive(Debug, Clone)]
pub(crate) struct From(pub(crate) Source);

section! {
    /// A header, cookie or query parameter that carries the credential.
    struct Carrier {
        /// Header name; its whole value is the credential.
        header: Option<HeaderName>,
        /// Cookie name.
        cookie: Option<CookieName>,
        /// Query parameter; it stands in logs and histories: the last resort.
        query: Option<CookieName>,
    }
}

impl FromNode for From {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        if node.as_text() == Some("bearer") {
            return Some(Self(Source::Bearer));
        }
        if let Node::Map(_) = node {
            let Carrier {
                header,
                cookie,
                query,
            } = Carrier::read(node, at, errors)?;
            match (header, cookie, query) {
                (Some(name), None, None) => return Some(Self(Source::Header(name.0))),
                (None, Some(name), None) => return Some(Self(Source::Cookie(name.0))),
                (None, None, Some(name)) => return Some(Self(Source::Query(name.0))),
                _ => {}
            }
        }
        errors.wrong(at, node, "a place for a credential", Self::help());
        None
    }

    fn schema() -> Value {
        json!({ "oneOf": [{ "const": "bearer" }, one_key(&Carrier::schema())] })
    }

    fn help() -> String {
        "write `bearer`, `{ header: NAME }`, `{ cookie: NAME }` or `{ query: NAME }`".to_owned()
    }
}

/// What a route asks.
#[derive(Debug, Clone)]
pub(crate) enum RouteTokenConfig {
    None,
    Demand(Demand),
}

section! {
    /// Token demands of a route.
    struct Demand {
        /// Providers of which one must have verified the token.
        any: Vec<Located<Text>>,
        /// Let requests without a token pass; a bad token is still refused.
        optional: bool = false,
        /// The subject must hold one of these.
        roles: Vec<Text> = [],
        /// An allowed request revokes its own credential: a logout. The providers must be `revocable`.
        revoke: bool = false,
    }
}

impl FromNode for RouteTokenConfig {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        match node {
            Node::Map(_) => Demand::read(node, at, errors).map(Self::Demand),
            _ if node.as_text() == Some("none") => Some(Self::None),
            _ => {
                errors.wrong(at, node, "a token demand", Self::help());
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "oneOf": [{ "const": "none" }, Demand::schema()] })
    }

    fn help() -> String {
        "write `none` or `{ any: [PROVIDER] }`".to_owned()
    }
}

impl Compiler<'_> {
    pub(in crate::policy) fn tokens(&mut self, tokens: Named<Token>) -> TokenStage {
        let mut providers = Vec::new();
        for entry in tokens.0 {
            self.name(&entry.at, &entry.name);
            let name = entry.name.into_bytes();
            match entry.value {
                Some(Token::ApiKey(config)) => {
                    providers.push(self.api_key(&entry.at, name, config));
                }
                Some(Token::Basic(config)) => {
                    providers.extend(self.basic(&entry.at, name, config));
                }
                Some(Token::Certificate(config)) => {
                    providers.push(self.certificate(&entry.at, name, config));
                }
                Some(Token::Hmac(config)) => providers.push(self.hmac(&entry.at, name, config)),
                Some(Token::Jwt(config)) => providers.push(self.jwt(&entry.at, name, config)),
                Some(Token::MessageSignature(config)) => {
                    providers.push(self.message_signature(&entry.at, name, config));
                }
                Some(Token::Session(config)) => {
                    providers.push(self.session(&entry.at, name, config))
                }
                None => {}
            }
        }
        self.revocable = providers
            .iter()
            .filter(|provider| provider.revocation().is_some_and(|it| it.marks))
            .map(|provider| provider.name.clone())
            .collect();
        TokenStage { providers }
    }

    pub(in crate::policy) fn unique_id(
        &mut self,
        at: &Path,
        id: Option<&Vec<u8>>,
        ids: &mut Vec<Vec<u8>>,
    ) {
        let Some(id) = id else { return };
        if ids.contains(id) {
            let id = String::from_utf8_lossy(id);
            self.errors.push(
                &at.key("id"),
                format!("`{id}` is used by an earlier key"),
                "give each key its own id",
            );
        } else {
            ids.push(id.clone());
        }
    }

    /// A key of an HMAC, long enough for it.
    pub(in crate::policy) fn key(
        &mut self,
        at: &Path,
        id: Option<Vec<u8>>,
        algorithm: HmacAlgorithm,
        written: Written<'_>,
    ) -> Option<Key> {
        let secret = self.secret(at, written)?;
        let least = algorithm.mac_bytes();
        if secret.len() < least {
            let (key, place) = written.place();
            self.errors.push(
                &at.key(key),
                format!(
                    "the key in {place} has {} bytes, {} needs at least {least}",
                    secret.len(),
                    algorithm.name()
                ),
                "use a longer random key (RFC 7518 section 3.2)",
            );
            return None;
        }
        Key::new(id, algorithm, &Secret(secret))
    }

    /// A secret: the value of a variable, or what stands sealed in the policy and a variable's value opens. Every secret
    /// of a policy is read here. `None` also when secrets are not looked at.
    pub(in crate::policy) fn secret(&mut self, at: &Path, written: Written<'_>) -> Option<Vec<u8>> {
        let Written {
            env: EnvName(env),
            sealed,
            encoding,
        } = written;
        self.implied.keys = self.implied.keys.saturating_add(1);
        self.implied.env.push(env.to_owned());
        let Secrets::Environment(lookup) = self.secrets else {
            return None;
        };
        let Some(mut value) = lookup(env) else {
            self.errors.push(
                &at.key("env"),
                format!("`{env}` is not set in the environment of the VM"),
                "name it in `environment_variables` of the Envoy configuration (`host_env_keys` or `key_values`)",
            );
            return None;
        };
        if let Some(Sealed(token)) = sealed {
            let opened = SealKey::parse(&value).and_then(|key| sealed::open(&key, token));
            value = match opened {
                Ok(secret) => secret,
                Err(error) => {
                    self.unopened(at, env, error);
                    return None;
                }
            };
        }
        let decoded = match encoding {
            Encoding::Raw => Some(value),
            Encoding::Hex => decode_hex(&value),
            Encoding::Base64 => decode_base64(&value),
        };
        if decoded.is_none() {
            let (key, place) = written.place();
            self.errors.push(
                &at.key(key),
                format!(
                    "the value of {place} is not in the encoding of this key (value not shown)"
                ),
                "set `encoding` to `raw`, `base64` or `hex`, as the value is written",
            );
        }
        decoded
    }

    fn unopened(&mut self, at: &Path, env: &str, error: SealError) {
        let (key, problem, help) = match error {
            SealError::Key => (
                "env",
                format!(
                    "the value of `{env}` is not a key that opens sealed secrets (value not shown)"
                ),
                "put the key there that `palisade token keygen --algorithm fernet` printed",
            ),
            SealError::Mac => (
                "sealed",
                format!("the key in `{env}` does not open it: {error} (value not shown)"),
                "seal the secret again with this key (`palisade token seal`), or name the variable of the other key",
            ),
            SealError::Malformed | SealError::Padding => (
                "sealed",
                format!("{error} (value not shown)"),
                "paste what `palisade token seal` prints, all of it",
            ),
        };
        self.errors.push(&at.key(key), problem, help);
    }

    pub(in crate::policy) fn forward(
        &mut self,
        forward: Named<Pointer>,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut out = Vec::new();
        for entry in forward.0 {
            let name = entry.name.as_str();
            if !is_token(name)
                || name.len() > 128
                || name.bytes().any(|byte| byte.is_ascii_uppercase())
            {
                self.errors.push(
                    &entry.at,
                    format!(
                        "`{}` is not a lower-case header name",
                        super::read::excerpt(name)
                    ),
                    "write a name such as `x-user`",
                );
            } else if RESERVED.contains(&name) {
                self.errors.push(
                    &entry.at,
                    format!("`{name}` belongs to the connection or the client"),
                    "write a name of your own such as `x-user`",
                );
            } else if let Some(pointer) = entry.value {
                out.push((entry.name.into_bytes(), pointer.0));
            }
        }
        out
    }

    pub(in crate::policy) fn route_token(
        &mut self,
        token: &Located<RouteTokenConfig>,
        providers: &[String],
    ) -> RouteToken {
        let RouteTokenConfig::Demand(demand) = &token.value else {
            return no_token();
        };
        let mut any = Vec::new();
        for named in &demand.any {
            let name = String::from_utf8_lossy(&named.value.0);
            match providers.iter().position(|provider| *provider == name) {
                Some(index) if any.contains(&index) => {
                    self.errors.push(
                        &named.at,
                        format!("`{name}` is written twice"),
                        "keep one of them",
                    );
                }
                Some(index) => any.push(index),
                None => {
                    let known = providers.iter().map(String::as_str);
                    let help = match nearest(&name, known.clone()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if providers.is_empty() => "name it in `tokens`".to_owned(),
                        None => format!("write one of {}", quoted(known)),
                    };
                    let shown = super::read::excerpt(&name);
                    self.errors.push(
                        &named.at,
                        format!("`{shown}` is not a provider of `tokens`"),
                        help,
                    );
                }
            }
        }
        if demand.any.is_empty() && self.errors.is_empty() {
            self.errors.push(
                &token.at.key("any"),
                "an empty list",
                "name a provider, or write `token: none`",
            );
        }
        if demand.optional && !demand.roles.is_empty() {
            self.errors.push(
                &token.at.key("roles"),
                "roles are asked of an optional token",
                "leave `optional` out: a request without a token has no roles",
            );
        }
        if demand.revoke {
            for named in &demand.any {
                let name = &named.value.0;
                if !self.revocable.contains(name) && self.errors.is_empty() {
                    let name = String::from_utf8_lossy(name);
                    self.errors.push(
                        &token.at.key("revoke"),
                        format!("`{name}` is not revocable"),
                        format!("write `revocable: true` in `tokens.{name}`"),
                    );
                }
            }
        }
        RouteToken {
            need: if demand.optional {
                Need::Optional
            } else {
                Need::Required
            },
            any,
            roles: demand.roles.iter().map(|role| role.0.clone()).collect(),
            revoke: demand.revoke,
        }
    }
}

/// Headers a claim is never forwarded in: hop-by-hop, framing, routing, credentials, and what the host writes itself.
const RESERVED: &[&str] = &[
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];

pub(in crate::policy) const fn no_token() -> RouteToken {
    RouteToken {
        need: Need::None,
        any: Vec::new(),
        roles: Vec::new(),
        revoke: false,
    }
}

pub(in crate::policy) fn decode_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.trim_ascii();
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
            _ => None,
        })
        .collect()
}

/// RFC 4648 §4 or §5, with or without padding; bits beyond the last byte must be zero.
pub(in crate::policy) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let (body, padded) = match text {
        [body @ .., b'=', b'='] => (body, 2),
        [body @ .., b'='] => (body, 1),
        body => (body, 0),
    };
    let odd = body.len().wrapping_rem(4);
    if odd == 1 || (padded > 0 && odd.saturating_add(padded) != 4) {
        return None;
    }
    let mut out = Vec::new();
    let (mut held, mut bits) = (0u32, 0u32);
    for byte in body {
        let value = match byte {
            b'A'..=b'Z' => byte.wrapping_sub(b'A'),
            b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = (held << 6) | u32::from(value);
        bits = bits.saturating_add(6);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            out.push(u8::try_from((held >> bits) & 0xFF).unwrap_or_default());
            held &= (1u32 << bits).saturating_sub(1);
        }
    }
    (held == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_encodings() {
        const HEX: &[(&str, Option<&[u8]>)] = &[
            ("", Some(b"")),
            ("00fF", Some(&[0, 255])),
            ("0", None),
            ("zz", None),
            ("0a\n", Some(&[10])),
        ];
        for (text, expected) in HEX {
            assert_eq!(
                decode_hex(text.as_bytes()).as_deref(),
                *expected,
                "{text:?}"
            );
        }
        // RFC 4648 §10, then the URL alphabet, then what is refused.
        const BASE64: &[(&str, Option<&[u8]>)] = &[
            ("", Some(b"")),
            ("Zg==", Some(b"f")),
            ("Zg", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("Zm9vYmFy\n", Some(b"foobar")),
            ("-_-_", Some(&[0xFB, 0xFF, 0xBF])),
            ("+/+/", Some(&[0xFB, 0xFF, 0xBF])),
            ("Zh==", None),
            ("Z", None),
            ("Zg=", None),
            ("Zm9v=", None),
            ("Zm 9", None),
        ];
        for (text, expected) in BASE64 {
            assert_eq!(
                decode_base64(text.as_bytes()).as_deref(),
                *expected,
                "{text:?}"
            );
        }
    }
}
