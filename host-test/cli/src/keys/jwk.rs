//! JWKs and key files: bytes ↔ a key with what is said of it.
//!
//! **In:** a JWK, a PEM, or a set with one key. **Out:** [`Described`]. **Invariant:** a JWK whose private and public members do not
//! belong together is refused; no error repeats a private member.
//! **Source:** RFC 7517, RFC 7518 §6, RFC 8037 §2, RFC 7638.

use anyhow::{Context, Result, bail};
use ed25519_dalek::SigningKey as Ed25519;
use p256::elliptic_curve::sec1::ToSec1Point;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BoxedUint, RsaPrivateKey, RsaPublicKey};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Private, Public, base64url, from_base64url, pem};

/// A key and what its file says of it.
#[derive(Debug, Clone)]
pub struct Described {
    /// The private half, when the file has it.
    pub private: Option<Private>,
    /// The public half; a secret has none.
    pub public: Option<Public>,
    /// `kid`.
    pub id: Option<String>,
    /// `alg`.
    pub algorithm: Option<String>,
}

impl From<Private> for Described {
    fn from(private: Private) -> Self {
        Self {
            public: private.public(),
            private: Some(private),
            id: None,
            algorithm: None,
        }
    }
}

impl Described {
    /// The key of a file.
    ///
    /// # Errors
    /// It is neither a JWK nor a PEM of a supported key.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut all = Self::read_all(bytes)?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => bail!("the JWK set has no keys"),
            (Some(_), false) => bail!("the JWK set has more than one key: name a file with one"),
        }
    }

    /// All keys of a file: those of a JWK set, or its one key.
    ///
    /// # Errors
    /// It is none of these, or holds a key that cannot be read.
    pub fn read_all(bytes: &[u8]) -> Result<Vec<Self>> {
        let text = std::str::from_utf8(bytes).context("neither a JWK nor a PEM")?;
        if text.trim_start().starts_with("-----BEGIN ") {
            return Ok(vec![pem::read(text)?]);
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| anyhow::anyhow!("neither a PEM nor JSON: {error}"))?;
        match value.get("keys") {
            Some(Value::Array(keys)) => keys
                .iter()
                .enumerate()
                .map(|(at, key)| read(key).with_context(|| format!("keys[{at}]")))
                .collect(),
            _ => Ok(vec![read(&value)?]),
        }
    }

    /// The JWK of the public half, with `kid`, `alg` and `use`.
    ///
    /// # Errors
    /// A secret has no public half.
    pub fn public_jwk(&self) -> Result<Value> {
        let public = self
            .public
            .as_ref()
            .context("a shared secret has no public half and belongs into no published set")?;
        let mut members = public.members();
        self.describe(&mut members);
        Ok(Value::Object(members))
    }

    /// The JWK of the whole key.
    ///
    /// # Errors
    /// The private half is not there.
    pub fn private_jwk(&self) -> Result<Value> {
        let private = self.private.as_ref().context("it is a public key")?;
        let mut members = private.members()?;
        self.describe(&mut members);
        Ok(Value::Object(members))
    }

    /// The thumbprint: what names a key that has no name (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> Option<String> {
        // The required members in the order of their names, without blanks: what `members` holds, sorted.
        let members = self.public.as_ref()?.members();
        Some(base64url(&Sha256::digest(
            Value::Object(members).to_string(),
        )))
    }

    fn describe(&self, members: &mut Map<String, Value>) {
        if let Some(id) = &self.id {
            members.insert("kid".to_owned(), id.as_str().into());
        }
        if let Some(algorithm) = &self.algorithm {
            members.insert("alg".to_owned(), algorithm.as_str().into());
        }
        members.insert("use".to_owned(), "sig".into());
    }
}

