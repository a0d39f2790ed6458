//! The admin endpoint: is it alive, is it ready, how is it doing, which models does it serve.
//!
//! It has an address, a thread and a runtime of its own, so that it answers however busy the rest is; and it only reads:
//! the worker tells [`Status`] what is so, and nothing here can make the worker wait. Predictions do not come through
//! here, they come through Kafka.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::Router;
use futures_util::FutureExt;
use tokio::{net::TcpListener, runtime, sync::oneshot, time};

use crate::metrics::Metrics;

pub use status::{ModelControl, ModelState, ModelStatus, ModelUsage, PipelineStatus, Snapshot, Status};

mod endpoints;
mod models;
mod status;

/// How long a stop waits for clients that have not got their answer yet.
const GRACE: Duration = Duration::from_secs(1);

/// How often observations are put into their histograms, scraped or not: what a second brings is kept one by one.
const UPKEEP: Duration = Duration::from_secs(1);

/// Why the admin endpoint cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is taken.
    #[error(
        "the admin address {0} is in use, perhaps by another worker: set `admin.listen` in the server file to a free one \
         (port 0 takes any)"
    )]
    InUse(SocketAddr),
    /// The address is not one of this machine, or not for this user.
    #[error(
        "the admin endpoint cannot listen on {listen}: {source}; set `admin.listen` in the server file to another one"
    )]
    Listen {
        /// What was asked for.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No thread or runtime is to be had.
    #[error("the admin endpoint cannot start: {0}")]
    Start(#[source] io::Error),
}

/// The running endpoint; dropping it stops it.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What every handler reads.
#[derive(Clone)]
struct View {
    status: Arc<Status>,
    metrics: Metrics,
}

impl AdminServer {
    /// Listens on `listen` (port 0: any free one) and answers from now on.
    ///
    /// # Errors
    /// If the address cannot be had; nothing is left behind then.
    pub fn start(listen: SocketAddr, status: Arc<Status>, metrics: Metrics) -> Result<Self, AdminError> {
        let view = View { status, metrics: metrics.clone() };
        let router = endpoints::router().merge(models::router()).with_state(view);
        let (stop, stopped) = oneshot::channel();
        let (started, start) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || run(listen, router, &metrics, stopped, &started))
            .map_err(AdminError::Start)?;
        let address = start.recv().unwrap_or_else(|_| Err(AdminError::Start(io::Error::other("its thread ended"))))?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens; with the port that was found for port 0.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, finishes what was asked (for a second at most) and frees the address.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread: reports the address or why there is none, then serves until it is stopped.
fn run(
    listen: SocketAddr,
    router: Router,
    metrics: &Metrics,
    stopped: oneshot::Receiver<()>,
    started: &mpsc::SyncSender<Result<SocketAddr, AdminError>>,
) {
    let runtime = match runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(AdminError::Start(error)));
            return;
        }
    };
    runtime.block_on(async {
        match bind(listen).await {
            Ok((listener, address)) => {
                let _ = started.send(Ok(address));
                tokio::select! {
                    () = serve(listener, router, stopped) => {}
                    _ = keep_up(metrics) => {}
                }
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    });
}

async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), AdminError> {
    let listener = TcpListener::bind(listen).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => AdminError::InUse(listen),
        _ => AdminError::Listen { listen, source },
    })?;
    let address = listener.local_addr().map_err(AdminError::Start)?;
    Ok((listener, address))
}

/// Keeps the memory of the metrics in bounds.
async fn keep_up(metrics: &Metrics) -> Infallible {
    let mut interval = time::interval(UPKEEP);
    loop {
        interval.tick().await;
        metrics.upkeep();
    }
}

async fn serve(listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let stopped = stopped.map(drop).shared();
    let serve = axum::serve(listener, router).with_graceful_shutdown(stopped.clone());
    // A client that never finishes its request must not hold the process up.
    let overdue = async {
        stopped.await;
        time::sleep(GRACE).await;
    };
    tokio::select! {
        _ = serve => {}
        () = overdue => {}
    }
}

/// An endpoint that is started for one test, and what it answers.
#[cfg(test)]
mod client {
    use serde_json::Value;

