//! `modelmill demo`: a broker, a worker and a client in one process, with three small models that are part of the binary.
//!
//! The worker is the product's own, on its own files; only the broker is a toy (see `embedded`). Guarantee: whichever way
//! it ends, short of SIGKILL, the temporary folder and every thread are gone, and exit code 0 means that each request had
//! one answer, the right one.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;

use super::{RuntimeArgs, print, signals};
use crate::{
    app::shutdown::Shutdown,
    backend::onnx::{self, RuntimeInfo},
};
use bundle::Folder;
use progress::Progress;
use report::Row;
use screen::Screen;
use showcase::Showcase;
use stage::Stage;
use traffic::{Lane, Traffic};
use uploads::Uploads;

mod answer;
mod bundle;
mod onward;
mod progress;
mod report;
mod screen;
mod showcase;
mod stage;
mod traffic;
mod uploads;

/// Ended by Ctrl-C, as shells count it.
const INTERRUPTED: u8 = 130;

/// How often the display is brought up to date.
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// Watch models answer requests through Kafka, with nothing installed
///
/// Starts a Kafka broker (librdkafka's mock cluster), a worker and a client in this one process, with three small models
/// that are part of the program: a table model (iris), a text model (spam) and an image model (digits). Shows a request to
/// each beside its answer, then sends traffic to all three and counts what comes back. In the middle of it a second version of
/// the table model lands in the repository and takes over, and a damaged third one is refused.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    modelmill demo\n  \
    modelmill demo --seconds 30 --rate 3000\n\n\
    Exit codes: 0 every request had one answer, the right one; 1 something was lost, doubled, wrong or an error; \
    130 stopped by Ctrl-C.")]
pub struct DemoArgs {
    /// How long the traffic lasts, in seconds
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Requests per second, over all three models
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(3..=100_000))]
    pub rate: u32,
    /// Where ONNX Runtime is.
    #[command(flatten)]
    pub runtime: RuntimeArgs,
}