impl Public {
    /// The members that make up the key, sorted by name.
    pub(super) fn members(&self) -> Map<String, Value> {
        let value = match self {
            Self::Rsa(key) => {
                json!({ "e": base64url(&key.e_bytes()), "kty": "RSA", "n": base64url(&key.n_bytes()) })
            }
            Self::P256(key) => point("P-256", key.to_sec1_point(false).as_bytes()),
            Self::P384(key) => point("P-384", key.to_sec1_point(false).as_bytes()),
            Self::P521(key) => point("P-521", key.to_sec1_point(false).as_bytes()),
            Self::Ed25519(key) => {
                json!({ "crv": "Ed25519", "kty": "OKP", "x": base64url(key.as_bytes()) })
            }
        };
        match value {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}

impl Private {
    fn members(&self) -> Result<Map<String, Value>> {
        let mut members = self.public().map_or_else(Map::new, |key| key.members());
        let mut insert = |name: &str, bytes: &[u8]| {
            members.insert(name.to_owned(), base64url(bytes).into());
        };
        match self {
            Self::Secret(secret) => {
                insert("k", secret);
                members.insert("kty".to_owned(), "oct".into());
            }
            Self::Rsa(key) => {
                let [p, q] = key.primes() else {
                    bail!("an RSA key of more than two primes")
                };
                let exponents = key.dp().zip(key.dq()).zip(key.crt_coefficient());
                let ((dp, dq), qi) = exponents.context("an RSA key without its CRT values")?;
                insert("d", &key.d().to_be_bytes_trimmed_vartime());
                insert("p", &p.to_be_bytes_trimmed_vartime());
                insert("q", &q.to_be_bytes_trimmed_vartime());
                insert("dp", &dp.to_be_bytes_trimmed_vartime());
                insert("dq", &dq.to_be_bytes_trimmed_vartime());
                insert("qi", &qi.to_be_bytes_trimmed_vartime());
            }
            Self::P256(key) => insert("d", &key.to_bytes()),
            Self::P384(key) => insert("d", &key.to_bytes()),
            Self::P521(key) => insert("d", &key.to_bytes()),
            Self::Ed25519(key) => insert("d", key.as_bytes()),
        }
        Ok(members)
    }
}

fn point(curve: &str, uncompressed: &[u8]) -> Value {
    let (x, y) = uncompressed
        .get(1..)
        .and_then(|both| both.split_at_checked(both.len() / 2))
        .unwrap_or_default();
    json!({ "crv": curve, "kty": "EC", "x": base64url(x), "y": base64url(y) })
}

fn read(jwk: &Value) -> Result<Described> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let bytes = |name: &str| -> Result<Vec<u8>> {
        let text = text(name).with_context(|| format!("the JWK has no `{name}`"))?;
        from_base64url(text).with_context(|| format!("`{name}` is not base64url without padding"))
    };
    let kind = text("kty").context("a JWK has a `kty`: RSA, EC, OKP or oct")?;
    let has_private = jwk.get("d").is_some();
    let curve = text("crv").unwrap_or_default();
    macro_rules! elliptic {
        ($curve:ident, $variant:ident) => {{
            let mut point = vec![4];
            point.extend(bytes("x")?);
            point.extend(bytes("y")?);
            let public = $curve::PublicKey::from_sec1_bytes(&point)
                .map_err(|_| anyhow::anyhow!("`x` and `y` are no point of {curve}"))?;
            let private = if has_private {
                let key = $curve::SecretKey::from_slice(&bytes("d")?)
                    .map_err(|_| anyhow::anyhow!("`d` is no private key of {curve}"))?;
                if key.public_key() != public {
                    bail!("`d` does not belong to `x` and `y`");
                }
                Some(Private::$variant(key))
            } else {
                None
            };
            (private, Some(Public::$variant(public)))
        }};
    }
    let (private, public) = match (kind, curve) {
        ("oct", _) => (Some(Private::Secret(bytes("k")?)), None),
        ("RSA", _) => rsa_key(&bytes, has_private)?,
        ("EC", "P-256") => elliptic!(p256, P256),
        ("EC", "P-384") => elliptic!(p384, P384),
        ("EC", "P-521") => elliptic!(p521, P521),
        ("OKP", "Ed25519") => {
            let octets = |name: &str| -> Result<[u8; 32]> {
                let octets = <[u8; 32]>::try_from(bytes(name)?).ok();
                octets.with_context(|| format!("`{name}` is not 32 bytes"))
            };
            let public = ed25519_dalek::VerifyingKey::from_bytes(&octets("x")?)
                .map_err(|_| anyhow::anyhow!("`x` is no point of Ed25519"))?;
            let private = if has_private {
                let key = Ed25519::from_bytes(&octets("d")?);
                if key.verifying_key() != public {
                    bail!("`d` does not belong to `x`");
                }
                Some(Private::Ed25519(Box::new(key)))
            } else {
                None
            };
            (private, Some(Public::Ed25519(Box::new(public))))
        }
        ("EC" | "OKP", _) => {
            bail!("`crv` is `{curve}`; supported are P-256, P-384, P-521 and Ed25519")
        }
        _ => bail!("`kty` is `{kind}`; supported are RSA, EC, OKP and oct"),
    };
    Ok(Described {
        private,
        public,
        id: text("kid").map(str::to_owned),
        algorithm: text("alg").map(str::to_owned),
    })
}

fn rsa_key(
    bytes: &dyn Fn(&str) -> Result<Vec<u8>>,
    has_private: bool,
) -> Result<(Option<Private>, Option<Public>)> {
    let number =
        |name: &str| Ok::<_, anyhow::Error>(BoxedUint::from_be_slice_vartime(&bytes(name)?));
    if !has_private {
        let key = RsaPublicKey::new(number("n")?, number("e")?)
            .map_err(|error| anyhow::anyhow!("the RSA key: {error}"))?;
        return Ok((None, Some(Public::Rsa(Box::new(key)))));
    }
    let primes = vec![number("p")?, number("q")?];
    let key = RsaPrivateKey::from_components(number("n")?, number("e")?, number("d")?, primes)
        .map_err(|_| anyhow::anyhow!("the members of the RSA key do not belong together"))?;
    let public = Public::Rsa(Box::new(key.to_public_key()));
    Ok((Some(Private::Rsa(Box::new(key))), Some(public)))
}
