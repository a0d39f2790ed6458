use clap::Parser;
use modelmill::{
    broker::kafka::client::*,
    cli::{load, send},
};
use std::time::Duration;
#[derive(Parser)]
enum Cli {
    Send(send::SendArgs),
    Load(load::LoadArgs),
    Echo { brokers: String },
}
fn main() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::new("warn"))
        .init();
    let r = match Cli::parse() {
        Cli::Send(a) => send::run(&a),
        Cli::Load(a) => load::run(&a),
        Cli::Echo { brokers } => {
            let c = Client::connect(&ClientOptions {
                linger: Duration::from_millis(2),
                ..ClientOptions::new(&brokers, "res", &["req"])
            })
            .unwrap();
            loop {
                if let Some(r) = c.answer(Duration::from_secs(1)).unwrap() {
                    let id = r.id().unwrap();
                    let body = format!("{{\"id\":\"{id}\",\"predictions\":[0]}}");
                    c.produce(&RequestRecord {
                        key: Some(id.as_bytes()),
                        value: Some(body.as_bytes()),
                        ..Default::default()
                    })
                    .unwrap();
                }
            }
        }
    };
    match r {
        Ok(_) => {}
        Err(e) => {
            eprintln!("error: {e:#}");
            std::process::exit(1)
        }
    }
}
