//! A compiled guest and the limits it runs under.
//!
//! In: the bytes of a module. Out: a `Module` from which any number of VMs start, in any threads.
//! Invariant: a module that loads has a known ABI marker, a memory, an allocator, and no import the host lacks.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use wasmtime::{Config, Engine, ExternType, InstancePre, Linker};

use crate::{error::Error, hostcalls, package, state::HostState};

/// A version of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Abi {
    /// 0.1.0
    V0_1_0,
    /// 0.2.0
    V0_2_0,
    /// 0.2.1
    V0_2_1,
}

impl Abi {
    /// The export by which a module says that it is a Proxy-Wasm plugin of this version.
    fn of_marker(export: &str) -> Option<Self> {
        match export {
            "proxy_abi_version_0_1_0" => Some(Self::V0_1_0),
            "proxy_abi_version_0_2_0" => Some(Self::V0_2_0),
            "proxy_abi_version_0_2_1" => Some(Self::V0_2_1),
            _ => None,
        }
    }

    /// The version as it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_2_1 => "0.2.1",
        }
    }
}

/// Exports that give the host memory for its results; of a guest that has both, Envoy calls the first.
pub(crate) const ALLOCATORS: [&str; 2] = ["malloc", "proxy_on_memory_allocate"];

/// What a guest may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Fuel (about one unit an instruction) of one callback; `None`: neither limited nor measured, which runs faster.
    pub fuel: Option<u64>,
    /// Bytes of linear memory.
    pub memory_bytes: usize,
    /// Wall time of one callback, to within 10 ms; `None`: unlimited. Much cheaper than fuel, but not the same twice: for a host that
    /// serves real traffic.
    pub time: Option<Duration>,
}

/// How finely wall time is measured.
pub(crate) const EPOCH: Duration = Duration::from_millis(10);

impl Default for Limits {
    /// 2 billion units a callback, 256 MiB, no bound on wall time.
    fn default() -> Self {
        Self {
            fuel: Some(2_000_000_000),
            memory_bytes: 256 << 20,
            time: None,
        }
    }
}

/// Where compiled code is kept between runs, so that a guest is compiled once a machine and not once a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cache {
    /// wasmtime's directory of this user. Without one (no `HOME`), or where it cannot be written, nothing is kept and all else works.
    #[default]
    User,
    /// A directory of the caller's, made if need be.
    In(PathBuf),
    /// Nowhere: compile each time.
    Off,
}

impl Cache {
    fn open(&self) -> Option<wasmtime::Cache> {
        match self {
            Self::User => wasmtime::Cache::from_file(None).ok(),
            Self::In(directory) => {
                let mut config = wasmtime::CacheConfig::new();
                config.with_directory(directory);
                wasmtime::Cache::new(config).ok()
            }
            Self::Off => None,
        }
    }
}

/// How a guest is compiled.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// What it may use.
    pub limits: Limits,
    /// Where its code is kept.
    pub cache: Cache,
}

