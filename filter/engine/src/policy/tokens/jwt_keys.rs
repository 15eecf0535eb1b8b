//! Keys of `type: jwt`: a secret of the environment, or public keys as JWK, JWK set or PEM.
//!
//! **In:** the entries of `keys` as written. **Out:** [`Key`]s, or errors with their key paths.
//! **Invariant:** public keys stand in the policy, secrets never: a private or symmetric key in its text is an error
//! that does not show it. What a fetched set would leave out for being broken is an error here.
//! **Source:** RFC 7517, RFC 7468 (PEM).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use serde_json::{Value, json};

use crate::policy::compile::Compiler;
use crate::policy::node::Node;
use crate::policy::read::{Errors, FromNode, Path, section};
use crate::policy::tokens::{Written, decode_base64};
use crate::policy::values::{Encoding, EnvName, Sealed, Text};
use crate::stages::token::jwk::{JwkError, JwkRules, KeySet};
use crate::stages::token::{Algorithm, HmacAlgorithm, Key};

/// A key of a JWT provider, told apart by the member it cannot do without.
#[derive(Debug, Clone)]
pub(crate) enum JwtKey {
    Secret(SecretKey),
    Jwk(JwkKey),
    Jwks(JwksKey),
    Pem(PemKey),
}

section! {
    /// A shared secret of the environment.
    struct SecretKey {
        /// Algorithm of the key.
        algorithm: HmacAlgorithm,
        /// Environment variable of the VM that holds the key; with `sealed`, the one that opens it.
        env: EnvName,
        /// The key itself, sealed (Fernet): what `palisade token seal` prints.
        sealed: Option<Sealed>,
        /// `kid` of the tokens it verifies.
        id: Option<Text>,
        /// How the key is written, in the variable or under the seal.
        encoding: Encoding = "raw",
    }
}

section! {
    /// A public key (RFC 7517).
    struct JwkKey {
        /// The key, as a map or as JSON text; `alg` fixes its algorithm, or `algorithms` when it has none.
        jwk: Json,
        /// Whether an RSA key also serves algorithms of `algorithms` with a longer hash than its `alg` names.
        stronger_hash: bool = false,
    }
}

section! {
    /// A set of public keys (RFC 7517); keys for other purposes are left out.
    struct JwksKey {
        /// The set, as a map or as JSON text.
        jwks: Json,
        /// Whether an RSA key also serves algorithms of `algorithms` with a longer hash than its `alg` names.
        stronger_hash: bool = false,
    }
}

section! {
    /// A public key in PEM.
    struct PemKey {
        /// `-----BEGIN PUBLIC KEY-----` and so on (SubjectPublicKeyInfo).
        pem: Pem,
        /// Algorithm of the key.
        algorithm: Algorithm,
        /// `kid` of the tokens it verifies.
        id: Option<Text>,
    }
}

impl FromNode for JwtKey {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let has = |name| node.entry(name).is_some();
        if has("jwk") {
            JwkKey::read(node, at, errors).map(Self::Jwk)
        } else if has("jwks") {
            JwksKey::read(node, at, errors).map(Self::Jwks)
        } else if has("pem") {
            PemKey::read(node, at, errors).map(Self::Pem)
        } else {
            SecretKey::read(node, at, errors).map(Self::Secret)
        }
    }

    fn schema() -> Value {
        json!({ "oneOf": [
            SecretKey::schema(), JwkKey::schema(), JwksKey::schema(), PemKey::schema(),
        ] })
    }

    fn help() -> String {
        "write `{ algorithm: HS256, env: NAME }`, `{ jwk: … }`, `{ jwks: … }` or `{ pem: …, algorithm: RS256 }`"
            .to_owned()
    }
}

/// JSON within a policy: a map, or its text. Members are kept as they are, repeated ones too.
#[derive(Debug, Clone)]
pub(crate) struct Json(Vec<u8>);

