//! A body that is written piece by piece from one place and read by hyper in another.
//!
//! **Invariant:** bounded: no more than [`DEPTH`] frames wait between writer and reader, beside what one step let go. A writer that goes
//! without saying that this was the end breaks the body off, and so does one whose body is not as long as its `content-length` says: nobody
//! takes a part for the whole.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use palisade_host::Headers;
use tokio::sync::mpsc;

/// Frames that wait.
const DEPTH: usize = 4;

/// The sender broke off before the end.
#[derive(Debug)]
pub(crate) struct Aborted;

impl std::fmt::Display for Aborted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body was broken off")
    }
}

impl std::error::Error for Aborted {}

/// A body is not as long as its `content-length` says, or that says no length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongLength;

/// The length that a head announces.
pub(crate) fn announced(head: &Headers) -> Result<Option<u64>, WrongLength> {
    let mut lengths = head.get_all("content-length").map(|value| {
        let digits = str::from_utf8(value).map_err(|_| WrongLength)?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(WrongLength);
        }
        digits.parse::<u64>().map_err(|_| WrongLength)
    });
    let Some(first) = lengths.next().transpose()? else {
        return Ok(None);
    };
    if lengths.all(|length| length == Ok(first)) {
        Ok(Some(first))
    } else {
        Err(WrongLength)
    }
}

/// A body.
#[derive(Debug)]
pub(crate) enum GatewayBody {
    /// All there is.
    Whole(Option<Bytes>),
    /// Pieces as they come, and whether the last has been sent.
    Pieces(mpsc::Receiver<Frame<Bytes>>, Arc<AtomicBool>),
    /// It is over.
    Broken,
}

impl GatewayBody {
    /// A whole body.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }

    /// A body of pieces as long as announced, with its sending end.
    pub(crate) fn pieces(announced: Option<u64>) -> (Outgoing, Self) {
        let (sender, receiver) = mpsc::channel(DEPTH);
        let complete = Arc::new(AtomicBool::new(false));
        let outgoing = Outgoing {
            sender: Some(sender),
            complete: Arc::clone(&complete),
            queue: VecDeque::new(),
            ends: false,
            left: announced,
            last: Bytes::new(),
        };
        (outgoing, Self::Pieces(receiver, complete))
    }
}

/// The sending end. Dropped before [`Outgoing::put`] has seen the end and all of it has gone, it breaks the body off.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    sender: Option<mpsc::Sender<Frame<Bytes>>>,
    complete: Arc<AtomicBool>,
    queue: VecDeque<Frame<Bytes>>,
    ends: bool,
    /// Of the announced length.
    left: Option<u64>,
    /// With this the announced length is full. It waits for the end: once it has gone, more could only be cut off unseen.
    last: Bytes,
}

/// What [`Outgoing::work`] came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Worked {
    Sent,
    /// Nobody reads any more.
    Unread,
}

impl Outgoing {
    /// Takes a piece; it goes at once if there is room, else by [`Outgoing::work`]. An error breaks the body off.
    pub(crate) fn put(
        &mut self,
        data: impl Into<Bytes>,
        trailers: Option<HeaderMap>,
        end: bool,
    ) -> Result<(), WrongLength> {
        let data = data.into();
        if let Some(left) = self.left {
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            let left = left.checked_sub(length);
            match left.filter(|left| *left == 0 || !end) {
                Some(left) => self.left = Some(left),
                None => {
                    self.queue.clear();
                    self.sender = None;
                    return Err(WrongLength);
                }
            }
        }
        let full = self.left == Some(0);
        let data = if full && !end && self.last.is_empty() {
            self.last = data;
            Bytes::new()
        } else if full && end && !self.last.is_empty() {
            std::mem::take(&mut self.last)
        } else {
            data
        };
        if !data.is_empty() {
            self.queue.push_back(Frame::data(data));
        }
        if let Some(trailers) = trailers {
            self.queue.push_back(Frame::trailers(trailers));
        }
        self.ends |= end;
        self.flush();
        Ok(())
    }

    fn flush(&mut self) {
        while let Some(sender) = &self.sender
            && let Some(frame) = self.queue.pop_front()
        {
            match sender.try_send(frame) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(frame)) => {
                    self.queue.push_front(frame);
                    return;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    self.queue.clear();
                    return;
                }
            }
        }
        if self.sender.is_none() {
            self.queue.clear();
        }
        self.finish();
    }

    /// Whether something waits for room.
    pub(crate) fn is_pending(&self) -> bool {
        !self.queue.is_empty() && self.sender.is_some()
    }

    /// Whether all has gone, the end too.
    pub(crate) fn is_done(&self) -> bool {
        self.ends && self.queue.is_empty()
    }

    /// Whether nobody reads any more before the end has gone.
    pub(crate) fn is_unread(&self) -> bool {
        self.sender.as_ref().is_some_and(mpsc::Sender::is_closed)
    }

    /// Sends what waits, one frame at a time, or waits until nobody reads. Nothing is lost when it is not awaited to its end.
    pub(crate) async fn work(&mut self) -> Worked {
        let Some(sender) = &self.sender else {
            return std::future::pending().await;
        };
        if self.queue.is_empty() {
            sender.closed().await;
            return Worked::Unread;
        }
        let Ok(place) = sender.reserve().await else {
            self.queue.clear();
            return Worked::Unread;
        };
        match self.queue.pop_front() {
            Some(frame) => place.send(frame),
            None => drop(place),
        }
        self.finish();
        Worked::Sent
    }

    fn finish(&mut self) {
        if self.is_done() {
            self.complete.store(true, Ordering::Release);
            self.sender = None;
        }
    }
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let this = self.get_mut();
        match this {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Pieces(receiver, complete) => match receiver.poll_recv(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(frame)) => Poll::Ready(Some(Ok(frame))),
                Poll::Ready(None) if complete.load(Ordering::Acquire) => Poll::Ready(None),
                Poll::Ready(None) => {
                    *this = Self::Broken;
                    Poll::Ready(Some(Err(Aborted)))
                }
            },
            Self::Broken => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Pieces(receiver, complete) => {
                complete.load(Ordering::Acquire) && receiver.is_empty()
            }
            Self::Broken => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(
                bytes
                    .as_ref()
                    .map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            ),
            Self::Pieces(..) | Self::Broken => SizeHint::default(),
        }
    }
}
