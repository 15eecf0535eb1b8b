//! `palisade token` as a user meets it: every subcommand, both forms of output, exit codes, and nothing secret where it should not be.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of their functions"
)]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2";

const POLICY: &str = r#"
tokens:
  app:
    type: jwt
    issuer: "https://id.example.com"
    audiences: [shop]
    keys: [{ algorithm: HS256, env: APP_KEY, id: k1 }]
  sid: { type: session, from: { cookie: sid }, keys: [{ env: SID_KEY }], lifetime: 1h, bind: [client] }
routes:
  - { name: admin, match: { path: "/admin/*" }, token: { any: [app], roles: [admin] } }
  - { name: account, match: { path: "/account/*" }, token: { any: [app, sid] } }
  - { name: public, match: { path: "/*" }, token: none }
"#;

fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("token-{name}"));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a folder");
    path
}

fn policy(name: &str, text: &str) -> String {
    let path = folder(name).join("policy.yaml");
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

fn run_with(arguments: &[&str], env: &[(&str, &str)], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_palisade"));
    command
        .arg("token")
        .args(arguments)
        .env("APP_KEY", SECRET)
        .env("SID_KEY", SECRET)
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // A command that does not read may be gone already.
    let _ = child
        .stdin
        .take()
        .expect("piped")
        .write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let both = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(!both.contains('\x1b'), "colour without a terminal: {both}");
    output
}

fn run(arguments: &[&str]) -> Output {
    run_with(arguments, &[], "")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output of a run that succeeds.
fn good(arguments: &[&str]) -> String {
    let done = run(arguments);
    assert!(
        done.status.success(),
        "{arguments:?}: {}",
        text(&done.stderr)
    );
    text(&done.stdout).trim_end().to_owned()
}

fn json(arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.push("--json");
    serde_json::from_slice(&run(&all).stdout).unwrap_or_else(|error| panic!("{all:?}: {error}"))
}

/// Error output of a run that ends with `code`.
fn bad(arguments: &[&str], code: i32) -> String {
    let done = run(arguments);
    assert_eq!(
        done.status.code(),
        Some(code),
        "{arguments:?}: {}",
        text(&done.stdout)
    );
    let said = text(&done.stderr);
    assert!(!said.contains("hunter2"), "a secret is shown: {said}");
    said
}

/// A token that the policy's route `account` takes, and what changes it.
fn app(more: &[&str]) -> String {
    let mut arguments = vec![
        "jwt",
        "--env-key",
        "APP_KEY",
        "--sub",
        "alice",
        "--iss",
        "https://id.example.com",
        "--aud",
        "shop",
    ];
    arguments.extend(more);
    good(&arguments)
}

#[test]
fn jwt_has_what_it_was_told() {
    let told = json(&[
        "jwt",
        "--env-key",
        "APP_KEY",
        "--algorithm",
        "HS512",
        "--sub",
        "alice",
        "--aud",
        "a",
        "--aud",
        "b",
        "--scope",
        "read",
        "--scope",
        "write",
        "--role",
        "admin",
        "--nbf",
        "-10m",
        "--exp",
        "1795000000",
        "--iat",
        "none",
        "--jti",
        "--claim",
        r#"deep={"a":[1]}"#,
        "--claim",
        "tenant=acme",
        "--header",
        "typ=at+jwt",
        "--kid",
        "k9",
    ]);
    let claims = &told["claims"];
    assert_eq!(claims["aud"], serde_json::json!(["a", "b"]));
    assert_eq!(claims["scope"], "read write");
    assert_eq!(claims["roles"], serde_json::json!(["admin"]));
    assert_eq!(claims["exp"], 1_795_000_000);
    assert_eq!(claims["deep"]["a"][0], 1);
    assert_eq!(claims["tenant"], "acme");
    assert!(claims.get("iat").is_none() && claims["nbf"].is_u64());
    assert_eq!(claims["jti"].as_str().map(str::len), Some(22));
    assert_eq!(
        told["header"],
        serde_json::json!({ "alg": "HS512", "kid": "k9", "typ": "at+jwt" })
    );
    assert_eq!(
        told["token"].as_str().map(|token| token.split('.').count()),
        Some(3)
    );
    assert!(good(&["jwt", "--algorithm", "none"]).ends_with('.'));

    for (arguments, said) in [
        (&["jwt"][..], "--env-key"),
        (&["jwt", "--env-key", "NOT_THERE"], "NOT_THERE is not set"),
        (
            &["jwt", "--env-key", "APP_KEY", "--algorithm", "HS1"],
            "`HS1` is not one of HS256",
        ),
        (
            &["jwt", "--env-key", "APP_KEY", "--algorithm", "ES256"],
            "the key in APP_KEY",
        ),
        (
            &["jwt", "--env-key", "APP_KEY", "--exp", "soon"],
            "--exp: `soon` is no time",
        ),
        (
            &["jwt", "--env-key", "APP_KEY", "--claim", "x"],
            "--claim: `x` is not written NAME=JSON",
        ),
        (&["jwt", "--key", "absent.pem"], "cannot read absent.pem"),
    ] {
        let error = bad(arguments, 2);
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}

#[test]
fn verify_says_what_is_wrong() {
    let policy = policy("verify", POLICY);
    let verify = |more: &[&str]| {
        let mut arguments = vec!["verify", "--policy", &policy, "--json"];
        arguments.extend(more);
        let done = run(&arguments);
        let told: Value = serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|error| panic!("{more:?}: {error}: {}", text(&done.stderr)));
        assert_eq!(
            done.status.code(),
            Some(i32::from(told["valid"] != true)),
            "{told:#}"
        );
        let shown = told.to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
        told
    };
    let (app, sid) = (
        app(&["--role", "admin"]),
        good(&[
            "session",
            "--env-key",
            "SID_KEY",
            "--sub",
            "bob",
            "--client",
            "192.0.2.1",
        ]),
    );
    let told = verify(&["--route", "account", "--token", &app]);
    assert_eq!(
        (told["valid"].as_bool(), told["subject"].as_str()),
        (Some(true), Some("alice"))
    );
    // The signature is not shown, neither decoded nor as it was.
    assert!(
        !told
            .to_string()
            .contains(app.rsplit('.').next().expect("a signature"))
    );
    assert_eq!(told["token"]["claims"]["sub"], "alice");
    let header = format!("authorization: Bearer {app}");
    assert_eq!(
        verify(&["--path", "/admin/x", "-H", &header])["route"],
        "admin"
    );
    let told = verify(&[
        "--route",
        "account",
        "--token",
        &sid,
        "--client",
        "192.0.2.1",
    ]);
    assert_eq!(told["subject"], "bob", "{told:#}");
    let cookie = format!("sid={sid}");
    assert_eq!(
        verify(&[
            "--route",
            "account",
            "--cookie",
            &cookie,
            "--client",
            "192.0.2.1"
        ])["valid"],
        true
    );
    assert_eq!(
        verify(&["--path", "/", "--token", "x"])["valid"],
        true,
        "no token is asked for"
    );

    // (what, arguments, provider, reason, check, words of the why or the fix)
    let mut other = good(&[
        "jwt",
        "--env-key",
        "APP_KEY",
        "--sub",
        "a",
        "--iss",
        "https://id.example.com",
        "--aud",
        "till",
    ]);
    let cases: Vec<(Vec<&str>, usize, &str, &str, &str)> = vec![
        (
            vec!["--token", &app, "--at", "+2h"],
            0,
            "token_expired",
            "exp",
            "it has expired",
        ),
        (
            vec!["--token", &other],
            0,
            "token_claims",
            "aud",
            "\"till\"",
        ),
        (
            vec!["--token", &sid],
            1,
            "token_not_bound",
            "client",
            "another client",
        ),
        (
            vec!["--token", &sid, "--client", "192.0.2.1", "--at", "+61m"],
            1,
            "token_expired",
            "lifetime",
            "the session is over",
        ),
        (
            vec!["--token", "garbage"],
            0,
            "token_invalid",
            "malformed",
            "opaque",
        ),
        (
            vec!["-H", "x: y"],
            0,
            "token_missing",
            "",
            "authorization: Bearer",
        ),
    ];
    for (more, index, reason, check, words) in cases {
        let mut arguments = vec!["--route", "account"];
        arguments.extend(&more);
        let told = verify(&arguments);
        let provider = &told["providers"][index];
        assert_eq!(told["valid"], false, "{more:?}");
        assert_eq!(
            (&provider["reason"], &provider["check"]),
            (&reason.into(), &check.into()),
            "{told:#}"
        );
        let said = format!("{} {}", provider["why"], provider["fix"]).replace('\\', "");
        assert!(said.contains(words), "{words}: {said}");
    }
    // A verified subject without the role.
    let told = verify(&[
        "--route",
        "admin",
        "--token",
        &good(&[
            "jwt",
            "--env-key",
            "APP_KEY",
            "--iss",
            "https://id.example.com",
            "--aud",
            "shop",
            "--sub",
            "a",
        ]),
    ]);
    assert_eq!(told["providers"][0]["valid"], true);
    assert_eq!(told["reason"], "missing_role");
    assert!(
        told["demand"]["why"]
            .as_str()
            .expect("why")
            .contains("admin"),
        "{told:#}"
    );

    // Attacks are called by their names.
    let attack = |more: &[&str]| {
        let told = verify(&["--route", "admin", "--token", &good(more)]);
        assert_eq!(told["valid"], false);
        told.to_string()
    };
    assert!(attack(&["jwt", "--algorithm", "none", "--sub", "root"]).contains("nobody signed it"));
    assert!(
        attack(&[
            "jwt",
            "--env-key",
            "APP_KEY",
            "--header",
            "jku=https://evil.example"
        ])
        .contains("`jku`")
    );
    assert!(attack(&["jwt", "--env-key", "APP_KEY", "--kid", "k2"]).contains("kid `k2`"));
    other.pop();
    let told = verify(&["--route", "admin", "--token", &format!("{other}x")]);
    assert!(
        matches!(
            told["providers"][0]["check"].as_str(),
            Some("signature" | "malformed")
        ),
        "{told:#}"
    );

    // In words, and from standard input.
    let done = run_with(
        &[
            "verify", "--policy", &policy, "--route", "admin", "--token", "-", "--at", "+2h",
        ],
        &[],
        &app,
    );
    assert_eq!(done.status.code(), Some(1));
    let said = text(&done.stdout);
    for line in [
        "refused provider `app` (jwt): token_expired at `exp`",
        "why: ",
        "fix: ",
        "REFUSED on route `admin`: token_expired",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    for (more, said) in [
        (
            &["--route", "nowhere", "--token", "x"][..],
            "there is no `nowhere`; the policy has admin, account, public",
        ),
        (&["--route", "admin"], "which credential?"),
        (
            &["--route", "admin", "--token", "x", "--at", "later"],
            "--at: `later` is no time",
        ),
        (&["--route", "admin", "-H", "x"], "--header"),
        (
            &["--token", "x", "--jwks-file", "nobody=/dev/null"],
            "--jwks-file",
        ),
    ] {
        let mut arguments = vec!["verify", "--policy", &policy];
        arguments.extend(more);
        let error = bad(&arguments, 2);
        assert!(error.contains(said), "{more:?}: {error}");
    }
}

#[test]
fn keygen_writes_keys_that_sign() {
    let out = folder("keys");
    let out = out.display().to_string();
    let path = |name: &str| format!("{out}/{name}");
    let mut sets = vec!["jwks".to_owned()];
    for algorithm in ["RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"] {
        let told = json(&[
            "keygen",
            "--algorithm",
            algorithm,
            "--kid",
            algorithm,
            "--out",
            &out,
        ]);
        assert_eq!(told["public"]["alg"], algorithm);
        assert!(told["public"].get("d").is_none());
        for name in ["private.jwk", "private.pem"] {
            let file = path(&format!("{algorithm}.{name}"));
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let mode = std::fs::metadata(&file)
                    .expect("a file")
                    .permissions()
                    .mode();
                assert_eq!(mode & 0o777, 0o600, "{file}");
            }
            let told = json(&[
                "jwt",
                "--key",
                &file,
                "--algorithm",
                algorithm,
                "--sub",
                "a",
            ]);
            assert_eq!(told["header"]["alg"], algorithm);
        }
        let told = json(&["jwt", "--key", &path(&format!("{algorithm}.private.jwk"))]);
        assert_eq!(
            (&told["header"]["alg"], &told["header"]["kid"]),
            (&algorithm.into(), &algorithm.into())
        );
        sets.push(path(&format!("{algorithm}.private.jwk")));
    }
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let set: Value = serde_json::from_str(&good(&sets)).expect("JSON");
    assert_eq!(set["keys"].as_array().map(Vec::len), Some(6));
    assert!(
        !set.to_string().contains("\"d\""),
        "a private member is published"
    );
    assert_eq!(good(&["keygen", "--algorithm", "HS512"]).len(), 86);
    assert_eq!(good(&["keygen", "--algorithm", "fernet"]).len(), 44);
    let printed: Value =
        serde_json::from_str(&good(&["keygen", "--algorithm", "ES256", "--print"])).expect("JSON");
    assert!(printed["d"].is_string());
    let hidden = good(&[
        "keygen",
        "--algorithm",
        "HS256",
        "--kid",
        "h",
        "--out",
        &out,
    ]);
    assert!(hidden.ends_with("h.key"), "{hidden}");

    let again = [
        "keygen",
        "--algorithm",
        "ES256",
        "--kid",
        "ES256",
        "--out",
        out.as_str(),
    ];
    assert!(bad(&again, 2).contains("a key is never written over"));
    let (twice, rsa) = (path("ES256.public.jwk"), path("RS256.private.pem"));
    for (arguments, said) in [
        (
            &["keygen", "--algorithm", "ES256"][..],
            "where should the private key go?",
        ),
        (&["keygen", "--algorithm", "RS1"], "RS1"),
        (
            &[
                "keygen",
                "--algorithm",
                "RS256",
                "--bits",
                "1024",
                "--print",
            ],
            "1024 bits",
        ),
        (
            &["jwks", &twice, &twice],
            "`ES256` is that of an earlier key",
        ),
        (&["jwks", &rsa], "--algorithm RS256"),
        (&["jwks", "absent.jwk"], "cannot read absent.jwk"),
        (
            &["jwt", "--key", &rsa, "--algorithm", "ES256"],
            "an RSA key does not sign with ES256",
        ),
        (
            &[
                "jwt",
                "--key",
                &path("RS256.private.jwk"),
                "--algorithm",
                "PS256",
            ],
            "its JWK is for RS256",
        ),
        (
            &["jwt", "--key", &path("ES256.public.pem")],
            "signing needs the private one",
        ),
    ] {
        let error = bad(arguments, 2);
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    let oct = path("h.key");
    std::fs::write(&oct, r#"{"kty":"oct","k":"aHVudGVyMg"}"#).expect("written");
    assert!(bad(&["jwks", &oct], 2).contains("belongs into no published set"));
}

#[test]
fn api_keys_and_passwords() {
    let told = json(&[
        "api-key",
        "--id",
        "acme",
        "--role",
        "partner",
        "--expires",
        "2027-01-01",
    ]);
    let key = told["key"].as_str().expect("a key");
    assert!(key.starts_with("palisade_") && key.len() == 52, "{key}");
    assert_eq!(
        told["policy"]["sha256"],
        palisade_cli::keys::sha256_hex(key.as_bytes())
    );
    assert_eq!(told["policy"]["roles"][0], "partner");
    let human = good(&["api-key", "--prefix", "acme-"]);
    assert!(
        human.starts_with("acme-") && human.contains("- { id: \"client\", sha256: \""),
        "{human}"
    );
    assert!(bad(&["api-key", "--prefix", "a b"], 2).contains("--prefix"));
    assert_ne!(good(&["api-key"]), good(&["api-key"]));

    let told = json(&["password", "--length", "32"]);
    let password = told["password"].as_str().expect("a password");
    assert_eq!((password.len(), told["bits"].as_u64()), (32, Some(190)));
    let sha256 = told["hashes"]["sha256"].as_str().expect("a hash");
    assert_eq!(
        sha256,
        format!(
            "sha256:{}",
            palisade_cli::keys::sha256_hex(password.as_bytes())
        )
    );
    bad(&["password", "--length", "3"], 2);

    // RFC 7914 section 11 has PBKDF2-HMAC-SHA256; here the form, and that the salt is random.
    let hash = |input: &str| {
        let done = run_with(&["hash", "--json", "--iterations", "1000"], &[], input);
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert!(!text(&done.stdout).contains("hunter2"));
        serde_json::from_slice::<Value>(&done.stdout).expect("JSON")["hashes"].clone()
    };
    let (one, two) = (hash("hunter2\n"), hash("hunter2"));
    assert_eq!(one["sha256"], two["sha256"]);
    assert_ne!(one["pbkdf2"], two["pbkdf2"]);
    let parts: Vec<&str> = one["pbkdf2"].as_str().expect("a hash").split('$').collect();
    assert_eq!(
        (parts.len(), parts[0], parts[1]),
        (4, "pbkdf2-sha256", "1000")
    );
    assert_eq!((parts[2].len(), parts[3].len()), (24, 44));
    assert!(bad(&["hash"], 2).contains("nothing was given"));
}

#[test]
fn what_is_sealed_opens_in_a_policy() {
    let opener = good(&["keygen", "--algorithm", "fernet"]);
    let other = good(&["keygen", "--algorithm", "fernet"]);
    let with = |arguments: &[&str], opener: &str, input: &str| {
        run_with(
            arguments,
            &[("POLICY_KEY", opener), ("OTHER", &other)],
            input,
        )
    };
    let sealed = with(
        &["seal", "--env-key", "POLICY_KEY", "--env-secret", "APP_KEY"],
        &opener,
        "",
    );
    let sealed = text(&sealed.stdout).trim().to_owned();
    assert!(sealed.starts_with("gAAAA"), "{sealed}");
    let opened = with(&["open", "--env-key", "POLICY_KEY", &sealed], &opener, "");
    assert_eq!(text(&opened.stdout).trim(), SECRET);
    let piped = with(
        &["seal", "--env-key", "POLICY_KEY", "--json"],
        &opener,
        "s3cret\n",
    );
    let piped: Value = serde_json::from_slice(&piped.stdout).expect("JSON");
    assert_eq!(piped["env"], "POLICY_KEY");
    let sealed_text = piped["sealed"].as_str().expect("sealed");
    let opened = with(
        &["open", "--env-key", "POLICY_KEY", "--json"],
        &opener,
        sealed_text,
    );
    let opened: Value = serde_json::from_slice(&opened.stdout).expect("JSON");
    assert_eq!(opened["secret"], "s3cret");

    let wrong = with(&["open", "--env-key", "OTHER", &sealed], &opener, "");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("the key in OTHER does not open it"));
    let wrong = with(
        &["open", "--env-key", "POLICY_KEY", "gAAAAAAA"],
        &opener,
        "",
    );
    assert_eq!(wrong.status.code(), Some(1));
    let wrong = with(&["seal", "--env-key", "APP_KEY"], &opener, "x");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        text(&wrong.stderr).contains("APP_KEY: the key is not 32 bytes"),
        "{}",
        text(&wrong.stderr)
    );

    let policy = policy(
        "sealed",
        &POLICY.replace(
            "env: APP_KEY",
            &format!("env: POLICY_KEY, sealed: \"{sealed}\""),
        ),
    );
    let token = app(&["--role", "admin"]);
    let arguments = [
        "verify", "--policy", &policy, "--route", "admin", "--token", &token,
    ];
    let done = with(&arguments, &opener, "");
    assert_eq!(
        done.status.code(),
        Some(0),
        "{}{}",
        text(&done.stdout),
        text(&done.stderr)
    );
    let done = with(&arguments, &other, "");
    assert_eq!(done.status.code(), Some(2));
    let said = text(&done.stderr);
    assert!(
        said.contains("tokens.app.keys[0].sealed: the key in `POLICY_KEY` does not open it"),
        "{said}"
    );
    assert!(!said.contains(&other) && !said.contains(SECRET), "{said}");
}

#[test]
fn decode_reads_aloud_and_verifies_nothing() {
    let told = json(&["decode", &app(&["--exp", "-1h"])]);
    assert_eq!(told["header"]["alg"], "HS256");
    let notes = told["notes"].to_string();
    assert!(notes.contains("it expired 1h ago"), "{notes}");
    let colon = good(&[
        "session",
        "--env-key",
        "SID_KEY",
        "--sub",
        "bob",
        "--format",
        "colon",
    ]);
    let told = json(&["decode", &colon]);
    assert_eq!(
        (&told["claims"]["sub"], &told["form"]),
        (&"bob".into(), &"session token, format colon".into())
    );
    let done = run_with(&["decode"], &[], "a.b.c.d.e\n");
    assert!(text(&done.stdout).contains("JWE"), "{}", text(&done.stdout));
    assert!(text(&done.stdout).contains("nothing was verified"));
    for input in [
        "",
        "..",
        "....",
        ":",
        "::",
        "v1..",
        "\u{fffd}",
        "e30.e30.",
        "eyJhbGciOjF9.W10.x",
    ] {
        assert!(
            run_with(&["decode", "--json"], &[], input).status.success(),
            "{input}"
        );
    }
}

/// A signed request: its header, its body, and what is wrong with another body.
#[test]
fn verify_takes_a_whole_request() {
    let policy = policy(
        "hook",
        "tokens: { hook: { type: hmac, scheme: github, keys: [{ env: HOOK_KEY }] } }\ntable: { marks: 64, clients: 4096 }\n\
         routes: [{ name: hook, match: { path: /hook }, token: { any: [hook] } }]\n",
    );
    let secret = "a secret of the sender's choice";
    let body = folder("body").join("body.json");
    let key = palisade_cli::keys::Private::Secret(secret.as_bytes().to_vec());
    let mac = key.sign("HS256", b"{}").expect("HS256");
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    let header = format!("x-hub-signature-256: sha256={hex}");
    let body_path = body.display().to_string();
    for (sent, code, said) in [
        ("{}", 0, "VALID on route `hook`"),
        ("{ }", 1, "signature_invalid"),
    ] {
        std::fs::write(&body, sent).expect("written");
        let arguments = [
            "verify", "--policy", &policy, "--path", "/hook", "--method", "POST", "-H", &header,
            "--body", &body_path,
        ];
        let done = run_with(&arguments, &[("HOOK_KEY", secret)], "");
        let told = text(&done.stdout);
        assert_eq!(
            done.status.code(),
            Some(code),
            "{told}{}",
            text(&done.stderr)
        );
        assert!(told.contains(said) && !told.contains(&hex), "{told}");
    }
}

/// What the command makes for a policy is what a policy takes: an API key, and a password under both hashes.
#[test]
fn made_secrets_open_their_policies() {
    let made = json(&[
        "api-key",
        "--id",
        "acme",
        "--role",
        "partner",
        "--expires",
        "2099-01-01",
    ]);
    let secret = json(&["password"]);
    for (name, kind, users, credential, wrong) in [
        (
            "api-key",
            "api_key, from: { header: x-api-key }, keys",
            made["policy"].to_string(),
            made["key"].as_str().expect("a key").to_owned(),
            format!("{}x", made["key"].as_str().expect("a key")),
        ),
        (
            "pbkdf2",
            "basic, users",
            serde_json::json!({ "name": "bob", "password": secret["hashes"]["pbkdf2"] })
                .to_string(),
            format!("bob:{}", secret["password"].as_str().expect("a password")),
            "bob:hunter2".to_owned(),
        ),
        (
            "sha256",
            "basic, users",
            serde_json::json!({ "name": "bob", "password": secret["hashes"]["sha256"] })
                .to_string(),
            format!("bob:{}", secret["password"].as_str().expect("a password")),
            "eve:hunter2".to_owned(),
        ),
    ] {
        let policy = policy(
            &format!("made-{name}"),
            &format!(
                "tokens: {{ it: {{ type: {kind}: [{users}] }} }}\nroutes: [{{ name: all, token: {{ any: [it] }} }}]\n"
            ),
        );
        let told = json(&["verify", "--policy", &policy, "--token", &credential]);
        assert_eq!(told["valid"], true, "{name}: {told:#}");
        let shown = told.to_string();
        let hidden = credential.rsplit(':').next().expect("a part");
        assert!(!shown.contains(hidden), "{name}: {shown}");
        let told = json(&["verify", "--policy", &policy, "--token", &wrong]);
        assert_eq!(
            told["providers"][0]["reason"], "credentials_invalid",
            "{name}: {told:#}"
        );
    }
}

/// What is minted under each algorithm verifies with the public half in the policy, and with no other key.
#[test]
fn every_algorithm_goes_round() {
    let out = folder("round");
    let file = |name: &str| out.join(name).display().to_string();
    let place = out.display().to_string();
    for algorithm in palisade_cli::keys::ALGORITHMS {
        let symmetric = algorithm.starts_with("HS");
        let entry = if symmetric {
            format!("{{ algorithm: {algorithm}, env: APP_KEY }}")
        } else {
            let told = json(&[
                "keygen",
                "--algorithm",
                algorithm,
                "--kid",
                algorithm,
                "--out",
                &place,
            ]);
            format!("{{ jwk: {} }}", told["public"])
        };
        let policy = policy(
            &format!("round-{algorithm}"),
            &format!(
                "tokens: {{ app: {{ type: jwt, keys: [{entry}] }} }}\nroutes: [{{ name: all, token: {{ any: [app] }} }}]\n"
            ),
        );
        let key = file(&format!("{algorithm}.private.pem"));
        let token = if symmetric {
            good(&[
                "jwt",
                "--env-key",
                "APP_KEY",
                "--algorithm",
                algorithm,
                "--sub",
                "alice",
            ])
        } else {
            good(&[
                "jwt",
                "--key",
                &key,
                "--algorithm",
                algorithm,
                "--kid",
                algorithm,
                "--sub",
                "alice",
            ])
        };
        let told = json(&["verify", "--policy", &policy, "--token", &token]);
        assert_eq!(
            (&told["valid"], &told["subject"]),
            (&true.into(), &"alice".into()),
            "{algorithm}: {told:#}"
        );
        // One letter of the claims changed: the signature does not hold.
        let (head, signature) = token.rsplit_once('.').expect("a signature");
        let (header, _) = head.split_once('.').expect("a payload");
        let forged = format!("{header}.eyJzdWIiOiJyb290IiwiZXhwIjo0MTAyNDQ0ODAwfQ.{signature}");
        let told = json(&["verify", "--policy", &policy, "--token", &forged]);
        assert_eq!(
            told["providers"][0]["check"], "signature",
            "{algorithm}: {told:#}"
        );
        if !symmetric {
            // The public key as a secret: key confusion.
            let public = file(&format!("{algorithm}.public.pem"));
            let forged = good(&[
                "jwt",
                "--key",
                &public,
                "--algorithm",
                "HS256",
                "--sub",
                "root",
                "--kid",
                algorithm,
            ]);
            let told = json(&["verify", "--policy", &policy, "--token", &forged]);
            let why = told["providers"][0]["why"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            assert!(why.contains("key confusion"), "{algorithm}: {told:#}");
        }
    }
}

/// Keys that a provider would fetch come from a file.
#[test]
fn a_key_set_may_come_from_a_file() {
    let out = folder("fetched");
    let place = out.display().to_string();
    json(&[
        "keygen",
        "--algorithm",
        "ES256",
        "--kid",
        "e",
        "--out",
        &place,
    ]);
    let key = out.join("e.private.jwk").display().to_string();
    let set = out.join("set.json");
    std::fs::write(&set, good(&["jwks", &key])).expect("written");
    let policy = policy(
        "fetched-policy",
        "tokens: { idp: { type: jwt, algorithms: [ES256], keys: [{ algorithm: HS256, env: APP_KEY }] } }\n\
         routes: [{ name: all, token: { any: [idp] } }]\n",
    );
    let token = good(&["jwt", "--key", &key, "--sub", "alice"]);
    let named = format!("idp={}", set.display());
    let told = json(&[
        "verify",
        "--policy",
        &policy,
        "--token",
        &token,
        "--jwks-file",
        &named,
    ]);
    assert_eq!(told["subject"], "alice", "{told:#}");
}
