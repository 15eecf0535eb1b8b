//! HTTP/1.1 by hand: pieces sent one by one, and what came back with trailers and broken ends.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::experiment::{Field, Message, Received, Sight};

/// Between two pieces, so that each arrives as one.
const GAP: Duration = Duration::from_millis(12);
/// After this nothing more is awaited.
pub(crate) const PATIENCE: Duration = Duration::from_millis(400);

/// Sends a message in pieces; stops when the other side does not want it any more.
fn send(
    stream: &mut TcpStream,
    start: &str,
    message: &Message,
    extra: &[Field],
) -> std::io::Result<()> {
    let mut head = format!("{start}\r\n");
    for (name, value) in extra.iter().chain(&message.fields()) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    // One byte a character (Latin-1).
    let head: Vec<u8> = head
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
        .collect();
    stream.write_all(&head)?;
    for chunk in &message.chunks {
        std::thread::sleep(GAP);
        let bytes = if message.length {
            chunk.clone()
        } else {
            format!("{:x}\r\n{chunk}\r\n", chunk.len())
        };
        stream.write_all(bytes.as_bytes())?;
    }
    if !message.length && (!message.chunks.is_empty() || !message.trailers.is_empty()) {
        std::thread::sleep(GAP);
        let mut end = "0\r\n".to_owned();
        for (name, value) in &message.trailers {
            end.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{end}\r\n").as_bytes())?;
    }
    Ok(())
}

/// Reads a message; `None` if the connection ends before one begins.
fn receive(reader: &mut BufReader<TcpStream>, bodiless: bool, response: bool) -> Option<Sight> {
    let mut sight = Sight::default();
    let start = match line(reader) {
        Ok(Some(start)) => start,
        Ok(None) => return None,
        Err(end) => {
            return Some(Sight {
                start: end.to_owned(),
                ..Sight::default()
            });
        }
    };
    let mut words = start.split(' ');
    sight.start = if response {
        words.nth(1).unwrap_or_default().to_owned()
    } else {
        format!(
            "{} {}",
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default()
        )
    };
    if let Err(end) = rest(reader, &mut sight, bodiless, response) {
        sight.end = end;
    }
    Some(sight)
}

fn rest(
    reader: &mut BufReader<TcpStream>,
    sight: &mut Sight,
    bodiless: bool,
    response: bool,
) -> Result<(), &'static str> {
    sight.headers = fields(reader)?;
    let find = |name: &[u8]| {
        sight
            .headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.clone())
    };
    if bodiless || (response && matches!(sight.start.as_str(), "204" | "304")) {
        return Ok(());
    }
    if find(b"transfer-encoding").is_some() {
        loop {
            let size = line(reader)?.ok_or("cut")?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(|_| "no chunk size")?;
            if size == 0 {
                sight.trailers = fields(reader)?;
                return Ok(());
            }
            exact(reader, &mut sight.body, size)?;
            line(reader)?;
        }
    }
    let Some(length) = find(b"content-length") else {
        if response {
            let mut byte = [0];
            while reader.read(&mut byte).map_err(ending)? == 1 {
                sight.body.extend(byte);
            }
        }
        return Ok(());
    };
    let length: usize = String::from_utf8_lossy(&length)
        .parse()
        .map_err(|_| "no length")?;
    exact(reader, &mut sight.body, length)
}

fn exact(
    reader: &mut BufReader<TcpStream>,
    body: &mut Vec<u8>,
    size: usize,
) -> Result<(), &'static str> {
    for _ in 0..size {
        let mut byte = [0];
        if reader.read(&mut byte).map_err(ending)? == 0 {
            return Err("cut");
        }
        body.extend(byte);
    }
    Ok(())
}

fn fields(reader: &mut BufReader<TcpStream>) -> Result<Received, &'static str> {
    let mut fields = Vec::new();
    loop {
        let line = line(reader)?.ok_or("cut")?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let bytes = |text: &str| {
            text.chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
                .collect()
        };
        fields.push((
            bytes(&name.to_ascii_lowercase()),
            bytes(value.trim_matches(' ')),
        ));
    }
}

/// A line, a character a byte.
fn line(reader: &mut BufReader<TcpStream>) -> Result<Option<String>, &'static str> {
    let mut bytes = Vec::new();
    if reader.read_until(b'\n', &mut bytes).map_err(ending)? == 0 {
        return Ok(None);
    }
    let text: String = bytes.iter().copied().map(char::from).collect();
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn ending(error: std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "nothing",
        _ => "cut",
    }
}

