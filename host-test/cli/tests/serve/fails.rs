//! A filter that fails, under each failure policy; and what a user is told who starts the gateway wrongly.

use std::process::Command;
use std::time::{Duration, Instant};

use hyper::Request;

use super::guests;
use super::support::{Client, Gateway, file, get, request, run, whole};

#[test]
fn a_trap_costs_its_requests_and_no_more() {
    run(async {
        let module = guests::failing();
        let gateway = Gateway::start(&["--module", module.to_str().unwrap(), "--workers", "1"]);
        let mut client = Client::two(gateway.address).await;
        assert_eq!(client.ask(request("GET", "/", "")).await.0, 200);
        // Another stream of the same VM is lost with it; it has sent nothing and gets its answer too.
        assert_eq!(client.ask(request("POST", "/", "x")).await.0, 503);
        // A request starts a new VM, once the last start is a second or more ago.
        back(&mut client).await;
        gateway.line("proxy_on_request_body: trap: ");
        gateway.line("503 POST / wasm_fail_stream");
        assert_eq!(gateway.stat("gateway.vm_traps").await, 1);
        assert_eq!(gateway.stat("gateway.vm_restarts").await, 1);
        // It fails again, and comes back after the same pause.
        let failed = Instant::now();
        assert_eq!(client.ask(request("POST", "/", "x")).await.0, 503);
        assert_eq!(client.ask(request("GET", "/", "")).await.0, 503);
        back(&mut client).await;
        assert!(failed.elapsed() > Duration::from_millis(800));
    });
}

/// Asks until the filter is there again.
async fn back(client: &mut Client) {
    let asked = Instant::now();
    while client.ask(request("GET", "/", "")).await.0 != 200 {
        assert!(asked.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn an_endless_loop_ends_by_the_clock() {
    run(async {
        let module = guests::failing();
        let gateway = Gateway::start(&[
            "--module",
            module.to_str().unwrap(),
            "--workers",
            "1",
            "--callback-timeout",
            "100ms",
        ]);
        let mut client = Client::one(gateway.address).await;
        let mut many = Request::builder().uri("/");
        for number in 0..25 {
            many = many.header(format!("x-{number}"), "v");
        }
        let asked = Instant::now();
        assert_eq!(client.ask(many.body(whole("")).unwrap()).await.0, 503);
        let took = asked.elapsed();
        assert!(
            took >= Duration::from_millis(90) && took < Duration::from_secs(5),
            "{took:?}"
        );
        gateway.line("proxy_on_request_headers: ran longer than its 100ms");
        back(&mut client).await;
    });
}

#[test]
fn the_failure_policy_says_what_comes() {
    run(async {
        for (policy, after) in [("closed", 503), ("open", 200)] {
            let module = guests::failing();
            let gateway = Gateway::start(&[
                "--module",
                module.to_str().unwrap(),
                "--workers",
                "1",
                "--failure-policy",
                policy,
            ]);
            assert_eq!(get(gateway.address, "/").await.0, 200);
            let mut client = Client::one(gateway.address).await;
            assert_eq!(
                client.ask(request("POST", "/", "x")).await.0,
                503,
                "{policy}"
            );
            for _ in 0..3 {
                assert_eq!(get(gateway.address, "/").await.0, after, "{policy}");
            }
            assert_eq!(gateway.stat("gateway.vm_restarts").await, 0);
            let bypassed = gateway.stat("gateway.requests_not_filtered").await;
            assert_eq!(bypassed, if policy == "open" { 3 } else { 0 });
        }
    });
}

#[test]
fn a_wrong_start_says_what_is_wrong_and_what_to_do() {
    let policy = file(
        "secret.yaml",
        "mode: enforce\ntokens:\n  app:\n    type: jwt\n    from: bearer\n    issuer: \"https://id.example.com\"\n    audiences: [shop]\n    keys: [{ algorithm: HS256, env: NO_SUCH_SECRET }]\n",
    );
    let junk = file("junk.wasm", b"\0asm junk");
    let module = guests::marking("refusing.wat", "x");
    let (policy, junk, module) = (
        policy.to_str().unwrap(),
        junk.to_str().unwrap(),
        module.to_str().unwrap(),
    );
    for (arguments, code, parts) in [
        (vec![], 2, vec!["--policy P.yaml", "--module X.wasm"]),
        (
            vec!["--policy", policy],
            1,
            vec![
                "secret.yaml:8",
                "NO_SUCH_SECRET",
                "--env NO_SUCH_SECRET=VALUE",
                "--env-file FILE",
            ],
        ),
        (
            vec!["--module", junk],
            2,
            vec!["junk", "not a WebAssembly module"],
        ),
        (
            vec!["--module", module, "--config-text", "bad"],
            2,
            vec!["refusing", "proxy_on_configure answered false"],
        ),
        (
            vec!["--module", module, "--upstream", "https://x"],
            2,
            vec!["--upstream", "`https://x`", "h2c://HOST:PORT"],
        ),
        (
            vec!["--module", module, "--clusters", "auth"],
            2,
            vec!["--clusters `auth`", "NAME=URL"],
        ),
        (
            vec!["--module", module, "--drain", "5"],
            2,
            vec!["--drain", "a number and a unit"],
        ),
        (
            vec!["--module", module, "--tls-client-ca", junk],
            2,
            vec!["--tls-client-ca needs --tls-cert"],
        ),
        (
            vec!["--module", module, "--tls-cert", junk, "--tls-key", junk],
            2,
            vec!["junk.wasm", "no certificate in it"],
        ),
        (
            vec!["--module", module, "--admin", "nowhere"],
            2,
            vec!["cannot listen on nowhere"],
        ),
    ] {
        let done = Command::new(env!("CARGO_BIN_EXE_palisade"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(&arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {text}");
        for part in parts {
            assert!(text.contains(part), "{arguments:?}: no `{part}` in {text}");
        }
    }
}
