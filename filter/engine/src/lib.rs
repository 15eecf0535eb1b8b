//! The host-free decision engine of Palisade: bytes in, one verdict with a reason out.
//!
//! ```text
//! bytes ▸ RequestHead (decoded once) ▸ route ▸ access ▸ headers ▸ limits(client) ▸ token ▸ authorize
//!       ▸ limits(subject) ▸ injection(head) ▸ [body ▸ injection(body) ▸ limits(field)] ▸ Verdict
//! ```
//!
//! **Invariant:** no clock, randomness, environment, I/O, log or unsafe code in this crate: time is
//! an argument, counters are a two-method trait, keys are read once when the policy is compiled.
//! Nothing reachable from `decide_*` panics, allocates without bound or takes more than linear time.
#![forbid(unsafe_code)]
#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)]

extern crate alloc;

pub mod addition;
mod brotli;
pub mod budget;
pub mod engine;
pub mod env;
pub mod finding;
pub mod inflate;
pub mod json;
pub mod marks;
pub mod operator;
pub mod pattern;
pub mod policy;
pub mod request;
mod sets;
mod sip;
pub mod stages;
#[cfg(test)]
mod testing;
pub mod units;
pub mod verdict;
