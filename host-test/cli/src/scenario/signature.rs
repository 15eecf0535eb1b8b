//! Signatures and digests of a scenario: over any values, by any key, in any spelling.
//!
//! **Invariant:** what is signed is written out in the scenario, so that a test does not ask the verifier what its text is.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::value::{Surroundings, Value};
use crate::keys::{Private, base64url};

/// A signature, or an HMAC.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureSpec {
    /// Value of the key: an environment variable's, by its name.
    #[serde(default)]
    pub key: Option<String>,
    /// File that holds it instead: a private JWK or PEM.
    #[serde(default)]
    pub key_file: Option<String>,
    /// The secret itself, for one that is written in another way in the environment.
    #[serde(default)]
    pub secret: Option<Value>,
    /// As of a JWT.
    #[serde(default = "hs256")]
    pub algorithm: String,
    /// What is signed.
    pub over: Value,
    /// How it is written.
    #[serde(default)]
    pub encoding: Spelling,
}

/// A digest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashSpec {
    /// `sha256`, `sha384` or `sha512`.
    #[serde(default = "sha256")]
    pub algorithm: String,
    /// Of what.
    pub over: Value,
    /// How it is written.
    #[serde(default)]
    pub encoding: Spelling,
}

/// How bytes are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spelling {
    /// With padding.
    Base64,
    /// Without.
    Base64url,
    /// In lower case.
    #[default]
    Hex,
}

fn hs256() -> String {
    "HS256".to_owned()
}

fn sha256() -> String {
    "sha256".to_owned()
}

impl SignatureSpec {
    /// The signature.
    ///
    /// # Errors
    /// No key, or one that does not sign with the algorithm.
    pub fn render(&self, context: Surroundings<'_>) -> Result<Vec<u8>> {
        let key = match (&self.key, &self.key_file, &self.secret) {
            (Some(name), None, None) => {
                let value = context.env.get(name);
                let value = value.with_context(|| format!("the scenario's env has no `{name}`"))?;
                value.clone().into_bytes()
            }
            (None, Some(name), None) => {
                let path = context.folder.join(name);
                std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?
            }
            (None, None, Some(secret)) => secret.render(context)?,
            _ => {
                bail!("signature: write one of `key: VARIABLE`, `key_file: PATH`, `secret: VALUE`")
            }
        };
        let key = Private::for_algorithm(&self.algorithm, &key).context("signature")?;
        let signature = key.sign(&self.algorithm, &self.over.render(context)?)?;
        Ok(self.encoding.write(&signature))
    }
}

impl HashSpec {
    /// The digest.
    ///
    /// # Errors
    /// Another algorithm.
    pub fn render(&self, context: Surroundings<'_>) -> Result<Vec<u8>> {
        let over = self.over.render(context)?;
        let digest = match self.algorithm.as_str() {
            "sha256" => Sha256::digest(over).to_vec(),
            "sha384" => Sha384::digest(over).to_vec(),
            "sha512" => Sha512::digest(over).to_vec(),
            other => bail!("hash: `{other}` is not one of sha256, sha384, sha512"),
        };
        Ok(self.encoding.write(&digest))
    }
}

impl Spelling {
    fn write(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Hex => bytes
                .iter()
                .flat_map(|byte| format!("{byte:02x}").into_bytes())
                .collect(),
            Self::Base64url => base64url(bytes).into_bytes(),
            Self::Base64 => {
                let mut text = base64url(bytes).replace('-', "+").replace('_', "/");
                while !text.len().is_multiple_of(4) {
                    text.push('=');
                }
                text.into_bytes()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    #[test]
    fn values_render() {
        let env = BTreeMap::from([("KEY".to_owned(), "Jefe".to_owned())]);
        let context = Surroundings {
            env: &env,
            folder: Path::new("."),
            wall: 1000,
        };
        // RFC 4231 §4.3; SHA-256 of nothing.
        let over = "what do ya want for nothing?";
        let mac = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        for (text, expected) in [
            (format!("{{signature: {{key: KEY, over: '{over}'}}}}"), mac),
            (
                format!(
                    "{{signature: {{secret: Jefe, over: [what, '{}']}}}}",
                    over.trim_start_matches("what")
                ),
                mac,
            ),
            (
                "{hash: {over: '', encoding: base64}}".to_owned(),
                "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            ),
            ("{time: -10s}".to_owned(), "990"),
        ] {
            let value: Value = serde_saphyr::from_str(&text).expect(&text);
            let bytes = value.render(context).expect(&text);
            assert_eq!(String::from_utf8_lossy(&bytes), expected, "{text}");
        }
        for wrong in [
            "{signature: {over: a}}",
            "{signature: {key: NONE, over: a}}",
            "{signature: {key: KEY, secret: a, over: a}}",
            "{hash: {algorithm: md5, over: a}}",
        ] {
            let value: Value = serde_saphyr::from_str(wrong).expect(wrong);
            assert!(value.render(context).is_err(), "{wrong}");
        }
    }
}
