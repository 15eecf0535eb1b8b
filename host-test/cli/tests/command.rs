//! The command as a user meets it: exit codes, and a gateway that survives a filter that traps.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

fn palisade() -> Command {
    Command::new(env!("CARGO_BIN_EXE_palisade"))
}

fn file(name: &str, text: &str) -> Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

#[test]
fn check_tells_good_from_bad_from_absent() -> Result<()> {
    let good = file("good.yaml", "mode: monitor\n")?;
    let bad = file("bad.yaml", "mode: enforced\nheaders:\n  method: [GET]\n")?;
    let torn = file("torn.yaml", "mode: [\n")?;
    for (path, code) in [
        (&good, 0),
        (&bad, 1),
        (&torn, 1),
        (&PathBuf::from("absent.yaml"), 2),
    ] {
        let done = palisade().arg("check").arg(path).output()?;
        assert_eq!(
            done.status.code(),
            Some(code),
            "{}: {done:?}",
            path.display()
        );
    }
    let done = palisade().arg("check").arg(&bad).output()?;
    let text = String::from_utf8(done.stderr)?;
    assert!(
        text.contains("bad.yaml:1: error: mode: `enforced`"),
        "{text}"
    );
    assert!(
        text.contains("bad.yaml:3: error: headers.method: unknown key"),
        "{text}"
    );
    assert!(text.contains("did you mean `methods`?"), "{text}");
    assert!(!text.contains('\x1b'), "colour without a terminal");
    let done = palisade().arg("check").arg("--json").arg(&bad).output()?;
    let json: serde_json::Value = serde_json::from_slice(&done.stdout)?;
    assert_eq!(json["errors"].as_array().map(Vec::len), Some(2));
    assert_eq!(palisade().arg("unknown").output()?.status.code(), Some(2));
    Ok(())
}

/// Every shipped policy is valid, and a reader that goes away (`| head`) changes nothing.
#[test]
fn check_accepts_every_shipped_policy_and_a_closed_pipe() -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/policies");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let mut child = palisade()
            .arg("check")
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        drop(child.stdout.take());
        let mut complaints = String::new();
        child
            .stderr
            .take()
            .context("no stderr")?
            .read_to_string(&mut complaints)?;
        let status = child.wait()?;
        assert_eq!(
            (status.code(), complaints.as_str()),
            (Some(0), ""),
            "{}",
            path.display()
        );
        checked += 1;
    }
    assert!(checked >= 5, "only {checked} policies");
    Ok(())
}

/// Lets a request with less than ten fields pass and traps on others.
const TRAPPING: &str = r#"(module
  (memory (export "memory") 2)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (i32.ge_s (local.get 1) (i32.const 10)) (then unreachable))
    (i32.const 0)))"#;

