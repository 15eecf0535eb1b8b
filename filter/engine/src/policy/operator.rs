//! `operator`: where and under which key the operator asks who is banned.
//!
//! **In:** the section as written. **Out:** [`Operator`].

use alloc::vec::Vec;

use super::compile::Compiler;
use super::read::{Path, section};
use super::tokens::Written;
use super::values::{CookiePath, Encoding, EnvName, Sealed};
use crate::operator::Operator;
use crate::stages::token::HmacAlgorithm;

section! {
    /// Requests of the operator: `palisade bans` shows, lifts and sets bans. The filter answers them itself, on every host, before
    /// headers and limits are looked at and after `access`.
    struct OperatorConfig {
        /// What signs them; a key of its own, of 32 bytes or more.
        key: OperatorKey,
        /// Where they go: this path, exactly.
        path: CookiePath = "/.palisade/bans",
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
    pub(super) fn operator(
        &mut self,
        at: &Path,
        config: Option<OperatorConfig>,
    ) -> Option<Operator> {
        let config = config?;
        let at = at.key("key");
        let written = Written {
            env: &config.key.env,
            sealed: config.key.sealed.as_ref(),
            encoding: config.key.encoding,
        };
        let key = self.key(&at, None, HmacAlgorithm::Sha256, written);
        let mut path = Vec::new();
        path.extend_from_slice(&config.path.0);
        Some(Operator { path, key })
    }
}
