//! A recording upstream: answers every request with what it received, as JSON-free text that tests can read.
//!
//! `/status/NNN` answers that status; `POST /login` answers 200 to the password `correct-horse`, else 401.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A request as the upstream got it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Target.
    pub target: String,
    /// Header fields, names in lower case; one character a byte.
    pub headers: Vec<(String, String)>,
    /// Body, chunking undone.
    pub body: Vec<u8>,
}

impl Seen {
    /// All values of a header.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
            .collect()
    }
}

/// A running upstream. It ends with the process; its threads end with their connections.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    heads: Arc<AtomicUsize>,
    status: Arc<AtomicU16>,
    seen: Arc<Mutex<Vec<Seen>>>,
    scripted: Arc<Mutex<Option<Answer>>>,
}

/// An answer word for word: header fields (no framing), and the body.
pub type Answer = (Vec<(Vec<u8>, Vec<u8>)>, Vec<u8>);

impl Upstream {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// As the socket says.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let upstream = Self {
            address: listener.local_addr()?,
            heads: Arc::default(),
            status: Arc::default(),
            seen: Arc::default(),
            scripted: Arc::default(),
        };
        let shared = upstream.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    let _ = shared.serve(stream);
                });
            }
        });
        Ok(upstream)
    }

    /// Heads received so far, whether or not their bodies came.
    #[must_use]
    pub fn heads(&self) -> usize {
        self.heads.load(Ordering::SeqCst)
    }

    /// Takes the requests recorded so far (the first 10,000).
    #[must_use]
    pub fn take(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .map(|mut seen| std::mem::take(&mut *seen))
            .unwrap_or_default()
    }

    /// Answers this status to everything from now on; 0: as the module says.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Answers these fields and this body to everything from now on; `None`: a text about the request.
    pub fn script(&self, answer: Option<Answer>) {
        if let Ok(mut scripted) = self.scripted.lock() {
            *scripted = answer;
        }
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        loop {
            let Some(seen) = self.read(&mut reader)? else {
                return Ok(());
            };
            let fixed = self.status.load(Ordering::SeqCst);
            let status = if fixed != 0 {
                fixed
            } else if let Some(status) = seen.target.strip_prefix("/status/") {
                status
                    .get(..3)
                    .and_then(|s| s.parse::<u16>().ok())
                    .unwrap_or(200)
            } else if seen.target.starts_with("/login") && !contains(&seen.body, b"correct-horse") {
                401
            } else {
                200
            };
            let mut body = format!("{} {}\n", seen.method, seen.target);
            for (name, value) in &seen.headers {
                body.push_str(&format!("{name}: {value}\n"));
            }
            body.push_str(&format!("body-bytes: {}\n", seen.body.len()));
            let head = seen.method == "HEAD";
            if let Ok(mut list) = self.seen.lock()
                && list.len() < 10_000
            {
                list.push(seen);
            }
            let scripted = self.scripted.lock().ok().and_then(|answer| answer.clone());
            let (fields, body) = scripted.unwrap_or_else(|| (Vec::new(), body.into_bytes()));
            let mut answer =
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len()).into_bytes();
            for (name, value) in fields
                .iter()
                .filter(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"))
            {
                answer.extend([name.as_slice(), b": ", value, b"\r\n"].concat());
            }
            answer.extend_from_slice(b"\r\n");
            if !head {
                answer.extend_from_slice(&body);
            }
            reader.get_mut().write_all(&answer)?;
        }
    }

    fn read(&self, reader: &mut BufReader<TcpStream>) -> io::Result<Option<Seen>> {
        let Some(first) = line(reader)? else {
            return Ok(None);
        };
        let mut words = first.split(' ');
        let mut seen = Seen {
            method: words.next().unwrap_or_default().to_owned(),
            target: words.next().unwrap_or_default().to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let (mut length, mut chunked) = (0, false);
        while let Some(field) = line(reader)?.filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once(':').unwrap_or((&field, ""));
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            if name == "content-length" {
                length = value.parse().unwrap_or(0);
            }
            chunked |= name == "transfer-encoding" && value.eq_ignore_ascii_case("chunked");
            seen.headers.push((name, value));
        }
        self.heads.fetch_add(1, Ordering::SeqCst);
        if chunked {
            while let Some(size) = line(reader)? {
                let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
                let mut chunk = vec![0; size];
                reader.read_exact(&mut chunk)?;
                seen.body.extend_from_slice(&chunk);
                if size == 0 {
                    while line(reader)?.is_some_and(|l| !l.is_empty()) {}
                    break;
                }
                let _ = line(reader)?;
            }
        } else {
            seen.body = vec![0; length];
            reader.read_exact(&mut seen.body)?;
        }
        Ok(Some(seen))
    }
}

fn line(reader: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if reader.read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    // One character a byte (Latin-1), so that raw bytes can be told again.
    let text: String = bytes.iter().copied().map(char::from).collect();
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
