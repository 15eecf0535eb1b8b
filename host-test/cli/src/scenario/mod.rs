//! Scenario files: requests in, expected verdict, reason and effects out.
//!
//! **In:** a YAML file (`tests/README.md` documents it). **Out:** [`Report`]s, one a case and driver.
//! **Invariant:** the format names no driver's mechanism; what a driver cannot do (an Envoy has no virtual
//! clock) is left out by `drivers:` in the case. A case starts with fresh state, whatever ran before.

pub mod able;
mod compare;
pub mod expect;
pub mod expectation;
pub mod format;
pub mod harness;
pub mod native;
pub mod run;
pub mod script;
pub mod signature;
pub mod time;
pub mod value;

pub use able::unable;
pub use expect::{Difference, Inside, Outcome, Upstream};
pub use format::{Case, File, load, parse};
pub use run::{Driver, Message, Report, Session, Setup, report, run_file};

/// The JSON Schema of a scenario file, kept by hand; a test holds it against what is read.
pub const SCHEMA: &str = include_str!("../../scenario.schema.json");
