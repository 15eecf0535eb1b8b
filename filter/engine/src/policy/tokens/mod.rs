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
mod introspection;
mod jwt;
mod jwt_keys;
mod message_signature;
mod parts;
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
use self::introspection::IntrospectionConfig;
use self::jwt::JwtConfig;
use self::message_signature::MessageSignatureConfig;
pub(crate) use self::parts::{ForwardCredential, Forwarded, From, RuleConfig};
use self::session::SessionConfig;
use super::compile::{Compiler, Secrets};
use super::node::Node;
use super::read::{Errors, FromNode, Located, Named, Path, nearest, quoted, section};
use super::sealed::{self, SealError, SealKey};
use super::values::{Encoding, EnvName, ScopeName, Sealed, Text};
use crate::stages::token::{HmacAlgorithm, Key, Need, Provider, RouteToken, Secret, TokenStage};

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
    Introspection(IntrospectionConfig),
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
            Some((_, Some("introspection"))) => {
                IntrospectionConfig::read(node, at, errors).map(Self::Introspection)
            }
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
            HmacConfig::schema(), IntrospectionConfig::schema(), JwtConfig::schema(),
            MessageSignatureConfig::schema(), SessionConfig::schema()
        ] })
    }

    fn help() -> String {
        "write one of `api_key`, `basic`, `certificate`, `hmac`, `introspection`, `jwt`, `message_signature`, `session`".to_owned()
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
        any: Vec<Located<Text>> = [],
        /// Providers that must all have verified a credential of their own; the first is the subject.
        all: Vec<Located<Text>> = [],
        /// Let requests without a token pass; a bad token is still refused.
        optional: bool = false,
        /// The subject must hold one of these.
        roles: Vec<Text> = [],
        /// An allowed request revokes its own credential: a logout. The providers must be `revocable`.
        revoke: bool = false,
        /// The subject must hold all of these.
        scopes: Vec<ScopeName> = [],
        /// What the subject's claims must be.
        claims: Vec<Located<RuleConfig>> = [],
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
        "write `none`, `{ any: [PROVIDER] }` or `{ all: [PROVIDER] }`".to_owned()
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
                Some(Token::Introspection(config)) => {
                    providers.push(self.introspection(&entry.at, name, config));
                }
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
        TokenStage {
            providers,
            remembered: 0,
        }
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
        if secret.trim_ascii_start().starts_with(b"-----BEGIN ") {
            let (key, place) = written.place();
            self.errors.push(
                &at.key(key),
                format!("{place} holds PEM, which may be public: who has it could sign"),
                "write a public key as `pem` with its algorithm; a shared secret is random bytes",
            );
            return None;
        }
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

    pub(in crate::policy) fn route_token(
        &mut self,
        token: Located<RouteTokenConfig>,
        names: &[String],
        compiled: &TokenStage,
    ) -> RouteToken {
        let Located { at, value } = token;
        let RouteTokenConfig::Demand(demand) = value else {
            return no_token();
        };
        let all = !demand.all.is_empty();
        if all && !demand.any.is_empty() {
            self.errors.push(
                &at.key("all"),
                "`any` is written too",
                "keep one of them: `any` takes one credential, `all` one of each",
            );
        }
        let listed = if all { &demand.all } else { &demand.any };
        let mut providers = Vec::new();
        for named in listed {
            let name = String::from_utf8_lossy(&named.value.0);
            match names.iter().position(|provider| *provider == name) {
                Some(index) if providers.contains(&index) => {
                    self.errors.push(
                        &named.at,
                        format!("`{name}` is written twice"),
                        "keep one of them",
                    );
                }
                Some(index) => {
                    if all {
                        self.apart(&named.at, &name, &providers, index, names, compiled);
                    }
                    providers.push(index);
                }
                None => {
                    let known = names.iter().map(String::as_str);
                    let help = match nearest(&name, known.clone()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if names.is_empty() => "name it in `tokens`".to_owned(),
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
        if listed.is_empty() && self.errors.is_empty() {
            self.errors.push(
                &at.key("any"),
                "an empty list",
                "name a provider, or write `token: none`",
            );
        }
        let asked = [
            ("roles", demand.roles.is_empty()),
            ("scopes", demand.scopes.is_empty()),
            ("claims", demand.claims.is_empty()),
        ];
        for (key, _) in asked.iter().filter(|(_, empty)| demand.optional && !empty) {
            self.errors.push(
                &at.key(key),
                format!("{key} are asked of an optional token"),
                format!("leave `optional` out: a request without a token has no {key}"),
            );
        }
        if demand.revoke {
            // Of `all`, the subject's is revoked.
            let most = if all { 1 } else { usize::MAX };
            for named in listed.iter().take(most) {
                let name = &named.value.0;
                if !self.revocable.contains(name) && self.errors.is_empty() {
                    let name = String::from_utf8_lossy(name);
                    self.errors.push(
                        &at.key("revoke"),
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
            providers,
            all,
            roles: demand.roles.into_iter().map(|role| role.0).collect(),
            scopes: demand.scopes.into_iter().map(|scope| scope.0).collect(),
            claims: self.rules(demand.claims),
            revoke: demand.revoke,
        }
    }

    /// Providers of one `all` have credentials and headers of their own.
    fn apart(
        &mut self,
        at: &Path,
        name: &str,
        earlier: &[usize],
        index: usize,
        names: &[String],
        compiled: &TokenStage,
    ) {
        let by_name = |index: usize| -> Option<&Provider> {
            let name = names.get(index)?.as_bytes();
            let mut providers = compiled.providers.iter();
            providers.find(|provider| provider.name == name)
        };
        let Some(this) = by_name(index) else { return };
        for other in earlier.iter().filter_map(|index| by_name(*index)) {
            let other_name = String::from_utf8_lossy(&other.name);
            let same_place = this.from.iter().any(|source| {
                other.from.iter().any(|other| {
                    other == source
                        || source
                            .header()
                            .is_some_and(|header| other.header() == Some(header))
                })
            });
            if same_place {
                self.errors.push(
                    at,
                    format!("`{name}` and `{other_name}` read the same place"),
                    "give each a `from` of its own, or write `any`",
                );
            }
            let set = this.forward.iter().find(|forward| {
                let mut others = other.forward.iter();
                others.any(|other| other.header == forward.header)
            });
            if let Some(forward) = set {
                let header = String::from_utf8_lossy(&forward.header);
                self.errors.push(
                    at,
                    format!("`{name}` and `{other_name}` both set `{header}`"),
                    "forward each claim in a header of its own",
                );
            }
        }
    }
}

pub(in crate::policy) const fn no_token() -> RouteToken {
    RouteToken::nothing()
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
