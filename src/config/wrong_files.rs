//! Wrong files and what is said about them, word for word: read them aloud and ask whether a stranger would know what to do.

use std::{env::VarError, path::PathBuf};

use super::{load_with, *};

mod unusual;

const SERVER: &str = "kafka: {brokers: \"kafka:9092\", group: mill}\nmodels: {repository: models}\n";
const PIPELINE: &str = "\
name: iris
input: {topics: [iris.requests]}
output: {topic: iris.results}
steps:
  - predict: {model: iris}
";

fn environment(name: &str) -> Result<String, VarError> {
    match name {
        "THREADS" => Ok("2".to_owned()),
        "TRUE" => Ok("true".to_owned()),
        "SECRET" => Ok("hush".to_owned()),
        _ => Err(VarError::NotPresent),
    }
}

/// Writes the files into a folder of their own, loads them, and gives every problem without the folder.
fn load_texts(server: &str, pipelines: &[&str]) -> Result<Settings, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: String, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let server = write("server.yaml".to_owned(), server);
    let pipelines: Vec<_> =
        pipelines.iter().enumerate().map(|(index, text)| write(format!("pipeline-{index}.yaml"), text)).collect();
    load_with(&server, &pipelines, &environment).map_err(|errors| {
        let prefix = format!("{}/", folder.path().display());
        errors.to_string().replace(&prefix, "").lines().map(str::to_owned).collect()
    })
}

#[track_caller]
fn assert_server(server: &str, expected: &[&str]) {
    assert_eq!(load_texts(server, &[PIPELINE]).unwrap_err(), expected);
}

#[track_caller]
fn assert_pipeline(pipeline: &str, expected: &[&str]) {
    assert_eq!(load_texts(SERVER, &[pipeline]).unwrap_err(), expected);
}

#[test]
fn the_shortest_files_are_taken() {
    let settings = load_texts(SERVER, &[PIPELINE]).unwrap();
    assert_eq!(settings.server, ServerConfig::new("kafka:9092", "mill", "models"));
    assert_eq!(settings.pipelines.len(), 1);
}

