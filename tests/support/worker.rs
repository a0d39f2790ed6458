//! A worker as a process: its log is read, its end is waited for, and it never outlives its test.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;
use ureq::{Body, http::Response};

use super::wait_for;

/// A running worker.
pub struct Worker {
    process: Mutex<Child>,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a command whose log goes to standard error, one JSON object a line.
    pub fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.env_remove("MODELMILL_LOG").env_remove("MODELMILL_LOG_FORMAT").spawn().unwrap();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let (lines, collected) = (BufReader::new(process.stderr.take().unwrap()).lines(), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                collected.lock().unwrap().push(line);
            }
        });
        Self { process: Mutex::new(process), log, reader: Some(reader) }
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The lines of its log that contain `text`.
    pub fn lines_with(&self, text: &str) -> Vec<String> {
        self.log().into_iter().filter(|line| line.contains(text)).collect()
    }

    /// Waits for a line of the log that contains `text`.
    pub fn wait_for_line(&self, text: &str) -> String {
        wait_for(&format!("a log line with {text:?}"), || {
            let ended = !self.is_running();
            let found = self.lines_with(text).into_iter().next();
            assert!(found.is_some() || !ended, "the worker ended without a log line with {text:?}");
            found
        })
    }

    /// Waits until it says that it is ready.
    pub fn wait_until_ready(&self) {
        self.wait_for_line(r#""message":"ready""#);
    }

    /// The text of an admin page, and the status code.
    pub fn page(&self, path: &str) -> (u16, String) {
        read(agent().get(&self.url(path)).call()).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The same of a worker that may be on its way out: `None` if nobody answers there any more.
    pub fn try_page(&self, path: &str) -> Option<(u16, String)> {
        read(agent().get(&self.url(path)).call()).ok()
    }

    /// The same for what is asked by POST, without a body.
    pub fn post(&self, path: &str) -> (u16, String) {
        read(agent().post(&self.url(path)).send_empty()).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn url(&self, path: &str) -> String {
        let line: Value = serde_json::from_str(&self.wait_for_line("admin endpoint")).unwrap();
        format!("http://{}{path}", line["address"].as_str().unwrap())
    }

    /// Waits until a version of a model is in service.
    pub fn wait_until_served(&self, model: &str, version: &str) {
        let path = format!("/v2/models/{model}/versions/{version}/ready");
        wait_for(&format!("{model}/{version} in service"), || (self.page(&path).0 == 200).then_some(()));
    }

    /// The sum of the samples of a metric whose labels contain all of `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        sum(&self.page("/metrics").1, name, labels)
    }

    /// The same of a worker that may be on its way out.
    pub fn try_metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        Some(sum(&self.try_page("/metrics")?.1, name, labels))
    }

    /// Its process.
    pub fn id(&self) -> i32 {
        i32::try_from(self.process.lock().unwrap().id()).unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        let id = self.id();
        // SAFETY: the process is ours and not yet waited for, so that the id is its own.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0, "the worker has ended already");
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.process.lock().unwrap().try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let status = wait_for("the end of the worker", || self.process.lock().unwrap().try_wait().unwrap());
        // What it said last is in the pipe still.
        self.reader.take().map(JoinHandle::join);
        status
    }

    /// Asks it to stop, checks that it exits 0, and says how long that took.
    pub fn stop(&mut self) -> Duration {
        let asked = Instant::now();
        self.signal(libc::SIGTERM);
        assert_eq!(self.ended().code(), Some(0), "a worker that is asked to stop exits 0");
        asked.elapsed()
    }
}

fn sum(page: &str, name: &str, labels: &[&str]) -> f64 {
    let is_it = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    };
    page.lines().filter(is_it).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn read(response: Result<Response<Body>, ureq::Error>) -> Result<(u16, String), ureq::Error> {
    let mut response = response?;
    Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
}

fn agent() -> ureq::Agent {
    let patience = Some(Duration::from_secs(10));
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(patience).build().new_agent()
}

impl Drop for Worker {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        drop(process.kill());
        drop(process.wait());
        if std::thread::panicking() {
            let log = self.log();
            eprintln!("the worker's log ({} lines, the last 60):", log.len());
            log.iter().rev().take(60).rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}
