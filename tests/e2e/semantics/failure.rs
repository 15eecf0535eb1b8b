//! What a trap of the guest costs, under each failure policy: in Envoy, and in `palisade serve`.
//!
//! In: `corpora/semantics/failures.yaml`. Out: one test an experiment, its outcome compared with `observed-failures.txt` in both.
//! Invariant: each experiment has a VM of its own, so that all run at once; waits are far from where something changes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use palisade_tests::envoy::{Envoy, Setup};
use serde::Deserialize;

use super::envoy::{around, listener};
use super::experiment::{Message, Sight};
use super::wire::{Upstream, ask};

/// What happens in one VM, in order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Experiment {
    pub(crate) name: String,
    /// `CLOSED`, `OPEN` or `RELOAD`.
    policy: String,
    steps: Vec<Step>,
    /// Why our gateway does something else.
    pub(crate) differs: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    /// A request with a script; its response is awaited.
    Ask(String),
    /// The same; its response is shown after the step (another than this) in which it came.
    Hold(String),
    /// The same with an upstream that takes its time.
    Slow(String),
    /// So many milliseconds.
    Wait(u64),
}

/// After a step, what it causes is awaited.
const SETTLE: Duration = Duration::from_millis(60);
/// Held requests wait so long.
const HOLD: Duration = Duration::from_secs(4);

/// What is asked, and where its guest's lines are.
trait Proxy {
    fn address(&self) -> SocketAddr;
    /// Lines of the log so far.
    fn log(&self) -> Vec<String>;
}

fn run(experiment: &Experiment, proxy: &dyn Proxy, upstream: &Upstream) -> String {
    let name = &experiment.name;
    let mut text = String::new();
    let mut told = 0;
    let mut held: Vec<JoinHandle<Sight>> = Vec::new();
    let (mark, root) = (format!("probe[{name}] "), "probe[root] ");
    // What is logged at the start is `starts`'s.
    std::thread::sleep(SETTLE);
    let mut first = true;
    for step in &experiment.steps {
        match step {
            Step::Slow(script) => {
                text.push_str(&format!("slow `{script}`\n"));
                let (address, script) = (proxy.address(), format!("{name}|{script}"));
                let request = Message {
                    path: Some("/slow".to_owned()),
                    ..Message::default()
                };
                held.push(std::thread::spawn(move || {
                    ask(address, &request, &script, HOLD)
                }));
            }
            Step::Ask(script) => {
                let script_of = format!("{name}|{script}");
                let seen = ask(proxy.address(), &Message::default(), &script_of, HOLD);
                text.push_str(&format!("ask `{script}`\n    {}\n", seen.line("client")));
            }
            Step::Hold(script) => {
                text.push_str(&format!("hold `{script}`\n"));
                let (address, script) = (proxy.address(), format!("{name}|{script}"));
                held.push(std::thread::spawn(move || {
                    ask(address, &Message::default(), &script, HOLD)
                }));
            }
            Step::Wait(milliseconds) => {
                text.push_str(&format!("wait {milliseconds}\n"));
                std::thread::sleep(Duration::from_millis(*milliseconds));
            }
        }
        if matches!(step, Step::Hold(_) | Step::Slow(_)) {
            // It has begun; what it does is shown with the next step.
            std::thread::sleep(SETTLE / 3);
            continue;
        }
        std::thread::sleep(SETTLE);
        let (done, still): (Vec<_>, Vec<_>) = held.drain(..).partition(JoinHandle::is_finished);
        held = still;
        for client in done {
            text.push_str(&format!("    {}\n", client.join().unwrap().line("held")));
        }
        let lines: Vec<String> = proxy
            .log()
            .iter()
            .filter_map(|line| {
                let of_root = line
                    .split_once(root)
                    .filter(|(_, text)| text.ends_with(name));
                of_root
                    .map(|(_, text)| format!("root: {text}"))
                    .or_else(|| line.split_once(&mark).map(|(_, text)| text.to_owned()))
            })
            // How many fields there are is the proxies' matter; ticks come when they come.
            .map(|line| line.split(" n=").next().unwrap_or_default().to_owned())
            .filter(|line| !line.starts_with("root: first tick"))
            .collect();
        if std::mem::take(&mut first) {
            told = lines
                .iter()
                .take_while(|line| line.starts_with("root: "))
                .count();
        }
        for line in lines.iter().skip(told) {
            text.push_str(&format!("    {line}\n"));
        }
        told = lines.len();
    }
    for end in upstream.watched(name) {
        text.push_str(&format!("call-out {end}\n"));
    }
    text
}

/// A listener of an Envoy.
struct Listener<'a> {
    envoy: &'a Envoy,
    address: SocketAddr,
}