#[test]
fn the_gateway_outlives_a_trap_and_passes_the_target_as_it_came() -> Result<()> {
    let module = file("trapping.wat", TRAPPING)?;
    let policy = file("empty.yaml", "mode: enforce\n")?;
    let mut gateway = palisade()
        .args([
            "serve",
            "--workers",
            "1",
            "--listen",
            "127.0.0.1:0",
            "--module",
        ])
        .arg(module)
        .arg("--policy")
        .arg(policy)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    let mut lines = BufReader::new(gateway.stdout.take().context("stdout")?);
    lines.read_line(&mut line)?;
    let address = line
        .split_once("http://")
        .and_then(|(_, rest)| rest.split(',').next())
        .context("address")?
        .to_owned();
    let ask = |head: &str| -> Result<String> {
        let mut stream = TcpStream::connect(&address)?;
        stream.write_all(head.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let asked = (|| -> Result<[String; 3]> {
        let fields: String = (0..9).map(|number| format!("x-{number}: v\r\n")).collect();
        Ok([
            ask(
                "POST /a%20b//%2e?q=%41 HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
            )?,
            ask(&format!(
                "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{fields}\r\n"
            ))?,
            {
                // A VM is started anew 1 to 1.5 s after the last start, by a request, as in Envoy.
                let begun = Instant::now();
                loop {
                    let after = ask("GET /again HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")?;
                    if after.starts_with("HTTP/1.1 200 ")
                        || begun.elapsed() > Duration::from_secs(10)
                    {
                        break after;
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            },
        ])
    })();
    gateway.kill()?;
    gateway.wait()?;
    let [first, trapped, after] = asked?;
    assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
    assert!(first.contains(r#""path": "/a%20b//%2e?q=%41""#), "{first}");
    assert!(first.contains(r#""body_bytes": 5"#), "{first}");
    assert!(
        first.contains("x-request-id") && first.contains(r#""x-forwarded-for": "127.0.0.1""#),
        "{first}"
    );
    assert!(!first.contains(r#""connection""#), "{first}");
    assert!(trapped.starts_with("HTTP/1.1 503 "), "{trapped}");
    assert!(after.starts_with("HTTP/1.1 200 "), "{after}");
    Ok(())
}

/// What names a filter is learnt once: the same flags, errors and exit codes for every command that runs one.
#[test]
fn a_filter_is_named_alike_everywhere() -> Result<()> {
    let wrong = file("wrong.yaml", "modes: x\nheaders:\n  method: [GET]\n")?;
    let torn = file("torn-policy.yaml", "mode: [\n")?;
    let case = file("alike.yaml", "cases: [{ name: one, requests: [{}] }]\n")?;
    let guest = file(
        "quiet.wat",
        r#"(module (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
          (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 1024))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $log (i32.const 2) (i32.const 65530) (i32.const 100))) (i32.const 0)))"#,
    )?;
    let text = |path: &PathBuf| path.display().to_string();
    let commands: [&[&str]; 5] = [
        &["serve", "--listen", "127.0.0.1:0"],
        &["test", &text(&case)],
        &["explain", "--curl", "curl http://localhost/"],
        &["bench", "--rounds", "0"],
        &["simulate", "--seeds", "1"],
    ];
    let cases: &[(&[&str], i32, &str)] = &[
        (
            &["--policy", &text(&wrong)],
            1,
            "wrong.yaml:3: headers.method: unknown key",
        ),
        (&["--policy", &text(&torn)], 1, "torn-policy.yaml:"),
        (&["--policy", "absent.yaml"], 2, "cannot read absent.yaml"),
        (
            &["--policy", "a", "--config", "b"],
            2,
            "cannot be used with",
        ),
        (
            &["--policy", "a", "--config-text", "b"],
            2,
            "cannot be used with",
        ),
        (
            &["--config", "a", "--config-text", "b"],
            2,
            "cannot be used with",
        ),
    ];
    for command in commands {
        for (flags, code, said) in cases {
            let named = ["--module", &text(&guest)];
            let done = palisade().args(command).args(named).args(*flags).output()?;
            let complaint = String::from_utf8(done.stderr)?;
            assert_eq!(
                done.status.code(),
                Some(*code),
                "{command:?} {flags:?}: {complaint}"
            );
            assert!(
                complaint.contains(said),
                "{command:?} {flags:?}: {complaint}"
            );
        }
    }
    // A filter that is not ours needs no policy; what it does wrong is shown.
    for (command, said) in [
        (
            &["test", "-v", &text(&case)][..],
            "warning: guest `quiet`, proxy_on_request_headers: proxy_log: argument message_data",
        ),
        (&["bench", "--rounds", "0"], "mix/GET small"),
        (&["simulate", "--seeds", "1"], "no trap"),
    ] {
        let done = palisade()
            .args(command)
            .arg("--module")
            .arg(&guest)
            .output()?;
        let printed = String::from_utf8(done.stdout)?;
        assert_eq!(done.status.code(), Some(0), "{command:?}: {printed}");
        assert!(printed.contains(said), "{command:?}: {printed}");
    }
    Ok(())
}