    use super::{AdminServer, Status};
    use crate::metrics::Metrics;

    pub struct Client {
        pub server: AdminServer,
        pub status: std::sync::Arc<Status>,
        agent: ureq::Agent,
    }

    pub struct Answer {
        pub code: u16,
        pub content_type: String,
        pub text: String,
    }

    impl Client {
        pub fn start(metrics: &Metrics, status: Status) -> Self {
            let status = std::sync::Arc::new(status);
            let listen = "127.0.0.1:0".parse().unwrap();
            let server = AdminServer::start(listen, status.clone(), metrics.clone()).unwrap();
            let patience = Some(std::time::Duration::from_secs(20));
            let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(patience).build();
            Self { server, status, agent: config.into() }
        }

        pub fn get(&self, path: &str) -> Answer {
            self.answer(self.agent.get(self.url(path)).call())
        }

        pub fn post(&self, path: &str, body: &str) -> Answer {
            self.answer(self.agent.post(self.url(path)).send(body))
        }

        fn url(&self, path: &str) -> String {
            format!("http://{}{path}", self.server.local_addr())
        }

        fn answer(&self, response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
            let mut response = response.unwrap();
            let header = response.headers().get("content-type").unwrap().to_str().unwrap().to_owned();
            let text = response.body_mut().read_to_string().unwrap();
            Answer { code: response.status().as_u16(), content_type: header, text }
        }
    }

    impl Answer {
        pub fn json(&self) -> Value {
            assert_eq!(self.content_type, "application/json");
            serde_json::from_str(&self.text).unwrap()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, net::TcpStream, time::Instant};

    use super::{client::Client, *};

    fn start(listen: SocketAddr) -> Result<AdminServer, AdminError> {
        AdminServer::start(listen, Arc::new(Status::new(vec![])), Metrics::default())
    }

    #[test]
    fn an_address_in_use_is_named_in_one_sentence() {
        let first = start("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr();
        assert_ne!(address.port(), 0);
        let sentence = start(address).unwrap_err().to_string();
        assert!(sentence.starts_with(&format!("the admin address {address} is in use")), "{sentence}");
        assert!(sentence.contains("admin.listen") && !sentence.contains('\n'), "{sentence}");
    }

    #[test]
    fn an_address_of_another_machine_is_refused_with_its_reason() {
        // 192.0.2.0/24 is kept for documentation: no machine has it.
        let sentence = start("192.0.2.1:9644".parse().unwrap()).unwrap_err().to_string();
        assert!(sentence.starts_with("the admin endpoint cannot listen on 192.0.2.1:9644: "), "{sentence}");
    }

    #[test]
    fn a_stopped_server_frees_its_address_although_a_client_dawdles() {
        let server = start("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = server.local_addr();
        let mut dawdler = TcpStream::connect(address).unwrap();
        dawdler.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
        let begun = Instant::now();
        server.stop();
        assert!(begun.elapsed() < 5 * GRACE);
        start(address).unwrap();
    }

    #[test]
    fn observations_do_not_pile_up_although_nobody_scrapes() {
        let metrics = Metrics::default();
        let worker = metrics.scope(crate::metrics::WorkerMetrics::new);
        let listen = "127.0.0.1:0".parse().unwrap();
        let _server = AdminServer::start(listen, Arc::new(Status::new(vec![])), metrics.clone()).unwrap();
        worker.chunk(77, 7777);
        // Only this view of the recorder shows, without doing the upkeep itself, what has come into a histogram.
        let taken_in = || format!("{metrics:?}").contains("sum: 7777.0");
        let patience = Instant::now() + Duration::from_secs(20);
        while !taken_in() {
            assert!(Instant::now() < patience, "{metrics:?}");
            thread::yield_now();
        }
    }

    #[test]
    fn it_answers_although_the_runtime_that_started_it_is_blocked() {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(async {
            let client = Client::start(&Metrics::default(), Status::new(vec![]));
            // Blocks the only thread of this runtime until the answer has come.
            client.get("/healthz")
        });
        assert_eq!(answer.text, "ok");
    }
}
