//! `palisade explain`: one request, from any form a desk has it in, through the shipped module, told step by step.
//!
//! **In:** a curl command line, raw HTTP, a HAR entry or a logged event ([`input`]), a policy, the filter. **Out:** [`Explanation`]:
//! the verdict, each step with its cost in fuel, values before and after decoding, and the narrowest exception that passes it,
//! found by trying ([`exception`]).
//! **Invariant:** nothing here judges: the module runs with `debug.trace`, and every exception printed was run.

mod change;
mod curl;
pub(crate) mod decide;
mod exception;
mod har;
pub mod input;
mod print;
mod raw;
mod shell;

pub use change::{Change, How};
pub use decide::{Desk, Explanation, Row, Verdict};
pub use exception::{Exception, Nearest, nearest, search};
pub use input::Input;
pub use print::human;
