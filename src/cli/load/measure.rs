//! The measurement: warm up, send and receive side by side, drain, account.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

use super::{
    LoadArgs,
    body::Bodies,
    ledger::Ledger,
    process::Usage,
    progress::Progress,
    quantity::Count,
    report::{Latency, Report, Worker},
    run::{Recorded, Run, SendTimes},
    sending::{FLUSH_TIMEOUT, Sending},
};
use crate::broker::kafka::client::{Answers, Client, ClientError, ClientOptions, Requests, Start};

/// How long requests wait for company at full speed: enough to fill batches, little against the queues.
const LINGER: Duration = Duration::from_millis(5);

/// How long a look for answers lasts, and how many it takes at most before it looks around.
const READ_TIMEOUT: Duration = Duration::from_millis(50);
const READ_MOST: usize = 10_000;

/// Runs the load that `args` ask for, from the first request to the last answer.
///
/// # Errors
/// If the body cannot be used, Kafka cannot, a watched process has gone, or nobody answers the warm-up.
pub fn measure(args: &LoadArgs) -> anyhow::Result<Report> {
    let bodies = super::bodies(args)?;
    let sending = Sending::new(args, &bodies);
    // A process that has gone is better found before the load than after it.
    Usage::of(&args.pids)?;
    let client = Client::connect(&options(args)?)?;
    if !args.preload && !args.no_send {
        warm_up(args, &sending, &client)?;
    }
    if args.preload {
        return preloaded(args, &bodies, &sending, &client);
    }
    let before = Usage::of(&args.pids)?;
    let progress = Progress::new("answers", args.requests);
    let run = Run::new(args.run.clone(), send_times(args));
    let drained = if args.no_send {
        run.adopt(args.requests.map_or(0, |count| count.0));
        drain(args, &client.answers, &run, &progress)?
    } else {
        side_by_side(args, &sending, &client, &run, &progress)?
    };
    report(args, &bodies, &run, drained, before)
}

/// How the arguments say to connect.
///
/// # Errors
/// If the file of properties is not in order.
pub fn options(args: &LoadArgs) -> anyhow::Result<ClientOptions> {
    let results: Vec<&str> = args.results.iter().map(String::as_str).collect();
    let mut options = ClientOptions::new(&args.connection.brokers, &args.topic, &results);
    options.properties = args.connection.properties()?;
    options.start = if args.no_send { Start::Beginning } else { Start::End };
    options.linger = if args.rate.is_some() { Duration::ZERO } else { LINGER };
    Ok(options)
}

fn send_times(args: &LoadArgs) -> SendTimes {
    match args.rate {
        _ if args.preload || args.no_send => SendTimes::Unknown,
        Some(rate) => SendTimes::Planned(rate),
        None => SendTimes::Recorded(Recorded::default()),
    }
}

/// What was there when the last answer had come, or the patience was at its end.
struct Drained {
    ledger: Ledger,
    after: Usage,
}

fn warm_up(args: &LoadArgs, sending: &Sending<'_>, client: &Client) -> anyhow::Result<()> {
    let count = args.warm_up.unwrap_or(Count(1));
    if count.0 == 0 {
        return Ok(());
    }
    // Doubled answers to the warm-up are not looked for, so there is nothing to settle.
    let args = LoadArgs { settle: Duration::ZERO, ..args.clone() };
    let run = Run::new(None, send_times(&args));
    let progress = Progress::new("warm-up", Some(count));
    let Drained { ledger, .. } = side_by_side(&args, &sending.limited(count.0), client, &run, &progress)?;
    if ledger.answered < run.sent() {
        let (answered, sent, patience) = (ledger.answered, run.sent(), humantime::format_duration(args.drain_timeout));
        bail!(
            "{answered} of {sent} requests of the warm-up were answered, and then none for {patience}: is a worker running that \
             reads `{}` and answers to `{}`? (--preload sends before one is started)",
            args.topic,
            args.results.join("`, `"),
        );
    }
    Ok(())
}

