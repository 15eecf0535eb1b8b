//! A connection of a client: TLS, HTTP/1.1 or HTTP/2 by ALPN or by its first bytes, and how long it may do nothing.
//!
//! **Invariant:** a client that sends nothing, or sends a head byte by byte, loses its connection after the limit and costs a descriptor
//! and a few kilobytes until then.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::stats::{down, up};
use super::upstream::Local;
use super::{Worker, exchange, peer};

/// How long a connection that was asked to end may take to.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a connection's requests have in common.
#[derive(Debug)]
pub(crate) struct Connection {
    /// `address:port`.
    pub(crate) peer: String,
    /// The address alone.
    pub(crate) peer_ip: String,
    pub(crate) local: String,
    /// Properties of the TLS session; `None` without TLS.
    pub(crate) tls: Option<Vec<(String, Vec<u8>)>>,
    activity: Activity,
}

/// What the connection is doing.
#[derive(Debug)]
struct Activity {
    requests: Cell<usize>,
    idle_since: Cell<Instant>,
    /// When the first byte came of a head that is not yet in.
    head_since: Cell<Option<Instant>>,
    /// In HTTP/2 bytes come for many reasons; only idleness is watched there.
    http2: Cell<Option<bool>>,
}

/// A request under way; while there is one the connection is not idle.
#[derive(Debug)]
pub(crate) struct Busy(pub(crate) Rc<Connection>);

impl Busy {
    pub(crate) fn new(connection: Rc<Connection>) -> Self {
        let activity = &connection.activity;
        activity.requests.set(activity.requests.get() + 1);
        activity.head_since.set(None);
        Self(connection)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let activity = &self.0.activity;
        activity
            .requests
            .set(activity.requests.get().saturating_sub(1));
        activity.idle_since.set(Instant::now());
        activity.head_since.set(None);
    }
}

impl Worker {
    /// Serves a connection until it ends.
    pub(super) async fn serve(
        self: Rc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        stopped: watch::Receiver<bool>,
    ) {
        let _ = stream.set_nodelay(true);
        let local = stream
            .local_addr()
            .map_or_else(|_| String::new(), |address| address.to_string());
        let Ok(stream) = tokio::net::TcpStream::from_std(stream) else {
            return;
        };
        let numbers = &self.plan.stats.numbers;
        up(&numbers.connections);
        up(&numbers.connections_active);
        self.connections.set(self.connections.get() + 1);
        let connection = |tls| Connection {
            peer: peer.to_string(),
            peer_ip: peer.ip().to_string(),
            local,
            tls,
            activity: Activity {
                requests: Cell::new(0),
                idle_since: Cell::new(Instant::now()),
                head_since: Cell::new(None),
                http2: Cell::new(None),
            },
        };
        match &self.plan.tls {
            None => self.speak(stream, connection(None), stopped).await,
            Some(tls) => {
                let handshake = TlsAcceptor::from(tls.config()).accept(stream);
                match tokio::time::timeout(self.plan.bounds.head, handshake).await {
                    Ok(Ok(stream)) => {
                        let properties = properties(&stream);
                        self.speak(stream, connection(Some(properties)), stopped)
                            .await;
                    }
                    // Scanners and clients that do not trust us: counted, not logged.
                    Ok(Err(_)) | Err(_) => up(&numbers.tls_errors),
                }
            }
        }
        self.connections
            .set(self.connections.get().saturating_sub(1));
        down(&numbers.connections_active);
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin + 'static>(
        self: &Rc<Self>,
        stream: S,
        connection: Connection,
        mut stopped: watch::Receiver<bool>,
    ) {
        let connection = Rc::new(connection);
        let service = {
            let (worker, connection) = (Rc::clone(self), Rc::clone(&connection));
            service_fn(move |request| {
                exchange::handle(Rc::clone(&worker), Rc::clone(&connection), request)
            })
        };
        let bounds = &self.plan.bounds;
        let mut builder = auto::Builder::new(Local);
        builder
            .http1()
            // Beyond the limit by some, so that it is the exchange that says so.
            .max_headers(bounds.headers.saturating_mul(2).max(256))
            .max_buf_size(1 << 20);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(1 << 18)
            .max_concurrent_streams(256)
            .initial_stream_window_size(1 << 18)
            .initial_connection_window_size(1 << 20)
            .max_send_buf_size(1 << 18);
        let stream = Watched {
            stream,
            connection: Rc::clone(&connection),
        };
        let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        // A client that breaks off is its own business.
        tokio::select! {
            _ = serving.as_mut() => return,
            _ = stopped.wait_for(|stopped| *stopped) => {
                serving.as_mut().graceful_shutdown();
                let _ = serving.await;
                return;
            }
            () = connection.activity.expires(bounds.head, bounds.idle) => {}
        }
        up(&self.plan.stats.numbers.connections_idle_timeout);
        serving.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(FAREWELL, serving).await;
    }
}

impl Activity {
    /// Returns when the client has done nothing, or not enough, for too long.
    async fn expires(&self, head: Duration, idle: Duration) {
        loop {
            let now = Instant::now();
            let due = if self.requests.get() > 0 {
                // What comes after it is looked at then.
                now + head.min(idle)
            } else {
                let idle = self.idle_since.get() + idle;
                let begun = self.head_since.get().map(|since| since + head);
                let due = begun.map_or(idle, |begun| begun.min(idle));
                if due <= now {
                    return;
                }
                // A head may begin any time.
                due.min(now + head)
            };
            tokio::time::sleep_until(due.into()).await;
        }
    }
}

/// A stream that notes when a head begins.
struct Watched<S> {
    stream: S,
    connection: Rc<Connection>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = &polled
            && let Some(fresh) = buffer
                .filled()
                .get(before..)
                .filter(|fresh| !fresh.is_empty())
        {
            let activity = &this.connection.activity;
            let http2 = activity.http2.get().unwrap_or_else(|| {
                let http2 = fresh.starts_with(b"PRI");
                activity.http2.set(Some(http2));
                http2
            });
            if !http2 && activity.requests.get() == 0 && activity.head_since.get().is_none() {
                activity.head_since.set(Some(Instant::now()));
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts)
    }
}

/// What a guest can ask about the TLS session, under Envoy's names.
fn properties(stream: &TlsStream<tokio::net::TcpStream>) -> Vec<(String, Vec<u8>)> {
    let (_, session) = stream.get_ref();
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "",
    };
    let client = session.peer_certificates().and_then(<[_]>::first);
    let mut properties = vec![
        (
            "connection.tls_version".to_owned(),
            version.as_bytes().to_vec(),
        ),
        (
            "connection.mtls".to_owned(),
            vec![u8::from(client.is_some())],
        ),
    ];
    properties.extend(peer::properties(client.map(|client| &**client)));
    if let Some(name) = session.server_name() {
        properties.push((
            "connection.requested_server_name".to_owned(),
            name.as_bytes().to_vec(),
        ));
    }
    properties
}
