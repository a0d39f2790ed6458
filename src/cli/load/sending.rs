//! The sending side of a run: by plan or at full speed, until the count or the time is reached.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{LoadArgs, body::Bodies, progress::Progress, run::Run};
use crate::broker::kafka::client::{ClientError, RequestRecord, Requests};

/// Longer than the client library itself tries to deliver a request.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(90);

/// How long to send when nothing else is said.
const DURATION: Duration = Duration::from_secs(10);

/// How often a paced sender looks up from its work.
const SERVE_EVERY: Duration = Duration::from_millis(100);

/// What to send, and how much of it.
pub struct Sending<'a> {
    bodies: &'a Bodies,
    headers: Vec<(&'a str, &'a [u8])>,
    most: u64,
    longest: Option<Duration>,
}

impl<'a> Sending<'a> {
    /// As the arguments say.
    pub fn new(args: &'a LoadArgs, bodies: &'a Bodies) -> Self {
        let headers = args.headers.iter().map(super::Pair::as_header).collect();
        let longest = if args.requests.is_some() { None } else { Some(args.duration.unwrap_or(DURATION)) };
        Self { bodies, headers, most: args.requests.map_or(u64::MAX, |count| count.0), longest }
    }

    /// The same requests, but just so many.
    pub fn limited(&self, most: u64) -> Self {
        Self { bodies: self.bodies, headers: self.headers.clone(), most, longest: None }
    }

    /// Hands all requests to the client library.
    ///
    /// # Errors
    /// If the library refuses one.
    pub fn send_all(&self, requests: &Requests, run: &Run, progress: &Progress) -> Result<(), ClientError> {
        let (mut id, mut body) = (Vec::new(), Vec::new());
        let mut served_at = run.started_at();
        for sequence in 0..self.most {
            let now = Instant::now();
            if now - served_at > SERVE_EVERY {
                served_at = now;
                requests.serve();
                progress.show_sent(sequence);
            }
            if run.is_aborted() || !self.wait_for_turn(sequence, run, now) {
                break;
            }
            run.write_id(sequence, &mut id);
            self.bodies.write(sequence, &id, &mut body);
            run.note_sending(sequence);
            requests.produce(&RequestRecord { value: Some(&body), headers: &self.headers, ..Default::default() })?;
        }
        Ok(())
    }

    /// Sleeps until the request is due; false if the time is up before.
    fn wait_for_turn(&self, sequence: u64, run: &Run, now: Instant) -> bool {
        let due = run.planned(sequence).unwrap_or(now);
        if self.longest.is_some_and(|longest| due.saturating_duration_since(run.started_at()) >= longest) {
            return false;
        }
        thread::sleep(due.saturating_duration_since(now));
        true
    }
}
