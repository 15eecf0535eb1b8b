//! Keys that move: many VMs that share them, and a key server that rotates, fails and comes back behind a real Envoy. Opaque
//! tokens: a server that judges them, behind a real Envoy too.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "helpers of tests: failing here is failing the test"
)]

#[expect(dead_code, reason = "this suite uses a part of it")]
#[path = "support.rs"]
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::{Duration, Instant};

use palisade_host::{
    Callout, CalloutEvent, Clock, Clusters, Headers, Module, Shared, Step, StreamId, StreamInfo,
    Vm, VmConfig,
};
use palisade_tests::upstream::Upstream;
use support::{get, shipped, start};

const POLICY: &str = r#"{"tokens":{"idp":{"type":"jwt","algorithms":["ES256","EdDSA"],
"keys":{"url":"https://id.example.com/jwks.json","cluster":"idp"}}},
"routes":[{"name":"all","match":{"path":"/*"},"token":{"any":["idp"]}}]}"#;
const P256: &str = r#"{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"test-es256","x":"vRbqLA6byN2EsB5DdDpSG661Avjhy7P3KIViN7c0kcI","y":"b8PfRnVtyE3BzzuyYsPtWs2UVaXmau3veW-mYmIVVhA"}"#;
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"test-eddsa","x":"Q_dxUkVd5oTsT7LPYY3PprDdz0wy8WCNkW2FxXLqyjA"}"#;

fn set(keys: &[&str]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn bearer(algorithm: &str, file: &str, kid: &str) -> String {
    let keys = palisade_tests::root().join("tests/corpora/verdicts/keys");
    let key = std::fs::read(keys.join(file)).unwrap();
    let header = format!(r#"{{"alg":"{algorithm}","kid":"{kid}"}}"#);
    let claims = r#"{"iss":"https://id.example.com","aud":"shop","sub":"ann","exp":4102444800}"#;
    let token = palisade_cli::mint::jwt(algorithm, &key, &header, claims).unwrap();
    format!("Bearer {}", String::from_utf8(token).unwrap())
}

fn old() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| bearer("ES256", "test-p256.pem", "test-es256"))
}

fn new() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| bearer("EdDSA", "test-ed25519.pem", "test-eddsa"))
}

fn filter() -> &'static Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    MODULE.get_or_init(|| {
        support::module();
        Module::from_file(palisade_tests::root().join("target/palisade.wasm")).unwrap()
    })
}

fn vm(shared: &Shared, clock: &Clock) -> Vm {
    let config = VmConfig {
        plugin_configuration: POLICY.as_bytes().to_vec(),
        shared: shared.clone(),
        clock: clock.clone(),
        clusters: Clusters::named(["idp"]),
        allow_on_headers_stop_iteration: true,
        ..VmConfig::default()
    };
    Vm::start(filter(), config).unwrap()
}

/// Begins a request; how its head fared.
fn ask(vm: &mut Vm, bearer: &str) -> (StreamId, Step) {
    let stream = vm.new_stream(StreamInfo::default()).unwrap();
    let headers = Headers::from([
        (":method", "GET"),
        (":path", "/"),
        (":authority", "shop.example.com"),
        ("authorization", bearer),
    ]);
    let step = vm.request_headers(stream, headers, true).unwrap();
    (stream, step)
}

fn fetches(vm: &mut Vm) -> Vec<Callout> {
    vm.take_callouts()
}

fn passed(moved: &[(StreamId, Step)], stream: StreamId) -> bool {
    moved
        .iter()
        .any(|(id, step)| *id == stream && matches!(step, Step::Continue(_)))
}

