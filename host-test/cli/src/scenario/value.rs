//! Byte values of a scenario: text, or a recipe for bytes that YAML text cannot or should not hold.
//!
//! **In:** a YAML scalar, a list (concatenation), or a mapping with one key. **Out:** bytes, rendered when the
//! request is sent, because tokens are minted against the virtual clock.
//! **Invariant:** rendering is deterministic: same recipe, same environment, same clock, same bytes; but for the
//! salt of PS signatures.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};

use palisade_engine::stages::token::session::V1;

use super::signature::{HashSpec, SignatureSpec};
use super::time::Moment;
use crate::keys::base64url;
use crate::mint;

/// Bytes that a value may repeat itself to.
const MOST: usize = 64 << 20;

/// What rendering may look at.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Environment of the case: keys of the tokens.
    pub env: &'a BTreeMap<String, String>,
    /// Where relative paths start: the scenario file's folder.
    pub folder: &'a Path,
    /// Wall time, seconds since 1970.
    pub wall: u64,
}

/// A recipe for bytes.
#[derive(Debug, Clone)]
pub enum Value {
    /// These bytes.
    Bytes(Vec<u8>),
    /// One after the other.
    Concat(Vec<Self>),
    /// The same so many times.
    Repeat(Box<Self>, usize),
    /// The first so many bytes.
    Cut(Box<Self>, usize),
    /// With one byte changed; a negative index counts from the end.
    Flip(Box<Self>, i64),
    /// The bytes of a file.
    File(String),
    /// A digest.
    Hash(Box<HashSpec>),
    /// A signature or an HMAC.
    Signature(Box<SignatureSpec>),
    /// A time, in seconds since 1970.
    Time(Moment),
    /// A JWT.
    Jwt(Box<JwtSpec>),
    /// A `v1` session token.
    Session(Box<SessionSpec>),
    /// The CSRF token of a session.
    Csrf(Box<CsrfSpec>),
    /// A colon session token.
    Colon(Box<ColonSpec>),
}

/// A JWT to mint.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSpec {
    /// Environment variable that holds the key.
    #[serde(default)]
    pub key: Option<String>,
    /// File that holds it instead: a private JWK or PEM; any bytes for HMAC.
    #[serde(default)]
    pub key_file: Option<String>,
    /// What the signature is made with: HS, RS, PS or ES with 256, 384 or 512; `EdDSA`; `none`.
    #[serde(default = "hs256")]
    pub algorithm: String,
    /// Members of the header that replace or join `alg` and `typ`; `null` removes one.
    #[serde(default)]
    pub header: BTreeMap<String, serde_json::Value>,
    /// Claims; `exp`, `nbf` and `iat` may be relative to now, such as `+1h`.
    #[serde(default)]
    pub claims: BTreeMap<String, serde_json::Value>,
    /// The token that a proof of possession is for: its SHA-256 becomes the claim `ath`.
    #[serde(default)]
    pub proves: Option<Value>,
}

/// A `v1` session token to mint.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionSpec {
    /// Environment variable that holds the key.
    pub key: String,
    /// Key id.
    #[serde(default)]
    pub id: Option<String>,
    /// Subject.
    pub sub: String,
    /// Session id.
    #[serde(default = "sid")]
    pub sid: String,
    /// When it was issued, relative to now (`-10m`) or in seconds since 1970.
    #[serde(default)]
    pub issued: Moment,
    /// When it was seen last, relative to now or in seconds since 1970.
    #[serde(default)]
    pub seen: Option<Moment>,
    /// Client it is bound to: an address, or a network such as `192.0.2.0/24`.
    #[serde(default)]
    pub client: Option<String>,
    /// `user-agent` it is bound to.
    #[serde(default)]
    pub user_agent: Option<String>,
    /// SHA-256 of the client certificate it is bound to, in lower-case hex.
    #[serde(default)]
    pub certificate: Option<String>,
    /// Roles.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// The CSRF token of a session.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsrfSpec {
    /// Environment variable that holds the key.
    pub key: String,
    /// Session id.
    #[serde(default = "sid")]
    pub sid: String,
}

