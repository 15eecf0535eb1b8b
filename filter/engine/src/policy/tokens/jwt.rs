//! `type: jwt`.

use alloc::format;
use alloc::vec::Vec;

use crate::policy::compile::{Compiler, bytes};
use crate::policy::read::{Located, Named, Path, section};
use crate::policy::tokens::{From, Written};
use crate::policy::values::{Duration, Encoding, EnvName, JwtTag, Pointer, Sealed, Text};
use crate::stages::token::{HmacAlgorithm, Jwt, Provider, ProviderKind};

section! {
    /// A JWT in compact form, signed with HMAC (RFC 7519, RFC 8725).
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
        algorithms: Option<Vec<HmacAlgorithm>>,
        /// Keys; a key carries its algorithm, and the token's header chooses neither.
        keys: Vec<Located<JwtKey>>,
        /// Clock skew for `exp`, `nbf` and `iat`.
        leeway: Duration = "30s",
        /// Claims that must be present.
        require: Vec<Text> = [],
        /// Whether `exp` must be present.
        require_exp: bool = true,
        /// Headers to set from claims: header name to JSON Pointer. The client's own copies are removed.
        forward: Named<Pointer> = {},
        /// JSON Pointer to the roles: an array of strings, or a string with blanks between.
        roles: Pointer = "/roles",
    }
}

section! {
    /// A key of a JWT provider.
    struct JwtKey {
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
        for key in config.keys.iter() {
            let allowed = config.algorithms.as_ref();
            if allowed.is_some_and(|list| !list.contains(&key.value.algorithm)) {
                let name = key.value.algorithm.name();
                self.errors.push(
                    &key.at.key("algorithm"),
                    format!("`{name}` is not in `algorithms`"),
                    "add it there, or use a key of a listed algorithm",
                );
            }
            let id = key.value.id.as_ref().map(|id| id.0.clone());
            self.unique_id(&key.at, id.as_ref(), &mut ids);
            keys.extend(self.key(
                &key.at,
                id,
                key.value.algorithm,
                Written {
                    env: &key.value.env,
                    sealed: key.value.sealed.as_ref(),
                    encoding: key.value.encoding,
                },
            ));
        }
        if config.keys.is_empty() {
            self.errors
                .push(&at.key("keys"), "no usable key", "write at least one key");
        }
        let jwt = Jwt {
            keys,
            issuer: config.issuer.map(|it| it.0),
            audiences: bytes(config.audiences, |it| it.0),
            leeway: self.seconds(&at.key("leeway"), config.leeway.0, 0, 3600),
            require: bytes(config.require, |it| it.0),
            require_exp: config.require_exp,
        };
        Provider {
            name,
            from: config.from.0,
            kind: ProviderKind::Jwt(jwt),
            forward: self.forward(config.forward),
            roles: config.roles.0,
        }
    }
}
