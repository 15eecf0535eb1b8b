//! `keys` of a JWT provider: a list in the policy, or a set that is fetched.
//!
//! **In:** the member as written. **Out:** [`RemoteKeys`], or errors with their key paths.
//! **Invariant:** what is fetched holds public keys only, of algorithms the policy names: whoever answers in the key server's
//! place chooses neither.
//! **Source:** RFC 7517 §5, RFC 3986 §3, RFC 8725 §3.1.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::jwt_keys::JwtKey;
use crate::policy::compile::Compiler;
use crate::policy::node::Node;
use crate::policy::read::{Errors, FromNode, Located, Path, section};
use crate::policy::values::{Duration, Text};
use crate::stages::token::jwk::JwkRules;
use crate::stages::token::remote::RemoteKeys;
use crate::stages::token::{Algorithm, HmacAlgorithm};

/// Where keys come from.
#[derive(Debug, Clone)]
pub(crate) enum JwtKeys {
    List(Vec<Located<JwtKey>>),
    Remote(RemoteConfig),
}

section! {
    /// A key set that is fetched (RFC 7517).
    struct RemoteConfig {
        /// Where it is: `https://id.example.com/jwks.json`. Host and path go into the request; whether it is encrypted is up to
        /// the cluster.
        url: KeysUrl,
        /// Cluster of the Envoy configuration that leads there.
        cluster: Text,
        /// How often it is fetched.
        refresh: Duration = "10m",
        /// How long after their last fetch keys serve while fetches fail.
        max_stale: Duration = "24h",
        /// How long a request waits for keys.
        wait: Duration = "2s",
        /// Whether an RSA key also serves algorithms of `algorithms` with a longer hash than its `alg` names.
        stronger_hash: bool = false,
    }
}

impl FromNode for JwtKeys {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        if let Node::Map(_) = node {
            return RemoteConfig::read(node, at, errors).map(Self::Remote);
        }
        Vec::read(node, at, errors).map(Self::List)
    }

    fn schema() -> Value {
        json!({ "oneOf": [Vec::<Located<JwtKey>>::schema(), RemoteConfig::schema()] })
    }

    fn help() -> String {
        "write a list of keys, or `{ url: https://…, cluster: NAME }`".into()
    }
}

/// A URL without user, query of secrets or fragment.
#[derive(Debug, Clone)]
pub(crate) struct KeysUrl {
    text: Vec<u8>,
    pub(super) authority: Vec<u8>,
    pub(super) path: Vec<u8>,
}

impl KeysUrl {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at_checked(at)?,
            None => (rest, "/"),
        };
        let of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let of_path = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
        let good = !authority.is_empty()
            && authority.len() <= 255
            && text.len() <= 2048
            && authority.bytes().all(of_host)
            && path.bytes().all(of_path);
        good.then(|| Self {
            text: text.as_bytes().to_vec(),
            authority: authority.as_bytes().to_vec(),
            path: path.as_bytes().to_vec(),
        })
    }
}

impl FromNode for KeysUrl {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let url = node.as_text().and_then(Self::parse);
        if url.is_none() {
            errors.wrong(at, node, "the URL of a key set", Self::help());
        }
        url
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^https?://" })
    }

    fn help() -> String {
        "write a URL such as `https://id.example.com/jwks.json`".into()
    }
}

/// The longest a request may be made to wait.
pub(super) const MAX_WAIT_MS: u64 = 30_000;

impl Compiler<'_> {
    pub(in crate::policy) fn remote_keys(
        &mut self,
        at: &Path,
        config: &RemoteConfig,
        algorithms: Option<&[Algorithm]>,
    ) -> RemoteKeys {
        let keys = at.key("keys");
        let algorithms = algorithms.unwrap_or_default();
        if algorithms.is_empty() {
            self.errors.push(
                &at.key("algorithms"),
                "missing: fetched keys do not choose their algorithms",
                "name those your identity provider signs with, such as `[RS256, ES256]`",
            );
        }
        let secrets = [
            HmacAlgorithm::Sha256,
            HmacAlgorithm::Sha384,
            HmacAlgorithm::Sha512,
        ];
        if let Some(secret) = algorithms
            .iter()
            .find(|name| secrets.iter().any(|hmac| hmac.name() == name.name()))
        {
            self.errors.push(
                &at.key("algorithms"),
                format!("`{}` needs a shared secret", secret.name()),
                "a set that is fetched holds public keys only: leave it out",
            );
        }
        if config.cluster.0.is_empty() {
            self.errors.push(
                &keys.key("cluster"),
                "an empty name",
                "name a cluster of the Envoy configuration",
            );
        }
        let refresh_ms = self.within(&keys.key("refresh"), &config.refresh, 1_000, 86_400_000);
        let most = 30 * 86_400_000;
        let max_stale_ms = self.within(&keys.key("max_stale"), &config.max_stale, 1_000, most);
        if max_stale_ms < refresh_ms {
            self.errors.push(
                &keys.key("max_stale"),
                "shorter than `refresh`: keys would stop serving between two fetches",
                "write a longer time",
            );
        }
        let wait_ms = self.within(&keys.key("wait"), &config.wait, 0, MAX_WAIT_MS);
        let mut digest = Sha256::new();
        digest.update(&config.cluster.0);
        digest.update(b"\0");
        digest.update(&config.url.text);
        // What one provider cannot use another may: each set of rules has its own fetches, and its own failures.
        digest.update([0, u8::from(config.stronger_hash)]);
        for algorithm in Algorithm::ALL {
            if algorithms.contains(&algorithm) {
                digest.update(algorithm.name());
                digest.update(b"\0");
            }
        }
        let mut name = [0; 16];
        for (to, from) in name.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        RemoteKeys {
            cluster: config.cluster.0.clone(),
            authority: config.url.authority.clone(),
            path: config.url.path.clone(),
            refresh_ms,
            max_stale_ms,
            wait_ms,
            rules: JwkRules {
                stronger_hash: config.stronger_hash,
                ..JwkRules::public(algorithms.to_vec())
            },
            name,
        }
    }

    pub(in crate::policy) fn within(
        &mut self,
        at: &Path,
        span: &Duration,
        least: u64,
        most: u64,
    ) -> u64 {
        let ms = span.0.ms;
        if !(least..=most).contains(&ms) {
            self.errors.push(
                at,
                format!("`{ms}ms` is out of range"),
                format!("write a time from `{least}ms` to `{}s`", most / 1000),
            );
        }
        ms
    }
}
