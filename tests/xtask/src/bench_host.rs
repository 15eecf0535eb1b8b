//! `cargo xtask bench host`: CPU per request of our gateway with an empty SDK filter in it, beside the gateway without
//! a filter and beside a proxy of hyper alone, interleaved in the same run.
//!
//! **In:** release builds; one worker each; the same upstream, which answers `ok` from this process.
//! **Out:** medians over rounds, in µs of CPU of the measured process (`/proc/PID/task/*/schedstat`), with what the gateway and what the
//! guest add; the time of one exchange through the library alone.
//! **Invariant:** every timed answer is the upstream's 200. Absolute times drift with the machine; the differences are the result.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use palisade_tests::envoy::cpu_ns;
use palisade_tests::http::{Connection, render};
use serde_json::json;

use crate::bench::{BROWSER, build_empty, median};

/// Rounds; a round times every server once.
const ROUNDS: usize = 15;
/// Requests per server and round.
const REQUESTS: usize = 6_400;
/// Keep-alive connections: one thread asks on all of them, then reads all answers, as in `bench envoy`.
const CONNECTIONS: usize = 64;
/// What hosting an empty guest may add to hyper alone.
const TARGET_US: f64 = 25.0;

/// A server under measurement; it ends with this value.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts a program that prints `http://ADDRESS` in its first line.
    fn start(program: &Path, arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let mut line = String::new();
        let output = child.stdout.take().context("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let address = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split([' ', ',', '\n']).next())
            .and_then(|address| address.parse().ok());
        let Some(address) = address else {
            let _ = child.kill();
            bail!("{} did not say where it listens: {line}", program.display());
        };
        Ok(Self { child, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let (mut out, mut built) = (None, None);
    let mut rest = arguments;
    loop {
        match rest {
            [] => break,
            ["--json", path, more @ ..] => (out, rest) = (Some(*path), more),
            ["--built", folder, more @ ..] => (built, rest) = (Some(PathBuf::from(folder)), more),
            _ => bail!("bench host takes --json OUT, and --built FOLDER for programs built before"),
        }
    }
    let programs = match built {
        Some(folder) => folder,
        None => {
            let build = |what: &str, name: &str| {
                let package = "palisade-cli";
                let arguments = ["build", "--release", "--package", package, what, name];
                crate::run("cargo", &arguments)
            };
            build("--bin", "palisade")?;
            build("--example", "hyper_alone")?;
            palisade_tests::root().join("target/release")
        }
    };
    let empty = build_empty()?.display().to_string();
    let palisade = programs.join("palisade");
    let upstream = start_upstream()?.to_string();
    let url = format!("http://{upstream}");
    let gateway = |extra: &[&str]| {
        let common = [
            "serve",
            "--quiet",
            "--workers",
            "1",
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            &url,
        ];
        Server::start(&palisade, &[&common[..], extra].concat())
    };
    let servers = [
        (
            "hyper alone",
            Server::start(&programs.join("examples/hyper_alone"), &[&upstream])?,
        ),
        ("gateway, no filter", gateway(&["--no-filter"])?),
        ("gateway, empty guest", gateway(&["--module", &empty])?),
    ];
    let mut times: [Vec<f64>; 3] = Default::default();
    for round in 0..=ROUNDS {
        for ((name, server), times) in servers.iter().zip(&mut times) {
            let us = time(server).with_context(|| (*name).to_owned())?;
            // The first round warms up.
            if round > 0 {
                times.push(us);
            }
        }
        eprint!("\rround {round}/{ROUNDS}   ");
    }
    eprintln!();
    let [hyper, bare, hosted] = times;
    // Differences of the same round: what the machine did meanwhile is in both.
    let added = |a: &[f64], b: &[f64]| median(a.iter().zip(b).map(|(a, b)| a - b).collect());
    let (gateway_us, guest_us) = (added(&bare, &hyper), added(&hosted, &bare));
    let all_us = added(&hosted, &hyper);
    let exchange = exchange_ns(&palisade, &empty)?;
    println!(
        "CPU per request: hyper alone {:.1} µs; the gateway adds {gateway_us:.1}, the empty guest {guest_us:.1}, together \
         {all_us:.1} (at most {TARGET_US}); an exchange through the library {exchange:.2} µs",
        median(hyper.clone())
    );
    if let Some(out) = out {
        let report = json!({
            "hyper_us": median(hyper), "gateway_us": median(bare), "hosted_us": median(hosted), "gateway_added_us": gateway_us,
            "guest_added_us": guest_us, "added_us": all_us, "target_us": TARGET_US, "library_exchange_us": exchange,
            "rounds": ROUNDS, "requests": REQUESTS,
        });
        std::fs::write(out, format!("{report:#}\n")).with_context(|| format!("write {out}"))?;
    }
    Ok(())
}

/// CPU µs per request.
fn time(server: &Server) -> Result<f64> {
    let mut headers = BROWSER.to_vec();
    headers.push(("x-forwarded-for", "192.0.2.1"));
    let request = render("GET", "/catalogue/shoes?page=2&sort=price", &headers, b"");
    let mut lanes = Vec::new();
    for _ in 0..CONNECTIONS {
        lanes.push(Connection::open(server.address)?);
    }
    let turns = REQUESTS / CONNECTIONS;
    let before = cpu_ns(server.child.id());
    for _ in 0..turns {
        for lane in &mut lanes {
            lane.send(&request)?;
        }
        for lane in &mut lanes {
            let status = lane.receive(false)?.status;
            ensure!(status == 200, "a timed request got {status}, not 200");
        }
    }
    let spent = cpu_ns(server.child.id()).saturating_sub(before);
    Ok(spent as f64 / 1_000.0 / (turns * CONNECTIONS) as f64)
}

/// An upstream in this process: each connection a thread, each head answered `ok`.
fn start_upstream() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(address)
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            writer.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok",
            )?;
        }
    }
}

/// The median of an exchange of a small GET through the library, in µs.
fn exchange_ns(palisade: &Path, module: &str) -> Result<f64> {
    let arguments = ["bench", "--module", module, "--rounds", "2000", "--json"];
    let output = Command::new(palisade).args(arguments).output()?;
    ensure!(output.status.success(), "palisade bench: {output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let case = report.get("cases").and_then(|cases| cases.get(1));
    let ns = case
        .and_then(|case| case.get("exchange_ns")?.get("median")?.as_f64())
        .context("no time in the report of palisade bench")?;
    Ok(ns / 1_000.0)
}
