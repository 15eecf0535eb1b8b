//! What a filter costs: the requests to ask, the measuring, the budgets.
//!
//! **In:** a module and cases. **Out:** fuel, hostcalls and bytes, the same on every machine and in every run; times with their spread.
//! **Invariant:** only what is the same in every run is ever compared with a budget; times are shown, never judged.

pub mod budget;
pub mod measure;
pub mod mix;