/// 64 VMs start and are asked at once, each in its own thread: one fetch, and every request passes.
#[test]
fn sixty_four_vms_that_start_at_once_make_one_fetch() {
    const VMS: usize = 64;
    let (shared, clock) = (
        Shared::new(),
        Clock::virtual_at(Duration::from_secs(1_800_000_000)),
    );
    let barrier = Barrier::new(VMS);
    let mut vms: Vec<(Vm, StreamId, Vec<Callout>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..VMS)
            .map(|_| {
                scope.spawn(|| {
                    let mut vm = vm(&shared, &clock);
                    barrier.wait();
                    let (stream, step) = ask(&mut vm, old());
                    assert_eq!(step, Step::Paused);
                    vm.tick().unwrap();
                    let calls = fetches(&mut vm);
                    (vm, stream, calls)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let calls: usize = vms.iter().map(|(_, _, calls)| calls.len()).sum();
    assert_eq!(calls, 1, "one flight for all");
    clock.advance(Duration::from_millis(120));
    let flying = vms
        .iter()
        .position(|(_, _, calls)| !calls.is_empty())
        .unwrap();
    let id = vms[flying].2[0].id();
    let answer = CalloutEvent::response(200, set(&[P256]));
    let moved = vms[flying].0.deliver(id, answer).unwrap();
    assert!(passed(&moved, vms[flying].1));
    clock.advance(Duration::from_millis(50));
    for (at, (vm, stream, _)) in vms.iter_mut().enumerate() {
        let moved = vm.tick().unwrap();
        assert!(at == flying || passed(&moved, *stream), "VM {at}");
        assert!(fetches(vm).is_empty(), "VM {at}");
    }
    // A new one starts warm.
    let mut late = vm(&shared, &clock);
    let (_, step) = ask(&mut late, old());
    assert!(matches!(step, Step::Continue(_)), "{step:?}");
    assert!(fetches(&mut late).is_empty());
    eprintln!(
        "64 VMs: {calls} fetch, 64 of 64 waiting requests passed, the 65th VM waited for nothing"
    );
}

/// The VM that fetches dies: its lease ends by itself and another VM fetches.
#[test]
fn a_lease_outlives_its_holder_by_seconds() {
    let (shared, clock) = (
        Shared::new(),
        Clock::virtual_at(Duration::from_secs(1_800_000_000)),
    );
    let mut first = vm(&shared, &clock);
    first.tick().unwrap();
    assert_eq!(fetches(&mut first).len(), 1);
    drop(first);
    let mut second = vm(&shared, &clock);
    for _ in 0..11 {
        second.tick().unwrap();
        assert!(fetches(&mut second).is_empty());
        clock.advance(Duration::from_millis(500));
    }
    clock.advance(Duration::from_millis(500));
    second.tick().unwrap();
    let calls = fetches(&mut second);
    assert_eq!(calls.len(), 1);
    let answer = CalloutEvent::response(200, set(&[P256]));
    second.deliver(calls[0].id(), answer).unwrap();
    let (_, step) = ask(&mut second, old());
    assert!(matches!(step, Step::Continue(_)), "{step:?}");
}

/// A client that goes while its request waits is forgotten, and a policy that is replaced meanwhile finishes what it began.
#[test]
fn clients_go_and_policies_change_while_keys_are_awaited() {
    let (shared, clock) = (
        Shared::new(),
        Clock::virtual_at(Duration::from_secs(1_800_000_000)),
    );
    let mut vm = vm(&shared, &clock);
    let (gone, step) = ask(&mut vm, old());
    assert_eq!(step, Step::Paused);
    let (stays, step) = ask(&mut vm, old());
    assert_eq!(step, Step::Paused);
    let calls = fetches(&mut vm);
    assert_eq!(calls.len(), 1);
    vm.finish(gone).unwrap();
    vm.configure(br#"{"mode":"enforce"}"#).unwrap();
    let answer = CalloutEvent::response(200, set(&[P256]));
    let moved = vm.deliver(calls[0].id(), answer).unwrap();
    assert!(passed(&moved, stays), "{moved:?}");
    assert!(!moved.iter().any(|(id, _)| *id == gone));
}

/// What the key server does.
#[derive(Clone)]
enum Mode {
    Serve(String),
    Slow(String, Duration),
    Fail(u16),
    Down,
}

/// A key server of the test.
struct KeyServer {
    address: SocketAddr,
    mode: Arc<Mutex<Mode>>,
    asked: Arc<AtomicUsize>,
}

impl KeyServer {
    fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            mode: Arc::new(Mutex::new(mode)),
            asked: Arc::default(),
        };
        let (mode, asked) = (server.mode.clone(), server.asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mode, asked) = (mode.clone(), asked.clone());
                std::thread::spawn(move || {
                    let mut stream = stream;
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") {
                        if !matches!(stream.read(&mut byte), Ok(1)) {
                            return;
                        }
                        head.push(byte[0]);
                    }
                    asked.fetch_add(1, Ordering::SeqCst);
                    let mode = mode.lock().unwrap().clone();
                    let (status, body) = match mode {
                        Mode::Serve(body) => (200, body),
                        Mode::Slow(body, pause) => {
                            std::thread::sleep(pause);
                            (200, body)
                        }
                        Mode::Fail(status) => (status, "no".to_owned()),
                        Mode::Down => return,
                    };
                    let _ = write!(
                        stream,
                        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    );
                });
            }
        });
        server
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The value of a gauge or counter of the filter.
fn stat(envoy: &palisade_tests::envoy::Envoy, name: &str) -> u64 {
    let text = envoy.admin_get("/stats?filter=palisade.keys").unwrap();
    let line = text.lines().find(|line| line.contains(name));
    let number = line.and_then(|line| line.rsplit(' ').next()?.trim().parse().ok());
    number.unwrap_or_else(|| panic!("{name}: {text}"))
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The key server rotates, answers garbage, is slow, goes down and comes back, with requests in flight all the time.
#[test]
fn a_rotation_in_a_real_envoy_loses_no_valid_request() {
    let upstream = Upstream::start().unwrap();
    let server = KeyServer::start(Mode::Slow(set(&[P256]), Duration::from_millis(300)));
    let mut setup = shipped("jwks.yaml", &upstream);
    setup.workers = 4;
    setup.verbose = true;
    setup.replace.push((
        "port_value: 8081".to_owned(),
        format!("port_value: {}", server.address.port()),
    ));
    setup
        .replace
        .push(("refresh: 10m".to_owned(), "refresh: 1s".to_owned()));
    let envoy = start(&setup);
    let address = envoy.address;
    let status = |bearer: &str| get(address, "/api/1", &[("authorization", bearer)]).status;
    // Cold: requests wait for the first set.
    assert_eq!(status(old()), 200, "{}", envoy.log());
    assert_eq!(get(address, "/api/1", &[]).status, 401);

    let over = AtomicUsize::new(0);
    let (sent, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while over.load(Ordering::SeqCst) == 0 {
                    let seen = status(old());
                    sent.fetch_add(1, Ordering::SeqCst);
                    if seen != 200 {
                        lost.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        // The new key is published and used at once, by many.
        server.set(Mode::Serve(set(&[ED25519, P256])));
        let fresh: Vec<u16> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..16).map(|_| scope.spawn(|| status(new()))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(
            fresh.iter().all(|status| *status == 200),
            "{fresh:?}\n{}",
            envoy.log()
        );
        until("two keys", || stat(&envoy, "corporate.keys") == 2);
        // Garbage, errors, silence, nobody there: what is known goes on.
        for mode in [
            Mode::Serve("<html>".to_owned()),
            Mode::Serve(r#"{"keys":[]}"#.to_owned()),
            Mode::Fail(500),
            Mode::Down,
        ] {
            server.set(mode);
            let before = stat(&envoy, "corporate.failures");
            until("a failure", || stat(&envoy, "corporate.failures") > before);
            assert_eq!(status(new()), 200);
            assert_eq!(stat(&envoy, "corporate.keys"), 2);
        }
        server.set(Mode::Slow(
            set(&[ED25519, P256]),
            Duration::from_millis(500),
        ));
        until("it is back", || stat(&envoy, "corporate.failures") == 0);
        over.store(1, Ordering::SeqCst);
    });
    let (sent, lost) = (sent.into_inner(), lost.into_inner());
    eprintln!(
        "rotation: {sent} valid requests, {lost} lost, {} fetches",
        server.asked()
    );
    assert!(sent > 100, "{sent}");
    assert_eq!(lost, 0, "of {sent}\n{}", envoy.log());
    for word in ["loaded", "rotated", "failed", "recovered"] {
        assert!(
            envoy.log().contains(&format!("\"event\":\"{word}\"")),
            "{word}\n{}",
            envoy.log()
        );
    }
}

/// Clients name thousands of keys that nobody has: few fetches, and known keys serve meanwhile.
#[test]
fn a_flood_of_unknown_kids_makes_few_fetches() {
    let upstream = Upstream::start().unwrap();
    let server = KeyServer::start(Mode::Serve(set(&[P256])));
    let mut setup = shipped("jwks.yaml", &upstream);
    setup.workers = 4;
    setup.replace.push((
        "port_value: 8081".to_owned(),
        format!("port_value: {}", server.address.port()),
    ));
    let envoy = start(&setup);
    let address = envoy.address;
    let status = |bearer: &str| get(address, "/api/1", &[("authorization", bearer)]).status;
    assert_eq!(status(old()), 200, "{}", envoy.log());
    let before = server.asked();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for number in 0..100 {
                    let unknown =
                        bearer("EdDSA", "test-ed25519.pem", &format!("{thread}-{number}"));
                    assert_eq!(status(&unknown), 401);
                    assert_eq!(status(old()), 200);
                }
            });
        }
    });
    let fetches = server.asked() - before;
    eprintln!("flood: 400 unknown kids, {fetches} fetches");
    assert!(fetches <= 4, "{fetches}");
}

