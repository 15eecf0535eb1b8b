//! `limits[].algorithm` and `burst`: how a limit counts.
//!
//! **In:** the keyword as written. **Out:** [`Algorithm`]; an error where the two do not go together.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use serde_json::{Value, json};

use super::LimitConfig;
use crate::policy::compile::Compiler;
use crate::policy::node::Node;
use crate::policy::read::{Errors, FromNode, Path, quoted};
use crate::stages::limits::{Algorithm, MAX_LOG_QUOTA};

const WORDS: [&str; 4] = [
    "sliding_window",
    "token_bucket",
    "fixed_window",
    "concurrency",
];

impl FromNode for Algorithm {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let help = match node.as_text() {
            Some("sliding_window") => return Some(Self::SlidingWindow),
            Some("token_bucket") => return Some(Self::TokenBucket),
            Some("fixed_window") => return Some(Self::FixedWindow),
            Some("concurrency") => return Some(Self::Concurrency),
            Some("exact_log") => format!(
                "write `sliding_window`: it keeps an exact log by itself for quotas up to {MAX_LOG_QUOTA}"
            ),
            _ => Self::help(),
        };
        errors.wrong(at, node, "an algorithm of limits", help);
        None
    }

    fn schema() -> Value {
        json!({ "enum": WORDS })
    }

    fn help() -> String {
        format!("write one of {}", quoted(WORDS.iter().copied()))
    }
}

impl Compiler<'_> {
    /// Tokens of a bucket; 0 for the other algorithms.
    pub(super) fn burst(&mut self, at: &Path, config: &LimitConfig) -> u32 {
        match (config.algorithm, &config.burst) {
            (Algorithm::TokenBucket, Some(burst)) => return burst.0,
            (Algorithm::TokenBucket, None) => self.errors.push(
                &at.key("burst"),
                "missing",
                "write how many may come at once, such as `20`: at most quota and burst together come in any window".to_owned(),
            ),
            (_, None) => {}
            (_, Some(_)) => self.errors.push(
                &at.key("burst"),
                "only a `token_bucket` has a burst",
                "leave it out, or write `algorithm: token_bucket`",
            ),
        }
        0
    }
}
