//! The stages. None imports a sibling, the policy or the engine; whoever returns `Err(Denial)` has
//! pushed a `Finding` first, so that monitor mode can drop the denial and still report.

pub mod access;
pub mod headers;
pub mod injection;
pub mod limits;
pub mod token;
