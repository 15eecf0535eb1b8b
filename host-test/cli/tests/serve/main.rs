//! `palisade serve` as its users meet it: the real binary on real sockets.
//!
//! **Invariant:** loopback only; each test starts what it needs and ends it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests; a failure is the test's"
)]

mod guests;
mod support;

mod asks;
mod bans;
mod fails;
mod hostile;
mod limits;
mod protocols;
mod reload;
