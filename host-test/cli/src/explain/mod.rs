//! `palisade explain`: one request, from any form a desk has it in, through the shipped module, told step by step.
//!
//! **In:** a curl command line, raw HTTP, a HAR entry or a logged event ([`input`]), a policy, the filter. **Out:** [`Explanation`]:
//! the verdict, each step with its cost in fuel, values before and after decoding, and the narrowest exception that passes it,
//! found by trying ([`exception`]).
//! **Invariant:** nothing here judges: the module runs with `debug.trace`, and every exception printed was run.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

mod broken;
mod change;
mod curl;
pub(crate) mod decide;
mod exception;
mod har;
pub mod input;
pub mod learn;
mod print;
mod raw;
mod shell;

pub use broken::{Broken, broken};
pub use change::{Change, How};
pub use decide::{Desk, Explanation, Row, Verdict};
pub use exception::{Exception, Nearest, nearest, search};
pub use input::Input;
pub use print::human;

/// Bytes of a request that are read from anywhere.
const MOST: u64 = 64 << 20;

/// All that comes, unless it does not end soon.
///
/// # Errors
/// More than 64 MiB, or it cannot be read.
pub fn at_most(from: impl Read) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    from.take(MOST + 1).read_to_end(&mut all)?;
    if all.len() as u64 > MOST {
        bail!("more than {MOST} bytes");
    }
    Ok(all)
}

/// A file.
///
/// # Errors
/// More than 64 MiB, or it cannot be read.
pub fn bounded(path: &Path) -> Result<Vec<u8>> {
    let read = || at_most(std::fs::File::open(path)?);
    read().with_context(|| format!("cannot read `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_not_read() {
        assert!(at_most(std::io::repeat(b'a')).is_err());
        assert_eq!(at_most(&b"abc"[..]).expect("short"), b"abc");
    }
}
