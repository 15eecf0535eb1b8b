//! `palisade bans` against a running filter: what is seen, lifted and set, what is refused, and what is no filter.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::support::{Gateway, file, get, run, server};

const KEY: &str = "the-key-of-the-operator-and-nobody-else-s";

const POLICY: &str = "
operator: { key: { env: OPERATOR_KEY } }
limits:
  - { name: one, when: { path: '/one/*' }, quota: 1/1h, penalty: { after: 1, ban: 1h } }
";

/// Exit code, output and errors.
fn bans(address: SocketAddr, key: Option<&str>, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_palisade"));
    command.arg("bans").args(arguments);
    command.args(["--url", &format!("http://{address}")]);
    match key {
        Some(key) => command.env("OPERATOR_KEY", key),
        None => command.env_remove("OPERATOR_KEY"),
    };
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn an_operator_sees_lifts_and_sets_a_ban() {
    run(async {
        let module = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/palisade.wasm");
        if !module.is_file() {
            eprintln!("skipped: no target/palisade.wasm: `cargo xtask wasm` builds it");
            return;
        }
        let policy = file("bans.yaml", POLICY);
        let env = format!("OPERATOR_KEY={KEY}");
        let gateway = Gateway::start(&[
            "--policy",
            policy.to_str().unwrap(),
            "--env",
            &env,
            "--module",
            module.to_str().unwrap(),
        ]);
        let at = gateway.address;
        let me = ["--client", "127.0.0.1"];
        let ask = |action: &str, more: &[&str]| {
            let mut arguments = vec![action];
            arguments.extend(me);
            arguments.extend(more);
            bans(at, Some(KEY), &arguments)
        };
        let (code, out, err) = ask("show", &[]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.starts_with("not banned"), "{out}");

        assert_eq!(get(at, "/one/1").await.0, 200);
        assert_eq!(get(at, "/one/1").await.0, 429);
        assert_eq!(get(at, "/other").await.0, 429, "banned everywhere");
        let (code, out, _) = ask("show", &["--json"]);
        let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(code, 0);
        assert_eq!(answer["banned"], true, "{out}");
        assert_eq!(answer["rule"], "one");
        assert!(answer["for_s"].as_u64().unwrap() > 3500);
        let limit = &answer["limits"][0];
        assert_eq!(
            (&limit["limit"], &limit["used"]),
            (&"one".into(), &1.into()),
            "{out}"
        );
        let (_, out, _) = ask("show", &[]);
        assert!(out.contains("  one: 1 of 1 used, more in "), "{out}");

        let (code, out, _) = ask("lift", &[]);
        assert_eq!(code, 0);
        assert!(out.starts_with("not banned"), "{out}");
        assert_eq!(get(at, "/other").await.0, 200);

        let (code, out, _) = ask("set", &["--for", "30m"]);
        assert_eq!(code, 0);
        assert!(out.contains("by operator"), "{out}");
        assert_eq!(get(at, "/other").await.0, 429);
        assert_eq!(ask("lift", &[]).0, 0);
        assert_eq!(get(at, "/other").await.0, 200);

        // What the filter refuses, or does not know.
        let (code, _, err) = bans(
            at,
            Some("another-key-of-thirty-two-bytes-and-more"),
            &["show", "--client", "127.0.0.1"],
        );
        assert_eq!(code, 1);
        assert!(err.contains("401 token_invalid: the key is not"), "{err}");
        let (code, _, err) = ask("show", &["--route", "nowhere"]);
        assert_eq!(code, 1);
        assert!(err.contains("no such route"), "{err}");
        let (code, _, err) = bans(at, Some(KEY), &["show", "--subject", "app:alice"]);
        assert_eq!(
            (code, err.trim()),
            (1, "palisade: the policy has no such provider")
        );
    });
}

#[test]
fn wrong_use_and_no_filter_at_all() {
    run(async {
        let upstream = server().await;
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let me: &[&str] = &["show", "--client", "127.0.0.1"];
        for (key, address, arguments, code, part) in [
            (None, nobody, me, 2, "OPERATOR_KEY is not set"),
            (Some(KEY), nobody, me, 2, "did not answer"),
            (Some(KEY), upstream, me, 2, "no answer of the filter"),
            (Some(KEY), nobody, &["show"], 2, "--client"),
            (Some(KEY), nobody, &["show", "--client", "x"], 2, "--client"),
            (
                Some(KEY),
                nobody,
                &["show", "--subject", "x"],
                2,
                "PROVIDER:SUBJECT",
            ),
            (Some(KEY), nobody, &["set", "--client", "::1"], 2, "--for"),
            (
                Some(KEY),
                nobody,
                &["set", "--client", "::1", "--for", "soon"],
                2,
                "no duration",
            ),
        ] {
            let (status, _, err) = bans(address, key, arguments);
            assert_eq!(status, code, "{arguments:?}: {err}");
            assert!(err.contains(part), "{arguments:?}: {err}");
            assert!(!err.contains(KEY));
        }
        let (status, out, _) = bans(nobody, Some(KEY), &["show", "--client", "::1", "--print"]);
        assert_eq!(status, 0);
        assert!(
            out.starts_with("curl -sS -X POST -H 'authorization: Bearer ey"),
            "{out}"
        );
        assert!(
            out.trim_end()
                .ends_with("'http://127.0.0.1:1/.palisade/bans'"),
            "{out}"
        );
        assert!(!out.contains(KEY));
    });
}
