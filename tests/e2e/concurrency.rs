//! Requests in flight: streams cut in every phase, workers that crash, stores that fail, and a real Envoy with a slow
//! upstream. After everything all places are free again, and there were never more than the quota.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "helpers of tests: failing here is failing the test"
)]

#[expect(dead_code, reason = "this suite uses a part of it")]
#[path = "support.rs"]
mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use palisade_host::{
    Clock, Clusters, Headers, Injected, Module, Shared, Step, StreamId, StreamInfo, Vm, VmConfig,
};
use palisade_tests::http::{self, Connection};
use palisade_tests::slow::Slow;
use palisade_tests::upstream::Upstream;
use support::{start, with_policy};

const QUOTA: usize = 3;

/// Every way a request can go, with one limit on all of them.
const POLICY: &str = r#"{
  "tokens": {"opaque": {"type": "introspection", "url": "https://id.example.com/introspect", "cluster": "idp",
                        "client": {"id": "shop", "env": "KEY"}}},
  "limits": [
    {"name": "flight", "key": ["client"], "algorithm": "concurrency", "quota": 3},
    {"name": "by-user", "when": {"methods": ["POST"], "path": "/user/*"}, "key": [{"field": "username"}],
     "algorithm": "concurrency", "quota": 50},
    {"name": "late", "when": {"path": "/late/*"}, "key": [{"header": "x-late"}], "quota": "1/10m"}
  ],
  "injection": {"inspect": ["target", "body"]},
  "routes": [
    {"name": "api", "match": {"path": "/api/*"}, "token": {"any": ["opaque"]}},
    {"name": "all", "match": {"path": "/*"}, "token": "none"}
  ]
}"#;

/// The filter, compiled once per test binary.
fn filter() -> &'static Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    MODULE.get_or_init(|| {
        support::module();
        Module::from_file(palisade_tests::root().join("target/palisade.wasm")).unwrap()
    })
}

/// What the workers of a proxy share.
struct Proxy {
    shared: Shared,
    clock: Clock,
    policy: String,
    /// Shared data cannot be written while it is set.
    store_fails: Arc<AtomicBool>,
}

impl Proxy {
    fn new() -> Self {
        Self {
            shared: Shared::new(),
            clock: Clock::virtual_at(Duration::from_secs(1_800_000_000)),
            policy: POLICY.to_owned(),
            store_fails: Arc::default(),
        }
    }

    fn worker(&self) -> Vm {
        let fails = Arc::clone(&self.store_fails);
        let config = VmConfig {
            plugin_configuration: self.policy.clone().into_bytes(),
            environment: vec![("KEY".to_owned(), "secret".to_owned())],
            shared: self.shared.clone(),
            clock: self.clock.clone(),
            clusters: Clusters::named(["idp"]),
            allow_on_headers_stop_iteration: true,
            seed: Some(7),
            fault: Some(Box::new(move |hostcall| {
                let hit = hostcall == "proxy_set_shared_data" && fails.load(Ordering::SeqCst);
                // 10: internal failure.
                hit.then_some(Injected::Status(10))
            })),
            ..VmConfig::default()
        };
        Vm::start(filter(), config).unwrap()
    }

    /// Half a second passes for all workers.
    fn tick(&self, workers: &mut [&mut Vm]) {
        self.clock.advance(Duration::from_millis(500));
        for vm in workers {
            vm.tick().unwrap();
        }
    }
}

fn head(method: &str, path: &str, fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in [
        (":method", method),
        (":path", path),
        (":authority", "shop.example.com"),
        (":scheme", "https"),
    ] {
        headers.add(name, value);
    }
    for (name, value) in fields {
        headers.add(name, value);
    }
    headers
}

fn begin(vm: &mut Vm, client: u8, headers: Headers, end: bool) -> (StreamId, Step) {
    let id = vm
        .new_stream(StreamInfo {
            source_address: format!("192.0.2.{client}:4711"),
            ..StreamInfo::default()
        })
        .unwrap();
    let step = vm.request_headers(id, headers, end).unwrap();
    (id, step)
}

