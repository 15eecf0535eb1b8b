//! An upstream that takes its time, and knows how many requests it has at a time.
//!
//! **Invariant:** a request is no longer counted before its answer begins: with the answer its place may be free.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A running one. It ends with the process; its threads end with their connections.
#[derive(Debug, Clone)]
pub struct Slow {
    /// Where it listens.
    pub address: SocketAddr,
    flying: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    served: Arc<AtomicUsize>,
}

impl Slow {
    /// Starts one on a free port; it answers `ok` after `delay`.
    ///
    /// # Errors
    /// As the socket says.
    pub fn start(delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let slow = Self {
            address: listener.local_addr()?,
            flying: Arc::default(),
            most: Arc::default(),
            served: Arc::default(),
        };
        let shared = slow.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || shared.serve(stream, delay));
            }
        });
        Ok(slow)
    }

    /// The most requests it had at a time.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    /// Requests it has answered.
    #[must_use]
    pub fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    fn serve(&self, stream: TcpStream, delay: Duration) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                if reader.read_line(&mut line).ok()? == 0 {
                    return None;
                }
            }
            let now = self.flying.fetch_add(1, Ordering::SeqCst).saturating_add(1);
            self.most.fetch_max(now, Ordering::SeqCst);
            let stays = stays(reader.get_mut(), delay);
            // Before the answer: with it the place is free.
            self.flying.fetch_sub(1, Ordering::SeqCst);
            if !stays {
                return None;
            }
            self.served.fetch_add(1, Ordering::SeqCst);
            let stream = reader.get_mut();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).ok()?;
        }
    }
}

/// Waits for `delay`; false: the other side hung up meanwhile.
fn stays(stream: &mut TcpStream, delay: Duration) -> bool {
    let begun = Instant::now();
    loop {
        let left = delay.saturating_sub(begun.elapsed());
        if left.is_zero() {
            let _ = stream.set_read_timeout(None);
            return true;
        }
        let _ = stream.set_read_timeout(Some(left.max(Duration::from_millis(1))));
        match stream.peek(&mut [0]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(_) | Err(_) => return false,
        }
    }
}
