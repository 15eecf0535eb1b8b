//! What a guest did wrong without falling over it: a hostcall that answered with an error a correct guest does not meet.
//!
//! In: a failed hostcall with its arguments. Out: a sentence that says which callback, which call, which argument and why.
//! Invariant: what happens in good guests too (NOT_FOUND, EMPTY, CAS_MISMATCH, an errno for a file) is no warning.

use std::fmt;

use crate::abi::memory::Trouble;

/// A hostcall that failed by the guest's doing. A guest sees a number; its author sees this.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The guest's name.
    pub guest: String,
    /// The callback it was in.
    pub callback: &'static str,
    /// The hostcall.
    pub hostcall: &'static str,
    /// The argument that was wrong, by its name in the ABI, and its value; if it is known.
    pub argument: Option<(&'static str, u32)>,
    /// What the guest got: a Proxy-Wasm status, or an errno from WASI.
    pub status: i32,
    /// Why.
    pub why: String,
}

impl Warning {
    /// A sentence for each that differs, in order, with how often it came.
    #[must_use]
    pub fn told(warnings: &[Self]) -> Vec<String> {
        let mut told: Vec<(String, usize)> = Vec::new();
        for warning in warnings {
            let text = warning.to_string();
            match told.iter_mut().find(|(held, _)| *held == text) {
                Some((_, times)) => *times += 1,
                None => told.push((text, 1)),
            }
        }
        told.into_iter()
            .map(|(text, times)| match times {
                1 => text,
                _ => format!("{text} ({times} times)"),
            })
            .collect()
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            guest,
            callback,
            hostcall,
            argument,
            why,
            ..
        } = self;
        write!(f, "guest `{guest}`, {callback}: {hostcall}: ")?;
        if let Some((name, value)) = argument {
            write!(f, "argument {name} = {value:#x} ")?;
        }
        write!(f, "{why}")
    }
}

/// Statuses of Proxy-Wasm, and errnos of WASI, that only a mistake leads to.
const STATUSES: [(i32, &str); 6] = [
    (2, "BAD_ARGUMENT"),
    (4, "PARSE_FAILURE"),
    (6, "INVALID_MEMORY_ACCESS"),
    (10, "INTERNAL_FAILURE"),
    (11, "BROKEN_CONNECTION"),
    (12, "UNIMPLEMENTED"),
];
const ERRNOS: [(i32, &str); 2] = [(21, "FAULT"), (28, "INVAL")];

/// A failed hostcall as it was made.
pub(crate) struct Failed<'a> {
    pub(crate) hostcall: &'static str,
    pub(crate) arguments: &'a [(&'static str, i64)],
    pub(crate) is_wasi: bool,
    pub(crate) status: i32,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) memory_bytes: usize,
}

impl Failed<'_> {
    /// The warning, if this is worth one.
    pub(crate) fn warning(self, guest: &str, callback: &'static str) -> Option<Warning> {
        let names: &[(i32, &str)] = if self.is_wasi { &ERRNOS } else { &STATUSES };
        let (_, name) = names.iter().find(|(status, _)| *status == self.status)?;
        let mut argument = None;
        let why = match self.trouble {
            Some(Trouble::Outside { at, size }) => {
                argument = self.argument(at);
                let of = self.memory_bytes;
                let bytes = if size == 1 { "byte" } else { "bytes" };
                if argument.is_some() {
                    format!(
                        "is outside the guest's {of} bytes of memory, or its {size} {bytes} do not fit ({name})"
                    )
                } else {
                    format!(
                        "{size} {bytes} at {at:#x} are outside the guest's {of} bytes of memory ({name})"
                    )
                }
            }
            Some(Trouble::Allocator { size, answer: 0 }) => {
                format!("the guest's allocator had no memory for {size} bytes ({name})")
            }
            Some(Trouble::Allocator { size, answer }) => {
                let of = self.memory_bytes;
                format!(
                    "the guest's allocator answered {answer:#x} for {size} bytes, outside its {of} bytes of memory ({name})"
                )
            }
            Some(Trouble::Map { at }) => {
                argument = self.argument(at);
                format!("is no serialized map ({name})")
            }
            Some(Trouble::Full { what, most }) => {
                format!("the host keeps no more than {most} {what} ({name})")
            }
            None => {
                let list: Vec<String> = self
                    .arguments
                    .iter()
                    .map(|(name, value)| format!("{name} = {value}"))
                    .collect();
                format!("answered {name} to ({})", list.join(", "))
            }
        };
        Some(Warning {
            guest: guest.to_owned(),
            callback,
            hostcall: self.hostcall,
            argument,
            status: self.status,
            why,
        })
    }

    /// The argument of this value; of several the last, since results come after inputs.
    fn argument(&self, at: u32) -> Option<(&'static str, u32)> {
        let is = |value: i64| u32::try_from(value & 0xffff_ffff) == Ok(at);
        let found = self.arguments.iter().rev().find(|(name, value)| {
            is(*value) && (name.starts_with("return") || !name.ends_with("_size"))
        });
        found.map(|(name, _)| (*name, at))
    }
}
