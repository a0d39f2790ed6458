//! A door in front of a store: it passes everything on and counts what is asked for and what comes back.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// The door. Its threads end with their connections.
pub struct Front {
    pub address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    downloads: AtomicU64,
    bytes: AtomicU64,
}

/// What went through.
#[derive(Clone, Copy)]
pub struct Passed {
    pub requests: u64,
    /// Requests for a model's file.
    pub downloads: u64,
    /// Bytes of all responses.
    pub bytes: u64,
}

impl Front {
    /// Opens one in front of the server at `to`.
    pub fn open(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (address, to, counts) = (listener.local_addr().unwrap(), to.to_owned(), Arc::<Counts>::default());
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&to).expect("the store is there");
                pass(&client, &server, &shared, Counts::asked);
                pass(&server, &client, &shared, Counts::answered);
            }
        });
        Self { address, counts }
    }

    /// What went through since the last look.
    pub fn passed(&self) -> Passed {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        let Counts { requests, downloads, bytes } = &*self.counts;
        Passed { requests: take(requests), downloads: take(downloads), bytes: take(bytes) }
    }
}

/// Passes one direction of a connection on, from a thread of its own.
fn pass(from: &TcpStream, to: &TcpStream, counts: &Arc<Counts>, count: fn(&Counts, &[u8])) {
    let (mut from, mut to, counts) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(counts));
    thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            count(&counts, &buffer[..length]);
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Write));
    });
}

impl Counts {
    /// A client asks: its requests have no body, and each begins with what was read at once.
    fn asked(&self, bytes: &[u8]) {
        let Some(line) = bytes.strip_prefix(b"GET ").and_then(|rest| rest.split(|byte| *byte == b' ').next()) else {
            return;
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        let path = line.split(|byte| *byte == b'?').next().unwrap_or_default();
        if path.ends_with(b".onnx") {
            self.downloads.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn answered(&self, bytes: &[u8]) {
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
}
