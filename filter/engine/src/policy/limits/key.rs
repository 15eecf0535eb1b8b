//! `limits[].key`: what tells counters apart.
//!
//! **In:** the list as written. **Out:** [`KeyPart`]s.
//! **Invariant:** no part stands twice; a part that is known only after the phase of its limit is an error.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Value, json};

use crate::policy::compile::Compiler;
use crate::policy::config::one_key;
use crate::policy::node::Node;
use crate::policy::read::{Errors, FromNode, Path, keywords, section};
use crate::policy::values::{BodyField, CookieName, Count, HeaderName, Pointer};
use crate::stages::limits::{KeyPart, Limit, Missing, Named, Phase, Property};
use crate::stages::token::TokenStage;

/// A part of a counter's key.
#[derive(Debug, Clone)]
pub(crate) struct Key(pub(crate) KeyPart);

section! {
    /// A part of a key with a name or a setting of its own; one of these.
    struct KeyMap {
        /// A claim of the verified credential: JSON Pointer or dotted name. A string, a number or a boolean.
        claim: Option<Pointer>,
        /// The client's network.
        client: Option<ClientPrefix>,
        /// Cookie, by its name as sent.
        cookie: Option<CookieName>,
        /// Body field, such as `username` or `user.name`; without blanks around it and in lower case, unless `normalize` says no.
        field: Option<BodyField>,
        /// Header.
        header: Option<HeaderName>,
        /// Parameter of the query.
        query: Option<BodyField>,
        /// Property of the client certificate.
        tls: Option<Property>,
        /// Whether the value is taken without blanks around it and in ASCII lower case. Of fields: true, else false.
        normalize: Option<bool>,
    }
}

section! {
    /// Bits of an address that count: the rest is one client's to choose.
    struct ClientPrefix {
        /// Of an IPv4 address.
        ipv4: Count<8, 32> = 32,
        /// Of an IPv6 address.
        ipv6: Count<32, 128> = 64,
    }
}

keywords!(Property, "a property of a certificate", {
    "subject" => Self::Subject, "sha256" => Self::Sha256, "uri" => Self::Uri, "dns" => Self::Dns
});
keywords!(MissingWord, "a choice", { "count" => Self(Missing::Count), "skip" => Self(Missing::Skip) });

/// What becomes of a request without a part of the key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MissingWord(pub(crate) Missing);

impl Key {
    fn of_word(word: &str) -> Option<KeyPart> {
        Some(match word {
            "account" => KeyPart::Account,
            "api_key" => KeyPart::ApiKey,
            "client" => KeyPart::CLIENT,
            "method" => KeyPart::Method,
            "path" => KeyPart::Path,
            "route" => KeyPart::Route,
            "subject" => KeyPart::Subject,
            _ => return None,
        })
    }

    /// The one part that a map has, if it has one.
    fn of_map(map: KeyMap) -> Option<KeyPart> {
        let named = |name: Vec<u8>, usual| Named {
            name,
            folded: map.normalize.unwrap_or(usual),
        };
        let plain = map.normalize.is_none();
        let mut parts = Vec::new();
        parts.extend(map.cookie.map(|it| KeyPart::Cookie(named(it.0, false))));
        parts.extend(map.field.map(|it| KeyPart::Field(named(it.0, true))));
        parts.extend(map.header.map(|it| KeyPart::Header(named(it.0, false))));
        parts.extend(map.query.map(|it| KeyPart::Query(named(it.0, false))));
        if plain {
            // Its place is known when all limits are.
            parts.extend(map.claim.map(|it| KeyPart::Claim(it.0, usize::MAX)));
            parts.extend(map.client.map(|it| KeyPart::Client {
                v4: u8::try_from(it.ipv4.0).unwrap_or(32),
                v6: u8::try_from(it.ipv6.0).unwrap_or(128),
            }));
            parts.extend(map.tls.map(KeyPart::Tls));
        } else if map.claim.is_some() || map.client.is_some() || map.tls.is_some() {
            return None;
        }
        let part = parts.pop();
        part.filter(|_| parts.is_empty())
    }
}

