//! What the README and the pages under `docs/` tell a reader to type is real: commands, flags, `make` targets, files and links.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use clap::CommandFactory;
use modelmill::{cli::Cli, config};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README and every page, with its path.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    std::iter::once(root().join("README.md")).chain(pages).map(read).collect()
}

/// The blocks of a page that are in this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let blocks = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    blocks.filter(|(name, _)| *name == language).map(|(_, text)| text).collect()
}

/// The commands of a shell block, continued lines joined, without comments.
fn commands(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    joined.lines().map(|line| line.split(" #").next().unwrap().trim().to_owned()).collect()
}

#[test]
fn every_command_and_flag_exists() {
    let mut cli = Cli::command();
    cli.build();
    let mut found = 0;
    for (path, page) in pages() {
        for line in blocks(&page, "sh").into_iter().flat_map(commands) {
            let Some(arguments) = line.strip_prefix("modelmill ") else { continue };
            let mut words = arguments.split_whitespace();
            let name = words.next().unwrap();
            let Some(command) = cli.find_subcommand(name) else {
                panic!("{}: there is no `modelmill {name}`", path.display())
            };
            for flag in words.filter_map(|word| word.strip_prefix("--")) {
                let exists = command.get_arguments().any(|argument| argument.get_long() == Some(flag));
                assert!(exists, "{}: `modelmill {name}` has no --{flag}", path.display());
            }
            found += 1;
        }
    }
    assert!(found > 5, "the commands must be found to be judged");
}

#[test]
fn every_make_target_exists() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let targets: BTreeSet<_> =
        makefile.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
    let (_, readme) = pages().swap_remove(0);
    let lines = blocks(&readme, "sh").into_iter().flat_map(commands);
    let typed: Vec<_> = lines.filter_map(|line| line.strip_prefix("make ").map(str::to_owned)).collect();
    assert!(typed.len() > 1, "the targets must be found to be judged");
    for target in &typed {
        assert!(targets.contains(target.as_str()), "there is no `make {target}`");
    }
    let listed =
        readme.split("`make help` lists the targets: `").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
    for target in listed.split_whitespace() {
        assert!(makefile.contains(&format!("\n{target}:")), "there is no `make {target}`");
    }
}

#[test]
fn every_link_leads_somewhere() {
    for (path, page) in pages() {
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            if link.contains("://") || file.is_empty() {
                continue;
            }
            assert!(path.parent().unwrap().join(file).exists(), "{}: there is no {link}", path.display());
        }
    }
}

/// A block that begins with the name of one of the two files is the whole of it.
#[test]
fn every_whole_file_is_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (_, readme) = pages().swap_remove(0);
    let whole = |name: &str| -> Vec<PathBuf> {
        let heading = format!("# {name}.yaml\n");
        let texts = blocks(&readme, "yaml").into_iter().filter(|block| block.starts_with(&heading));
        let write = |(index, text): (usize, &str)| {
            let path = folder.path().join(format!("{name}-{index}.yaml"));
            fs::write(&path, text).unwrap();
            path
        };
        texts.enumerate().map(write).collect()
    };
    let (servers, pipelines) = (whole("server"), whole("pipeline"));
    assert!(servers.len() > 1 && pipelines.len() > 1, "the files must be found to be judged");
    for server in servers {
        if let Err(problems) = config::load(&server, &pipelines) {
            panic!("{problems}");
        }
    }
}
