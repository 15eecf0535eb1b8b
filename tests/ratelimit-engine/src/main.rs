//! A rate limit service for the end-to-end tests: limitador over Redis, behind Envoy's protocol.
//!
//! `ratelimit-engine --listen 127.0.0.1:0 --redis redis://127.0.0.1:6379 --domain edge --limit fleet=100/3600`
//! prints `listening ADDRESS`. `--fault garbage|late|never|twice` answers so instead. `--stock FILE` reads limits as Limitador's
//! server does (JSON), and judges by its call: all descriptors of a request at once, checked first and counted after.
//!
//! **In:** descriptors of the entries `limit` and `key`. **Out:** over the limit or not, and when it starts afresh (the stock server
//! tells neither that nor of which descriptor it speaks).
//! **Invariant:** exact under concurrency, with any number of engines over one Redis: of limitador's calls only the reservation
//! checks and counts in one step. A reservation is held to the end of its window and never committed: a commit
//! counts before it releases, and who asks in between is refused without need.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::{
    RateLimitService, RateLimitServiceServer,
};
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use envoy_types::pb::google::protobuf::Duration as WireDuration;
use limitador::limit::{Context, Limit};
use limitador::reservation::ReservationLimits;
use limitador::storage::AsyncStorage;
use limitador::storage::redis::AsyncRedisStorage;
use limitador::{AsyncRateLimiter, AsyncRateLimiterBuilder};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http, tokio_stream};
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// Longer than any window of a test.
const HOLD: Duration = Duration::from_secs(30 * 86_400);
/// Later than anybody waits.
const LATE: Duration = Duration::from_secs(2);

/// What it does instead of its work.
#[derive(Clone, Copy)]
enum Fault {
    Garbage,
    Late,
    Never,
    Twice,
}

struct Engine {
    limiter: Arc<AsyncRateLimiter>,
    fault: Option<Fault>,
    stock: bool,
}

fn answer(over: bool, statuses: Vec<DescriptorStatus>) -> RateLimitResponse {
    let overall = if over { Code::OverLimit } else { Code::Ok };
    RateLimitResponse {
        overall_code: overall.into(),
        statuses,
        ..RateLimitResponse::default()
    }
}

/// Answers a call that has one answer with two, the second against the first.
#[derive(Clone)]
struct Twice;

impl NamedService for Twice {
    const NAME: &'static str = "envoy.service.ratelimit.v3.RateLimitService";
}

impl Service<http::Request<Body>> for Twice {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async {
            let mut grpc = Grpc::new(ProstCodec::<RateLimitResponse, RateLimitRequest>::default());
            Ok(grpc.server_streaming(Both, request).await)
        })
    }
}

struct Both;

type Answers = tokio_stream::Iter<std::array::IntoIter<Result<RateLimitResponse, Status>, 2>>;

impl ServerStreamingService<RateLimitRequest> for Both {
    type Response = RateLimitResponse;
    type ResponseStream = Answers;
    type Future = Ready<Result<Response<Answers>, Status>>;

    fn call(&mut self, _: Request<RateLimitRequest>) -> Self::Future {
        let both = [Ok(answer(false, Vec::new())), Ok(answer(true, Vec::new()))];
        ready(Ok(Response::new(tokio_stream::iter(both))))
    }
}

impl Engine {
    /// As Limitador's own server does.
    async fn stock(
        &self,
        request: RateLimitRequest,
    ) -> Result<Response<RateLimitResponse>, Status> {
        let mut descriptors = Vec::new();
        for descriptor in request.descriptors {
            let entries = descriptor.entries.into_iter();
            descriptors.push(entries.map(|entry| (entry.key, entry.value)).collect());
        }
        let mut context = Context::default();
        context.list_binding("descriptors".into(), descriptors);
        let domain = request.domain.as_str().into();
        let hits = u64::from(request.hits_addend.max(1));
        let judged = self
            .limiter
            .check_rate_limited_and_update(&domain, &context, hits)
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(answer(judged.limited, Vec::new())))
    }
}

