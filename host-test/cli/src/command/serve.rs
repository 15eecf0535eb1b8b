//! `palisade serve`: a real gateway, HTTP/1.1 and HTTP/2, around our filter or any other.
//!
//! **In:** flags, a policy or a foreign module with its configuration. **Out:** a listening gateway until a signal says stop.
//! **Invariant:** what cannot be loaded never replaces what runs; a reload is tried in a VM of its own before any worker gets it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use palisade_host::{Clock, Limits, Shared};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;

use super::filter::{self, BadPolicy, Filter, Given};
use super::serve_limits::{Level, Limited};
use crate::gateway::access_log::Format;
use crate::gateway::admin::Admin;
use crate::gateway::guest::{FailurePolicy, TRIAL, start_vm};
use crate::gateway::stats::{Stats, up};
use crate::gateway::tls::{Source, Tls};
use crate::gateway::upstream::Target;
use crate::gateway::watch::Watch;
use crate::gateway::{self, Bounds, Job, Load, Names, Plan};

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Serve a policy, or any filter: a gateway for HTTP/1.1, HTTP/2 and TLS with the filter in it, reloaded when files change.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where requests go: http://HOST:PORT, or h2c://HOST:PORT for HTTP/2; absent: a demo that shows what it received.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Scope of shared queues and data.
    #[arg(
        long,
        value_name = "ID",
        default_value = "palisade",
        help_heading = "Filter"
    )]
    vm_id: String,
    /// A cluster that the filter may call: http://HOST:PORT, or h2c:// for HTTP/2; repeatable, or separated by commas.
    #[arg(
        long,
        value_name = "NAME=URL",
        value_delimiter = ',',
        help_heading = "Filter"
    )]
    clusters: Vec<String>,
    /// What to do when the filter has failed: answer 503, pass everything, or start it anew.
    #[arg(long, value_enum, default_value = "reload", help_heading = "Filter")]
    failure_policy: FailurePolicy,
    /// Lines of the filter's log below this are dropped.
    #[arg(long, value_enum, default_value = "info", help_heading = "Filter")]
    log_level: Level,
    /// No filter at all: what the gateway itself costs.
    #[arg(long, hide = true)]
    no_filter: bool,
    /// Threads, each with a VM of its own; they share counters.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:10000", value_name = "ADDR")]
    listen: String,
    /// Where to answer /stats, /stats/prometheus, /ready and /healthz.
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// The access log.
    #[arg(long, value_enum, default_value = "text", value_name = "FORM")]
    log: Format,
    /// No access log: the same as --log off.
    #[arg(long, short)]
    quiet: bool,
    /// Certificate chain in PEM form; read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "TLS")]
    tls_cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    tls_key: Option<PathBuf>,
    /// TLS with a certificate for localhost made now: for trying things out.
    #[arg(long, conflicts_with = "tls_cert", help_heading = "TLS")]
    tls_self_signed: bool,
    /// Clients must show a certificate that one of these signed.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_client_ca: Option<PathBuf>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    limits: Limited,
}