fn get(vm: &mut Vm, client: u8, path: &str) -> (StreamId, Step) {
    begin(vm, client, head("GET", path, &[]), true)
}

fn passed(step: &Step) -> bool {
    matches!(step, Step::Continue(_))
}

fn status(step: &Step) -> u16 {
    match step {
        Step::LocalReply(reply) => reply.status,
        other => panic!("no reply: {other:?}"),
    }
}

/// How many places a client has free: it takes them all, is refused, and gives them back.
fn free(vm: &mut Vm, client: u8) -> usize {
    let mut taken = Vec::new();
    loop {
        let (id, step) = get(vm, client, "/probe");
        if passed(&step) {
            taken.push(id);
            assert!(taken.len() < 1_000, "no bound");
            continue;
        }
        assert_eq!(status(&step), 429);
        vm.finish(id).unwrap();
        break;
    }
    let free = taken.len();
    for id in taken {
        vm.finish(id).unwrap();
    }
    free
}

fn answer(vm: &mut Vm, id: StreamId) {
    let mut headers = Headers::default();
    headers.add(":status", "200");
    vm.response_headers(id, headers, false).unwrap();
    vm.response_body(id, b"ok", true).unwrap();
}

#[test]
fn a_place_is_held_until_the_stream_ends() {
    let proxy = Proxy::new();
    let mut vm = proxy.worker();
    let streams: Vec<_> = (0..QUOTA).map(|_| get(&mut vm, 1, "/slow")).collect();
    assert!(streams.iter().all(|(_, step)| passed(step)));
    let (refused, step) = get(&mut vm, 1, "/slow");
    let Step::LocalReply(reply) = step else {
        panic!("{step:?}");
    };
    assert_eq!(reply.status, 429);
    assert_eq!(reply.headers.text("retry-after").unwrap(), "1");
    assert_eq!(free(&mut vm, 2), QUOTA, "another client");
    // The end of a refused stream gives nothing back.
    vm.finish(refused).unwrap();
    assert_eq!(free(&mut vm, 1), 0);
    // Nor does an answer, as long as the stream lives: it may be an endless one.
    let (first, _) = streams[0];
    answer(&mut vm, first);
    assert_eq!(free(&mut vm, 1), 0);
    for (ended, (id, _)) in streams.iter().enumerate() {
        assert_eq!(free(&mut vm, 1), ended);
        vm.finish(*id).unwrap();
    }
    assert_eq!(free(&mut vm, 1), QUOTA);
}

