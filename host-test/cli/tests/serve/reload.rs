//! Another configuration, another module, while requests go on: none is dropped, none passes unfiltered, and what is broken is not taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::Frame;

use super::guests;
use super::support::{Client, Gateway, file, get, pieces, request, run, server};

/// Asks on several connections until told to stop; every answer must be 200 and bear the filter's marks.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    tasks: tokio::task::JoinSet<()>,
}

impl Load {
    fn start(gateway: &Gateway, marks: &'static [&'static str]) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..4 {
            let (stop, answers, address) = (
                Arc::clone(&stop),
                Arc::<AtomicUsize>::clone(&answers),
                gateway.address,
            );
            tasks.spawn(async move {
                let mut client = if number % 2 == 0 {
                    Client::one(address).await
                } else {
                    Client::two(address).await
                };
                while !stop.load(Ordering::Relaxed) {
                    let (status, headers, _) = client.ask(request("POST", "/", "body")).await;
                    assert_eq!(status, 200);
                    let mark = format!(
                        "{}/{}",
                        headers["x-module"].to_str().unwrap(),
                        headers["x-config"].to_str().unwrap()
                    );
                    assert!(marks.contains(&mark.as_str()), "{mark}");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self {
            stop,
            answers,
            tasks,
        }
    }

    async fn more(&self) {
        let before = self.answers.load(Ordering::Relaxed);
        while self.answers.load(Ordering::Relaxed) < before + 50 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(done) = self.tasks.join_next().await {
            done.unwrap();
        }
    }
}

async fn mark(gateway: &Gateway) -> String {
    let (_, headers, _) = get(gateway.address, "/").await;
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    format!("{}/{}", text("x-module"), text("x-config"))
}

#[test]
fn module_and_configuration_change_under_load() {
    run(async {
        let server = server().await;
        let module = guests::marking("live.wat", "first");
        let config = file("live.conf", "alpha");
        let gateway = Gateway::start(&[
            "--module",
            module.to_str().unwrap(),
            "--config",
            config.to_str().unwrap(),
            "--upstream",
            &format!("http://{server}"),
            "--quiet",
        ]);
        assert_eq!(mark(&gateway).await, "first/alpha");
        let load = Load::start(
            &gateway,
            &[
                "first/alpha",
                "first/beta",
                "second/beta",
                "third/gamma",
                "second/gamma",
            ],
        );
        load.more().await;

        file("live.conf", "beta");
        gateway.line("the configuration changed and was given to all workers");
        load.more().await;
        assert_eq!(mark(&gateway).await, "first/beta");

        guests::marking("live.wat", "second");
        gateway.line("the module changed and was given to all workers");
        load.more().await;
        assert_eq!(mark(&gateway).await, "second/beta");

        // Refused by the guest; not a module; half of one; gone: the old one stays, and the reason is named.
        file("live.conf", "bad");
        gateway.line(
            "trial: the filter did not start: guest `live`: proxy_on_configure answered false",
        );
        file("live.conf", "beta");
        let whole = std::fs::read(&module).unwrap();
        file("live.wat", &whole[..whole.len() / 2]);
        gateway.line("guest `live`: not a WebAssembly module");
        std::fs::remove_file(&module).unwrap();
        load.more().await;
        assert_eq!(mark(&gateway).await, "second/beta");
        assert!(gateway.stat("gateway.reload_rejected").await >= 2);

        // Written slowly and in place: taken when it is whole.
        let fresh = std::fs::read(guests::marking("third.wat", "third")).unwrap();
        {
            use std::io::Write as _;
            let mut slowly = std::fs::File::create(&module).unwrap();
            for piece in fresh.chunks(fresh.len() / 8 + 1) {
                slowly.write_all(piece).unwrap();
                slowly.flush().unwrap();
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        }
        file("live.conf", "gamma");
        for _ in 0..1000 {
            if mark(&gateway).await == "third/gamma" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        load.more().await;
        assert_eq!(mark(&gateway).await, "third/gamma");
        load.end().await;
        assert!(gateway.stat("gateway.reload_success").await >= 3);
        assert_eq!(gateway.stat("gateway.vm_traps").await, 0);
        assert_eq!(gateway.stat("gateway.requests_not_filtered").await, 0);
    });
}

#[test]
fn a_stream_under_way_ends_on_the_vm_it_began_in() {
    run(async {
        let server = server().await;
        let module = guests::marking("under-way.wat", "before");
        let gateway = Gateway::start(&[
            "--module",
            module.to_str().unwrap(),
            "--config-text",
            "solo",
            "--upstream",
            &format!("http://{server}"),
        ]);
        let mut client = Client::one(gateway.address).await;
        let (sender, body) = pieces();
        let slow = Request::builder()
            .method("POST")
            .uri("/")
            .body(body)
            .unwrap();
        let answer = tokio::spawn(async move { client.ask(slow).await });
        sender.send(Ok(Frame::data("first".into()))).await.unwrap();
        while gateway.stat("gateway.downstream_rq_active").await < 1 {}
        guests::marking("under-way.wat", "after");
        gateway.line("the module changed and was given to all workers");
        while mark(&gateway).await != "after/solo" {}
        sender.send(Ok(Frame::data("second".into()))).await.unwrap();
        drop(sender);
        let (status, headers, text) = answer.await.unwrap();
        assert_eq!(
            (status, &headers["x-module"]),
            (200, &"before".parse().unwrap())
        );
        assert!(text.starts_with(b"POST / 11 "), "{text:?}");
    });
}

/// Our own filter's policy: checked before it is given to the filter.
#[test]
fn a_policy_with_errors_is_not_taken() {
    run(async {
        let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let ours = root.join("target/palisade.wasm");
        let module = if ours.is_file() {
            ours
        } else {
            eprintln!(
                "no target/palisade.wasm: `cargo xtask wasm` builds it; an empty filter stands in"
            );
            guests::empty()
        };
        let policy = file("policy.yaml", "mode: enforce\nheaders:\n  methods: [GET]\n");
        let gateway = Gateway::start(&[
            "--policy",
            policy.to_str().unwrap(),
            "--module",
            module.to_str().unwrap(),
        ]);
        let status = get(gateway.address, "/").await.0;
        assert_eq!(status, 200);
        file("policy.yaml", "mode: enforce\nheaders:\n  method: [GET]\n");
        gateway.line("policy.yaml:3: headers.method: unknown key");
        gateway.line("the policy has errors; the old one stays");
        file(
            "policy.yaml",
            "mode: enforce\nheaders:\n  methods: [POST]\n",
        );
        gateway.line("the configuration changed and was given to all workers");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let refused = get(gateway.address, "/").await.0;
        let expected = if module.ends_with("palisade.wasm") {
            405
        } else {
            200
        };
        assert_eq!(refused, expected);
    });
}
