//! The exchange: requests out, answers matched to them by id.

use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    hash::{BuildHasher, Hasher},
    io::Write,
    time::{Duration, Instant},
};

use super::{
    SendArgs,
    output::{Printer, Reply},
};
use crate::{
    broker::kafka::client::{Client, ClientOptions, OK, Record, RequestRecord},
    codec::client::{Template, id_of_request},
};

/// How often the answers are left for a moment to see whether requests were refused.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One request, made ready so that its answer can be told from others.
pub struct Letter {
    id: String,
    key: Option<String>,
    body: Box<[u8]>,
}

impl Letter {
    /// Finds the id that the answer will carry, or gives the request one: in its body if that is a JSON object, else as
    /// its key.
    pub fn new(body: Box<[u8]>, key: Option<&str>) -> Self {
        let key = key.map(str::to_owned);
        if let Some(template) = Template::without_id(&body) {
            let id = fresh_id();
            let mut with_id = Vec::new();
            template.write(id.as_bytes(), &mut with_id);
            return Self { id, key, body: with_id.into() };
        }
        match id_of_request(&body) {
            Some(id) => Self { id: id.into_owned(), key, body },
            None => {
                let id = key.unwrap_or_else(fresh_id);
                Self { key: Some(id.clone()), id, body }
            }
        }
    }
}

/// Nobody else's id: 64 random bits.
fn fresh_id() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// How an exchange ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many requests were sent.
    pub sent: usize,
    /// How many of them were answered.
    pub answered: usize,
    /// Ids of requests without an answer.
    pub missing: Vec<String>,
    /// Ids and codes of answers that are errors.
    pub errors: Vec<(String, String)>,
    /// Requests that the broker refused.
    pub undelivered: Option<String>,
    timeout: Duration,
}

impl Outcome {
    /// Every answer came, and none is an error.
    pub fn is_success(&self) -> bool {
        self.missing.is_empty() && self.errors.is_empty() && self.undelivered.is_none()
    }

    /// What is wrong, a sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::from_iter(self.undelivered.clone());
        if !self.missing.is_empty() {
            let (count, sent, timeout) = (self.missing.len(), self.sent, humantime::format_duration(self.timeout));
            let ids = listed(self.missing.iter().cloned());
            problems.push(format!("{count} of {sent} requests had no answer within {timeout}: {ids}"));
        }
        if !self.errors.is_empty() {
            let (count, answered) = (self.errors.len(), self.answered);
            let errors = listed(self.errors.iter().map(|(id, code)| format!("{id} ({code})")));
            problems.push(format!("{count} of {answered} answers are errors: {errors}"));
        }
        problems
    }
}

/// The first few, and how many more there are.
fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 10;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// Sends all letters, then prints answers until each has its own, the broker has refused one, or the time is up.
pub fn exchange(args: &SendArgs, letters: Vec<Letter>, output: &mut impl Write) -> anyhow::Result<Outcome> {
    let client = Client::connect(&options(args)?)?;
    let width = letters.iter().map(|letter| letter.id.chars().count()).max().unwrap_or(0);
    let mut printer = Printer::new(output, args.json, width);
    let mut pending = Pending::default();
    let mut outcome = Outcome { sent: letters.len(), timeout: args.timeout, ..Outcome::default() };
    let headers: Vec<_> = args.headers.iter().map(super::Pair::as_header).collect();
    for letter in letters {
        let sent_at = Instant::now();
        let key = letter.key.as_deref().map(str::as_bytes);
        client.produce(&RequestRecord { key, value: Some(&letter.body), headers: &headers, ..Default::default() })?;
        pending.add(letter.id, sent_at);
    }
    if args.no_wait {
        client.requests.flush(args.timeout)?;
        return Ok(outcome);
    }
    let deadline = Instant::now() + args.timeout;
    // What the broker has refused will not be answered.
    while pending.count() > client.requests.undelivered() && Instant::now() < deadline {
        let Some(answer) = client.answer(LOOK_EVERY)? else { continue };
        if let Some(sent_at) = pending.take(&answer) {
            take(&answer, sent_at, &mut outcome, &mut printer)?;
        }
    }
    outcome.missing = pending.into_ids();
    if client.requests.undelivered() > 0 {
        outcome.undelivered = client.requests.flush(Duration::ZERO).err().map(|error| error.to_string());
    }
    Ok(outcome)
}

