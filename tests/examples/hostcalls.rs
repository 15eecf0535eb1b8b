//! Prints the hostcalls that the filter makes for one request, as a JSON list: what `xtask bench` records.
//!
//! In: the policy's path as the argument; on standard input the request as raw HTTP/1.1. Out: the calls of the second such request (the first
//! creates the client's counters), in order.

use std::io::Read as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use palisade_host::{Clock, Module, Request, Response, Vm, VmConfig};

fn main() -> Result<()> {
    let policy = std::env::args()
        .nth(1)
        .context("usage: hostcalls POLICY < REQUEST")?;
    let mut raw = Vec::new();
    std::io::stdin().read_to_end(&mut raw)?;
    let text = String::from_utf8(raw)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no end of the head")?;
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let mut request = Request::new(
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    for line in lines {
        let (name, value) = line.split_once(": ").context("a header without a colon")?;
        if name != "host" && name != "content-length" {
            request = request.header(name, value);
        }
    }
    if !body.is_empty() {
        request = request.chunk(body);
    }
    let policy = palisade_cli::policy_file::json_text(std::path::Path::new(&policy))?;
    let environment = ["PALISADE_JWT_KEY", "PALISADE_SESSION_KEY"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect();
    let clock = Clock::virtual_at(SystemTime::now().duration_since(UNIX_EPOCH)?);
    let config = VmConfig {
        plugin_configuration: policy.into_bytes(),
        environment,
        clock,
        allow_on_headers_stop_iteration: true,
        ..VmConfig::default()
    };
    let mut vm = Vm::start(
        &Module::from_file(palisade_tests::root().join("target/palisade.wasm"))?,
        config,
    )?;
    let request = request.from_address("192.0.2.1:1");
    vm.exchange(&request, |_| Response::new(200, "ok"))?;
    let outcome = vm.exchange(&request, |_| Response::new(200, "ok"))?;
    ensure!(outcome.status == 200, "the request got {}", outcome.status);
    println!("{}", serde_json::to_string(&outcome.trace.names())?);
    Ok(())
}