/// An authorization server: what it was asked last, how often, and its answer to the token `good`.
struct AuthorizationServer {
    address: SocketAddr,
    mode: Arc<Mutex<Mode>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl AuthorizationServer {
    fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            mode: Arc::new(Mutex::new(mode)),
            asked: Arc::default(),
        };
        let (mode, asked) = (server.mode.clone(), server.asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mode, asked) = (mode.clone(), asked.clone());
                std::thread::spawn(move || {
                    let mut stream = stream;
                    let mut request = Vec::new();
                    let mut piece = [0; 1024];
                    while !request.ends_with(b"token_type_hint=access_token") {
                        match stream.read(&mut piece) {
                            Ok(read @ 1..) => request.extend(piece.iter().take(read)),
                            _ => return,
                        }
                    }
                    let request = String::from_utf8(request).unwrap();
                    let good = request.contains("token=good%2B&");
                    asked.lock().unwrap().push(request);
                    let mode = mode.lock().unwrap().clone();
                    let (status, body) = match mode {
                        Mode::Serve(body) if good => (200, body),
                        Mode::Serve(_) => (200, r#"{"active":false}"#.to_owned()),
                        Mode::Slow(body, pause) => {
                            std::thread::sleep(pause);
                            (200, body)
                        }
                        Mode::Fail(status) => (status, "no".to_owned()),
                        Mode::Down => return,
                    };
                    let _ = write!(
                        stream,
                        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    );
                });
            }
        });
        server
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// A real Envoy asks a real server about opaque tokens, remembers, and fails closed.
#[test]
fn opaque_tokens_are_asked_about_in_a_real_envoy() {
    const ANN: &str = r#"{"active":true,"sub":"ann","aud":"shop"}"#;
    let upstream = Upstream::start().unwrap();
    let server = AuthorizationServer::start(Mode::Slow(ANN.to_owned(), Duration::from_millis(100)));
    let mut setup = shipped("jwks.yaml", &upstream);
    let from = setup
        .config
        .find("                              type: jwt")
        .unwrap();
    let to = setup
        .config
        .find("                              forward:")
        .unwrap();
    let lines = [
        "type: introspection",
        "url: \"https://id.example.com/introspect\"",
        "cluster: idp",
        "client: { id: shop, env: PALISADE_JWT_KEY }",
        "timeout: 500ms",
        "audiences: [shop]",
    ];
    let lines: String = lines
        .iter()
        .map(|line| format!("{}{line}\n", " ".repeat(30)))
        .collect();
    setup.config.replace_range(from..to, &lines);
    setup.replace.push((
        "port_value: 8081".to_owned(),
        format!("port_value: {}", server.address.port()),
    ));
    setup.workers = 1;
    let envoy = start(&setup);
    let status = |token: &str| {
        let bearer = format!("Bearer {token}");
        get(envoy.address, "/api/1", &[("authorization", &bearer)]).status
    };
    assert_eq!(status("good+"), 200, "{}", envoy.log());
    assert_eq!(status("good+"), 200);
    assert_eq!(server.asked(), 1, "the second time it is known");
    let first = server.asked.lock().unwrap()[0].to_ascii_lowercase();
    assert!(
        first.starts_with("post /introspect http/1.1\r\n"),
        "{first}"
    );
    for field in [
        "host: id.example.com\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "authorization: basic ",
        "\r\n\r\ntoken=good%2b&token_type_hint=access_token",
    ] {
        assert!(first.contains(field), "{field}: {first}");
    }
    let set = |mode| *server.mode.lock().unwrap() = mode;
    set(Mode::Serve(ANN.to_owned()));
    assert_eq!(status("bad"), 401);
    assert_eq!(status("bad"), 401);
    assert_eq!(server.asked(), 2);
    // A body is held until the answer is there, and judged.
    let post = |token: &str, body: &[u8]| {
        let bearer = format!("Bearer {token}");
        let fields = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        palisade_tests::http::request(envoy.address, "POST", "/api/1", &fields, body)
            .unwrap()
            .status
    };
    set(Mode::Slow(ANN.to_owned(), Duration::from_millis(100)));
    assert_eq!(post("one", br#"{"q":"<script>alert(1)</script>"}"#), 403);
    assert_eq!(post("two", br#"{"q":"shoes"}"#), 200);
    for (mode, token) in [
        (Mode::Fail(500), "a"),
        (Mode::Slow("<html>".to_owned(), Duration::ZERO), "b"),
        (Mode::Slow(ANN.to_owned(), Duration::from_secs(2)), "c"),
        (Mode::Down, "d"),
    ] {
        set(mode);
        assert_eq!(status(token), 503, "{token}\n{}", envoy.log());
        assert_eq!(status("good+"), 200, "what is known passes");
    }
    assert_eq!(get(envoy.address, "/", &[]).status, 200);
}
