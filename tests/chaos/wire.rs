//! Two requests of Kafka's protocol that no client library at hand sends: the order of a partition's replicas, and the election
//! of the first of them for its leader.
//!
//! Formats: <https://kafka.apache.org/protocol>, `AlterPartitionReassignments` version 0 and `ElectLeaders` version 2, both with
//! compact strings and arrays (their length plus one as a variable-length number) and tagged fields, of which we send none.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const ALTER_PARTITION_REASSIGNMENTS: (i16, i16) = (45, 0);
const ELECT_LEADERS: (i16, i16) = (43, 2);
const PREFERRED: u8 = 0;
/// Every partition has the leader that is asked for.
const ELECTION_NOT_NEEDED: i16 = 84;
const TIMEOUT: Duration = Duration::from_secs(10);

/// A partition, and its replicas in a new order, the one to be preferred first.
#[derive(Clone, Debug)]
pub struct Replicas {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<i32>,
}

/// Puts the replicas of partitions into another order.
///
/// # Errors
/// If the broker cannot be asked, or refuses it.
pub fn reassign(broker: SocketAddr, moves: &[Replicas]) -> Result<(), String> {
    let mut body = Body::default();
    body.number(10_000_i32.to_be_bytes()).length(moves.len());
    for Replicas { topic, partition, replicas } in moves {
        body.text(topic).length(1).number(partition.to_be_bytes()).length(replicas.len());
        for replica in replicas {
            body.number(replica.to_be_bytes());
        }
        body.no_tags().no_tags();
    }
    judge("AlterPartitionReassignments", ask(broker, ALTER_PARTITION_REASSIGNMENTS, body.no_tags()))
}

/// Makes the first replica of each partition its leader.
///
/// # Errors
/// If the broker cannot be asked, or refuses it.
pub fn elect_preferred(broker: SocketAddr, moves: &[Replicas]) -> Result<(), String> {
    let mut body = Body::default();
    body.number([PREFERRED]).length(moves.len());
    for Replicas { topic, partition, .. } in moves {
        body.text(topic).length(1).number(partition.to_be_bytes()).no_tags();
    }
    body.number(10_000_i32.to_be_bytes());
    judge("ElectLeaders", ask(broker, ELECT_LEADERS, body.no_tags()))
}

/// Both answers begin with the time that the broker held them back, then what became of the whole.
fn judge(request: &str, answer: std::io::Result<Vec<u8>>) -> Result<(), String> {
    let answer = answer.map_err(|error| format!("{request}: {error}"))?;
    let code = answer.get(4..6).map(|code| i16::from_be_bytes([code[0], code[1]]));
    match code {
        Some(0 | ELECTION_NOT_NEEDED) => Ok(()),
        code => Err(format!("{request}: the broker's error is {code:?}, expected none")),
    }
}

/// Sends one request over a connection of its own; returns the body of the answer.
fn ask(broker: SocketAddr, (key, version): (i16, i16), body: &Body) -> std::io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect_timeout(&broker, TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    let mut header = Body::default();
    // The correlation id, a client id of no length, no tags.
    header.number(key.to_be_bytes()).number(version.to_be_bytes()).number([0; 4]).number([0; 2]).no_tags();
    let length = u32::try_from(header.0.len() + body.0.len()).expect("a short request");
    connection.write_all(&[&length.to_be_bytes(), &header.0[..], &body.0[..]].concat())?;
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    connection.read_exact(&mut answer)?;
    // The correlation id, no tags.
    Ok(answer.split_off(5.min(answer.len())))
}

/// What is written one after another.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn number<const N: usize>(&mut self, bytes: [u8; N]) -> &mut Self {
        self.0.extend(bytes);
        self
    }

    /// Of a compact string or array.
    fn length(&mut self, length: usize) -> &mut Self {
        let mut left = length + 1;
        while left > 0x7f {
            self.0.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        self.0.push(left as u8);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.length(text.len());
        self.0.extend(text.bytes());
        self
    }

    fn no_tags(&mut self) -> &mut Self {
        self.number([0])
    }
}