/// Runs the demo.
///
/// # Errors
/// What keeps it from being shown: no ONNX Runtime, a worker that does not start or does not answer.
pub fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let runtime = onnx::init(args.runtime.onnxruntime.as_deref())?;
    let folder = Folder::unpack()?;
    // Two wishes: the demo asks its worker to stop in the end, which is no interruption.
    let (interrupted, stop) = (Shutdown::default(), Shutdown::default());
    listen_for_signals(&folder, &interrupted, &stop)?;
    let outcome = perform(args, &runtime, &folder, &stop);
    drop(folder);
    if interrupted.is_requested() {
        eprintln!("stopped before its end; nothing is left behind");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(if outcome? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The first signal asks for the end; the next one does not wait for it, and leaves nothing behind either.
fn listen_for_signals(folder: &Folder, interrupted: &Shutdown, stop: &Shutdown) -> anyhow::Result<()> {
    let (folder, interrupted, stop) = (folder.path().to_owned(), interrupted.clone(), stop.clone());
    signals::listen(move || {
        if interrupted.is_requested() {
            bundle::remove(&folder);
            std::process::exit(i32::from(INTERRUPTED));
        }
        interrupted.request();
        stop.request();
    })
}

/// The demo from its first line to its last; tells whether everything was as it should be. Ends early if `stop` is asked
/// for.
fn perform(args: &DemoArgs, runtime: &RuntimeInfo, folder: &Folder, stop: &Shutdown) -> anyhow::Result<bool> {
    let screen = Screen::of_process();
    print(title(screen))?;
    let begun = Instant::now();
    let mut stage = Stage::set(folder, stop)?;
    stage.wait_until_ready()?;
    print(introduction(screen, &stage, runtime, begun.elapsed()))?;
    let showcases = Showcase::all().into_iter();
    let lanes: Vec<_> = showcases.map(|showcase| Lane::open(showcase, &stage.brokers())).collect::<Result<_, _>>()?;
    // The first ones pay for connections, which would stand in the latencies.
    for lane in &lanes {
        lane.ask(stop)?;
    }
    print(format!("\n{}\n", screen.strong("One request to each model, and its answer")))?;
    for lane in &lanes {
        show_sample(lane, screen, stop)?;
    }
    if stop.is_requested() {
        return Ok(false);
    }
    let Driven { rows, versions } = drive(args, screen, &lanes, (&mut stage, folder), stop)?;
    if stop.is_requested() {
        return Ok(false);
    }
    if !screen.live {
        print("\n")?;
    }
    print(report::table(&rows))?;
    print(uploads::report(screen, &versions, uploads::refusal(&stage).as_deref()))?;
    let (good, verdict) = report::verdict(screen, &rows);
    print(format!("\n{verdict}\n"))?;
    // Clients before their broker, or they would report that it is gone.
    drop(lanes);
    stage.close()?;
    print(onward::onward(screen, runtime, args))?;
    Ok(good)
}

fn title(screen: Screen) -> String {
    let title = screen.strong("modelmill demo");
    format!("{title}  a Kafka broker, a worker and a client in this process\n\n")
}

fn introduction(screen: Screen, stage: &Stage, runtime: &RuntimeInfo, took: Duration) -> String {
    let (brokers, admin, seconds) = (stage.brokers(), stage.admin(), took.as_secs_f64());
    let line = |name: &str, what: String| format!("  {}{what}\n", screen.faint(format!("{name:<9}")));
    [
        line("broker", format!("{brokers}, embedded")),
        line("worker", format!("ready after {seconds:.1} s, ONNX Runtime {}", runtime.version)),
        line("metrics", format!("http://{admin}/metrics")),
    ]
    .concat()
}

/// One request beside its answer.
fn show_sample(lane: &Lane, screen: Screen, stop: &Shutdown) -> anyhow::Result<()> {
    let Some((record, latency)) = lane.ask(stop)? else {
        if stop.is_requested() {
            return Ok(());
        }
        bail!("the model {} did not answer its first request", lane.showcase.name);
    };
    match lane.read_sample(&record) {
        (Some(answer), None) => {
            let milliseconds = latency.as_secs_f64() * 1e3;
            print(format!("\n{}", screen.exchange(lane.showcase.name, lane.showcase.sample(), &answer, milliseconds)))
        }
        (_, fault) => bail!("{} got {}", lane.showcase.sample().id, fault.unwrap_or_default()),
    }
}

/// What came of the traffic.
struct Driven {
    rows: Vec<Row>,
    /// The answers of the model whose versions came, by version.
    versions: BTreeMap<String, u64>,
}

/// Traffic on all lanes side by side, new versions on the way, and what came of it.
fn drive(
    args: &DemoArgs,
    screen: Screen,
    lanes: &[Lane],
    (stage, folder): (&mut Stage, &Folder),
    stop: &Shutdown,
) -> anyhow::Result<Driven> {
    let (seconds, rate) = (args.seconds, args.rate);
    let heading = screen.strong(format!("Traffic for {seconds} s"));
    print(format!("\n{heading}  {rate} requests/s to all three, as OIP tensors and in row form\n"))?;
    print("On the way, version 2 of iris is uploaded, and a version 3 that is damaged\n\n")?;
    let rate = f64::from(rate) / lanes.len() as f64;
    let length = Duration::from_secs(seconds.into());
    let traffic: Vec<_> = lanes.iter().map(|lane| Traffic::new(lane, rate, length)).collect();
    let mut uploads = Uploads::over(folder, length);
    let mut progress = Progress::new(screen, &traffic, (rate * f64::from(seconds)) as u64);
    thread::scope(|scope| {
        let drivers: Vec<_> = traffic.iter().map(|traffic| scope.spawn(|| traffic.drive(stop))).collect();
        while !drivers.iter().all(|driver| driver.is_finished()) {
            let uploaded = uploads.go_on().context("a new version cannot be uploaded");
            let trouble = uploaded.and_then(|()| stage.check()).and_then(|()| progress.show(&traffic));
            if trouble.is_err() {
                traffic.iter().for_each(Traffic::abort);
                return trouble;
            }
            thread::sleep(SHOW_EVERY);
        }
        for driver in drivers {
            driver.join().expect("a driver does not panic")?;
        }
        Ok(())
    })?;
    if stop.is_requested() {
        progress.leave()
    } else {
        progress.wipe()
    }
    let renewed = traffic.iter().find(|traffic| traffic.lane.showcase.name == uploads::MODEL);
    let versions = renewed.map(|traffic| traffic.tally.lock().versions.clone()).unwrap_or_default();
    Ok(Driven { rows: traffic.iter().map(Row::of).collect(), versions })
}
