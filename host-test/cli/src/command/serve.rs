//! `palisade serve`: a real HTTP/1.1 gateway around the filter.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use clap::Args;
use palisade_cli::policy_file::{self, Document};
use palisade_host::{Clock, Shared};

use super::{environment, module};
use crate::gateway::upstream::Target;
use crate::gateway::{self, Job, Plan};

/// Serve a policy: an HTTP/1.1 gateway with the filter in it.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// YAML or JSON; read again when it changes.
    #[arg(long, value_name = "P")]
    policy: PathBuf,
    /// Where requests go, such as http://127.0.0.1:8080; absent: a demo that shows what it received.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// The filter; absent: target/palisade.wasm, or the one beside this program.
    #[arg(long, value_name = "M.wasm")]
    module: Option<PathBuf>,
    /// Threads, each with a VM of its own; they share counters.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:10000", value_name = "ADDR")]
    listen: String,
    /// A variable of the VM's environment; without it, what the policy needs is taken from ours.
    #[arg(long = "env", value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// KEY=VALUE lines: the VM's environment.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// No access log.
    #[arg(long, short)]
    quiet: bool,
}

impl Serve {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let env = environment(self.env_file.as_deref(), &self.env)?;
        let Some((policy, needs)) = self.read_policy(&env)? else {
            return Ok(ExitCode::from(1));
        };
        let module = module(self.module.as_deref())?;
        let target = match &self.upstream {
            Some(url) => Target::parse(url)?,
            None => Target::Demo,
        };
        let plan = Arc::new(Plan {
            module,
            // The guest sees the policy's own variables and nothing else of our environment.
            environment: env
                .iter()
                .filter(|(name, _)| needs.contains(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            shared: Shared::new(),
            clock: Clock::system(),
            target,
            quiet: self.quiet,
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(&self.listen)
                .await
                .with_context(|| format!("cannot listen on {}", self.listen))?;
            let mut workers = Vec::new();
            for number in 0..self.workers {
                workers.push(gateway::start(number, &plan, policy.clone().into())?);
            }
            say!(
                "palisade: listening on http://{}, {} worker{}, policy {}, upstream {}",
                listener.local_addr()?,
                self.workers,
                if self.workers == 1 { "" } else { "s" },
                self.policy.display(),
                self.upstream.as_deref().unwrap_or("built-in demo")
            );
            self.accept(listener, &workers, policy, &env).await?;
            say!("palisade: stopping");
            for worker in &workers {
                worker.send(Job::Stop);
            }
            for worker in workers {
                worker.join();
            }
            Ok(ExitCode::SUCCESS)
        })
    }

    /// The policy as JSON text, and the variables it needs; `None` when it has errors, which were printed.
    fn read_policy(
        &self,
        env: &std::collections::BTreeMap<String, String>,
    ) -> Result<Option<(String, Vec<String>)>> {
        let file = self.policy.display();
        let text =
            std::fs::read_to_string(&self.policy).with_context(|| format!("cannot read {file}"))?;
        let document = match Document::parse(&text) {
            Ok(document) => document,
            Err(error) => {
                eprintln!("{file}: {error}");
                return Ok(None);
            }
        };
        match policy_file::compile(&document.node, env) {
            Ok(policy) => Ok(Some((document.json(), policy.implied().env.clone()))),
            Err(errors) => {
                for error in errors {
                    let line = document
                        .line(&error.path)
                        .map_or_else(String::new, |line| format!(":{line}"));
                    eprintln!("{file}{line}: {error}");
                }
                Ok(None)
            }
        }
    }

    /// Deals connections to the workers in turn, and hands them a policy that changed, until a signal says stop.
    async fn accept(
        &self,
        listener: tokio::net::TcpListener,
        workers: &[gateway::Handle],
        mut policy: String,
        env: &std::collections::BTreeMap<String, String>,
    ) -> Result<()> {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut poll = tokio::time::interval(Duration::from_millis(500));
        let mut seen = self.modified();
        let mut turn = workers.iter().cycle();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let stream = stream.into_std()?;
                        if let Some(worker) = turn.next() {
                            worker.send(Job::Connection(stream, peer));
                        }
                    }
                    // Out of descriptors, mostly: the next one may do.
                    Err(error) => {
                        eprintln!("palisade: accept: {error}");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                _ = tokio::signal::ctrl_c() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = poll.tick() => {
                    let now = self.modified();
                    if now == seen || now.is_none() {
                        continue;
                    }
                    seen = now;
                    match self.read_policy(env) {
                        Ok(Some((text, _))) if text != policy => {
                            for worker in workers {
                                worker.send(Job::Policy(text.as_str().into()));
                            }
                            say!("palisade: policy {} changed and was given to all workers", self.policy.display());
                            policy = text;
                        }
                        Ok(Some(_)) => {}
                        Ok(None) => eprintln!("palisade: the policy has errors; the old one stays"),
                        Err(error) => eprintln!("palisade: {error:#}; the old policy stays"),
                    }
                }
            }
            if workers.iter().all(gateway::Handle::is_gone) {
                bail!("every worker has ended");
            }
        }
    }

    fn modified(&self) -> Option<SystemTime> {
        std::fs::metadata(&self.policy).ok()?.modified().ok()
    }
}