#[tonic::async_trait]
impl RateLimitService for Engine {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        let request = request.into_inner();
        match self.fault {
            Some(Fault::Garbage) => return Ok(Response::new(RateLimitResponse::default())),
            Some(Fault::Late) => tokio::time::sleep(LATE).await,
            Some(Fault::Never) => pending().await,
            Some(Fault::Twice) | None => {}
        }
        if self.stock {
            return self.stock(request).await;
        }
        let mut statuses = Vec::new();
        for descriptor in request.descriptors {
            let own = descriptor.hits_addend.map(|own| own.value);
            let hits = own.unwrap_or_else(|| u64::from(request.hits_addend.max(1)));
            let entries = descriptor.entries.into_iter();
            let entries: HashMap<_, _> = entries.map(|entry| (entry.key, entry.value)).collect();
            // A caller that gives up must not stop a reconnection on which others wait.
            let limiter = Arc::clone(&self.limiter);
            let domain = request.domain.clone();
            let reserving = tokio::spawn(async move {
                let mut context = Context::default();
                // As limitador's own server names them; `limit` alone would be the limit's own data.
                context.list_binding("descriptors".into(), vec![entries]);
                let domain = domain.as_str().into();
                let reserved = limiter.reserve(&domain, &context, hits, None).await;
                reserved.map_err(|error| error.to_string())
            });
            let reserved = reserving
                .await
                .map_err(|error| Status::internal(error.to_string()))?
                .map_err(|error| {
                    eprintln!("ratelimit-engine: {error}");
                    Status::unavailable(error)
                })?;
            let code = if reserved.limited {
                Code::OverLimit
            } else {
                Code::Ok
            };
            let reset = reserved
                .counters
                .iter()
                .filter_map(|counter| counter.expires_in())
                .max();
            statuses.push(DescriptorStatus {
                code: code.into(),
                duration_until_reset: reset.map(|reset| WireDuration {
                    seconds: i64::try_from(reset.as_secs()).unwrap_or(i64::MAX),
                    nanos: i32::try_from(reset.subsec_nanos()).unwrap_or(0),
                }),
                ..DescriptorStatus::default()
            });
        }
        let over = statuses
            .iter()
            .any(|status| status.code == i32::from(Code::OverLimit));
        Ok(Response::new(answer(over, statuses)))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut listen: SocketAddr = "127.0.0.1:0".parse()?;
    let (mut redis, mut domain, mut limits, mut fault, mut stock) =
        (None, String::from("edge"), Vec::new(), None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{name} without a value"))?;
        match name.as_str() {
            "--listen" => listen = value.parse()?,
            "--redis" => redis = Some(value),
            "--domain" => domain = value,
            "--limit" => limits.push(value),
            "--stock" => stock = Some(value),
            "--fault" => {
                fault = Some(match value.as_str() {
                    "garbage" => Fault::Garbage,
                    "late" => Fault::Late,
                    "never" => Fault::Never,
                    "twice" => Fault::Twice,
                    other => bail!("no fault `{other}`"),
                });
            }
            other => bail!("no option `{other}`"),
        }
    }
    let redis = redis.context("--redis is missing")?;
    // What is lost comes back soon: the default waits longer with each try, up to a quarter of a minute.
    let soon = ConnectionManagerConfig::new()
        .set_number_of_retries(3)
        .set_max_delay(50)
        .set_connection_timeout(Duration::from_millis(500))
        .set_response_timeout(Duration::from_millis(500));
    let client = redis::Client::open(redis)?;
    let connection = ConnectionManager::new_with_config(client, soon).await;
    let connection = connection.context("Redis does not answer")?;
    let storage = AsyncRedisStorage::new_with_conn_manager(connection).await;
    let storage = storage.context("Redis does not take the scripts")?;
    let limiter =
        AsyncRateLimiterBuilder::new(AsyncStorage::with_counter_storage(Box::new(storage)))
            .reservation_limits(ReservationLimits {
                max_fraction: 1.0,
                max_ttl: HOLD,
            })
            .build();
    for text in limits {
        let parts = text
            .split_once('=')
            .and_then(|(name, quota)| Some((name, quota.split_once('/')?)));
        let (name, (most, seconds)) =
            parts.with_context(|| format!("`{text}` is no NAME=MOST/SECONDS"))?;
        let condition = format!("descriptors[0].limit == '{name}'")
            .as_str()
            .try_into();
        let condition = condition.map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        let variable = "descriptors[0].key"
            .try_into()
            .map_err(|error| anyhow::anyhow!("key: {error}"))?;
        let limit = Limit::new(
            domain.as_str(),
            most.parse()?,
            seconds.parse()?,
            vec![condition],
            vec![variable],
        );
        limiter.add_limit(limit);
    }
    if let Some(path) = &stock {
        let text = std::fs::read_to_string(path).context("--stock")?;
        let listed: Vec<Limit> = serde_json::from_str(&text).context("--stock")?;
        for limit in listed {
            limiter.add_limit(limit);
        }
    }
    let incoming = TcpIncoming::bind(listen)?.with_nodelay(Some(true));
    println!("listening {}", incoming.local_addr()?);
    let mut server = Server::builder();
    let router = if matches!(fault, Some(Fault::Twice)) {
        server.add_service(Twice)
    } else {
        server.add_service(RateLimitServiceServer::new(Engine {
            limiter: Arc::new(limiter),
            fault,
            stock: stock.is_some(),
        }))
    };
    router.serve_with_incoming(incoming).await?;
    Ok(())
}
