//! A proxy in front of an HTTP server that can do to it whatever networks and servers do: refuse, cut, corrupt, drip, fall silent.
//!
//! One request a connection, so that what is counted is what was asked; the request itself goes through unchanged, signature
//! and all.

#![allow(dead_code, reason = "each of the test programs that include this uses a part of it")]

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It comes as it is.
    None,
    /// So many requests are answered with 503, the next ones as they should.
    Unavailable(u32),
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// The byte at this place of the body is another one.
    Corrupt(usize),
    /// The body comes at so many bytes a second.
    Drip(usize),
    /// Requests are taken, and nothing is ever said.
    BlackHole,
}

/// A request, and how far its answer has come.
#[derive(Debug)]
pub struct Request {
    /// The first line: `GET /bucket?list-type=2 HTTP/1.1`.
    pub line: String,
    /// Where its range begins, if it asks for one.
    pub from: Option<u64>,
    sent: AtomicU64,
}

impl Request {
    /// Bytes of the body that were handed on so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Whether it is for the object at this path.
    pub fn is_for(&self, path: &str) -> bool {
        self.line.split([' ', '?']).nth(1).is_some_and(|object| object.ends_with(path))
    }
}

/// The proxy; closed when it is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    server: String,
    fault: Mutex<Fault>,
    requests: Mutex<Vec<Arc<Request>>>,
    sockets: Mutex<Vec<TcpStream>>,
    open: AtomicBool,
}

impl FaultProxy {
    /// In front of the server at this address.
    pub fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            fault: Mutex::new(Fault::None),
            requests: Mutex::default(),
            sockets: Mutex::default(),
            open: AtomicBool::new(true),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || {
            for client in listener.incoming() {
                if !accepting.open.load(Ordering::Acquire) {
                    return;
                }
                let (client, shared) = (client.unwrap(), Arc::clone(&accepting));
                shared.sockets.lock().unwrap().push(client.try_clone().unwrap());
                // A connection that breaks is what this is about.
                thread::spawn(move || drop(serve(&client, &shared)));
            }
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// From the next request on.
    pub fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    /// The first lines of the requests so far, and forgets them.
    pub fn take_requests(&self) -> Vec<String> {
        let requests = std::mem::take(&mut *self.shared.requests.lock().unwrap());
        requests.iter().map(|request| request.line.clone()).collect()
    }

    /// The requests so far for the object at this path.
    pub fn requests_for(&self, path: &str) -> Vec<Arc<Request>> {
        let requests = self.shared.requests.lock().unwrap();
        requests.iter().filter(|request| request.is_for(path)).map(Arc::clone).collect()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.open.store(false, Ordering::Release);
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
        self.acceptor.take().map(JoinHandle::join);
        for socket in self.shared.sockets.lock().unwrap().drain(..) {
            drop(socket.shutdown(Shutdown::Both));
        }
    }
}

fn serve(client: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let (first, head) = read_head(&mut reader)?;
    let asked = Arc::new(Request { line: first.trim().to_owned(), from: range(&head), sent: AtomicU64::new(0) });
    shared.requests.lock().unwrap().push(Arc::clone(&asked));
    let fault = {
        let mut fault = shared.fault.lock().unwrap();
        let now = *fault;
        if let Fault::Unavailable(left) = now {
            *fault = if left > 1 { Fault::Unavailable(left - 1) } else { Fault::None };
        }
        now
    };
    let mut body = vec![0; content_length(&head).unwrap_or(0)];
    reader.read_exact(&mut body)?;
    match fault {
        Fault::BlackHole => {
            // Until the other side gives up.
            io::copy(&mut reader, &mut io::sink())?;
        }
        Fault::Unavailable(_) => {
            let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            (&*client).write_all(answer.as_bytes())?;
        }
        fault => {
            let request = [first.as_bytes(), alone(&head).as_bytes(), &body].concat();
            pass(client, shared, &request, (fault, &asked.sent))?;
        }
    }
    client.shutdown(Shutdown::Both)
}

/// Asks the server, and hands on what it says.
fn pass(mut client: &TcpStream, shared: &Shared, request: &[u8], (fault, sent): (Fault, &AtomicU64)) -> io::Result<()> {
    let server = TcpStream::connect(&shared.server)?;
    shared.sockets.lock().unwrap().push(server.try_clone()?);
    (&server).write_all(request)?;
    let mut reader = BufReader::new(&server);
    let (first, head) = read_head(&mut reader)?;
    client.write_all(format!("{first}{}", alone(&head)).as_bytes())?;
    let mut left = if request.starts_with(b"HEAD ") { Some(0) } else { content_length(&head) };
    let mut at = 0;
    let mut piece = vec![0; if let Fault::Drip(rate) = fault { rate.max(10) / 10 } else { 16 << 10 }];
    while left != Some(0) {
        let most = left.map_or(piece.len(), |left| left.min(piece.len()));
        let length = reader.read(&mut piece[..most])?;
        if length == 0 {
            break;
        }
        let bytes = &mut piece[..length];
        match fault {
            Fault::Cut(after) if at + length > after => {
                return client.write_all(&bytes[..after - at.min(after)]);
            }
            Fault::Corrupt(place) if (at..at + length).contains(&place) => bytes[place - at] ^= 0x55,
            Fault::Drip(_) => thread::sleep(Duration::from_millis(100)),
            _ => {}
        }
        client.write_all(bytes)?;
        sent.fetch_add(length as u64, Ordering::AcqRel);
        at += length;
        left = left.map(|left| left - length);
    }
    Ok(())
}

/// The headers of a message after which its connection ends.
fn alone(head: &str) -> String {
    let kept = head.lines().filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("connection:"));
    kept.map(|line| format!("{line}\r\n")).collect::<String>() + "connection: close\r\n\r\n"
}

/// The first line, and the headers with the empty line after them.
fn read_head(reader: &mut impl BufRead) -> io::Result<(String, String)> {
    let (mut first, mut head) = (String::new(), String::new());
    reader.read_line(&mut first)?;
    loop {
        let before = head.len();
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if head[before..].trim().is_empty() {
            return Ok((first, head));
        }
    }
}

fn content_length(head: &str) -> Option<usize> {
    header(head, "content-length:")?.parse().ok()
}

/// Where `range: bytes=100-` begins.
fn range(head: &str) -> Option<u64> {
    header(head, "range:")?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
}

fn header(head: &str, name: &str) -> Option<String> {
    let value = |line: &str| line.to_ascii_lowercase().strip_prefix(name).map(|rest| rest.trim().to_owned());
    head.lines().find_map(value)
}

/// Bytes that do not repeat soon, so that a piece in the wrong place is noticed and no file has the digest of another.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(length.div_ceil(8)).flatten().collect();
    bytes.truncate(length);
    bytes
}