/// Where a stream is cut. Each gives back what it took, once.
#[test]
fn streams_cut_in_every_phase_give_back_once() {
    type Cut = fn(&mut Vm, &Proxy) -> StreamId;
    let cuts: [(&str, usize, Cut); 16] = [
        ("before its head", QUOTA, |vm, _| {
            vm.new_stream(StreamInfo::default()).unwrap()
        }),
        ("after its head", QUOTA - 1, |vm, _| get(vm, 1, "/").0),
        ("in its body, unheld", QUOTA - 1, |vm, _| {
            let fields = [("content-type", "application/grpc")];
            let (id, _) = begin(vm, 1, head("POST", "/", &fields), false);
            vm.request_body(id, b"\0\0\0\0\0", false).unwrap();
            id
        }),
        ("while held for its body", QUOTA - 1, |vm, _| {
            let (id, step) = begin(vm, 1, head("POST", "/", &[]), false);
            assert_eq!(step, Step::Paused);
            id
        }),
        ("in its held body", QUOTA - 1, |vm, _| {
            let (id, _) = begin(vm, 1, head("POST", "/", &[]), false);
            assert_eq!(vm.request_body(id, b"a=", false).unwrap(), Step::Paused);
            id
        }),
        ("after its body", QUOTA - 1, |vm, _| {
            let fields = [("content-type", "application/x-www-form-urlencoded")];
            let (id, _) = begin(vm, 1, head("POST", "/user/1", &fields), false);
            assert!(passed(&vm.request_body(id, b"username=a", true).unwrap()));
            id
        }),
        ("after its trailers", QUOTA - 1, |vm, _| {
            let (id, _) = begin(vm, 1, head("POST", "/", &[]), false);
            vm.request_body(id, b"a=1", false).unwrap();
            let mut trailers = Headers::default();
            trailers.add("x-end", "1");
            assert!(passed(&vm.request_trailers(id, trailers).unwrap()));
            id
        }),
        ("after the response's head", QUOTA - 1, |vm, _| {
            let (id, _) = get(vm, 1, "/");
            let mut headers = Headers::default();
            headers.add(":status", "200");
            vm.response_headers(id, headers, false).unwrap();
            id
        }),
        ("after its response", QUOTA - 1, |vm, _| {
            let (id, _) = get(vm, 1, "/");
            answer(vm, id);
            id
        }),
        ("after an upgrade", QUOTA - 1, |vm, _| {
            let fields = [("connection", "upgrade"), ("upgrade", "websocket")];
            let (id, step) = begin(vm, 1, head("GET", "/", &fields), false);
            assert!(passed(&step));
            let mut headers = Headers::default();
            headers.add(":status", "101");
            vm.response_headers(id, headers, false).unwrap();
            id
        }),
        ("when its head is refused", QUOTA, |vm, _| {
            let (id, step) = get(vm, 1, "/?q=%27%20OR%201=1--");
            assert_eq!(status(&step), 403);
            id
        }),
        ("when a later limit refuses it", QUOTA, |vm, _| {
            let mut last = None;
            for _ in 0..2 {
                if let Some(first) = last.take() {
                    vm.finish(first).unwrap();
                }
                let (id, step) = get(vm, 1, "/late/1");
                last = Some(id);
                assert!(passed(&step) || status(&step) == 429);
            }
            last.unwrap()
        }),
        ("when its body is refused", QUOTA, |vm, _| {
            let fields = [("content-type", "application/x-www-form-urlencoded")];
            let (id, _) = begin(vm, 1, head("POST", "/", &fields), false);
            let step = vm.request_body(id, b"q=%27%20OR%201=1--", true).unwrap();
            assert_eq!(status(&step), 403);
            id
        }),
        ("when its body never comes", QUOTA, |vm, proxy| {
            // Nothing has shown so far that bodies arrive.
            let (id, _) = begin(vm, 1, head("POST", "/", &[]), false);
            proxy.clock.advance(Duration::from_secs(31));
            let ended = vm.tick().unwrap();
            assert!(
                ended
                    .iter()
                    .any(|(other, step)| *other == id && status(step) == 503)
            );
            id
        }),
        ("while its token is asked about", QUOTA - 1, |vm, _| {
            let fields = [("authorization", "Bearer t")];
            let (id, step) = begin(vm, 1, head("GET", "/api/1", &fields), true);
            assert_eq!(step, Step::Paused);
            id
        }),
        ("when nobody answers for its token", QUOTA, |vm, proxy| {
            let fields = [("authorization", "Bearer u")];
            let (id, _) = begin(vm, 1, head("GET", "/api/1", &fields), true);
            proxy.clock.advance(Duration::from_secs(31));
            let ended = vm.tick().unwrap();
            assert!(
                ended
                    .iter()
                    .any(|(other, step)| *other == id && status(step) == 503)
            );
            id
        }),
    ];
    let proxy = Proxy::new();
    let mut vm = proxy.worker();
    for (name, left, cut) in cuts {
        let id = cut(&mut vm, &proxy);
        // The body's limit and the others hold what they hold apart from this one.
        assert_eq!(free(&mut vm, 1), left, "{name}");
        vm.finish(id).unwrap();
        assert_eq!(free(&mut vm, 1), QUOTA, "{name}, ended");
        assert_eq!(vm.stream_count(), 0, "{name}");
    }
}

