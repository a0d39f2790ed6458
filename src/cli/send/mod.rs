//! `modelmill send`: a few requests by hand, and their answers with the time that each took.

mod exchange;
mod output;

use std::{
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};

use exchange::Letter;
pub use exchange::Outcome;

use super::connection::{ConnectionArgs, Pair, duration, wrong_usage};
use crate::codec::client::documents;

const EXAMPLES: &str = r#"Examples:
  One request in the Open Inference Protocol, and its answer:
    modelmill send --topic iris.requests --results iris.results \
      '{"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}]}'

  The same in row form:
    modelmill send --topic iris.requests --results iris.results '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'

  A file of requests (JSON Lines, or one document), answers as JSON Lines:
    modelmill send --topic iris.requests --results iris.results --file requests.jsonl --json

  From a pipe, to a chosen model, with two seconds of patience:
    jq -c '{instances: [.features]}' rows.json | \
      modelmill send --topic t.requests --results t.results --header model-name=churn --timeout 2s -

A request whose body is a JSON object without an `id` is given one; any other body gets a key, so that its answer
is found.

Exit codes:
  0  every answer came, and none is an error
  1  an answer is missing or an error, or the broker did not take a request
  2  wrong usage"#;

/// Send requests to a topic, wait for their answers, and print each with its latency.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct SendArgs {
    /// How to reach the cluster.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The topic that requests go to.
    #[arg(long, value_name = "TOPIC")]
    pub topic: String,
    /// The topic that answers come from; repeatable.
    #[arg(long, value_name = "TOPIC", required_unless_present = "no_wait")]
    pub results: Vec<String>,
    /// A header for every request, such as `model-name=iris`; repeatable.
    #[arg(long = "header", value_name = "NAME=VALUE")]
    pub headers: Vec<Pair>,
    /// The key of every request; by default they have none, and are spread over the partitions.
    #[arg(long)]
    pub key: Option<String>,
    /// How long to wait for the answers.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub timeout: Duration,
    /// Return as soon as the broker has acknowledged the requests.
    #[arg(long)]
    pub no_wait: bool,
    /// Print each answer as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Send the file or standard input as one request, byte for byte, whatever it is.
    #[arg(long)]
    pub raw: bool,
    /// Read the requests from this file: JSON documents one after another, one on each line or not.
    #[arg(long, value_name = "FILE", conflicts_with = "requests")]
    pub file: Option<PathBuf>,
    /// The requests, one an argument; `-` reads them from standard input, as does no argument at all.
    #[arg(value_name = "REQUEST")]
    pub requests: Vec<String>,
}

/// Runs the subcommand.
///
/// # Errors
/// If there is nothing to send (a [`clap::Error`]: wrong usage), the requests cannot be read, or Kafka cannot be used.
pub fn run(args: &SendArgs) -> anyhow::Result<ExitCode> {
    let outcome = send(args, &mut io::stdin().lock(), &mut io::stdout().lock())?;
    for problem in outcome.problems() {
        eprintln!("{problem}");
    }
    Ok(if outcome.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends what `args` name, reading `input` where they say so, and writes the answers to `output` as they come.
///
/// # Errors
/// As for [`run`].
pub fn send(args: &SendArgs, input: &mut impl Read, output: &mut impl Write) -> anyhow::Result<Outcome> {
    let letters = bodies(args, input)?.into_iter().map(|body| Letter::new(body, args.key.as_deref())).collect();
    exchange::exchange(args, letters, output)
}

/// The bodies of all requests, as they were written.
fn bodies(args: &SendArgs, input: &mut impl Read) -> anyhow::Result<Vec<Box<[u8]>>> {
    let text = match (&args.file, args.requests.as_slice()) {
        (Some(path), _) if path != Path::new("-") => {
            let from = path.display();
            std::fs::read(path)
                .map_err(|error| wrong_usage(format!("cannot read the requests from {from}: {error}")))?
        }
        (None, requests @ [first, ..]) if requests.len() > 1 || first != "-" => {
            // Each argument is one request, be it JSON or not: that is how to see what a broken one is answered with.
            return Ok(requests.iter().map(|request| request.as_bytes().into()).collect());
        }
        (None, []) if io::stdin().is_terminal() => {
            bail!(wrong_usage(
                "nothing to send: give a request as an argument, a file with --file, or pipe requests in"
            ));
        }
        _ => {
            let mut text = Vec::new();
            input.read_to_end(&mut text).context("cannot read the requests from standard input")?;
            text
        }
    };
    if args.raw {
        return Ok(vec![text.into()]);
    }
    let bodies = documents(&text)
        .map_err(|error| wrong_usage(format!("cannot read the requests: {error} (--raw sends anything as it is)")))?;
    if bodies.is_empty() {
        bail!(wrong_usage("there is no request in the input; it should hold JSON documents, one for each request"));
    }
    Ok(bodies)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        send: SendArgs,
    }

    fn args(more: &[&str]) -> SendArgs {
        let usual = ["send", "--topic", "in", "--results", "out"];
        Cli::parse_from(usual.iter().chain(more)).send
    }

    fn read(more: &[&str], input: &str) -> anyhow::Result<Vec<String>> {
        let bodies = bodies(&args(more), &mut input.as_bytes())?;
        Ok(bodies.into_iter().map(|body| String::from_utf8(body.into_vec()).unwrap()).collect())
    }

    #[test]
    fn requests_come_from_arguments_a_file_or_standard_input() {
        assert_eq!(read(&["{\"a\":1}", "no json", "-"], "").unwrap(), ["{\"a\":1}", "no json", "-"]);
        assert_eq!(read(&["-"], "{\"a\":1}\n{\"a\":2}\n").unwrap(), ["{\"a\":1}", "{\"a\":2}"]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\n \"a\": 1\n}\n").unwrap();
        assert_eq!(read(&["--file", file.path().to_str().unwrap()], "").unwrap(), ["{\n \"a\": 1\n}"]);
    }

    #[test]
    fn a_broken_file_is_refused_with_its_line_unless_it_is_to_be_sent_as_it_is() {
        let error = format!("{:#}", read(&["-"], "{\"a\":1}\n{").unwrap_err());
        assert!(error.contains("document 2") && error.contains("--raw"), "{error}");
        assert_eq!(read(&["--raw", "-"], "{\"a\":1}\n{").unwrap(), ["{\"a\":1}\n{"]);
        assert!(read(&["-"], "\n").unwrap_err().to_string().contains("no request"));
    }

    #[test]
    fn without_results_only_sending_makes_sense() {
        assert!(Cli::try_parse_from(["send", "--topic", "in", "x"]).is_err());
        assert!(Cli::try_parse_from(["send", "--topic", "in", "--no-wait", "x"]).is_ok());
    }
}