/// A `subject:issued_at:hex-hmac` token to mint.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColonSpec {
    /// Environment variable that holds the key.
    pub key: String,
    /// Subject.
    pub sub: String,
    /// When it was issued, relative to now or in seconds since 1970.
    #[serde(default)]
    pub issued: Moment,
}

fn hs256() -> String {
    "HS256".to_owned()
}

fn sid() -> String {
    "s-1".to_owned()
}

impl Default for Value {
    fn default() -> Self {
        Self::Bytes(Vec::new())
    }
}

impl Value {
    /// The bytes.
    ///
    /// # Errors
    /// A key that the environment does not hold, or a recipe that makes no sense.
    pub fn render(&self, context: Surroundings<'_>) -> Result<Vec<u8>> {
        let file = |name: &str| {
            let path = context.folder.join(name);
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let key = |name: &str| {
            context
                .env
                .get(name)
                .map(String::as_bytes)
                .with_context(|| format!("the scenario's env has no `{name}`"))
        };
        Ok(match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Concat(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    all.extend(part.render(context)?);
                }
                all
            }
            Self::Repeat(value, times) => {
                let one = value.render(context)?;
                let Some(all) = one.len().checked_mul(*times).filter(|all| *all <= MOST) else {
                    bail!(
                        "repeat: {times} times {} bytes is more than {MOST} bytes",
                        one.len()
                    );
                };
                let mut bytes = Vec::with_capacity(all);
                if !one.is_empty() {
                    (0..*times).for_each(|_| bytes.extend_from_slice(&one));
                }
                bytes
            }
            Self::Cut(value, most) => {
                let mut bytes = value.render(context)?;
                bytes.truncate(*most);
                bytes
            }
            Self::Flip(value, index) => {
                let mut bytes = value.render(context)?;
                let length = i64::try_from(bytes.len())?;
                let at = if *index < 0 { length + index } else { *index };
                let Some(byte) = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at)) else {
                    bail!("flip: no byte {index} in {length} bytes");
                };
                *byte = if *byte == b'A' { b'B' } else { b'A' };
                bytes
            }
            Self::File(name) => file(name)?,
            Self::Hash(spec) => spec.render(context)?,
            Self::Signature(spec) => spec.render(context)?,
            Self::Time(moment) => moment.at(context.wall).to_string().into_bytes(),
            Self::Jwt(spec) => {
                let (secret, place) = match (&spec.key, &spec.key_file) {
                    (Some(name), None) => (key(name)?.to_vec(), name),
                    (None, Some(name)) => (file(name)?, name),
                    _ => bail!("jwt: write `key: VARIABLE` or `key_file: PATH`"),
                };
                let mut header = serde_json::Map::new();
                header.insert("alg".to_owned(), spec.algorithm.clone().into());
                header.insert("typ".to_owned(), "JWT".into());
                for (name, value) in &spec.header {
                    if value.is_null() {
                        header.remove(name);
                    } else {
                        header.insert(name.clone(), value.clone());
                    }
                }
                let mut claims = serde_json::Map::new();
                for (name, value) in &spec.claims {
                    let value = match (name.as_str(), value.as_str()) {
                        ("exp" | "nbf" | "iat", Some(text)) if text.starts_with(['+', '-']) => {
                            Moment::parse(text)?.at(context.wall).into()
                        }
                        _ => value.clone(),
                    };
                    claims.insert(name.clone(), value);
                }
                if let Some(token) = &spec.proves {
                    let digest = Sha256::digest(token.render(context)?);
                    claims.insert("ath".to_owned(), base64url(&digest).into());
                }
                mint::jwt(
                    &spec.algorithm,
                    &secret,
                    &serde_json::Value::Object(header).to_string(),
                    &serde_json::Value::Object(claims).to_string(),
                )
                .with_context(|| format!("jwt: the key in {place}"))?
            }
            Self::Session(spec) => {
                let roles: Vec<&str> = spec.roles.iter().map(String::as_str).collect();
                let session = V1 {
                    sub: &spec.sub,
                    sid: &spec.sid,
                    iat: spec.issued.at(context.wall),
                    seen: spec.seen.as_ref().map(|seen| seen.at(context.wall)),
                    client: spec.client.as_deref().map(mint::client).transpose()?,
                    user_agent: spec.user_agent.as_deref(),
                    certificate: spec.certificate.as_deref(),
                    roles: &roles,
                };
                mint::session(key(&spec.key)?, spec.id.as_deref(), &session)?
            }
            Self::Csrf(spec) => mint::csrf(key(&spec.key)?, &spec.sid)?,
            Self::Colon(spec) => {
                mint::colon(key(&spec.key)?, &spec.sub, spec.issued.at(context.wall))?
            }
        })
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a list of values, or one of {hex, base64, range, repeat, cut, flip, json, file, hash, signature, time, jwt, session, csrf, colon}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Bytes(number.to_string().into_bytes()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Bytes(number.to_string().into_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = seq.next_element()? {
            parts.push(part);
        }
        Ok(Value::Concat(parts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Some(kind) = map.next_key::<String>()? else {
            return Err(de::Error::custom("an empty mapping is no value"));
        };
        let value = match kind.as_str() {
            "text" => map.next_value::<Value>()?,
            "hex" => {
                let text = map.next_value::<String>()?;
                Value::Bytes(hex(&text).ok_or_else(|| {
                    de::Error::custom("`hex` holds something else than hex digits")
                })?)
            }
            "base64" => {
                let text = map.next_value::<String>()?;
                Value::Bytes(base64(&text).ok_or_else(|| {
                    de::Error::custom("`base64` holds something else than base64")
                })?)
            }
            "range" => {
                let (from, to) = map.next_value::<(u8, u8)>()?;
                Value::Bytes((from..=to).collect())
            }
            "repeat" => {
                let (value, times) = map.next_value::<(Value, usize)>()?;
                Value::Repeat(Box::new(value), times)
            }
            "cut" => {
                let (value, most) = map.next_value::<(Value, usize)>()?;
                Value::Cut(Box::new(value), most)
            }
            "flip" => {
                let (value, index) = map.next_value::<(Value, i64)>()?;
                Value::Flip(Box::new(value), index)
            }
            "json" => Value::Bytes(
                map.next_value::<serde_json::Value>()?
                    .to_string()
                    .into_bytes(),
            ),
            "file" => Value::File(map.next_value()?),
            "hash" => Value::Hash(map.next_value()?),
            "signature" => Value::Signature(map.next_value()?),
            "time" => Value::Time(map.next_value()?),
            "jwt" => Value::Jwt(map.next_value()?),
            "session" => Value::Session(map.next_value()?),
            "csrf" => Value::Csrf(map.next_value()?),
            "colon" => Value::Colon(map.next_value()?),
            other => {
                return Err(de::Error::unknown_field(
                    other,
                    &[
                        "text",
                        "hex",
                        "base64",
                        "range",
                        "repeat",
                        "cut",
                        "flip",
                        "json",
                        "file",
                        "hash",
                        "signature",
                        "time",
                        "jwt",
                        "session",
                        "csrf",
                        "colon",
                    ],
                ));
            }
        };
        if let Some(extra) = map.next_key::<String>()? {
            return Err(de::Error::custom(format!(
                "`{extra}`: a value has one kind only; use a list to join values"
            )));
        }
        Ok(value)
    }
}

/// Hex digits, blanks allowed.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<Vec<u8>>>()?;
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut rest = digits.as_slice();
    while let [high, low, after @ ..] = rest {
        bytes.push(high << 4 | low);
        rest = after;
    }
    rest.is_empty().then_some(bytes)
}

/// Standard or URL-safe base64, padding optional.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for c in text
        .bytes()
        .filter(|c| !c.is_ascii_whitespace() && *c != b'=')
    {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(digit)) & 0xFFFF;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xFF).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_render() {
        let env = BTreeMap::new();
        let context = Surroundings {
            env: &env,
            folder: Path::new("."),
            wall: 0,
        };
        let cases: [(&str, &[u8]); 11] = [
            ("plain", b"plain"),
            ("7", b"7"),
            ("{hex: 'ff 00'}", b"\xff\x00"),
            ("{base64: '/w=='}", b"\xff"),
            ("{base64: 'YWJj'}", b"abc"),
            ("{range: [128, 130]}", b"\x80\x81\x82"),
            ("{repeat: [ab, 3]}", b"ababab"),
            ("{cut: [abcdef, 2]}", b"ab"),
            ("{flip: [abc, -1]}", b"abA"),
            ("[a, {hex: '62'}, c]", b"abc"),
            ("{json: {b: [1, null]}}", b"{\"b\":[1,null]}"),
        ];
        for (text, expected) in cases {
            let value: Value = serde_saphyr::from_str(text).expect(text);
            assert_eq!(value.render(context).expect(text), expected, "{text}");
        }
        for bad in [
            "{hex: f}",
            "{base64: '*'}",
            "{unknown: 1}",
            "{hex: ff, base64: AA}",
            "{}",
        ] {
            assert!(serde_saphyr::from_str::<Value>(bad).is_err(), "{bad}");
        }
        for (times, fits) in [(MOST, true), (MOST + 1, false), (usize::MAX, false)] {
            let value: Value =
                serde_saphyr::from_str(&format!("{{repeat: [a, {times}]}}")).expect("YAML");
            assert_eq!(value.render(context).is_ok(), fits, "{times}");
        }
        let nothing: Value =
            serde_saphyr::from_str("{repeat: ['', 18446744073709551615]}").expect("YAML");
        assert!(nothing.render(context).expect("nothing").is_empty());
    }

    /// Each algorithm signs with its test key, a key of another kind does not; a public key is a secret to HMAC.
    #[test]
    fn tokens_are_signed_with_key_files() {
        let env = BTreeMap::new();
        let folder = Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/corpora/verdicts"
        ));
        let context = Surroundings {
            env: &env,
            folder,
            wall: 0,
        };
        let render = |file: &str, algorithm: &str| {
            let text = format!(
                "{{jwt: {{key_file: keys/{file}, algorithm: {algorithm}, claims: {{exp: +1h}}}}}}"
            );
            let value: Value = serde_saphyr::from_str(&text).expect("YAML");
            value.render(context)
        };
        let signature = |token: &[u8]| token.rsplit(|byte| *byte == b'.').next().map(<[u8]>::len);
        // Lengths in base64url of signatures of 256, 64, 96, 132 bytes (RFC 7518 section 3.4: fixed, not DER).
        for (file, algorithms, length) in [
            (
                "test-rsa.pem",
                &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..],
                342,
            ),
            ("test-p256.pem", &["ES256"], 86),
            ("test-p384.pem", &["ES384"], 128),
            ("test-p521.pem", &["ES512"], 176),
            ("test-ed25519.pem", &["EdDSA"], 86),
            ("test-rsa.public.pem", &["HS256"], 43),
        ] {
            for algorithm in crate::keys::ALGORITHMS {
                match render(file, algorithm) {
                    Ok(token) if algorithms.contains(&algorithm) => {
                        assert_eq!(signature(&token), Some(length), "{file} {algorithm}");
                    }
                    Ok(_) => assert!(algorithm.starts_with("HS"), "{file} {algorithm}"),
                    Err(error) => {
                        assert!(!algorithms.contains(&algorithm), "{error:#}");
                        assert!(format!("{error:#}").contains(file), "{error:#}");
                    }
                }
            }
        }
        assert!(render("absent.pem", "ES256").is_err());
        let file: Value =
            serde_saphyr::from_str("{file: keys/test-p256.public.pem}").expect("YAML");
        assert!(
            file.render(context)
                .expect("a file")
                .starts_with(b"-----BEGIN PUBLIC KEY")
        );
    }
}
