//! Call-outs, foreign functions, TCP connections and the end of root contexts, by guests written by hand: each writes what it sees into
//! its log as numbers, so that a status, an argument and the order of things can be compared.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

mod grpc;
mod guest;
mod http;
mod others;