fn options(args: &SendArgs) -> anyhow::Result<ClientOptions> {
    let results: Vec<&str> = args.results.iter().map(String::as_str).collect();
    let mut options = ClientOptions::new(&args.connection.brokers, &args.topic, &results);
    options.properties = args.connection.properties()?;
    // An idempotent producer waits half a second for its id before it sends anything, which would stand in every latency.
    options.properties.entry("enable.idempotence".to_owned()).or_insert_with(|| "false".to_owned());
    Ok(options)
}

fn take<W: Write>(
    answer: &Record,
    sent_at: Instant,
    outcome: &mut Outcome,
    printer: &mut Printer<'_, W>,
) -> anyhow::Result<()> {
    let (id, status) = (answer.id().unwrap_or_default(), answer.status());
    outcome.answered += 1;
    if status != OK {
        outcome.errors.push((id.clone().into_owned(), status.clone().into_owned()));
    }
    printer.print(&Reply { id: &id, status: &status, latency: answer.latency(sent_at), record: answer })?;
    Ok(())
}

/// When requests were sent, by id; requests may share an id, and then the oldest is answered first.
#[derive(Default)]
struct Pending {
    sent_at: HashMap<String, VecDeque<Instant>>,
}

impl Pending {
    fn add(&mut self, id: String, sent_at: Instant) {
        self.sent_at.entry(id).or_default().push_back(sent_at);
    }

    /// When the request was sent that `answer` answers; `None` for the answers of others.
    fn take(&mut self, answer: &Record) -> Option<Instant> {
        let id = answer.id()?;
        let waiting = self.sent_at.get_mut(&*id)?;
        let sent_at = waiting.pop_front();
        if waiting.is_empty() {
            self.sent_at.remove(&*id);
        }
        sent_at
    }

    fn count(&self) -> u64 {
        self.sent_at.values().map(|sent| sent.len() as u64).sum()
    }

    fn into_ids(self) -> Vec<String> {
        let mut ids: Vec<_> = self.sent_at.into_iter().flat_map(|(id, sent)| vec![id; sent.len()]).collect();
        ids.sort_unstable();
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(body: &str, key: Option<&str>) -> Letter {
        Letter::new(body.as_bytes().into(), key)
    }

    fn answer(id: &str) -> Record {
        Record {
            topic: "out".to_owned(),
            partition: 0,
            offset: 0,
            timestamp: None,
            key: Some(id.as_bytes().to_vec()),
            value: None,
            headers: Vec::new(),
            received_at: Instant::now(),
        }
    }

    #[test]
    fn a_body_with_an_id_is_sent_as_it_is() {
        let letter = letter(r#"{ "id": 7, "instances": [1]}"#, Some("k"));
        assert_eq!((&*letter.id, letter.key.as_deref()), ("7", Some("k")));
        assert_eq!(&*letter.body, br#"{ "id": 7, "instances": [1]}"#);
    }

    #[test]
    fn a_body_without_an_id_gets_one_of_its_own() {
        let [first, second] = [letter(r#"{"instances":[1]}"#, None), letter(r#"{"instances":[1]}"#, None)];
        assert_eq!(&*first.body, format!(r#"{{"id":"{}","instances":[1]}}"#, first.id).as_bytes());
        assert!(first.id != second.id && first.key.is_none());
    }

    #[test]
    fn a_body_that_is_no_object_is_found_by_its_key() {
        let broken = letter("{\"a\":", None);
        assert_eq!((broken.key.as_deref(), &*broken.body), (Some(&*broken.id), &b"{\"a\":"[..]));
        assert_eq!(letter("text", Some("mine")).id, "mine");
    }

    #[test]
    fn requests_that_share_an_id_wait_for_an_answer_each() {
        let mut pending = Pending::default();
        let (first, second) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        pending.add("a".to_owned(), first);
        pending.add("a".to_owned(), second);
        assert_eq!(pending.take(&answer("b")), None);
        assert_eq!(pending.take(&answer("a")), Some(first));
        assert_eq!((pending.count(), pending.take(&answer("a"))), (1, Some(second)));
        assert_eq!(pending.count(), 0);
    }

    #[test]
    fn problems_name_the_ids_but_not_thousands_of_them() {
        let missing = (0..12).map(|id| id.to_string()).collect();
        let outcome = Outcome { sent: 20, missing, timeout: Duration::from_secs(3), ..Outcome::default() };
        let problems = outcome.problems();
        assert_eq!(problems, ["12 of 20 requests had no answer within 3s: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"]);
    }
}
