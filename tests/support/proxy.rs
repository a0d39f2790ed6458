//! A way to Kafka that can be cut and mended: a proxy in front of a broker, which it passes off as itself.
//!
//! Brokers tell clients their own address, and clients go there. The proxy therefore reads the broker's responses frame by
//! frame and puts its own port in the place of the broker's wherever host and port stand side by side, as they do in every
//! response that names a broker. It can also hold back what the broker says to producers, so that answers stay
//! unacknowledged, or everything, as a network does that loses packets and tells nobody.

#![allow(dead_code, reason = "each of the test programs that include this uses a part of it")]

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// The proxy; cut when it is dropped.
pub struct Proxy {
    broker: SocketAddr,
    address: SocketAddr,
    way: Option<Way>,
    held: Arc<AtomicU8>,
}

/// What is held back.
const NOTHING: u8 = 0;
const ACKNOWLEDGEMENTS: u8 = 1;
const EVERYTHING: u8 = 2;

/// How long until a way that holds something back is looked at again.
const GLANCE: Duration = Duration::from_millis(5);

/// Both ends of the connections that live.
type Sockets = Arc<Mutex<Vec<Weak<TcpStream>>>>;

/// The way while it is open.
struct Way {
    open: Arc<AtomicBool>,
    sockets: Sockets,
    acceptor: JoinHandle<()>,
}

impl Proxy {
    /// An open way to the broker at `brokers`, an IPv4 address and a port.
    pub fn open(brokers: &str) -> Self {
        Self::listen(brokers, TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// The same with a listener of one's own.
    pub fn listen(brokers: &str, listener: TcpListener) -> Self {
        let broker = brokers.parse().expect("the tests' Kafka is named by one IP address and port");
        let mut proxy = Self { broker, address: listener.local_addr().unwrap(), way: None, held: Arc::default() };
        proxy.serve(listener);
        proxy
    }

    /// What clients are to take for the broker's address.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Ends all connections; new ones are refused.
    pub fn cut(&mut self) {
        let Some(way) = self.way.take() else { return };
        way.open.store(false, Ordering::Release);
        way.acceptor.join().unwrap();
        for socket in way.sockets.lock().unwrap().drain(..).filter_map(|socket| socket.upgrade()) {
            drop(socket.shutdown(Shutdown::Both));
        }
    }

    /// Opens the way again.
    pub fn mend(&mut self) {
        let listener = super::wait_for("the proxy's port", || TcpListener::bind(self.address).ok());
        self.serve(listener);
    }

    /// From now on, producers hear nothing of what becomes of their records.
    pub fn hold_acknowledgements(&self) {
        self.held.store(ACKNOWLEDGEMENTS, Ordering::Release);
    }

    /// From now on nothing comes through, and connections stay open.
    pub fn hold_everything(&self) {
        self.held.store(EVERYTHING, Ordering::Release);
    }

    /// What was held back goes on its way.
    pub fn release(&self) {
        self.held.store(NOTHING, Ordering::Release);
    }

    fn serve(&mut self, listener: TcpListener) {
        let (broker, address) = (self.broker, self.address);
        let open = Arc::new(AtomicBool::new(true));
        let sockets = Sockets::default();
        listener.set_nonblocking(true).unwrap();
        let (is_open, connected, held) = (Arc::clone(&open), Arc::clone(&sockets), Arc::clone(&self.held));
        let acceptor = thread::spawn(move || {
            while is_open.load(Ordering::Acquire) {
                match listener.accept() {
                    Ok((client, _)) => connect(client, (broker, address), &connected, &held),
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        self.way = Some(Way { open, sockets, acceptor });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

fn connect(
    client: TcpStream,
    (broker, address): (SocketAddr, SocketAddr),
    sockets: &Mutex<Vec<Weak<TcpStream>>>,
    held: &Arc<AtomicU8>,
) {
    let Ok(server) = TcpStream::connect(broker) else { return };
    client.set_nonblocking(false).unwrap();
    let (client, server) = (Arc::new(client), Arc::new(server));
    let mut sockets = sockets.lock().unwrap();
    // Connections come and go; the ends of those that went are closed only when nobody knows them any more.
    sockets.retain(|socket| socket.strong_count() > 0);
    sockets.extend([&client, &server].map(Arc::downgrade));
    drop(sockets);
    let is_producer = Arc::new(AtomicBool::new(false));
    let (requests, to_broker) = (Arc::clone(&client), Arc::clone(&server));
    let (produces, held_back) = (Arc::clone(&is_producer), Arc::clone(held));
    thread::spawn(move || {
        drop(pass(&requests, &to_broker, |frame| {
            if frame.starts_with(&PRODUCE) {
                produces.store(true, Ordering::Release);
            }
            while held_back.load(Ordering::Acquire) == EVERYTHING {
                thread::sleep(GLANCE);
            }
        }));
        drop(to_broker.shutdown(Shutdown::Both));
    });
    let (theirs, ours) = (host_and_port(broker), host_and_port(address));
    let held = Arc::clone(held);
    thread::spawn(move || {
        drop(pass(&server, &client, |frame| {
            replace(frame, &theirs, &ours);
            let is_held = || match held.load(Ordering::Acquire) {
                ACKNOWLEDGEMENTS => is_producer.load(Ordering::Acquire),
                held => held == EVERYTHING,
            };
            while is_held() {
                thread::sleep(GLANCE);
            }
        }));
        drop(client.shutdown(Shutdown::Both));
    });
}

/// What a request to produce begins with: its key in Kafka's protocol.
const PRODUCE: [u8; 2] = [0, 0];

/// Passes frames on until the connection ends; `see` may change them in place.
fn pass(mut from: &TcpStream, mut to: &TcpStream, mut see: impl FnMut(&mut [u8])) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        from.read_exact(&mut frame)?;
        see(&mut frame);
        to.write_all(&[&length, &frame[..]].concat())?;
    }
}

fn replace(frame: &mut [u8], theirs: &[u8], ours: &[u8]) {
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(&frame[at..], theirs) {
        frame[at + found..][..ours.len()].copy_from_slice(ours);
        at += found + ours.len();
    }
}

/// How Kafka writes an address: the host's text, then the port in four bytes.
fn host_and_port(address: SocketAddr) -> Vec<u8> {
    let mut bytes = address.ip().to_string().into_bytes();
    bytes.extend(u32::from(address.port()).to_be_bytes());
    bytes
}
