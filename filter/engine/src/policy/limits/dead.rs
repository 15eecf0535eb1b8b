//! Limits that would never count: they look at who was verified, where nobody ever is.
//!
//! **In:** the compiled limit, the providers. **Out:** errors: such a limit protects nothing, and nobody would see that.

use crate::policy::compile::Compiler;
use crate::policy::read::Path;
use crate::stages::limits::{KeyPart, Limit, Missing};
use crate::stages::token::TokenStage;

impl Compiler<'_> {
    pub(super) fn check_counts(&mut self, at: &Path, limit: &Limit, tokens: &TokenStage) {
        let verified = |part: &KeyPart| {
            matches!(
                part,
                KeyPart::Subject | KeyPart::ApiKey | KeyPart::Claim(..)
            )
        };
        let by_verified = limit.missing != Missing::Count && limit.key.iter().any(verified);
        if limit.when.subject == Some(false) && by_verified {
            self.errors.push(
                &at.key("key"),
                "who was verified, and `when.subject: none`: no request has both",
                "leave one of them out",
            );
        }
        if !tokens.providers.is_empty() {
            return;
        }
        let mut never = |at: Path, problem: &str| {
            let help = "add a provider to `tokens` and a route that takes its tokens, or count by `client`";
            self.errors.push(&at, problem, help);
        };
        if by_verified && !limit.key.contains(&KeyPart::ApiKey) {
            never(
                at.key("key"),
                "who was verified, and no provider in `tokens`: this never counts",
            );
        }
        if limit.when.subject == Some(true) {
            never(
                at.key("when").key("subject"),
                "`required`, and no provider in `tokens`: this never counts",
            );
        }
        if limit.failures {
            never(
                at.key("count").key("failures"),
                "failed authentications, and no provider in `tokens`: this never counts",
            );
        }
        if limit.plans.is_some() {
            never(
                at.key("plans"),
                "by a claim, and no provider in `tokens`: nobody ever has one",
            );
        }
    }
}
