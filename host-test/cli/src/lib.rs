//! What the `palisade` command and the tests share: policy files, minted tokens, scenario files, labelled corpora.
//!
//! **Invariant:** nothing here judges a request; the engine does.

pub mod bench;
pub mod envoy;
pub mod explain;
pub mod keys;
pub mod mint;
pub mod policy_file;
pub mod scenario;
pub mod score;
pub mod suites;
