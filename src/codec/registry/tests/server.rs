//! A small HTTP server that answers as a test says, and can stand still.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

/// Answers a request of this method and path, with this body: a status and a body.
type Answer = dyn Fn(&str, &str, &str) -> (u16, String) + Send + Sync;

pub struct Server {
    pub url: String,
    /// Everything that was asked, with the value of `authorization`.
    pub asked: Mutex<Vec<(String, String)>>,
    answer: Mutex<Arc<Answer>>,
    /// Calls that wait for an answer.
    pub open: AtomicUsize,
    pub is_frozen: AtomicBool,
}

impl Server {
    pub fn start(answer: impl Fn(&str, &str, &str) -> (u16, String) + Send + Sync + 'static) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/base/", listener.local_addr().unwrap());
        let server = Arc::new(Self {
            url,
            asked: Mutex::default(),
            answer: Mutex::new(Arc::new(answer)),
            open: AtomicUsize::new(0),
            is_frozen: AtomicBool::new(false),
        });
        let serving = Arc::clone(&server);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let server = Arc::clone(&serving);
                std::thread::spawn(move || drop(server.serve(stream.unwrap())));
            }
        });
        server
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push(line.trim().to_owned());
            }
            let header = |name: &str| {
                let found =
                    head.iter().find_map(|line| line.to_lowercase().starts_with(name).then(|| &line[name.len()..]));
                found.unwrap_or_default().trim().to_owned()
            };
            let mut body = vec![0; header("content-length:").parse().unwrap_or(0)];
            reader.read_exact(&mut body)?;
            let mut words = head[0].split(' ');
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            self.asked.lock().push((format!("{method} {path}"), header("authorization:")));
            self.open.fetch_add(1, Ordering::SeqCst);
            while self.is_frozen.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let answer = Arc::clone(&self.answer.lock());
            let (status, text) = answer(method, path, std::str::from_utf8(&body).unwrap());
            self.open.fetch_sub(1, Ordering::SeqCst);
            write!(&stream, "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{text}", text.len())?;
        }
    }

    pub fn answer(&self, answer: impl Fn(&str, &str, &str) -> (u16, String) + Send + Sync + 'static) {
        *self.answer.lock() = Arc::new(answer);
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().iter().map(|(what, _)| what.clone()).collect()
    }
}
