//! `type: jwt`. Its keys: `jwt_keys.rs`.

use alloc::vec::Vec;

use crate::policy::compile::{Compiler, bytes};
use crate::policy::read::{Located, Named, Path, keywords, section};
use crate::policy::tokens::remote_keys::JwtKeys;
use crate::policy::tokens::{ForwardCredential, Forwarded, From, RuleConfig};
use crate::policy::values::{Attack, Duration, JwtTag, Pointer, Text};
use crate::stages::token::dpop::{self, Dpop};
use crate::stages::token::signed::Replay;
use crate::stages::token::{Algorithm, Jwt, Key, Provider, ProviderKind, Source};

section! {
    /// A JWT in compact form, signed (RFC 7519, RFC 8725).
    struct JwtConfig {
        /// `jwt`.
        r#type: JwtTag,
        /// Where the token is carried.
        from: From = "bearer",
        /// Required `iss`.
        issuer: Option<Text>,
        /// Accepted `aud` values; empty: `aud` is not looked at.
        audiences: Vec<Text> = [],
        /// Algorithms that may be used; every key must use one of them.
        algorithms: Option<Vec<Algorithm>>,
        /// Keys, or where they are fetched; a key carries its algorithm, and the token's header chooses neither.
        keys: JwtKeys,
        /// Clock skew for `exp`, `nbf` and `iat`.
        leeway: Duration = "30s",
        /// Claims that must be present.
        require: Vec<Text> = [],
        /// Whether `exp` must be present.
        require_exp: bool = true,
        /// Whether tokens can be revoked: each must have a `jti`, and is looked up in shared data.
        revocable: bool = false,
        /// What costs a token, beside a route with `revoke`.
        revoke_on: Vec<Attack> = [],
        /// `jti`s that are revoked, or `sha256:` and the hex of their hash.
        revoked: Vec<Located<Text>> = [],
        /// Longest time from `iat` to `exp`; tokens must have both then.
        max_lifetime: Option<Duration>,
        /// Longest time since `iat`; tokens must have it then.
        max_age: Option<Duration>,
        /// Proofs of possession (RFC 9449): `required`, or `allowed`, when tokens that are bound to a key need one.
        dpop: Option<DpopMode>,
        /// How old or how far ahead the time of a proof may be.
        dpop_window: Duration = "1m",
        /// Headers to set from claims: header name to claim. The client's own copies are removed.
        forward: Named<Forwarded> = {},
        /// Whether the credential goes on to the upstream once it was verified.
        forward_credential: ForwardCredential = "keep",
        /// The roles: an array of strings, or a string with blanks between.
        roles: Pointer = "/roles",
        /// The scopes, alike; absent: `scope`, else `scp`.
        scopes: Option<Pointer>,
        /// What claims must be.
        claims: Vec<Located<RuleConfig>> = [],
    }
}

/// Whether proofs of possession are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DpopMode {
    Allowed,
    Required,
}

keywords!(DpopMode, "a choice", { "required" => Self::Required, "allowed" => Self::Allowed });

impl Compiler<'_> {
    pub(in crate::policy) fn jwt(
        &mut self,
        at: &Path,
        name: Vec<u8>,
        config: JwtConfig,
    ) -> Provider {
        let JwtTag = config.r#type;
        let mut keys = Vec::new();
        let mut ids = Vec::new();
        let allowed = config.algorithms.as_deref();
        let (list, remote) = match &config.keys {
            JwtKeys::List(list) => (list.as_slice(), None),
            JwtKeys::Remote(remote) => (&[][..], Some(self.remote_keys(at, remote, allowed))),
        };
        for key in list {
            let added = self.jwt_key(&key.at, &key.value, allowed);
            let mut named: Vec<Vec<u8>> = Vec::new();
            for id in added.iter().filter_map(Key::id) {
                if !named.iter().any(|other| other == id) {
                    named.push(id.to_vec());
                }
            }
            for id in &named {
                self.unique_id(&key.at, Some(id), &mut ids);
            }
            keys.extend(added);
        }
        if list.is_empty() && remote.is_none() {
            self.errors
                .push(&at.key("keys"), "no usable key", "write at least one key");
        }
        let revocation = self.revocation(config.revocable, &config.revoke_on, &config.revoked);
        if revocation.marks && !config.require_exp {
            self.errors.push(
                &at.key("require_exp"),
                "a token without an end cannot be revoked for good",
                "leave it out, or `revocable` and `revoke_on`",
            );
        }
        let mut from = config.from.0;
        let dpop = config.dpop.map(|mode| {
            let required = mode == DpopMode::Required;
            if !from.contains(&Source::Bearer) {
                self.errors.push(
                    &at.key("dpop"),
                    "a token with a proof is carried in `authorization`",
                    "write `from: bearer`, or leave it out",
                );
            }
            if required {
                from.retain(|source| *source != Source::Bearer);
            }
            from.push(Source::Scheme {
                header: b"authorization".to_vec(),
                prefix: dpop::SCHEME.to_vec(),
            });
            Dpop {
                required,
                window: self.seconds(&at.key("dpop_window"), config.dpop_window.0, 1, 3600),
                replay: Replay::DenyWhenFull,
            }
        });
        let jwt = Jwt {
            keys,
            remote,
            issuer: config.issuer.map(|it| it.0),
            audiences: bytes(config.audiences, |it| it.0),
            leeway: self.seconds(&at.key("leeway"), config.leeway.0, 0, 3600),
            require: bytes(config.require, |it| it.0),
            require_exp: config.require_exp,
            revocation,
            max_lifetime: config
                .max_lifetime
                .map(|span| self.seconds(&at.key("max_lifetime"), span.0, 1, 366 * 86_400)),
            dpop,
            max_age: config
                .max_age
                .map(|span| self.seconds(&at.key("max_age"), span.0, 1, 366 * 86_400)),
        };
        Provider {
            name,
            from,
            kind: ProviderKind::Jwt(jwt),
            forward: self.forward(config.forward),
            roles: config.roles.0,
            scopes: config.scopes.map(|it| it.0),
            claims: self.rules(config.claims),
            counted: Vec::new(),
            strip: config.forward_credential == ForwardCredential::Strip,
        }
    }
}