impl FromNode for Json {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        match node {
            Node::Map(_) => {
                let mut text = String::new();
                write_json(node, &mut text);
                Some(Self(text.into_bytes()))
            }
            Node::String(text) => Some(Self(text.as_bytes().to_vec())),
            _ => {
                errors.wrong(at, node, "a key", Self::help());
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "type": ["object", "string"] })
    }

    fn help() -> String {
        "write the key as a map or as JSON text".to_owned()
    }
}

fn write_json(node: &Node, out: &mut String) {
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Node::Number(text) => out.push_str(text),
        Node::String(text) => out.push_str(&Value::from(text.as_str()).to_string()),
        Node::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_json(item, out);
            }
            out.push(']');
        }
        Node::Map(entries) => {
            out.push('{');
            for (at, (name, value)) in entries.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_json(value, out);
            }
            out.push('}');
        }
    }
}

/// A PEM text's DER (RFC 7468), label `PUBLIC KEY`.
#[derive(Debug, Clone)]
pub(crate) struct Pem(Vec<u8>);

impl FromNode for Pem {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let der = node.as_text().and_then(|text| {
            let body = text.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?;
            let body = body.strip_suffix("-----END PUBLIC KEY-----")?;
            let body: Vec<u8> = body
                .bytes()
                .filter(|byte| !byte.is_ascii_whitespace())
                .collect();
            decode_base64(&body)
        });
        if der.is_none() {
            // The text is not shown: it may be a private key.
            errors.push(
                at,
                "not a public key in PEM (value not shown)",
                Self::help(),
            );
        }
        der.map(Self)
    }

    fn schema() -> Value {
        json!({ "type": "string" })
    }

    fn help() -> String {
        "write `-----BEGIN PUBLIC KEY-----`, base64, `-----END PUBLIC KEY-----`".to_owned()
    }
}

impl Compiler<'_> {
    /// The keys one entry stands for.
    pub(super) fn jwt_key(
        &mut self,
        at: &Path,
        key: &JwtKey,
        allowed: Option<&[Algorithm]>,
    ) -> Vec<Key> {
        let (read, at) = match key {
            JwtKey::Secret(key) => {
                self.listed(at, key.algorithm.algorithm(), allowed);
                let id = key.id.as_ref().map(|id| id.0.clone());
                let written = Written {
                    env: &key.env,
                    sealed: key.sealed.as_ref(),
                    encoding: key.encoding,
                };
                let secret = self.key(at, id, key.algorithm, written);
                return secret.into_iter().collect();
            }
            JwtKey::Pem(key) => {
                self.listed(at, key.algorithm, allowed);
                let id = key.id.as_ref().map(|id| id.0.clone());
                let read = Key::from_spki(&key.pem.0, key.algorithm, id);
                (read.map(|key| vec![key]), at.key("pem"))
            }
            JwtKey::Jwk(key) => {
                let set = [br#"{"keys":["#, key.jwk.0.as_slice(), b"]}"].concat();
                let set = KeySet::read(&set, &rules(allowed, key.stronger_hash));
                let read = set.and_then(|set| match set.skipped() {
                    [] => Ok(set.into_keys()),
                    [skipped, ..] => Err(skipped.error),
                });
                (read, at.key("jwk"))
            }
            JwtKey::Jwks(key) => {
                let set = KeySet::read(&key.jwks.0, &rules(allowed, key.stronger_hash));
                let read = set.and_then(|set| {
                    let wrong = set
                        .skipped()
                        .iter()
                        .find(|skipped| !skipped.error.is_foreign());
                    match wrong {
                        Some(wrong) => Err(wrong.error),
                        None if set.keys().is_empty() => Err(JwkError::Unusable),
                        None => Ok(set.into_keys()),
                    }
                });
                (read, at.key("jwks"))
            }
        };
        match read {
            Ok(keys) => {
                self.implied.keys = self.implied.keys.saturating_add(keys.len());
                keys
            }
            Err(error) => {
                let (problem, help) = explain(error);
                self.errors.push(&at, problem, help);
                Vec::new()
            }
        }
    }

    fn listed(&mut self, at: &Path, algorithm: Algorithm, allowed: Option<&[Algorithm]>) {
        if allowed.is_some_and(|list| !list.contains(&algorithm)) {
            self.errors.push(
                &at.key("algorithm"),
                format!("`{}` is not in `algorithms`", algorithm.name()),
                "add it there, or use a key of a listed algorithm",
            );
        }
    }
}

