//! `palisade score`: how much of a corpus of attacks is caught, and how many honest requests are refused.
//!
//! **In:** rows of labelled requests, a policy. **Out:** a [`Verdict`] a row, [`Tables`] of them, gates.
//! **Invariant:** a row's label is never looked at before its verdict is there; every number is counted from the verdicts.

pub mod corpus;
pub mod gates;
pub mod html;
pub mod judge;
pub mod list;
pub mod mutate;
pub mod own;
pub mod place;
pub mod plot;
pub mod run;
pub mod slots;
pub mod table;
pub mod transplant;

pub use corpus::{Label, Request, Row};
pub use judge::{Judge, Reason, Verdict};
pub use run::{Progress, judge_all};
pub use table::{Counts, Tables};
