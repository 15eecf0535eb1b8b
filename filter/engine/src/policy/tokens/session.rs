//! `type: session`.

use alloc::vec::Vec;

use crate::policy::compile::Compiler;
use crate::policy::read::{Located, Named, Path, section};
use crate::policy::tokens::{From, Written};
use crate::policy::values::{
    Binding, Duration, Encoding, EnvName, Pointer, Sealed, SessionTag, Text,
};
use crate::stages::token::{HmacAlgorithm, Provider, ProviderKind, Session, SessionFormat};

section! {
    /// A session token signed with HMAC-SHA256.
    struct SessionConfig {
        /// `session`.
        r#type: SessionTag,
        /// Where the token is carried.
        from: From,
        /// `v1`: `v1.<payload>.<mac>`; `colon`: `subject:issued_at:hex-hmac`.
        format: SessionFormat = "v1",
        /// Keys; all verify.
        keys: Vec<Located<SessionKey>>,
        /// How long a token is valid after it was issued.
        lifetime: Duration = "1h",
        /// Clock skew.
        leeway: Duration = "30s",
        /// What a token is bound to (`v1` only).
        bind: Vec<Binding> = [],
        /// Headers to set from the token: header name to JSON Pointer; `/sub` is the subject.
        forward: Named<Pointer> = {},
        /// JSON Pointer to the roles.
        roles: Pointer = "/roles",
    }
}

section! {
    /// A key of a session provider.
    struct SessionKey {
        /// Environment variable of the VM that holds the key; with `sealed`, the one that opens it.
        env: EnvName,
        /// The key itself, sealed (Fernet): what `palisade token seal` prints.
        sealed: Option<Sealed>,
        /// Key id in the token.
        id: Option<Text>,
        /// How the key is written, in the variable or under the seal.
        encoding: Encoding = "raw",
    }
}

impl Compiler<'_> {
    pub(in crate::policy) fn session(
        &mut self,
        at: &Path,
        name: Vec<u8>,
        config: SessionConfig,
    ) -> Provider {
        let SessionTag = config.r#type;
        let mut keys = Vec::new();
        let mut ids = Vec::new();
        for key in config.keys.iter() {
            let id = key.value.id.as_ref().map(|id| id.0.clone());
            self.unique_id(&key.at, id.as_ref(), &mut ids);
            keys.extend(self.key(
                &key.at,
                id,
                HmacAlgorithm::Sha256,
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
        let bind_client = config.bind.contains(&Binding::Client);
        if bind_client && config.format == SessionFormat::Colon {
            self.errors.push(
                &at.key("bind"),
                "the format `colon` cannot be bound",
                "use the format `v1`, or leave `bind` out",
            );
        }
        let session = Session {
            keys,
            format: config.format,
            lifetime: self.seconds(&at.key("lifetime"), config.lifetime.0, 1, 366 * 86_400),
            leeway: self.seconds(&at.key("leeway"), config.leeway.0, 0, 3600),
            bind_client,
        };
        Provider {
            name,
            from: config.from.0,
            kind: ProviderKind::Session(session),
            forward: self.forward(config.forward),
            roles: config.roles.0,
        }
    }
}