#[test]
fn what_the_store_does_not_take_back_is_given_back_on_the_tick() {
    let proxy = Proxy::new();
    let mut vm = proxy.worker();
    let (id, _) = get(&mut vm, 1, "/");
    let (refused, step) = get(&mut vm, 1, "/?q=%27%20OR%201=1--");
    assert_eq!(status(&step), 403);
    proxy.store_fails.store(true, Ordering::SeqCst);
    let (other, step) = get(&mut vm, 1, "/");
    assert_eq!(status(&step), 503, "no place without a store");
    for stream in [id, refused, other] {
        vm.finish(stream).unwrap();
    }
    proxy.tick(&mut [&mut vm]);
    proxy.store_fails.store(false, Ordering::SeqCst);
    assert_eq!(free(&mut vm, 1), QUOTA - 1, "still owed");
    proxy.tick(&mut [&mut vm]);
    assert_eq!(free(&mut vm, 1), QUOTA);
}

#[test]
fn a_worker_that_crashes_frees_its_places_at_the_third_tick() {
    let proxy = Proxy::new();
    let (mut dying, mut other) = (proxy.worker(), proxy.worker());
    assert_eq!(free(&mut other, 1), QUOTA);
    for _ in 0..QUOTA {
        assert!(passed(&get(&mut dying, 1, "/slow").1));
    }
    for _ in 0..4 {
        proxy.tick(&mut [&mut dying, &mut other]);
        assert_eq!(free(&mut other, 1), 0);
    }
    drop(dying);
    // A trap: the host starts another VM in its place, which knows nothing.
    let mut reborn = proxy.worker();
    let mut freed = None;
    for tick in 1..=4 {
        proxy.tick(&mut [&mut other, &mut reborn]);
        let now = (free(&mut other, 1), free(&mut reborn, 1));
        match freed {
            None if now == (QUOTA, QUOTA) => freed = Some(tick),
            None => assert_eq!(now.0, 0, "tick {tick}"),
            Some(_) => assert_eq!(now, (QUOTA, QUOTA), "tick {tick}"),
        }
    }
    assert_eq!(freed, Some(3), "not before, not after");
}

/// The only worker crashes with all places taken: its successor finds out alone.
#[test]
fn a_successor_alone_frees_the_places_of_the_crashed() {
    let proxy = Proxy::new();
    let mut dying = proxy.worker();
    for _ in 0..QUOTA {
        assert!(passed(&get(&mut dying, 1, "/slow").1));
    }
    drop(dying);
    let mut reborn = proxy.worker();
    let mut ticks = 0;
    while free(&mut reborn, 1) == 0 {
        proxy.tick(&mut [&mut reborn]);
        ticks += 1;
        assert!(
            ticks <= 3,
            "three ticks after its first request at the latest"
        );
    }
    assert_eq!((ticks, free(&mut reborn, 1)), (3, QUOTA));
}

#[test]
fn a_reload_keeps_what_is_in_flight() {
    let proxy = Proxy::new();
    let mut vm = proxy.worker();
    let (first, _) = get(&mut vm, 1, "/slow");
    let (second, _) = get(&mut vm, 1, "/slow");
    let more = proxy.policy.replace("\"quota\": 3", "\"quota\": 5");
    assert_ne!(more, proxy.policy);
    vm.configure(more.as_bytes()).unwrap();
    assert_eq!(free(&mut vm, 1), 3, "two of five are in flight");
    vm.finish(first).unwrap();
    assert_eq!(free(&mut vm, 1), 4);
    proxy.store_fails.store(true, Ordering::SeqCst);
    // The last stream of the old policy ends while the store fails: it is owed all the same.
    vm.finish(second).unwrap();
    proxy.store_fails.store(false, Ordering::SeqCst);
    assert_eq!(free(&mut vm, 1), 4);
    proxy.tick(&mut [&mut vm]);
    assert_eq!(free(&mut vm, 1), 5);
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let word = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(word).unwrap() % bound
    }
}

