//! What can go wrong, told apart by whose fault it is.
//!
//! In: results of wasmtime and of the guest. Out: one enum; each variant names the guest and the callback it was in.
//! Invariant: a guest's fault (`Trap`, `OutOfFuel`, `OutOfMemory`, `OutOfTime`, `Exit`, `Rejected`, `Signature`) is never reported as the
//! caller's (`Misuse`)
//! or as the host's (`Host`, `Io`), nor the reverse.

use std::{fmt, io, path::PathBuf, time::Duration};

use crate::{state::log::LogLine, warning::Warning};

/// A failure to load, start or run a guest.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A package could not be built into a guest.
    Build {
        /// The package.
        package: String,
        /// What Cargo said.
        why: String,
    },
    /// An earlier fault killed this VM; start another one.
    Dead {
        /// The guest's name.
        guest: String,
    },
    /// The guest called `proc_exit`.
    Exit {
        /// The guest's name.
        guest: String,
        /// The callback it was in.
        callback: &'static str,
        /// The exit code.
        code: i32,
        /// The last lines it logged; none where a sink took them.
        logs: Vec<LogLine>,
    },
    /// wasmtime refused something that is not the guest's doing.
    Host {
        /// What it said.
        why: String,
    },
    /// The module imports functions that no Proxy-Wasm host has.
    Imports {
        /// The guest's name.
        guest: String,
        /// Each missing import as `module.name`.
        missing: Vec<String>,
    },
    /// A file could not be read.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The caller used the host out of order.
    Misuse {
        /// What was wrong.
        what: &'static str,
    },
    /// The bytes are no WebAssembly module that this host can compile.
    NotWasm {
        /// The guest's name.
        guest: String,
        /// What the compiler said.
        why: String,
    },
    /// The module is WebAssembly, but no Proxy-Wasm plugin of a known ABI version, or lacks an export.
    NotPlugin {
        /// The guest's name.
        guest: String,
        /// What is missing.
        missing: &'static str,
    },
    /// One callback used more than the fuel it may.
    OutOfFuel {
        /// The guest's name.
        guest: String,
        /// The callback.
        callback: &'static str,
        /// The limit, in units of fuel.
        limit: u64,
        /// The last lines it logged; none where a sink took them.
        logs: Vec<LogLine>,
    },
    /// The guest wanted more memory than it may have, and fell over that.
    OutOfMemory {
        /// The guest's name.
        guest: String,
        /// The callback.
        callback: &'static str,
        /// The limit in bytes.
        limit_bytes: usize,
        /// The last lines it logged; none where a sink took them.
        logs: Vec<LogLine>,
    },
    /// One callback took longer than it may.
    OutOfTime {
        /// The guest's name.
        guest: String,
        /// The callback.
        callback: &'static str,
        /// The limit.
        limit: Duration,
        /// The last lines it logged; none where a sink took them.
        logs: Vec<LogLine>,
    },
    /// The guest answered `false` to `proxy_on_vm_start` or `proxy_on_configure`.
    Rejected {
        /// The guest's name.
        guest: String,
        /// The callback that said no.
        callback: &'static str,
        /// What the guest logged on the way; nothing where a sink took it.
        logs: Vec<LogLine>,
    },
    /// An export that the ABI knows has another type there.
    Signature {
        /// The guest's name.
        guest: String,
        /// The export.
        export: &'static str,
        /// Its type.
        found: String,
        /// The type the ABI gives it.
        expected: String,
    },
    /// The guest trapped.
    Trap {
        /// The guest's name.
        guest: String,
        /// The callback it was in.
        callback: &'static str,
        /// The last hostcall made in this callback, if any.
        last_hostcall: Option<&'static str>,
        /// The last hostcall of this callback that failed by the guest's doing, if any: often the cause.
        warning: Option<Box<Warning>>,
        /// The trap.
        why: String,
        /// The last lines it logged; none where a sink took them.
        logs: Vec<LogLine>,
    },
}

/// How many lines of its log an error of a guest carries, and shows: its last words, such as the reason of a panic.
pub(crate) const LAST_LINES: usize = 20;

impl Error {
    /// Whether the VM is gone: a new one must be started.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        !matches!(self, Self::Misuse { .. } | Self::Rejected { .. })
    }

    /// The last lines that the guest logged before this, as far as they are known.
    #[must_use]
    pub fn logs(&self) -> &[LogLine] {
        match self {
            Self::Exit { logs, .. }
            | Self::OutOfFuel { logs, .. }
            | Self::OutOfMemory { logs, .. }
            | Self::OutOfTime { logs, .. }
            | Self::Rejected { logs, .. }
            | Self::Trap { logs, .. } => logs,
            _ => &[],
        }
    }

    /// Whether the guest, and not the caller or the machine, is at fault.
    #[must_use]
    pub const fn is_guest_fault(&self) -> bool {
        !matches!(
            self,
            Self::Misuse { .. } | Self::Host { .. } | Self::Io { .. } | Self::Build { .. }
        )
    }
}

impl fmt::Display for Error {
    /// A line that says what happened, then the last lines of the guest's log, indented.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.happened(f)?;
        let logs = self.logs();
        for line in logs.iter().skip(logs.len().saturating_sub(LAST_LINES)) {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

impl Error {
    fn happened(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build { package, why } => write!(f, "package `{package}`: {why}"),
            Self::Dead { guest } => write!(
                f,
                "guest `{guest}`: the VM died in an earlier callback; start another"
            ),
            Self::Exit {
                guest,
                callback,
                code,
                ..
            } => {
                write!(f, "guest `{guest}`, {callback}: called proc_exit({code})")
            }
            Self::Host { why } => write!(f, "host: {why}"),
            Self::Imports { guest, missing } => {
                write!(
                    f,
                    "guest `{guest}`: imports what a Proxy-Wasm host does not have: {}",
                    missing.join(", ")
                )
            }
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Misuse { what } => write!(f, "misuse of the host: {what}"),
            Self::NotWasm { guest, why } => {
                write!(f, "guest `{guest}`: not a WebAssembly module: {why}")
            }
            Self::NotPlugin { guest, missing } => {
                write!(
                    f,
                    "guest `{guest}`: not a Proxy-Wasm plugin: no export {missing}"
                )
            }
            Self::OutOfFuel {
                guest,
                callback,
                limit,
                ..
            } => {
                write!(
                    f,
                    "guest `{guest}`, {callback}: used all its {limit} units of fuel; an endless loop?"
                )
            }
            Self::OutOfTime {
                guest,
                callback,
                limit,
                ..
            } => {
                write!(
                    f,
                    "guest `{guest}`, {callback}: ran longer than its {limit:?}; an endless loop?"
                )
            }
            Self::OutOfMemory {
                guest,
                callback,
                limit_bytes,
                ..
            } => {
                write!(
                    f,
                    "guest `{guest}`, {callback}: wanted more than its {limit_bytes} bytes of memory"
                )
            }
            Self::Rejected {
                guest, callback, ..
            } => {
                write!(f, "guest `{guest}`: {callback} answered false")
            }
            Self::Signature {
                guest,
                export,
                found,
                expected,
            } => write!(
                f,
                "guest `{guest}`: export {export} has type {found}, not {expected}"
            ),
            Self::Trap {
                guest,
                callback,
                last_hostcall,
                warning,
                why,
                ..
            } => {
                write!(f, "guest `{guest}`, {callback}: trap: {why}")?;
                if let Some(call) = last_hostcall {
                    write!(f, " (last hostcall: {call})")?;
                }
                match warning {
                    Some(warning) => write!(f, "\n  before that: {warning}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