/// Sends everything, says so, then waits for the worker's answers.
fn preloaded(args: &LoadArgs, bodies: &Bodies, sending: &Sending<'_>, client: &Client) -> anyhow::Result<Report> {
    let run = Run::new(args.run.clone(), SendTimes::Unknown);
    sending.send_all(&client.requests, &run, &Progress::new("sending", args.requests))?;
    settle_deliveries(&client.requests, &run);
    let (sent, topic) = (run.expected().unwrap_or(0), &args.topic);
    eprintln!("{sent} requests are in `{topic}` (run {}): start the worker now", run.name());
    let before = Usage::of(&args.pids)?;
    let drained = drain(args, &client.answers, &run, &Progress::new("answers", Some(Count(sent))))?;
    report(args, bodies, &run, drained, before)
}

fn side_by_side(
    args: &LoadArgs,
    sending: &Sending<'_>,
    client: &Client,
    run: &Run,
    progress: &Progress,
) -> anyhow::Result<Drained> {
    let Client { requests, answers } = client;
    thread::scope(|scope| {
        let receiver = scope.spawn(move || {
            let drained = drain(args, answers, run, progress);
            if drained.is_err() {
                run.abort();
            }
            drained
        });
        let sent = sending.send_all(requests, run, progress);
        match &sent {
            Ok(()) => settle_deliveries(requests, run),
            Err(_) => run.abort(),
        }
        let drained = receiver.join().expect("the receiver does not panic");
        sent?;
        drained
    })
}

/// Waits until it is certain how many requests the broker has taken.
fn settle_deliveries(requests: &Requests, run: &Run) {
    let undelivered = match requests.flush(FLUSH_TIMEOUT) {
        Err(ClientError::Undelivered { count, reason, .. }) => {
            tracing::warn!(count, reason, "requests were not delivered");
            count
        }
        _ => 0,
    };
    run.finish(undelivered);
}

/// Reads answers until there is one for each request or none comes any more; then a while longer, for doubled ones.
fn drain(args: &LoadArgs, answers: &Answers, run: &Run, progress: &Progress) -> anyhow::Result<Drained> {
    let mut ledger = Ledger::new();
    let mut sent_at = None;
    while !run.is_aborted() {
        answers.read(READ_TIMEOUT, READ_MOST, |record| ledger.enter(run, record))?;
        progress.show_answered(ledger.answered);
        let Some(expected) = run.expected() else { continue };
        let stirred_at = ledger.stirred_at.max(*sent_at.get_or_insert_with(Instant::now));
        if ledger.answered >= expected || stirred_at.elapsed() > args.drain_timeout {
            break;
        }
    }
    let after = Usage::of(&args.pids)?;
    let settled_at = Instant::now();
    while !run.is_aborted() && settled_at.max(ledger.stirred_at).elapsed() < args.settle {
        answers.read(READ_TIMEOUT, READ_MOST, |record| ledger.enter(run, record))?;
    }
    Ok(Drained { ledger, after })
}

fn report(args: &LoadArgs, bodies: &Bodies, run: &Run, drained: Drained, before: Usage) -> anyhow::Result<Report> {
    let Drained { ledger, after } = drained;
    let sent = run.expected().unwrap_or(0);
    let mut report = Report {
        run: run.name().to_owned(),
        sent,
        undelivered: run.sent() - sent,
        answered: ledger.answered,
        lost: sent.saturating_sub(ledger.answered),
        doubled: ledger.doubled,
        rows_per_request: bodies.rows(),
        latency: Latency::of(&ledger.latencies, args.rate.is_some()),
        ..Report::default()
    };
    report.errors = ledger.errors;
    let from = if args.preload || args.no_send { ledger.first_at } else { Some(run.started_at()) };
    if let (Some(from), Some(last)) = (from, ledger.last_at) {
        report.set_duration(last - from);
    }
    if !args.pids.is_empty() {
        report.worker = Some(spent(&report, before, after));
    }
    Ok(report)
}

fn spent(report: &Report, before: Usage, after: Usage) -> Worker {
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
    Worker {
        cpu_micros_per_request: if report.answered > 0 { cpu * 1e6 / report.answered as f64 } else { 0.0 },
        cpu_seconds: cpu,
        resident_bytes: after.resident,
        peak_resident_bytes: after.peak,
    }
}
