//! `modelmill load`: requests at a rate or at full speed, and an account of their answers: every one, exactly once?

mod body;
pub(super) mod ledger;
mod measure;
mod process;
mod progress;
mod quantity;
mod report;
pub(super) mod run;
mod sending;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;

pub use measure::measure;
pub use quantity::{Count, Rate};
pub use report::Report;
pub(super) use report::grouped;

use super::connection::{ConnectionArgs, Pair, duration, wrong_usage};
use crate::{broker::kafka::client::Client, codec::client::json_line};

const EXAMPLES: &str = r#"Examples:
  Ten seconds at full speed, one iris row a request:
    modelmill load --topic iris.requests --results iris.results

  3,000 requests a second for a minute, with latencies from the planned send times:
    modelmill load --topic iris.requests --results iris.results --rate 3000/s --duration 1m

  One's own request, 32 rows in each, and what the worker with process id 4711 spends on it:
    modelmill load --topic t.requests --results t.results --body request.json --rows 32 \
      --requests 200k --pid 4711

  A backlog first, the worker afterwards:
    modelmill load --topic t.requests --results t.results --requests 200k --preload

  The same in two commands, for scripts:
    run=$(modelmill load --topic t.requests --requests 200k --preload --no-wait)
    modelmill load --topic t.requests --results t.results --requests 200k --no-send --run "$run" --json

Exit codes:
  0  every request was taken by the broker and answered exactly once; errors are answers
  1  an answer was lost or doubled, or a request not delivered
  2  wrong usage"#;

/// Generate load, and report rate, latency, and lost or doubled answers.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct LoadArgs {
    /// How to reach the cluster.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The topic that requests go to.
    #[arg(long, value_name = "TOPIC")]
    pub topic: String,
    /// The topic that answers come from; repeatable.
    #[arg(long, value_name = "TOPIC", required_unless_present = "no_wait")]
    pub results: Vec<String>,
    /// Requests per second; full speed, if left out. Each is sent at once; `--property linger.ms=5` lets them wait for
    /// company, as many a client does.
    #[arg(long, value_name = "N/s")]
    pub rate: Option<Rate>,
    /// How many requests, such as 5000, 200k or 2M.
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    pub requests: Option<Count>,
    /// For how long to send; 10s, if --requests does not say when it is enough.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// The request: JSON with `inputs` or `instances`, whose `id` is replaced; several documents are sent in turn.
    /// By default, iris flowers for an input called `input`.
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
    /// Rows in each request: those of the body are repeated until there are so many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rows: Option<u32>,
    /// A header for every request, such as `model-name=iris`; repeatable.
    #[arg(long = "header", value_name = "NAME=VALUE")]
    pub headers: Vec<Pair>,
    /// Requests that are sent and answered before anything is measured: the first ones pay for connections and caches.
    /// 1, if left out; none with --preload.
    #[arg(long, value_name = "N", conflicts_with_all = ["preload", "no_send"])]
    pub warm_up: Option<Count>,
    /// Send everything before the first answer is looked for, and say when it is done, so that a worker that is started
    /// then finds a backlog.
    #[arg(long)]
    pub preload: bool,
    /// Do not wait for the answers to the backlog; print the run's name instead.
    #[arg(long, requires = "preload", conflicts_with = "no_send")]
    pub no_wait: bool,
    /// Send nothing; account for the answers to an earlier --preload, read from the beginning of the result topic.
    #[arg(long, requires = "run", requires = "requests", conflicts_with = "preload")]
    pub no_send: bool,
    /// The run's name: its requests are called NAME-0, NAME-1 and so on. Random, if left out.
    #[arg(long, value_name = "NAME", value_parser = run::name)]
    pub run: Option<String>,
    /// How long to go on without an answer, once everything is sent, before the rest counts as lost.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub drain_timeout: Duration,
    /// How long to watch for doubled answers after the last one.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    pub settle: Duration,
    /// Also report the CPU time and memory of this process; repeatable, and added up (Linux).
    #[arg(long = "pid", value_name = "PID")]
    pub pids: Vec<u32>,
    /// Print the report as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// If the body cannot be used (wrong usage: a [`clap::Error`]), or Kafka cannot.
pub fn run(args: &LoadArgs) -> anyhow::Result<ExitCode> {
    if args.no_wait {
        println!("{}", preload(args)?);
        return Ok(ExitCode::SUCCESS);
    }
    let report = measure(args)?;
    println!("{}", if args.json { json_line(&report) } else { report.to_string() });
    Ok(if report.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends the backlog and returns the run's name.
///
/// # Errors
/// As for [`run`]; also if the broker did not take every request.
pub fn preload(args: &LoadArgs) -> anyhow::Result<String> {
    let bodies = bodies(args)?;
    let client = Client::connect(&measure::options(args)?)?;
    let run = run::Run::new(args.run.clone(), run::SendTimes::Unknown);
    let progress = progress::Progress::new("sending", args.requests);
    sending::Sending::new(args, &bodies).send_all(&client.requests, &run, &progress)?;
    client.requests.flush(sending::FLUSH_TIMEOUT)?;
    Ok(run.name().to_owned())
}

fn bodies(args: &LoadArgs) -> anyhow::Result<body::Bodies> {
    let rows = args.rows.map(|rows| rows as usize);
    let Some(path) = &args.body else { return Ok(body::Bodies::iris(rows.unwrap_or(1))) };
    let text = std::fs::read(path)
        .with_context(|| format!("cannot read the body from {}", path.display()))
        .map_err(|error| wrong_usage(format!("{error:#}")))?;
    body::Bodies::of(&text, rows).map_err(|error| wrong_usage(format!("{}: {error}", path.display())))
}