impl Serve {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let given = self.given()?;
        let module = if self.no_filter {
            None
        } else {
            Some(self.filter.load(self.guest_limits())?)
        };
        let load = Load {
            module,
            generation: 0,
            configuration: given.configuration.into(),
            environment: given.environment.into(),
        };
        let plan = Arc::new(self.plan()?);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let done = runtime.block_on(self.serve(&plan, load));
        // A reload that is being tried must not hold up the end.
        runtime.shutdown_background();
        done
    }

    fn plan(&self) -> Result<Plan> {
        let mut clusters = BTreeMap::new();
        for cluster in &self.clusters {
            let Some((name, url)) = cluster.split_once('=').filter(|(name, _)| !name.is_empty())
            else {
                bail!("--clusters `{cluster}`: write NAME=URL, such as auth=http://127.0.0.1:9000");
            };
            let target = Target::parse(url).with_context(|| format!("--clusters {name}"))?;
            clusters.insert(name.to_owned(), target);
        }
        let client_ca = self.tls_client_ca.clone();
        let source = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(Source::Files {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca,
            }),
            _ if self.tls_self_signed => Some(Source::SelfSigned { client_ca }),
            _ if client_ca.is_some() => {
                bail!("--tls-client-ca needs --tls-cert and --tls-key, or --tls-self-signed")
            }
            _ => None,
        };
        let limits = &self.limits;
        Ok(Plan {
            names: Names {
                plugin: "palisade".to_owned(),
                root_id: self.filter.root_id(),
                vm_id: self.vm_id.clone(),
                vm_configuration: self.filter.vm_configuration(),
                without_functions: self.filter.without_functions(),
            },
            shared: Shared::new(),
            clock: Clock::system(),
            target: match &self.upstream {
                Some(url) => Target::parse(url).context("--upstream")?,
                None => Target::Demo,
            },
            clusters,
            failure: self.failure_policy,
            tls: source.map(Tls::load).transpose()?,
            bounds: Bounds {
                head: limits.header_timeout,
                idle: limits.idle_timeout,
                stream_idle: limits.stream_idle_timeout,
                request: limits.request_timeout,
                headers: usize::from(limits.max_headers),
                held: limits.buffer_limit,
                drain: limits.drain,
            },
            log: if self.quiet { Format::Off } else { self.log },
            log_level: self.log_level.into(),
            stats: Arc::new(Stats::new(self.workers)),
        })
    }

    async fn serve(&self, plan: &Arc<Plan>, load: Load) -> Result<ExitCode> {
        let listener = tokio::net::TcpListener::bind(&self.listen)
            .await
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        let mut workers = Vec::new();
        for number in 0..self.workers {
            workers.push(gateway::start(number, plan, load.clone())?);
        }
        let stopping = Arc::new(AtomicBool::new(false));
        if let Some(address) = &self.admin {
            let listener = tokio::net::TcpListener::bind(address)
                .await
                .with_context(|| format!("--admin: cannot listen on {address}"))?;
            say!("palisade: admin on http://{}", listener.local_addr()?);
            let admin = Admin {
                stats: Arc::clone(&plan.stats),
                shared: plan.shared.clone(),
                stopping: Arc::clone(&stopping),
            };
            tokio::spawn(admin.serve(listener));
        }
        say!(
            "palisade: listening on {}://{}, {} worker{}, {}, upstream {}",
            if plan.tls.is_some() { "https" } else { "http" },
            listener.local_addr()?,
            self.workers,
            if self.workers == 1 { "" } else { "s" },
            self.what(&load),
            self.upstream.as_deref().unwrap_or("built-in demo")
        );
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        self.accept(
            listener,
            plan,
            &workers,
            load,
            [&mut interrupt, &mut terminate],
        )
        .await?;
        stopping.store(true, Ordering::Relaxed);
        say!("palisade: stopping");
        for worker in &workers {
            worker.send(Job::Stop);
        }
        while !workers.iter().all(gateway::Handle::is_gone) {
            tokio::select! {
                _ = interrupt.recv() => return Ok(ExitCode::from(130)),
                _ = terminate.recv() => return Ok(ExitCode::from(143)),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The filter and its configuration, in a few words.
    fn what(&self, load: &Load) -> String {
        match (&load.module, &self.filter.policy, &self.filter.config) {
            (None, ..) => "no filter".to_owned(),
            (_, Some(policy), _) => format!("policy {}", policy.display()),
            (Some(module), _, Some(config)) => {
                format!("filter {} with {}", module.name(), config.display())
            }
            (Some(module), ..) => format!("filter {}", module.name()),
        }
    }

    /// No fuel, which costs a guest much of its speed; endless loops end by the clock.
    fn guest_limits(&self) -> Limits {
        Limits {
            fuel: None,
            time: Some(self.limits.callback_timeout),
            ..Limits::default()
        }
    }

    fn given(&self) -> Result<Given> {
        if self.no_filter && self.filter.is_absent() {
            return Ok(Given::default());
        }
        self.filter.given()
    }

    /// Deals connections to the workers in turn, and hands them what has changed, until a signal says stop.
    async fn accept(
        &self,
        listener: tokio::net::TcpListener,
        plan: &Arc<Plan>,
        workers: &[gateway::Handle],
        mut load: Load,
        [interrupt, terminate]: [&mut Signal; 2],
    ) -> Result<()> {
        let places = Arc::new(Semaphore::new(
            usize::try_from(self.limits.max_connections).unwrap_or(usize::MAX),
        ));
        let mut poll = tokio::time::interval(LOOK);
        let mut configuration = Watch::new(
            (self.filter.policy.iter())
                .chain(&self.filter.config)
                .cloned()
                .collect(),
        );
        let module = (!self.no_filter).then(|| self.filter.path()).transpose()?;
        let mut module = Watch::new(module.into_iter().collect());
        let mut certificate = Watch::new(plan.tls.as_ref().map(Tls::files).unwrap_or_default());
        let mut turn = workers.iter().cycle();
        let mut trial: Option<tokio::task::JoinHandle<Result<Load>>> = None;
        loop {
            tokio::select! {
                accepted = connection(&listener, &places) => match accepted {
                    Ok((stream, peer, place)) => {
                        let stream = stream.into_std()?;
                        if let Some(worker) = turn.next() {
                            worker.send(Job::Connection(stream, peer, place));
                        }
                    }
                    // Out of descriptors, mostly: the next one may do.
                    Err(error) => {
                        complain!("palisade: accept: {error}");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                tried = finished(&mut trial) => {
                    trial = None;
                    match tried {
                        Ok(fresh) => {
                            let what = if fresh.generation == load.generation { "configuration" } else { "module" };
                            load = fresh;
                            for worker in workers {
                                worker.send(Job::Load(load.clone()));
                            }
                            up(&plan.stats.numbers.reloads);
                            say!("palisade: the {what} changed and was given to all workers ({})", self.what(&load));
                        }
                        Err(error) => {
                            up(&plan.stats.numbers.reloads_refused);
                            complain!("palisade: {error:#}; the old one stays");
                        }
                    }
                }
                _ = poll.tick(), if trial.is_none() => {
                    if certificate.changed() && let Some(tls) = &plan.tls {
                        match tls.reload() {
                            Ok(()) => say!("palisade: the certificate changed and was taken"),
                            Err(error) => complain!("palisade: {error:#}; the old certificate stays"),
                        }
                    }
                    let (other, fresh_module) = (configuration.changed(), module.changed());
                    if other || fresh_module {
                        trial = self.try_load(plan, &load, fresh_module);
                    }
                }
            }
            if workers.iter().all(gateway::Handle::is_gone) {
                bail!("every worker has ended");
            }
        }
    }

    /// Reads what has changed and tries it in a VM of its own, beside what runs. `None` if there is nothing to try.
    fn try_load(
        &self,
        plan: &Arc<Plan>,
        old: &Load,
        fresh_module: bool,
    ) -> Option<tokio::task::JoinHandle<Result<Load>>> {
        let refused = |why: &str| {
            up(&plan.stats.numbers.reloads_refused);
            complain!("palisade: {why}; the old one stays");
        };
        let given = match self.given() {
            Ok(given) => given,
            Err(error) => {
                match error.downcast_ref::<BadPolicy>() {
                    Some(errors) => {
                        complain!("{errors}");
                        refused("the policy has errors");
                    }
                    None => refused(&format!("{error:#}")),
                }
                return None;
            }
        };
        if !fresh_module
            && *given.configuration == *old.configuration
            && *given.environment == *old.environment
        {
            return None;
        }
        let mut load = Load {
            configuration: given.configuration.into(),
            environment: given.environment.into(),
            ..old.clone()
        };
        let plan = Arc::clone(plan);
        let path = self.filter.path().ok();
        let limits = self.guest_limits();
        Some(tokio::task::spawn_blocking(move || {
            if fresh_module && let Some(path) = path {
                load.module = Some(filter::load(&path, limits)?);
                load.generation += 1;
            }
            if let Some(module) = &load.module {
                start_vm(TRIAL, &plan, &load, module).context("the new filter or configuration")?;
            }
            Ok(load)
        }))
    }
}

async fn connection(
    listener: &tokio::net::TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(
    tokio::net::TcpStream,
    std::net::SocketAddr,
    tokio::sync::OwnedSemaphorePermit,
)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

async fn finished(trial: &mut Option<tokio::task::JoinHandle<Result<Load>>>) -> Result<Load> {
    match trial {
        Some(trial) => trial.await.context("the trial broke off")?,
        None => std::future::pending().await,
    }
}
