//! `type: api_key`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Forwarded, From};
use crate::policy::compile::Compiler;
use crate::policy::read::{Located, Named, Path, section};
use crate::policy::values::{ApiKeyTag, Digest, Text, Time};
use crate::stages::token::accounts::{Account, Grants, Hash, MAX_ACCOUNTS};
use crate::stages::token::api_key::{ApiKeys, well_known};
use crate::stages::token::{Provider, ProviderKind};

section! {
    /// API keys, listed by their SHA-256.
    struct ApiKeyConfig {
        /// `api_key`.
        r#type: ApiKeyTag,
        /// Where the key is carried.
        from: From,
        /// The keys.
        keys: Vec<Located<ApiKey>>,
        /// Headers to set: header name to JSON Pointer; `/sub` is the key's `id`, `/roles` and `/scope` what it may.
        forward: Named<Forwarded> = {},
    }
}

section! {
    /// An API key.
    struct ApiKey {
        /// Whose it is: the subject. Two keys may have the same, while one replaces the other.
        id: Text,
        /// SHA-256 of the key, in hex or base64.
        sha256: Digest,
        /// Roles of its owner.
        roles: Vec<Text> = [],
        /// Scopes it was given.
        scopes: Vec<Text> = [],
        /// From when on it holds no longer: a day (its first second in UTC) or a time such as `2027-01-01T12:00:00Z`.
        expires: Option<Time>,
    }
}

impl Compiler<'_> {
    pub(super) fn api_key(&mut self, at: &Path, name: Vec<u8>, config: ApiKeyConfig) -> Provider {
        let ApiKeyTag = config.r#type;
        let mut list: Vec<(Hash, Account)> = Vec::new();
        let keys_at = at.key("keys");
        for key in config.keys.iter().take(MAX_ACCOUNTS) {
            let hash = key.value.sha256.0;
            let hash_at = key.at.key("sha256");
            if let Some(text) = well_known(&hash) {
                self.errors.push(
                    &hash_at,
                    format!("the hash of `{text}`, which everybody tries"),
                    "make a key of 32 random bytes (`palisade token`) and write its hash",
                );
            }
            if list.iter().any(|(other, _)| *other == hash) {
                self.errors.push(
                    &hash_at,
                    "the hash of an earlier key",
                    "give each entry a key of its own",
                );
            }
            let grants = self.grants(&key.at, &key.value.roles, &key.value.scopes);
            let expires = key.value.expires.as_ref().map(|time| time.0);
            list.push((hash, Account::new(&key.value.id.0, &grants, expires)));
        }
        self.count_accounts(&keys_at, config.keys.len());
        let provider = Provider {
            name,
            from: config.from.0,
            kind: ProviderKind::ApiKey(ApiKeys::new(list)),
            forward: self.forward(config.forward),
            roles: ROLES.to_vec(),
            scopes: None,
            claims: Vec::new(),
            counted: Vec::new(),
            strip: false,
        };
        if let ProviderKind::ApiKey(keys) = &provider.kind {
            self.check_accounts(&keys_at, &provider, keys.accounts());
        }
        provider
    }

    /// What an account may.
    pub(super) fn grants(&mut self, at: &Path, roles: &[Text], scopes: &[Text]) -> Grants {
        if scopes.iter().any(|scope| scope.0.contains(&b' ')) {
            self.errors.push(
                &at.key("scopes"),
                "a scope with a blank in it",
                "write each scope as an item of its own",
            );
        }
        let texts = |list: &[Text]| list.iter().map(|text| text.0.clone()).collect::<Vec<_>>();
        Grants::new(&texts(roles), &texts(scopes))
    }

    pub(super) fn count_accounts(&mut self, at: &Path, count: usize) {
        self.implied.keys = self.implied.keys.saturating_add(count);
        if count == 0 && self.errors.is_empty() {
            self.errors
                .push(at, "an empty list", "write at least one entry");
        }
        if count > MAX_ACCOUNTS {
            self.errors.push(
                at,
                format!("`{count}` entries are too many"),
                format!("write at most {MAX_ACCOUNTS}; more belong to an identity provider"),
            );
        }
    }

    /// What is to be forwarded must fit into a header for every account: better known now than at a request.
    pub(super) fn check_accounts(&mut self, at: &Path, provider: &Provider, accounts: &[Account]) {
        for (place, account) in accounts.iter().enumerate() {
            if let Some(what) = account.fault(provider) {
                let problem = match what {
                    "forward" => {
                        String::from("what `forward` takes of it cannot stand in a header")
                    }
                    what => format!("`{what}` cannot be used"),
                };
                self.errors.push(
                    &at.index(place),
                    problem,
                    "write names without commas and without blanks at an end",
                );
            }
        }
    }
}

/// Where an account's roles are.
pub(super) const ROLES: &[u8] = b"/roles";