impl FromNode for Key {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let part = match node {
            Node::Map(_) => {
                let map = KeyMap::read(node, at, errors)?;
                if !errors.is_empty() {
                    // What was faulty is not there.
                    return None;
                }
                Self::of_map(map)
            }
            _ => node.as_text().and_then(Self::of_word),
        };
        if part.is_none() {
            errors.wrong(at, node, "a part of a key", Self::help());
        }
        part.map(Self)
    }

    fn schema() -> Value {
        let mut map = one_key(&KeyMap::schema());
        if let Value::Object(map) = &mut map {
            map.insert("maxProperties".to_owned(), json!(2));
        }
        let words = [
            "account", "api_key", "client", "method", "path", "route", "subject",
        ];
        json!({ "oneOf": [{ "enum": words }, map] })
    }

    fn help() -> String {
        "write `client`, `subject`, `api_key`, `account`, `method`, `route`, `path`, or one of `{ client: { ipv6: 56 } }`, \
         `{ claim: /tenant }`, `{ header: NAME }`, `{ cookie: NAME }`, `{ query: NAME }`, `{ field: NAME }` (those four also \
         with `normalize`), `{ tls: sha256 }`"
            .to_owned()
    }
}

impl Compiler<'_> {
    pub(super) fn limit_key(&mut self, at: &Path, parts: Vec<Key>) -> Vec<KeyPart> {
        let at = at.key("key");
        let mut key = Vec::new();
        key.extend(parts.into_iter().map(|part| part.0));
        if key.is_empty() && self.errors.is_empty() {
            let help = "write what tells counters apart such as `[client]`";
            self.errors.push(&at, "an empty list", help);
        }
        let twice = key.iter().enumerate().any(|(index, part)| {
            key.iter()
                .skip(index.saturating_add(1))
                .any(|other| other == part)
        });
        if twice || key.len() > 4 {
            let problem = "the same part twice, or more than 4";
            self.errors.push(&at, problem, "write each part once");
        }
        key
    }

    /// Whether the parts are known when the limit is judged, and to whom.
    pub(super) fn check_key(&mut self, at: &Path, limit: &Limit, tokens: &TokenStage) {
        let at = at.key("key");
        let late = |part: &KeyPart| part.phase() > Phase::Credential;
        if limit.failures && limit.key.iter().any(late) {
            self.errors.push(
                &at,
                "what is known only after the credential was verified",
                "count failures by `client`, `account` and parts of the head",
            );
        }
        if !limit.failures && limit.key.contains(&KeyPart::Account) {
            self.errors.push(
                &at,
                "`account` without `count: { failures: authentication }`",
                "write `subject` for who was verified",
            );
        }
        if limit.failures && (limit.when.subject.is_some() || limit.plans.is_some()) {
            self.errors.push(
                &at,
                "`when.subject` or `plans`, and failures are counted before they are known",
                "leave them out",
            );
        }
        let mut providers = 0..tokens.providers.len();
        if limit.key.contains(&KeyPart::ApiKey) && !providers.any(|at| tokens.has_api_keys(at)) {
            let problem = "`api_key`, and no provider of that type in `tokens`";
            self.errors
                .push(&at, problem, "write `subject` for who was verified");
        }
    }

    /// Gives each claim that limits look at its place, and tells the providers what to keep.
    pub(super) fn keep_claims(limits: &mut [Limit], tokens: &mut TokenStage) {
        let mut counted: Vec<Vec<u8>> = Vec::new();
        for limit in limits {
            for part in &mut limit.key {
                if let KeyPart::Claim(pointer, place) = part {
                    *place = place_of(&mut counted, pointer);
                }
            }
            if let Some(plans) = &mut limit.plans {
                plans.place = place_of(&mut counted, &plans.claim);
            }
        }
        for provider in &mut tokens.providers {
            provider.counted.clone_from(&counted);
        }
    }
}

fn place_of(counted: &mut Vec<Vec<u8>>, pointer: &[u8]) -> usize {
    let known = counted.iter().position(|other| other == pointer);
    known.unwrap_or_else(|| {
        counted.push(pointer.to_vec());
        counted.len().saturating_sub(1)
    })
}