/// A compiled guest; clones share the code.
#[derive(Clone)]
pub struct Module {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    cached: bool,
    pub(crate) abi: Abi,
    pub(crate) instance_pre: InstancePre<HostState>,
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("name", &self.name)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
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
        Self::from_file_with(path, &LoadOptions::default())
    }

    /// Builds a `cdylib` package of this workspace for `wasm32-unknown-unknown` (release, under `target/guests`) and loads it: for
    /// the tests of a filter written in Rust. A package is built once a process.
    ///
    /// # Errors
    /// `Build` with what Cargo said, and those of [`Module::from_file`].
    pub fn from_package(package: &str) -> Result<Self, Error> {
        Self::from_file(package::build(package)?)
    }

    /// Compiles a guest from a file, with limits and a place for the compiled code.
    ///
    /// # Errors
    /// `Io` and those of [`Module::load`].
    pub fn from_file_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        let name = path.file_stem().map_or_else(
            || "guest".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        );
        Self::load_with(&name, &bytes, options)
    }

    /// Compiles a guest under a name used in errors, and with limits.
    ///
    /// # Errors
    /// Those of [`Module::load`].
    pub fn load_named(name: &str, bytes: &[u8], limits: Limits) -> Result<Self, Error> {
        let options = LoadOptions {
            limits,
            ..LoadOptions::default()
        };
        Self::load_with(name, bytes, &options)
    }

    /// Compiles a guest under a name used in errors, with limits and a place for the compiled code.
    ///
    /// # Errors
    /// Those of [`Module::load`].
    pub fn load_with(name: &str, bytes: &[u8], options: &LoadOptions) -> Result<Self, Error> {
        let limits = options.limits;
        let mut config = Config::new();
        config.consume_fuel(limits.fuel.is_some());
        config.epoch_interruption(limits.time.is_some());
        let cache = options.cache.open();
        config.cache(cache.clone());
        let engine = Engine::new(&config).map_err(host)?;
        if limits.time.is_some() {
            count_epochs(&engine).map_err(|source| Error::Host {
                why: format!("cannot start a thread: {source}"),
            })?;
        }
        let not_wasm = |error: wasmtime::Error| Error::NotWasm {
            guest: name.to_owned(),
            why: format!("{error:#}"),
        };
        let module = wasmtime::Module::new(&engine, bytes).map_err(not_wasm)?;

        let not_plugin = |missing| Error::NotPlugin {
            guest: name.to_owned(),
            missing,
        };
        // The first marker counts, as in Envoy.
        let abi = module
            .exports()
            .find_map(|export| Abi::of_marker(export.name()));
        let abi =
            abi.ok_or_else(|| not_plugin("proxy_abi_version_0_2_1 (nor 0_2_0, nor 0_1_0)"))?;
        match module.get_export("memory") {
            Some(ExternType::Memory(memory)) if !memory.is_64() && !memory.is_shared() => {}
            _ => return Err(not_plugin("memory (of 32 bits, not shared)")),
        }
        if !ALLOCATORS
            .iter()
            .any(|allocator| module.get_export(allocator).is_some())
        {
            return Err(not_plugin("proxy_on_memory_allocate (nor malloc)"));
        }

        let mut linker = Linker::new(&engine);
        let missing = hostcalls::link(&mut linker, &module, abi).map_err(host)?;
        if !missing.is_empty() {
            return Err(Error::Imports {
                guest: name.to_owned(),
                missing,
            });
        }
        // What still fails is an import of a known name with another type.
        let instance_pre = linker
            .instantiate_pre(&module)
            .map_err(|error| Error::Imports {
                guest: name.to_owned(),
                missing: vec![format!("{error:#}")],
            })?;
        Ok(Self {
            name: name.to_owned(),
            limits,
            cached: cache.is_some_and(|cache| cache.cache_hits() > 0),
            abi,
            instance_pre,
        })
    }

    /// Whether the guest imports a function of the host under this name.
    #[must_use]
    pub fn imports_function(&self, name: &str) -> bool {
        let mut imports = self.instance_pre.module().imports();
        imports.any(|import| import.name() == name)
    }

    /// The version of the ABI it is made for.
    #[must_use]
    pub const fn abi(&self) -> Abi {
        self.abi
    }

    /// The name used in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its code came out of the cache and was not compiled now.
    #[must_use]
    pub const fn is_cached(&self) -> bool {
        self.cached
    }
}

/// Counts time for an engine as long as it lives.
fn count_epochs(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epochs".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(EPOCH);
            }
        })
        .map(drop)
}

/// A wall time in epochs, rounded up; one more, for the epoch that has begun.
pub(crate) fn epochs(time: Duration) -> u64 {
    let epochs = time.as_nanos().div_ceil(EPOCH.as_nanos());
    u64::try_from(epochs)
        .unwrap_or(u64::MAX - 1)
        .saturating_add(1)
}

fn host(error: wasmtime::Error) -> Error {
    Error::Host {
        why: format!("{error:#}"),
    }
}
