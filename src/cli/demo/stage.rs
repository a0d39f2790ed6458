//! Everything but the client: a broker and a worker, inside this process.
//!
//! The worker is the product's own, on files as anybody writes them. Guarantee: with the value the worker's threads and
//! the broker are gone, whichever way it is dropped.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::Value;

use super::bundle::Folder;
use crate::{
    app::{App, Ended, shutdown::Shutdown},
    broker::kafka::embedded::EmbeddedBroker,
    codec::client::json_line,
    config::{self, PipelineConfig},
    metrics,
};

/// Partitions of a topic: enough to show that there may be several.
const PARTITIONS: i32 = 4;

/// How long the worker may take to be ready: much longer than it does, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// A broker and a worker that is its client.
pub struct Stage {
    // Dropped in this order: the worker says farewell to a broker that is still there.
    worker: Option<JoinHandle<anyhow::Result<Ended>>>,
    stop: Shutdown,
    broker: EmbeddedBroker,
    admin: SocketAddr,
}

impl Stage {
    /// Starts the broker with the pipelines' topics, and the worker. `stop` stops the worker.
    ///
    /// # Errors
    /// If one of them does not start.
    pub fn set(folder: &Folder, stop: &Shutdown) -> anyhow::Result<Self> {
        let pipelines = config::load_pipelines(&[folder.pipelines()])?;
        let topics: Vec<_> = pipelines.iter().flat_map(topics).map(|topic| (topic, PARTITIONS)).collect();
        let broker = EmbeddedBroker::start(&topics)?;
        folder
            .write("server.yaml", server_file(&broker, folder).as_bytes())
            .context("server.yaml cannot be written")?;
        let settings = config::load(&folder.path().join("server.yaml"), &[folder.pipelines()])?;
        let app = App::build(settings, stop, metrics::install()?)?;
        let (admin, stopped) = (app.admin_address(), stop.clone());
        let worker = thread::Builder::new()
            .name("worker".to_owned())
            .spawn(move || app.run(&stopped))
            .context("the worker's thread cannot be started")?;
        Ok(Self { worker: Some(worker), stop: stop.clone(), broker, admin })
    }

    /// Where clients find the broker.
    pub fn brokers(&self) -> String {
        self.broker.bootstrap_servers()
    }

    /// Where the worker's admin endpoint listens.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// What the worker says of its models; nothing if it does not answer.
    pub fn index(&self) -> Vec<Value> {
        let answer = ask(self.admin, "POST", "/v2/repository/index").unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_default()
    }

    /// Waits until the worker says that it is ready, as a supervisor would.
    ///
    /// # Errors
    /// If it ends instead, or takes too long.
    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = String::new();
        while !self.stop.is_requested() {
            last = ask(self.admin, "GET", "/readyz").unwrap_or(last);
            if last.starts_with("HTTP/1.0 200") {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the worker is not ready after {PATIENCE:?}: {}", last.lines().last().unwrap_or("no answer"));
            }
            self.check()?;
            thread::sleep(ASK_EVERY);
        }
        Ok(())
    }

    /// Looks whether the worker is still there.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match &self.worker {
            Some(worker) if worker.is_finished() && !self.stop.is_requested() => {
                self.join()?;
                bail!("the worker has stopped by itself")
            }
            _ => Ok(()),
        }
    }

    /// Stops the worker.
    ///
    /// # Errors
    /// If it failed, or left something unanswered.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.stop.request();
        self.join()
    }

    fn join(&mut self) -> anyhow::Result<()> {
        let Some(worker) = self.worker.take() else { return Ok(()) };
        let Ok(ended) = worker.join() else { bail!("the worker's thread has panicked") };
        match ended? {
            Ended::Failed(error) => Err(error).context("the worker cannot go on"),
            Ended::Stopped(drained) if !drained.complete => bail!("the worker stopped before everything was answered"),
            Ended::Stopped(_) => Ok(()),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.request();
        // Whatever keeps the demo from going on has been said already.
        let _ = self.join();
    }
}

fn topics(pipeline: &PipelineConfig) -> impl Iterator<Item = &str> {
    let requests = pipeline.input.topics.iter().map(String::as_str);
    requests.chain([&*pipeline.output.topic]).chain(pipeline.output.dead_letter_topic.as_deref())
}

/// The server file, in JSON where a value must be quoted: it is YAML, too.
fn server_file(broker: &EmbeddedBroker, folder: &Folder) -> String {
    let (brokers, properties) = (broker.bootstrap_servers(), json_line(&EmbeddedBroker::client_properties()));
    // `${` begins a variable of the environment in these files.
    let repository = json_line(&folder.path().display().to_string().replace("${", "$${"));
    format!(
        "kafka: {{brokers: \"{brokers}\", group: demo, properties: {properties}}}\n\
         crash_journal: {{directory: null}}\n\
         models: {{repository: {repository}, poll_interval: 200ms}}\n\
         admin: {{listen: \"127.0.0.1:0\"}}\n\
         shutdown_timeout: 5s\n"
    )
}

/// The head and the body of the answer to a request for `path`.
fn ask(address: SocketAddr, method: &str, path: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    connection.set_read_timeout(Some(Duration::from_secs(1)))?;
    write!(connection, "{method} {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}
