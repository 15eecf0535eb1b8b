//! A body that is written piece by piece from one place and read by hyper in another.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// The sender broke off before the end.
#[derive(Debug)]
pub(crate) struct Aborted;

impl std::fmt::Display for Aborted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body was broken off")
    }
}

impl std::error::Error for Aborted {}

/// A body.
#[derive(Debug)]
pub(crate) enum GatewayBody {
    /// All there is.
    Whole(Option<Bytes>),
    /// Pieces as they come.
    Pieces(mpsc::Receiver<Result<Frame<Bytes>, Aborted>>),
}

impl GatewayBody {
    /// A whole body.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }

    /// A body of pieces, with its sending end.
    pub(crate) fn pieces() -> (Sender, Self) {
        let (sender, receiver) = mpsc::channel(8);
        (Sender(sender), Self::Pieces(receiver))
    }
}

/// The sending end. Dropping it ends the body.
#[derive(Debug, Clone)]
pub(crate) struct Sender(mpsc::Sender<Result<Frame<Bytes>, Aborted>>);

impl Sender {
    /// Sends bytes; false when nobody reads any more.
    pub(crate) async fn data(&self, bytes: Vec<u8>) -> bool {
        bytes.is_empty() || self.0.send(Ok(Frame::data(bytes.into()))).await.is_ok()
    }

    /// Sends trailers.
    pub(crate) async fn trailers(&self, trailers: HeaderMap) -> bool {
        self.0.send(Ok(Frame::trailers(trailers))).await.is_ok()
    }

    /// Breaks off: the other side must not take what it has for the whole.
    pub(crate) async fn abort(&self) {
        let _ = self.0.send(Err(Aborted)).await;
    }
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Pieces(receiver) => receiver.poll_recv(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(
                bytes
                    .as_ref()
                    .map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            ),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}
