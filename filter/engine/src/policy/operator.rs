//! `operator`: where and under which key the operator asks who is banned.
//!
//! **In:** the section as written. **Out:** [`Operator`].

use alloc::vec::Vec;

use super::compile::Compiler;
use super::read::{Located, Path, section};
use super::tokens::Written;
use super::values::{CookiePath, Encoding, EnvName, Sealed, Text};
use crate::operator::{Operator, View};
use crate::stages::token::HmacAlgorithm;

section! {
    /// Requests of the operator: `palisade bans` shows, lifts and sets bans. The filter answers them itself, on every host, before
    /// headers and limits are looked at and after `access`.
    struct OperatorConfig {
        /// What signs them; a key of its own, of 32 bytes or more.
        key: OperatorKey,
        /// Where they go: this path, exactly.
        path: CookiePath = "/.palisade/bans",
        /// Who may see how their own counters stand; absent: nobody.
        counters: Option<Located<CountersConfig>>,
    }
}

section! {
    /// A view of one's own counters and bans, as JSON. The route that takes its path says how the client is verified.
    struct CountersConfig {
        /// Where a GET gets it: this path, exactly.
        path: CookiePath = "/.palisade/limits",
        /// One of these roles is needed.
        roles: Vec<Text>,
    }
}

section! {
    /// The operator's key.
    struct OperatorKey {
        /// Environment variable of the VM that holds it; with `sealed`, the one that opens it.
        env: EnvName,
        /// The key itself, sealed (Fernet): what `palisade token seal` prints.
        sealed: Option<Sealed>,
        /// How the key is written, in the variable or under the seal.
        encoding: Encoding = "raw",
    }
}

impl Compiler<'_> {
    fn view(&mut self, at: &Path, config: CountersConfig, other: &[u8]) -> View {
        if config.roles.is_empty() {
            self.errors.push(
                &at.key("roles"),
                "nobody could see the counters",
                "name one role or more, or leave `counters` out",
            );
        }
        let mut path = Vec::new();
        path.extend_from_slice(&config.path.0);
        if path == other {
            self.errors.push(
                &at.key("path"),
                "the same as the operator's own `path`",
                "write another path",
            );
        }
        let roles = config.roles.into_iter().map(|role| role.0).collect();
        View { path, roles }
    }

    pub(super) fn operator(
        &mut self,
        at: &Path,
        config: Option<OperatorConfig>,
    ) -> Option<Operator> {
        let config = config?;
        let at = &at.key("key");
        let written = Written {
            env: &config.key.env,
            sealed: config.key.sealed.as_ref(),
            encoding: config.key.encoding,
        };
        let key = self.key(at, None, HmacAlgorithm::Sha256, written);
        let mut path = Vec::new();
        path.extend_from_slice(&config.path.0);
        let counters = config
            .counters
            .map(|Located { at, value }| self.view(&at, value, &path));
        Some(Operator {
            path,
            key,
            counters,
        })
    }
}
