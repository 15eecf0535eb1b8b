//! A gateway as a process, a client for HTTP/1.1, HTTP/2 and TLS, and a server that does what its path says.
//!
//! **Invariant:** loopback only, free ports; a process ends with its value; whatever is awaited has a limit.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// Nothing here takes longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A file of this test.
pub(crate) fn file(name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let folder =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    // Another test's gateway may be watching the same file.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if std::fs::read(&path).is_ok_and(|held| held == bytes.as_ref()) {
        return path;
    }
    // As a careful writer does it: nobody sees half a file.
    let fresh = folder.join(format!("{name}.new"));
    std::fs::write(&fresh, bytes).unwrap();
    std::fs::rename(fresh, &path).unwrap();
    path
}

/// A gateway.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    /// `palisade serve` on free ports, with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_palisade"))
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let pipes: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for pipe in pipes {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    lines.lock().unwrap().push(line);
                }
            });
        }
        let none = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Self {
            child,
            address: none,
            admin: none,
            lines,
        };
        let address = |line: String| -> SocketAddr {
            let (_, rest) = line.split_once("://").unwrap();
            rest.split(',').next().unwrap().parse().unwrap()
        };
        gateway.admin = address(gateway.line("palisade: admin on "));
        gateway.address = address(gateway.line("palisade: listening on "));
        gateway
    }

    /// Waits for a line that contains this.
    pub(crate) fn line(&self, part: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            let found = self.find(part);
            if let Some(line) = found {
                return line;
            }
            assert!(
                Instant::now() < deadline,
                "no line with `{part}` in {:#?}",
                self.lines.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The first line that contains this, if there is one by now.
    pub(crate) fn find(&self, part: &str) -> Option<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().find(|line| line.contains(part)).cloned()
    }

    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(done.unwrap().success());
    }

    /// How it ended; waits for that.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A line of `/stats`.
    pub(crate) async fn stat(&self, name: &str) -> u64 {
        let text = self.admin("/stats").await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .parse()
            .unwrap()
    }

    pub(crate) async fn admin(&self, path: &str) -> String {
        let (_, _, body) = get(self.admin, path).await;
        String::from_utf8(body.to_vec()).unwrap()
    }

    /// Most memory it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim()
            .trim_end_matches(" kB")
            .parse::<usize>()
            .unwrap()
            * 1024
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A runtime for one test; the test fails when it takes too long.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(LIMIT * 2, test)
            .await
            .expect("in time");
    });
    runtime.shutdown_background();
}

pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// A body to be written piece by piece.
pub(crate) fn pieces() -> (mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Pieces(receiver).boxed())
}

struct Pieces(mpsc::Receiver<Result<Frame<Bytes>, std::io::Error>>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(context)
    }
}

/// A connection that speaks HTTP/1.1 or HTTP/2.
pub(crate) enum Client {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

impl Client {
    pub(crate) async fn one(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), false).await
    }

    pub(crate) async fn two(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), true).await
    }

    pub(crate) async fn over<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        stream: S,
        http2: bool,
    ) -> Self {
        if http2 {
            let (client, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(driver);
            Self::Two(client)
        } else {
            let (client, driver) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(driver);
            Self::One(client)
        }
    }

    pub(crate) async fn send(
        &mut self,
        mut request: Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(client) => {
                client.ready().await?;
                request
                    .headers_mut()
                    .insert("host", "test".parse().unwrap());
                client.send_request(request).await
            }
            Self::Two(client) => {
                client.ready().await?;
                let uri = format!("http://test{}", request.uri());
                *request.uri_mut() = uri.parse().unwrap();
                client.send_request(request).await
            }
        }
    }

    /// A whole exchange.
    pub(crate) async fn ask(&mut self, request: Request<Body>) -> (u16, HeaderMap, Bytes) {
        let (parts, body) = self.send(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), parts.headers, body)
    }
}

pub(crate) fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    request.body(whole(body)).unwrap()
}

/// GET on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, HeaderMap, Bytes) {
    Client::one(address)
        .await
        .ask(request("GET", path, ""))
        .await
}

/// Sends bytes as they are; what comes back until the end, or until nothing comes for a while.
pub(crate) async fn raw(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    // The first answer may take its time on a busy machine.
    let mut limit = LIMIT;
    while let Ok(Ok(read @ 1..)) = tokio::time::timeout(limit, stream.read(&mut piece)).await {
        all.extend_from_slice(&piece[..read]);
        limit = Duration::from_millis(200);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// A server: echoes, or does what the path says. HTTP/1.1 and HTTP/2 on one port.
pub(crate) async fn server() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service_fn(serve))
                    .await;
            });
        }
    });
    address
}

/// A message of gRPC.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat().into()
}

async fn serve(request: Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
    let (parts, mut body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let reset = || std::io::Error::other("reset, as asked");
    match path.as_str() {
        "/slow" => tokio::time::sleep(Duration::from_millis(700)).await,
        "/silent" => tokio::time::sleep(LIMIT).await,
        "/reset" => return Err(reset()),
        "/huge" => {
            // 46 MB of it.
            let (sender, body) = pieces();
            tokio::spawn(async move {
                for _ in 0..700 {
                    let piece = Bytes::from_static(&[b'x'; 65_536]);
                    if sender.send(Ok(Frame::data(piece))).await.is_err() {
                        return;
                    }
                }
            });
            return Ok(Response::new(body));
        }
        "/broken" => {
            let (sender, body) = pieces();
            tokio::spawn(async move {
                let _ = sender.send(Ok(Frame::data("some".into()))).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                let _ = sender
                    .send(Err(std::io::Error::other("broken, as asked")))
                    .await;
            });
            return Ok(Response::new(body));
        }
        // Sends each piece back as it comes.
        "/talk" | "/test.Echo/Talk" | "/test.Echo/Ask" | "/test.Echo/Late" => {
            if path.ends_with("Late") {
                tokio::time::sleep(LIMIT).await;
            }
            let (sender, back) = pieces();
            let trailer = parts.headers.contains_key("te");
            tokio::spawn(async move {
                let mut kept = HeaderMap::new();
                while let Some(Ok(frame)) = body.frame().await {
                    match frame.into_data() {
                        Ok(data) => {
                            if sender.send(Ok(Frame::data(data))).await.is_err() {
                                return;
                            }
                        }
                        Err(frame) => kept = frame.into_trailers().unwrap_or_default(),
                    }
                }
                if trailer {
                    kept.insert("grpc-status", "0".parse().unwrap());
                    let _ = sender.send(Ok(Frame::trailers(kept))).await;
                }
            });
            let response = Response::builder().header("content-type", "application/grpc");
            return Ok(response.body(back).unwrap());
        }
        "/test.Echo/Refuse" => {
            let response = Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", "7")
                .header("grpc-message", "not you");
            return Ok(response.body(whole("")).unwrap());
        }
        _ => {}
    }
    let collected = body.collect().await.map_err(|_| reset())?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let mut response = Response::builder();
    for (name, value) in &parts.headers {
        response = response.header(format!("got-{name}"), value);
    }
    for (name, value) in &trailers {
        response = response.header(format!("got-trailer-{name}"), value);
    }
    let length = collected.to_bytes().len();
    let text = format!("{} {path} {length} {:?}", parts.method, parts.version);
    let text = if parts.method == "HEAD" {
        String::new()
    } else {
        text
    };
    Ok(response.body(whole(text)).unwrap())
}