/// Three workers, four clients, streams that begin, go on and end in any order, and workers that crash.
#[test]
fn never_more_than_the_quota_whatever_happens() {
    for seed in 1..=6_u64 {
        let proxy = Proxy::new();
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut workers: Vec<(Vm, Vec<(StreamId, u8)>)> =
            (0..3).map(|_| (proxy.worker(), Vec::new())).collect();
        let mut admitted = 0;
        for round in 0..1_500 {
            let at = random.below(workers.len());
            let (vm, streams) = &mut workers[at];
            match random.below(20) {
                0..=10 => {
                    let client = u8::try_from(random.below(4)).unwrap();
                    let path = ["/", "/?q=%27%20OR%201=1--", "/late/1"][random.below(3)];
                    let (id, step) = get(vm, client, path);
                    if passed(&step) {
                        streams.push((id, client));
                        admitted += 1;
                    } else {
                        vm.finish(id).unwrap();
                    }
                }
                11..=17 if !streams.is_empty() => {
                    let (id, _) = streams.swap_remove(random.below(streams.len()));
                    if random.below(2) == 0 {
                        answer(vm, id);
                    }
                    vm.finish(id).unwrap();
                }
                18 if round % 50 == 0 => workers[at] = (proxy.worker(), Vec::new()),
                _ => {
                    let mut all: Vec<_> = workers.iter_mut().map(|(vm, _)| vm).collect();
                    proxy.tick(&mut all);
                }
            }
            for client in 0..4 {
                let flying = workers.iter().flat_map(|(_, streams)| streams);
                let flying = flying.filter(|(_, other)| *other == client).count();
                assert!(flying <= QUOTA, "seed {seed}, round {round}: {flying}");
            }
        }
        assert!(admitted > 150, "{admitted}");
        for (vm, streams) in &mut workers {
            for (id, _) in streams.drain(..) {
                vm.finish(id).unwrap();
            }
        }
        for _ in 0..4 {
            let mut all: Vec<_> = workers.iter_mut().map(|(vm, _)| vm).collect();
            proxy.tick(&mut all);
        }
        for (vm, _) in &mut workers {
            for client in 0..4 {
                assert_eq!(free(vm, client), QUOTA, "seed {seed}: places are lost");
            }
        }
    }
}

#[test]
fn in_envoy_no_more_than_the_quota_reach_a_slow_upstream() {
    const PLACES: usize = 8;
    let slow = Slow::start(Duration::from_millis(20)).unwrap();
    let mut setup = with_policy(
        "limits: [{ name: flight, key: [client], algorithm: concurrency, quota: 8 }]",
        &Upstream::start().unwrap(),
    );
    setup.workers = 2;
    setup.upstream = slow.address;
    let envoy = start(&setup);
    let (admitted, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let end = Instant::now() + Duration::from_secs(4);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let mut connection = Connection::open(envoy.address).unwrap();
                while Instant::now() < end {
                    connection
                        .send(&http::render("GET", "/", &[], b""))
                        .unwrap();
                    match connection.receive(false).unwrap().status {
                        200 => admitted.fetch_add(1, Ordering::SeqCst),
                        429 => refused.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{other}\n{}", envoy.log()),
                    };
                }
            });
        }
    });
    let (admitted, refused) = (admitted.into_inner(), refused.into_inner());
    let most = slow.most();
    eprintln!("in flight at most {most} of {PLACES}; admitted {admitted}, refused {refused}");
    assert_eq!(most, PLACES, "never more, and no fewer under this demand");
    assert_eq!(slow.served(), admitted);
    assert!(admitted > 200 && refused > 200);

    // Clients that hang up, at any moment.
    for round in 0..60_u64 {
        let mut cut: Vec<_> = (0..6)
            .map(|_| Connection::open(envoy.address).unwrap())
            .collect();
        for connection in &mut cut {
            connection
                .send(&http::render("GET", "/", &[], b""))
                .unwrap();
        }
        std::thread::sleep(Duration::from_millis(round % 15));
        drop(cut);
    }
    let begun = Instant::now();
    let mut free = 0;
    while free != PLACES && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(100));
        // All at once: those that pass are in flight together.
        let mut probes: Vec<_> = (0..PLACES)
            .map(|_| Connection::open(envoy.address).unwrap())
            .collect();
        for probe in &mut probes {
            probe.send(&http::render("GET", "/", &[], b"")).unwrap();
        }
        let answers = probes.iter_mut().map(|probe| probe.receive(false).unwrap());
        free = answers.filter(|answer| answer.status == 200).count();
    }
    assert_eq!(free, PLACES, "a place was lost\n{}", envoy.log());
}
