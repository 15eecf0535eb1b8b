//! A reverse proxy of hyper and nothing else: what `cargo xtask bench host` sets beside the gateway.
//!
//! In: the upstream's `host:port`. Out: prints `listening on http://ADDR`; passes every request on, one thread, kept connections.
//! Invariant: no filter, no checks, no log: this is the floor, not a gateway.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::{Context, Result};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

type Idle = Rc<RefCell<Vec<client::SendRequest<Incoming>>>>;

fn main() -> Result<()> {
    let upstream: Rc<str> = std::env::args()
        .nth(1)
        .context("usage: hyper_alone HOST:PORT")?
        .into();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        let idle = Idle::default();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (idle, upstream) = (Rc::clone(&idle), Rc::clone(&upstream));
            let pass =
                service_fn(move |request| pass_on(Rc::clone(&idle), Rc::clone(&upstream), request));
            spawn_local(server::Builder::new().serve_connection(TokioIo::new(stream), pass));
        }
    })
}

async fn pass_on(
    idle: Idle,
    upstream: Rc<str>,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>> {
    // The origin form, as a server takes it.
    if let Some(target) = request.uri().path_and_query() {
        *request.uri_mut() = target.clone().into();
    }
    let kept = idle.borrow_mut().pop();
    let mut connection = match kept {
        Some(connection) => connection,
        None => {
            let stream = TcpStream::connect(&*upstream).await?;
            stream.set_nodelay(true)?;
            let (connection, driver) = client::handshake(TokioIo::new(stream)).await?;
            spawn_local(driver);
            connection
        }
    };
    connection.ready().await?;
    let response = connection.send_request(request).await?;
    idle.borrow_mut().push(connection);
    Ok(response)
}
