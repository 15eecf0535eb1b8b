//! `cargo xtask serve [--envoy]`: the two-minute demo, in our gateway or in a real Envoy.

use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::time::Duration;

use anyhow::{Result, bail};
use palisade_tests::envoy::{Envoy, Setup};
use palisade_tests::upstream::Upstream;

use crate::{demo, wasm_build};

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let (mut envoy, mut listen) = (false, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match *argument {
            "--envoy" => envoy = true,
            "--listen" => {
                let Some(address) = rest.next() else {
                    bail!("`--listen` takes an address such as 127.0.0.1:10000")
                };
                listen = Some(*address);
            }
            other => bail!("`{other}`: serve takes --envoy and --listen ADDR"),
        }
    }
    if envoy && listen.is_some() {
        bail!("`--listen` is for our gateway: Envoy takes a free port and says which")
    }
    wasm_build()?;
    if envoy {
        in_envoy()
    } else {
        in_gateway(listen.unwrap_or("127.0.0.1:10000"))
    }
}

fn in_gateway(listen: &str) -> Result<()> {
    // Of the whole workspace: the same wasmtime as the tests use.
    crate::run("cargo", &["build", "--workspace", "--bin", "palisade"])?;
    println!("\n{}", demo::examples(listen));
    let [jwt, session] = demo::KEYS.map(|(name, value)| format!("{name}={value}"));
    let policy = [
        "serve",
        "--policy",
        "examples/policies/shop.yaml",
        "--module",
        "target/palisade.wasm",
    ];
    let more = ["--listen", listen, "--env", &jwt, "--env", &session];
    crate::run("target/debug/palisade", &[&policy[..], &more[..]].concat())
}

fn in_envoy() -> Result<()> {
    let upstream = Upstream::start()?;
    let mut setup = Setup::shipped("body.yaml", upstream.address)?;
    setup.workers = 2;
    setup.environment = demo::KEYS
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let mut envoy = Envoy::start(&setup)?;
    println!(
        "\nEnvoy {} on {}, admin on {}",
        palisade_tests::envoy::VERSION,
        envoy.address,
        envoy.admin
    );
    println!(
        "envoy/body.yaml, ports changed: {}\n",
        envoy.folder().join("envoy.yaml").display()
    );
    println!("{}", demo::examples(&envoy.address.to_string()));
    // Its log (events of the filter, access log) follows here until Ctrl-C.
    let path = envoy.folder().join("log");
    std::thread::spawn(move || {
        let mut at = 0;
        loop {
            if let Ok(mut file) = std::fs::File::open(&path) {
                let _ = file.seek(SeekFrom::Start(at));
                for line in BufReader::new(&file).lines().map_while(Result::ok) {
                    println!("{line}");
                }
                at = file.stream_position().unwrap_or(at);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    envoy.wait()
}