#[test]
fn every_problem_of_a_server_file_is_told_at_once() {
    assert_server(
        "\
kafka:
  brokers: ${BROKERS}
  grup: mill
  properties:
    acks: 1
    sasl.password: 1.5
  create_topics: {enabled: yes, partitions: 0, partitions: 3}
  commit_interval: 5 parsecs
delivery: exactly_twice
models:
  repository: gs://models
  s3: {endpoint: 'minio:9000', anonymous: maybe}
  poll_interval: 0s
  serve: iris
  versions: latest
  per_model: {../x: {versions: {specfic: [1]}}, y: {versions: {specific: [0, x]}}}
batching: {max_batch_size: many, target_run_time: 0s}
limits: {in_flight_bytes: 1MiB, chunk_bytes: \"${SECRET}\"}
inference: {threads: \"${SECRET}\", sessions: 0}
admin: {listen: localhost:9644}
shutdown_timeout: 30
",
        &[
            "server.yaml:2: kafka.brokers: the environment variable `BROKERS` is not set; set it, or give a default: \
             `${BROKERS:-…}`",
            "server.yaml:3: kafka.grup: unknown key `grup`; did you mean `group`?",
            "server.yaml:5: kafka.properties.acks: is set by modelmill: the delivery guarantee rests on it",
            "server.yaml:6: kafka.properties.sasl.password: expected text, a whole number or `true` or `false`, \
             found the number 1.5; put it in quotes: \"1.5\"",
            "server.yaml:7: kafka.create_topics.partitions: is written twice (first in line 7): keep one",
            "server.yaml:7: kafka.create_topics.enabled: expected `true` or `false`, found the text `yes`; \
             write `true`",
            "server.yaml:7: kafka.create_topics.partitions: must be at least 1, found the number 0",
            "server.yaml:8: kafka.commit_interval: expected a duration such as `5ms`, `30s` or `1h 30m`, found the \
             text `5 parsecs`",
            "server.yaml:9: delivery: expected `at_least_once` or `exactly_once`, found `exactly_twice`; did you mean `exactly_once`?",
            "server.yaml:11: models.repository: `gs://` is no kind of repository: write a folder, `file://…` or \
             `s3://bucket/prefix`",
            "server.yaml:12: models.s3.anonymous: expected `true` or `false`, found the text `maybe`",
            "server.yaml:12: models.s3.endpoint: `minio:9000` is no address: write `https://host` or `http://host:port`",
            "server.yaml:13: models.poll_interval: must be longer than 0, or the repository would be looked at without a \
             pause",
            "server.yaml:14: models.serve: expected a list, found the text `iris`; write `[iris]`",
            "server.yaml:15: models.versions: `latest` needs a value: write `latest: …`",
            "server.yaml:16: models.per_model[\"../x\"].versions.specfic: unknown key `specfic`; did you mean \
             `specific`?",
            "server.yaml:16: models.per_model.y.versions.specific[0]: must be at least 1, found the number 0",
            "server.yaml:16: models.per_model.y.versions.specific[1]: expected a whole number, found the text `x`",
            "server.yaml:17: batching.max_batch_size: expected a whole number, found the text `many`",
            "server.yaml:17: batching.target_run_time: must be longer than 0, since every run takes time",
            "server.yaml:18: limits.chunk_bytes: expected a size such as `512KiB`, `64MiB` or `2GiB`, found what \
             `${SECRET}` stands for",
            "server.yaml:19: inference.threads: expected `auto` or a whole number from 1 up, found what `${SECRET}` \
             stands for",
            "server.yaml:19: inference.sessions: must be at least 1, found the number 0",
            "server.yaml:20: admin.listen: expected an IP address and a port such as `127.0.0.1:9644` or \
             `[::]:9644`, found the text `localhost:9644`",
            "server.yaml:21: shutdown_timeout: expected a duration such as `5ms`, `30s` or `1h 30m`, found the number \
             30; add a unit: `30s` or `30ms`",
        ],
    );
}

#[test]
fn every_problem_of_a_pipeline_file_is_told_at_once() {
    assert_pipeline(
        "\
name: my pipeline
input:
  toppics: [a]
  codec: xml
output:
  topic: 5
  headers: sometimes
steps:
  - lowercas: {column: text}
  - lowercase: {colunm: text}
  - predict: {version: newest}
  - predict
  - predict: {model: x}
    lowercase: {column: y}
  - predict: {model: ../x}
  - lowercase:
timeout: 0s
",
        &[
            "pipeline-0.yaml:1: name: `my pipeline` is no pipeline name: use letters, digits, `.`, `_` and `-`",
            "pipeline-0.yaml:3: input.toppics: unknown key `toppics`; did you mean `topics`?",
            "pipeline-0.yaml:4: input.codec: expected `json`, `raw`, `protobuf`, `csv` or `avro`, found `xml`",
            "pipeline-0.yaml:6: output.topic: expected text, found the number 5; put it in quotes: \"5\"",
            "pipeline-0.yaml:7: output.headers: expected `auto`, `always` or `never`, found `sometimes`",
            "pipeline-0.yaml:9: steps[0].lowercas: unknown key `lowercas`; did you mean `lowercase`?",
            "pipeline-0.yaml:10: steps[1].lowercase.colunm: unknown key `colunm`; did you mean `column`?",
            "pipeline-0.yaml:11: steps[2].predict.model: is required and missing: the model's name in the \
             repository, or a template over the request: `{request.model}`, `churn-{key}`, `{header.tenant}-churn`, \
             `{parameter.NAME}`",
            "pipeline-0.yaml:12: steps[3]: `predict` needs a value: write `predict: {model: …}`",
            "pipeline-0.yaml:13: steps[4]: expected one key, found `predict` and `lowercase`: write each as an \
             entry of its own",
            "pipeline-0.yaml:15: steps[5].predict: `model` is `../x`: a name is one folder of the repository, without \
             `/`, `\\`, `..` or control characters, does not start with `.` and has at most 255 bytes",
            "pipeline-0.yaml:16: steps[6].lowercase.column: is required and missing: the column to change: BYTES holding UTF-8",
            "pipeline-0.yaml:17: timeout: must be longer than 0, or every request would be late",
        ],
    );
}

#[test]
fn what_is_no_step_is_answered_with_the_names_of_steps() {
    let problems = load_texts(SERVER, &[&format!("{PIPELINE}  - {{}}\n  - thing: {{}}\n")]).unwrap_err();
    assert!(problems[0].starts_with("pipeline-0.yaml:6: steps[1]: expected `"), "{problems:?}");
    assert!(problems[0].ends_with(", found an empty map") && problems[0].contains("`predict`"), "{problems:?}");
    assert!(problems[1].starts_with("pipeline-0.yaml:7: steps[2].thing: unknown key `thing`; known here: `"));
    assert_eq!(problems.len(), 2);
}

#[test]
fn rules_within_a_pipeline_are_held() {
    assert_pipeline(
        "\
name: iris
input:
  topics: [a, a, \"b c\"]
  headers: {timeout: Model-Name}
output:
  topic: a
  dead_letter_topic: a
  reply_topics: [checkout.*, \"[\", \"\"]
steps:
  - lowercase: {column: text}
",
        &[
            "pipeline-0.yaml:3: input.topics[1]: `a` is listed twice",
            "pipeline-0.yaml:3: input.topics[2]: `b c` is no topic name: Kafka takes letters, digits, `.`, `_` and \
             `-`, 249 at most",
            "pipeline-0.yaml:4: input.headers.timeout: header `Model-Name` already stands for `input.headers.model_name`",
            "pipeline-0.yaml:6: output.topic: `a` is also among `input.topics`: the pipeline would read what it \
             writes, for ever",
            "pipeline-0.yaml:7: output.dead_letter_topic: is also `output.topic`: records that cannot be decoded need \
             a topic of their own",
            "pipeline-0.yaml:7: output.dead_letter_topic: `a` is also among `input.topics`: the pipeline would read \
             what it writes, for ever",
            "pipeline-0.yaml:8: output.reply_topics: `[` is no glob: unclosed character class; missing ']'",
            "pipeline-0.yaml:8: output.reply_topics: an empty glob matches nothing: remove it",
            "pipeline-0.yaml:9: steps: has no `predict`: add `- predict: {model: NAME}` where the model is to run",
        ],
    );
}

#[test]
fn rules_of_the_server_file_are_held() {
    assert_server(
        "\
kafka: {brokers: \"kafka:nine\", group: \" \", commit_interval: 0s}
models:
  repository: ftp://models
  serve: [\"*\", iris, a/b]
  versions: {specific: []}
  per_model: {iris: {versions: {specific: [3, 3]}}}
limits:
  in_flight_bytes: 1MiB
  in_flight_messages: 10
shutdown_timeout: 0s
",
        &[
            "server.yaml:1: kafka.brokers: `kafka:nine` is no broker: write `host:port`, several with commas between \
             them",
            "server.yaml:1: kafka.group: is empty: name the consumer group of this worker",
            "server.yaml:1: kafka.commit_interval: must be longer than 0; 1s is the default",
            "server.yaml:3: models.repository: `ftp://` is no kind of repository: write a folder, `file://…` or \
             `s3://bucket/prefix`",
            "server.yaml:4: models.serve[0]: `*` means all models already: write `[\"*\"]` alone",
            "server.yaml:4: models.serve[2]: `a/b` is no model name: a name is one folder of the repository, without \
             `/`, `\\`, `..` or control characters, does not start with `.` and has at most 255 bytes",
            "server.yaml:5: models.versions.specific: lists no version: write numbers, or `versions: all`",
            "server.yaml:6: models.per_model.iris.versions.specific[1]: version 3 is listed twice",
            "server.yaml:7: limits: `in_flight_bytes` is 1MiB, less than one chunk (`chunk_bytes` is 4MiB): raise it, \
             or lower `chunk_bytes`",
            "server.yaml:7: limits: `in_flight_messages` is 10, less than one chunk (`chunk_messages` is 1000): raise \
             it, or lower `chunk_messages`",
            "server.yaml:10: shutdown_timeout: must be longer than 0, or nothing could be finished",
        ],
    );
}

#[test]
fn required_keys_are_named_with_what_they_mean() {
    let problems = load_texts("kafka:\n  group: mill\n", &["name: iris\n"]).unwrap_err();
    assert_eq!(
        problems,
        [
            "server.yaml: models: is required and missing: where models come from and which versions are in service",
            "server.yaml:1: kafka.brokers: is required and missing: the brokers to begin with, `host:port`, several \
             with commas between them",
            "pipeline-0.yaml: input: is required and missing: where requests come from and how they are read",
            "pipeline-0.yaml: output: is required and missing: where answers go and what they carry",
            "pipeline-0.yaml: steps: is required and missing: what happens to requests, in this order; each entry is \
             one step by its name",
        ]
    );
}

#[test]
fn files_that_are_no_maps_or_no_yaml_are_named_with_the_others() {
    let problems = load_texts("- kafka\n", &["", "name: [iris\n", "just text\n"]).unwrap_err();
    assert_eq!(
        problems,
        [
            "server.yaml: expected a map of keys, found a list",
            "pipeline-0.yaml: the file is empty",
            "pipeline-1.yaml:2: cannot be read as YAML: did not find expected ',' or ']'",
            "pipeline-2.yaml: expected a map of keys, found the text `just text`",
        ]
    );
}

#[test]
fn pipelines_share_neither_names_nor_topics_nor_go_round_in_a_circle() {
    let pipeline = |name: &str, topic: &str, results: &str| {
        format!(
            "name: {name}\ninput: {{topics: [{topic}]}}\noutput: {{topic: {results}}}\n\
             steps: [{{predict: {{model: iris}}}}]\n"
        )
    };
    let texts = [pipeline("a", "one", "two"), pipeline("a", "two", "three"), pipeline("c", "three", "one")];
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let mut problems = load_texts(SERVER, &texts).unwrap_err();
    assert!(problems[1].starts_with("pipeline-1.yaml:1: name: `a` is also the name of the pipeline in "));
    problems.remove(1);
    assert_eq!(problems, ["pipeline-0.yaml:3: output.topic: answers go round in a circle: `two` → `three` → `one`"]);
    let shared = [pipeline("a", "one", "two"), pipeline("b", "one", "three")];
    let problems = load_texts(SERVER, &[&shared[0], &shared[1]]).unwrap_err();
    assert_eq!(
        problems,
        [
            "pipeline-1.yaml:2: input.topics[0]: `one` is also read by the pipeline in pipeline-0.yaml: a topic belongs to \
          one pipeline"
        ]
    );
}

#[test]
fn a_pipeline_finds_its_model_among_those_that_are_served() {
    let listed = "kafka: {brokers: k, group: g}\nmodels: {repository: m, serve: [spam]}\n";
    assert_server(
        listed,
        &[
            "pipeline-0.yaml:5: steps[0].predict.model: `iris` is not in `models.serve` of server.yaml and would never be \
           loaded: add it there",
        ],
    );
    let free = PIPELINE.replace("model: iris", "model: \"{request.model}\"");
    assert_pipeline(
        &free,
        &["pipeline-0.yaml:5: steps[0].predict.model: lets requests choose among the models that are served, but \
           `models.serve` of server.yaml names none: list them there, or write `serve: [\"*\"]` for all"],
    );
    assert!(load_texts(listed, &[&free]).is_ok());
    let bounded = PIPELINE.replace("model: iris", "model: \"iris-{key}\", fallback: iris");
    assert!(load_texts(SERVER, &[&bounded]).is_ok());
    assert_eq!(
        load_texts(listed, &[&bounded]).unwrap_err(),
        [
            "pipeline-0.yaml:5: steps[0].predict.fallback: `iris` is not in `models.serve` of server.yaml and would never be \
          loaded: add it there"
        ]
    );
    let pinned = PIPELINE.replace("model: iris", "model: iris, version: 2");
    let server = SERVER.replace("repository: models", "repository: models, versions: {specific: [1, 3]}");
    assert_eq!(
        load_texts(&server, &[&pinned]).unwrap_err(),
        ["pipeline-0.yaml:5: steps[0].predict.version: version 2 of `iris` is not among the `specific` versions of \
          server.yaml: add it there"]
    );
}

#[test]
fn a_secret_never_shows_up_in_a_sentence() {
    let everywhere = "\
kafka: {brokers: \"${SECRET}:x\", group: mill, create_topics: \"${SECRET}\"}
delivery: ${SECRET}
models: {repository: \"ftp://${SECRET}\", serve: \"${SECRET}\", versions: \"${SECRET}\"}
batching: {max_batch_size: \"${SECRET}\", target_run_time: \"${SECRET}\"}
limits: {in_flight_bytes: \"${SECRET}\"}
admin: {listen: \"${SECRET}\"}
";
    let problems = load_texts(everywhere, &[PIPELINE]).unwrap_err();
    assert_eq!(problems.len(), 10, "{problems:#?}");
    assert!(problems.iter().all(|problem| !problem.contains("hush")), "{problems:#?}");
    assert!(problems[1].contains("`${SECRET}:x` is no broker"), "{problems:#?}");
}