/// A policy without `algorithms` permits what its keys name.
fn rules(allowed: Option<&[Algorithm]>, stronger_hash: bool) -> JwkRules {
    JwkRules {
        stronger_hash: stronger_hash && allowed.is_some(),
        ..JwkRules::public(allowed.unwrap_or_default().to_vec())
    }
}

/// An error of a written key, and the fix. The key is public, but a mistaken one may not be: it is not shown.
fn explain(error: JwkError) -> (&'static str, &'static str) {
    match error {
        JwkError::Malformed => (
            "not a key (value not shown)",
            "write one JSON object with distinct names, `kty` and the members of that type",
        ),
        JwkError::Encoding => (
            "a number of the key is not canonical base64url, or not as long as it must be",
            "write it without padding and leading zeros; coordinates as long as the field",
        ),
        JwkError::Size => ("the key is too large", "16 KiB a key, 256 KiB a set"),
        JwkError::KeyType => ("`kty` is not known", "use `RSA`, `EC` or `OKP`"),
        JwkError::Curve => ("`crv` is not known", "use P-256, P-384, P-521 or Ed25519"),
        JwkError::Algorithm => (
            "`alg` is no signature algorithm of this type of key",
            "use a key of one of RS, PS, ES 256, 384, 512 or EdDSA",
        ),
        JwkError::NotPermitted => (
            "the key's algorithm is not in `algorithms`",
            "add it there, or use a key of a listed algorithm",
        ),
        JwkError::Ambiguous => (
            "the key has no `alg`, and several algorithms fit it",
            "write `alg` in the key, or list what you use in `algorithms`",
        ),
        JwkError::Use => ("`use` is not `sig`", "use a key for signatures"),
        JwkError::Operations => (
            "`key_ops` does not hold `verify` once",
            "use a key for verifying signatures",
        ),
        JwkError::Private => (
            "the key is private: it signs (value not shown)",
            "write its public members only, and replace the key: it stood in a policy",
        ),
        JwkError::Symmetric => (
            "a shared secret stands in the policy (value not shown)",
            "write `{ algorithm: HS256, env: NAME }`, and replace the secret",
        ),
        JwkError::Short => ("the secret is shorter than its hash", "use a longer one"),
        JwkError::Modulus => (
            "the modulus is even, or not of 2048 to 8192 bits",
            "use a key of 2048 bits or more",
        ),
        JwkError::Exponent => (
            "the exponent is even, 1, or over 33 bits",
            "use a key with the exponent 65537",
        ),
        JwkError::Roca => (
            "the modulus comes from the broken generator of CVE-2017-15361",
            "replace the key",
        ),
        JwkError::Point => (
            "the point is not on the curve, or of small order",
            "check `x`, `y` and `crv`",
        ),
        JwkError::KeyId => ("`kid` is longer than 256 bytes", "use a shorter one"),
        JwkError::DuplicateKeyId => (
            "two keys have the same `kid` and algorithm",
            "give each key its own `kid`",
        ),
        JwkError::Count => ("more than 64 keys", "leave out those that are not used"),
        JwkError::Mixed => (
            "secrets and public keys in one set",
            "write public keys only",
        ),
        JwkError::Unusable => (
            "no key of the set can be used",
            "write a key for signatures with an algorithm of `algorithms`",
        ),
    }
}
