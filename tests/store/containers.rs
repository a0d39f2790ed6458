//! What `docker/compose.s3.yaml` says, as far as it can be run without containers: its commands, its environment, the server
//! file that its worker reads.

use std::{env, fs, path::Path, process::Command};

use modelmill::store::Store;
use serde_yaml::Value;

use crate::s3::S3Server;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn compose(file: &str) -> Value {
    serde_yaml::from_str(&fs::read_to_string(Path::new(ROOT).join("docker").join(file)).unwrap()).unwrap()
}

/// What compose hands to a container: merged keys in place, and a single dollar for two.
fn environment(service: &Value) -> Vec<(String, String)> {
    let mut service = service.clone();
    service.apply_merge().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    service["environment"].as_mapping().unwrap().iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// A command in this project's folder, where the program is found by its name.
fn command(program: &str, arguments: &[&str]) -> Command {
    let own = Path::new(env!("CARGO_BIN_EXE_modelmill")).parent().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).current_dir(ROOT).env_clear();
    command.env("PATH", format!("{}:{}", own.display(), env::var("PATH").unwrap()));
    command
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn the_models_are_pushed_once_and_the_worker_reads_them_from_the_bucket() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let (base, overlay) = (compose("compose.yaml"), compose("compose.s3.yaml"));
    let (push, worker) = (&overlay["services"]["push"], &overlay["services"]["worker"]);
    let script = push["command"][0].as_str().unwrap().replace("$$", "$");
    // As `up` does, which may be said twice.
    for _ in 0..2 {
        let mut shell = command("/bin/sh", &["-euc", &script]);
        server.environment(shell.envs(environment(push)));
        output(&mut shell);
    }
    let listing = server.store("s3://models").list().unwrap();
    let models: Vec<_> = listing.iter().filter_map(|object| object.path.strip_suffix("/1/model.onnx")).collect();
    assert_eq!(models, ["digits", "iris", "spam"]);
    assert_eq!(listing.iter().filter(|object| object.path.ends_with("/manifest.json")).count(), 3);
    let check = ["check", "--server", "docker/server.yaml", "--pipeline", "models/pipelines"];
    let bucket = output(command("modelmill", &check).envs(environment(worker)));
    assert!(bucket.contains("s3://models"), "{bucket}");
    let folder = output(&mut command("modelmill", &check));
    assert!(folder.contains("/models") && !folder.contains("s3://"), "{folder}");
    // The server knows the key that the others come with, and each topic of the pipelines is created.
    let keys = |service: &str, names: [&str; 2]| {
        let environment = environment(&overlay["services"][service]);
        names.map(|name| environment.iter().find(|(key, _)| key == name).unwrap().1.clone())
    };
    let root = keys("s3", ["ROOT_ACCESS_KEY_ID", "ROOT_SECRET_ACCESS_KEY"]);
    for service in ["push", "worker"] {
        assert_eq!(keys(service, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]), root, "{service}");
    }
    let topics = base["services"]["topics"]["command"][0].as_str().unwrap();
    assert!(models.iter().all(|model| topics.contains(model)), "{topics}");
}
