//! Files that are right although they look unusual: variables, empty values, whole folders.

use super::*;

#[test]
fn variables_become_what_the_key_needs() {
    let text = "\
kafka:
  brokers: ${BROKERS:-localhost:9092}
  group: mill
  properties: {sasl.password: \"${SECRET}\", session.timeout.ms: \"${TIMEOUT:-45000}\"}
  create_topics: {enabled: \"${TRUE}\", partitions: \"${PARTITIONS:-12}\"}
  commit_interval: ${INTERVAL:-250ms}
models: {repository: \"${THREADS}\", versions: {latest: \"${THREADS}\"}}
limits: {in_flight_bytes: \"${LIMIT:-33554432}\"}
inference: {threads: \"${THREADS}\"}
";
    let server = load_texts(text, &[PIPELINE]).unwrap().server;
    assert_eq!(server.kafka.brokers, "localhost:9092");
    assert_eq!(server.kafka.properties["sasl.password"].as_str(), "hush");
    assert_eq!(server.kafka.properties["session.timeout.ms"].as_str(), "45000");
    assert!(server.kafka.create_topics.enabled);
    assert_eq!(server.kafka.create_topics.partitions.map(|count| count.get()), Some(12));
    assert_eq!(server.kafka.commit_interval, HumanDuration::from_millis(250));
    assert_eq!(server.models.repository, "2", "text stays text, even where it reads as a number");
    assert_eq!(server.limits.in_flight_bytes, HumanSize::from_mib(32));
    assert_eq!(server.inference.threads.exactly(), Some(2));
}

#[test]
fn a_key_whose_value_is_left_empty_counts_as_not_written() {
    let text = format!("{SERVER}batching:\n  # max_batch_size: 32\nlimits: {{chunk_bytes: }}\n");
    assert_eq!(load_texts(&text, &[PIPELINE]).unwrap().server, ServerConfig::new("kafka:9092", "mill", "models"));
}

#[test]
fn a_folder_stands_for_its_yaml_files_without_the_server_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("server.yaml", SERVER);
    write("b.yml", PIPELINE);
    write("a.yaml", &PIPELINE.replace("iris", "spam"));
    write("notes.txt", "not a pipeline");
    let settings = load(&folder.path().join("server.yaml"), &[folder.path().to_owned()]).unwrap();
    let names: Vec<_> = settings.pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
    assert_eq!(names, ["spam", "iris"]);
    let empty = tempfile::tempdir().unwrap();
    let error = load_pipelines(&[empty.path().to_owned(), folder.path().join("none.yaml")]).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{}: there is no *.yaml or *.yml file in this folder\n{}: there is no such file",
            empty.path().display(),
            folder.path().join("none.yaml").display()
        )
    );
    assert_eq!(load_server(&folder.path().join("server.yaml")).unwrap(), settings.server);
}