/// Sends a request as the client; what it got within some time.
pub(crate) fn ask(
    address: SocketAddr,
    request: &Message,
    script: &str,
    patience: Duration,
) -> Sight {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return Sight {
            start: "refused".to_owned(),
            ..Sight::default()
        };
    };
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    let method = request.method.as_deref().unwrap_or("GET");
    let path = request.path.as_deref().unwrap_or("/");
    let extra = [
        ("host".to_owned(), "example.com".to_owned()),
        ("x-probe".to_owned(), script.to_owned()),
    ];
    // A proxy that answered early may have closed.
    let _ = send(
        &mut stream,
        &format!("{method} {path} HTTP/1.1"),
        request,
        &extra,
    );
    let mut reader = BufReader::new(stream);
    receive(&mut reader, method == "HEAD", true).unwrap_or_else(|| Sight {
        start: "cut".to_owned(),
        ..Sight::default()
    })
}

/// An upstream that answers what it is told and remembers what it got.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    next: Arc<Mutex<Message>>,
    seen: Arc<Mutex<Vec<Sight>>>,
    /// What became of requests whose path has `-watch`: who asked and how it ended.
    watched: Arc<Mutex<Vec<String>>>,
    /// Requests that have begun and not ended.
    busy: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            next: Arc::default(),
            seen: Arc::default(),
            watched: Arc::default(),
            busy: Arc::default(),
        };
        let shared = upstream.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        upstream
    }

    pub(crate) fn answer(&self, response: &Message) {
        *self.next.lock().unwrap() = response.clone();
        self.seen.lock().unwrap().clear();
    }

    pub(crate) fn take(&self) -> Option<Sight> {
        let started = Instant::now();
        while self.busy.load(Ordering::SeqCst) > 0 && started.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.seen.lock().unwrap().pop()
    }

    /// How the watched requests of this name ended.
    pub(crate) fn watched(&self, name: &str) -> Vec<String> {
        let watched = self.watched.lock().unwrap();
        let ends = watched.iter().filter_map(|line| line.split_once(": "));
        ends.filter(|(of, _)| *of == name)
            .map(|(_, end)| end.to_owned())
            .collect()
    }

    fn serve(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        while reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
            self.busy.fetch_add(1, Ordering::SeqCst);
            let sight = receive(&mut reader, false, false);
            // A connection that Envoy gave up while it was idle.
            let Some(sight) = sight.filter(|sight| sight.start != "cut") else {
                self.busy.fetch_sub(1, Ordering::SeqCst);
                return;
            };
            if let Some((_, name)) = sight.start.split_once("-watch-") {
                let _ = writer.set_read_timeout(Some(PATIENCE));
                let kept = reader
                    .fill_buf()
                    .is_err_and(|error| ending(error) == "nothing");
                let end = if kept { "kept" } else { "cut" };
                self.watched.lock().unwrap().push(format!("{name}: {end}"));
                return;
            }
            if !self.answer_to(sight, &mut writer) {
                return;
            }
        }
    }

    /// Notes a request, then answers it; whether the connection can go on.
    fn answer_to(&self, sight: Sight, writer: &mut TcpStream) -> bool {
        let response = self.next.lock().unwrap().clone();
        let (whole, head) = (sight.end.is_empty(), sight.start.starts_with("HEAD"));
        let slow = sight.start.ends_with("/slow");
        let never = sight.start.contains("-never");
        // Call-outs of the guest come here too and are no part of the exchange.
        if !sight.start.contains("/callout") {
            self.seen.lock().unwrap().push(sight);
        }
        self.busy.fetch_sub(1, Ordering::SeqCst);
        if never {
            std::thread::sleep(PATIENCE);
            return false;
        }
        if slow {
            std::thread::sleep(PATIENCE);
        }
        let status = response.status.unwrap_or(200);
        let length = if head || status == 204 || framed(&response) {
            Vec::new()
        } else {
            vec![("content-length".to_owned(), "0".to_owned())]
        };
        whole && send(writer, &format!("HTTP/1.1 {status} X"), &response, &length).is_ok()
    }
}

fn framed(response: &Message) -> bool {
    response.length || !response.chunks.is_empty() || !response.trailers.is_empty()
}
