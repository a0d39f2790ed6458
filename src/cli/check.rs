//! `modelmill check`: whether the files are in order, and what a worker would do with them. Nothing is started.

use std::{
    fmt::{self, Display},
    process::ExitCode,
};

use clap::Args;

use super::{ConfigArgs, print};
use crate::{
    app::online,
    config::{Delivery, ModelsConfig, PipelineConfig, Served, Settings, VersionPolicy, step_name},
    steps::StepConfig,
    tensor::Name,
};

/// Check a server file and pipelines without starting anything
///
/// Every problem of every file is told at once, with file, line and key. If there is none, a summary says what a worker
/// would do.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    modelmill check --server config/server.yaml --pipeline config/pipeline.yaml\n  \
    modelmill check --server server.yaml --pipeline pipelines/     # a folder of pipelines\n  \
    modelmill check --server server.yaml --pipeline p.yaml --online  # also the broker, the topics, the models\n\n\
    Exit codes: 0 all is in order, 1 something that the files name is missing, 2 the files are not in order.")]
pub struct CheckArgs {
    /// Also look whether the broker answers and the topics and models are there; nothing is created
    #[arg(long)]
    pub online: bool,
    /// The files.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Checks the files and says what they make.
///
/// # Errors
/// Every problem of every file.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let settings = args.config.load()?;
    print(Summary(&settings))?;
    if !args.online {
        return Ok(ExitCode::SUCCESS);
    }
    let missing = online::look(&settings);
    if missing.is_empty() {
        print("\nThe broker answers; its topics and the models are there.\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    for sentence in missing {
        eprintln!("error: {sentence}");
    }
    Ok(ExitCode::FAILURE)
}

/// What a worker would do, in a few lines.
struct Summary<'a>(&'a Settings);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { server, pipelines } = self.0;
        writeln!(f, "The files are in order. A worker would run:")?;
        for pipeline in pipelines {
            write_pipeline(f, pipeline)?;
        }
        let promise = match server.delivery {
            Delivery::AtLeastOnce => "at_least_once",
            Delivery::ExactlyOnce => "exactly_once",
        };
        writeln!(f, "\nserver")?;
        writeln!(f, "  kafka         {}, group {}, {promise}", server.kafka.brokers, server.kafka.group)?;
        writeln!(f, "  models        {}", models_line(&server.models, pipelines))?;
        writeln!(f, "  admin         http://{}", server.admin.listen)
    }
}

fn write_pipeline(f: &mut fmt::Formatter<'_>, pipeline: &PipelineConfig) -> fmt::Result {
    writeln!(f, "\npipeline {}", pipeline.name)?;
    writeln!(f, "  requests      {}", pipeline.input.topics.join(", "))?;
    let steps: Vec<_> = pipeline.steps.iter().map(step_line).collect();
    writeln!(f, "  steps         {}", steps.join(" → "))?;
    writeln!(f, "  answers       {}", pipeline.output.topic)?;
    match &pipeline.output.dead_letter_topic {
        Some(topic) => writeln!(f, "  dead letters  {topic}"),
        None => writeln!(f, "  dead letters  none: what cannot be decoded is only answered"),
    }
}

fn step_line(step: &StepConfig) -> String {
    match step {
        StepConfig::Predict(predict) if predict.version == "latest" => format!("predict {}", predict.model),
        StepConfig::Predict(predict) => format!("predict {} (version {})", predict.model, predict.version),
        other => step_name(other),
    }
}

fn models_line(models: &ModelsConfig, pipelines: &[PipelineConfig]) -> String {
    let names = match models.served() {
        Served::All => return format!("all of {} ({})", models.repository, versions(&models.versions)),
        Served::Only(names) => names,
        Served::Named => named_models(pipelines),
    };
    let lines: Vec<_> = names.iter().map(|name| format!("{name} ({})", versions(models.versions_of(name)))).collect();
    format!("{} of {}", lines.join(", "), models.repository)
}

/// The models that the pipelines name, each once; a template stands for those that may come of it.
fn named_models(pipelines: &[PipelineConfig]) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    for (_, predict) in pipelines.iter().flat_map(PipelineConfig::predicts) {
        for name in [Some(&predict.model), predict.fallback.as_ref()].into_iter().flatten() {
            if !names.iter().any(|known| **known == **name) {
                names.push(name.as_str().into());
            }
        }
    }
    names
}

fn versions(policy: &VersionPolicy) -> String {
    match policy {
        VersionPolicy::Latest(count) if count.get() == 1 => "latest version".to_owned(),
        VersionPolicy::Latest(count) => format!("latest {count} versions"),
        VersionPolicy::All => "all versions".to_owned(),
        VersionPolicy::Specific(numbers) => {
            let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
            format!("versions {}", numbers.join(", "))
        }
        VersionPolicy::Labels(labels) => format!("labels {}", labels.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerConfig;

    fn steps(json: &str) -> Vec<StepConfig> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_summary_says_what_a_worker_would_do() {
        let mut churn = PipelineConfig::new(
            "churn",
            "churn.requests",
            "churn.results",
            steps(r#"[{"predict": {"model": "scale", "version": 2}}, {"predict": {"model": "churn"}}]"#),
        );
        churn.output.dead_letter_topic = Some("churn.dead-letters".to_owned());
        let spam = PipelineConfig::new(
            "spam",
            "mails",
            "verdicts",
            steps(r#"[{"lowercase": {"column": "text"}}, {"predict": {"model": "churn"}}]"#),
        );
        let server = ServerConfig::new("kafka:9092", "mill", "models");
        let summary = Summary(&Settings { server, pipelines: vec![churn, spam] }).to_string();
        let expected = "\
The files are in order. A worker would run:

pipeline churn
  requests      churn.requests
  steps         predict scale (version 2) → predict churn
  answers       churn.results
  dead letters  churn.dead-letters

pipeline spam
  requests      mails
  steps         lowercase → predict churn
  answers       verdicts
  dead letters  none: what cannot be decoded is only answered

server
  kafka         kafka:9092, group mill, at_least_once
  models        scale (latest version), churn (latest version) of models
  admin         http://127.0.0.1:9644
";
        assert_eq!(summary, expected);
    }
}