impl Proxy for Listener<'_> {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn log(&self) -> Vec<String> {
        self.envoy.log().lines().map(str::to_owned).collect()
    }
}

/// All experiments in an Envoy, at once: outcomes by name.
pub(crate) fn in_envoy(experiments: &[Experiment]) -> BTreeMap<String, String> {
    let upstream = Upstream::start();
    let listeners: String = std::iter::once(("edge", "CLOSED"))
        .chain(
            experiments
                .iter()
                .map(|e| (e.name.as_str(), e.policy.as_str())),
        )
        .map(|(name, policy)| listener(name, &format!("FAIL_{policy}"), true, [name, name]))
        .collect();
    let setup = Setup {
        config: around(&listeners),
        workers: 1,
        upstream: upstream.address,
        environment: Vec::new(),
        binary: None,
        replace: Vec::new(),
        verbose: false,
    };
    let envoy = Envoy::start(&setup).unwrap_or_else(|error| panic!("{error:#}"));
    let text = envoy.admin_get("/listeners").unwrap();
    let addresses: BTreeMap<&str, SocketAddr> = text
        .lines()
        .filter_map(|line| line.split_once("::"))
        .map(|(name, address)| (name, address.trim().parse().unwrap()))
        .collect();
    std::thread::scope(|scope| {
        let running: Vec<_> = experiments
            .iter()
            .map(|experiment| {
                let (envoy, upstream) = (&envoy, &upstream);
                let address = *addresses.get(experiment.name.as_str()).unwrap();
                scope.spawn(move || {
                    let seen = run(experiment, &Listener { envoy, address }, upstream);
                    (experiment.name.clone(), seen)
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// How often the root starts in an Envoy with so many workers, and in how many threads it has ticks.
pub(crate) fn starts(workers: u32) -> (usize, usize) {
    let upstream = Upstream::start();
    let setup = Setup {
        config: around(&listener("edge", "FAIL_CLOSED", true, ["edge", "edge"])),
        workers,
        upstream: upstream.address,
        environment: Vec::new(),
        binary: None,
        replace: Vec::new(),
        verbose: false,
    };
    let envoy = Envoy::start(&setup).unwrap_or_else(|error| panic!("{error:#}"));
    // Some periods, should one more thread begin to tick.
    std::thread::sleep(Duration::from_millis(400));
    let log = envoy.log();
    let starts = log
        .lines()
        .filter(|line| line.contains("probe[root] vm_start"))
        .count();
    // The second bracket of Envoy's lines is the thread.
    let threads: BTreeSet<&str> = log
        .lines()
        .filter(|line| line.contains("probe[root] first tick"))
        .filter_map(|line| line.split(['[', ']']).nth(3))
        .collect();
    (starts, threads.len())
}

/// A gateway of our own as a process.
struct Gateway {
    child: Child,
    address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    fn start(experiment: &Experiment, upstream: &Upstream) -> Self {
        let root = palisade_tests::root();
        let url = format!("http://{}", upstream.address);
        let mut child = Command::new(root.join("target/debug/palisade"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--workers",
                "1",
                "--log",
                "off",
            ])
            .args(["--vm-id", &experiment.name])
            .args(["--failure-policy", &experiment.policy.to_lowercase()])
            .args(["--upstream", &url, "--clusters", &format!("upstream={url}")])
            .args([
                "--vm-config",
                &experiment.name,
                "--config-text",
                &experiment.name,
            ])
            .arg("--module")
            .arg(root.join("target/guests/wasm32-unknown-unknown/release/probe.wasm"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let pipes: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for pipe in pipes {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    lines.lock().unwrap().push(line);
                }
            });
        }
        let started = Instant::now();
        let address = loop {
            let found = lines.lock().unwrap().iter().find_map(|line| {
                let (_, rest) = line.split_once("listening on ")?;
                let (_, rest) = rest.split_once("://")?;
                rest.split(',').next()?.parse().ok()
            });
            if let Some(address) = found {
                break address;
            }
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "the gateway does not start: {:?}",
                lines.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        Self {
            child,
            address,
            lines,
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy for Gateway {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn log(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

/// All experiments, each in a gateway of its own: outcomes by name.
pub(crate) fn in_ours(experiments: &[Experiment]) -> BTreeMap<String, String> {
    let upstream = Upstream::start();
    std::thread::scope(|scope| {
        let running: Vec<_> = experiments
            .iter()
            .map(|experiment| {
                let upstream = &upstream;
                scope.spawn(move || {
                    let gateway = Gateway::start(experiment, upstream);
                    (experiment.name.clone(), run(experiment, &gateway, upstream))
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// Reads the corpus.
pub(crate) fn parse(text: &str) -> Vec<Experiment> {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("failures.yaml: {error}"))
}
