//! The files that images are built from. They cannot be built here; what can be known without building them is.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::helm::{read, root};

const IMAGES: [&str; 2] = ["operator", "edge"];

/// The instructions of a Dockerfile: keyword and the rest.
fn instructions(text: &str) -> Vec<(String, String)> {
    let joined: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = joined.join("\n").replace("\\\n", " ");
    let split = |line: &str| {
        let (keyword, rest) = line.trim().split_once(' ')?;
        Some((keyword.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    joined.lines().filter_map(split).collect()
}

fn dockerfile(image: &str) -> Vec<(String, String)> {
    instructions(&read(&format!("{image}/Dockerfile")))
}

/// What every instruction of a kind says.
fn all<'a>(instructions: &'a [(String, String)], keyword: &str) -> Vec<&'a str> {
    instructions.iter().filter(|(found, _)| found == keyword).map(|(_, rest)| rest.as_str()).collect()
}

/// What is copied from the repository.
fn sources(instructions: &[(String, String)]) -> Vec<&str> {
    let own = all(instructions, "COPY").into_iter().filter(|copy| !copy.starts_with("--from="));
    own.flat_map(|copy| copy.rsplit_once(' ').expect("COPY has a target").0.split(' ')).collect()
}

#[test]
fn what_is_copied_exists_and_is_in_the_context() {
    let context = read(".dockerignore");
    for image in IMAGES {
        let file = dockerfile(image);
        let sources = sources(&file);
        assert!(sources.len() > 3, "{sources:?}");
        for source in sources {
            assert!(root().join(source).exists(), "{image}: there is no {source}");
            let let_in = format!("!{source}");
            assert!(context.lines().any(|line| line == let_in), "{image}: .dockerignore leaves {source} out");
        }
    }
}

fn copy(source: &Path, target: &Path) {
    if source.is_file() {
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(source, target).unwrap();
    } else if source.file_name().is_some_and(|name| name != "target") {
        for entry in fs::read_dir(source).unwrap().map(Result::unwrap) {
            copy(&entry.path(), &target.join(entry.file_name()));
        }
    }
}

#[test]
fn what_is_copied_is_a_whole_workspace() {
    for image in IMAGES {
        let folder = tempfile::tempdir().unwrap();
        let file = dockerfile(image);
        sources(&file).iter().for_each(|source| copy(&root().join(source), &folder.path().join(source)));
        let mut cargo = Command::new(env!("CARGO"));
        let package = format!("proxima-{image}");
        let tree = cargo.args(["tree", "--locked", "--package", &package]).current_dir(folder.path()).output().unwrap();
        assert!(tree.status.success(), "{image}: {}", String::from_utf8_lossy(&tree.stderr));
    }
}

#[test]
fn images_are_the_program_alone_run_by_a_numeric_user() {
    for image in IMAGES {
        let file = dockerfile(image);
        let last_stage = file.iter().rposition(|(keyword, _)| keyword == "FROM").unwrap();
        let stage = &file[last_stage..];
        assert_eq!(all(stage, "FROM"), ["scratch"], "{image}");
        assert_eq!(all(stage, "COPY"), [format!("--from=build /out/proxima-{image} /proxima-{image}")]);
        assert_eq!(all(stage, "USER"), ["65532:65532"]);
        assert_eq!(all(stage, "ENTRYPOINT"), [format!("[\"/proxima-{image}\"]")]);
        assert_eq!(all(stage, "CMD"), Vec::<&str>::new());
        let labels = all(stage, "LABEL").join(" ");
        for label in ["title", "description", "version", "licenses"] {
            assert!(labels.contains(&format!("org.opencontainers.image.{label}=")), "{image}: {label}");
        }
    }
}

#[test]
fn images_are_built_with_the_toolchain_of_the_workspace() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    for image in IMAGES {
        let file = dockerfile(image);
        assert_eq!(all(&file, "FROM"), [format!("rust:{version}-trixie AS build"), "scratch".to_owned()]);
        let build = all(&file, "RUN").into_iter().find(|run| run.contains("cargo build")).unwrap();
        for part in ["--release", "--locked", &format!("--package proxima-{image}"), "--mount=type=cache,target="] {
            assert!(build.contains(part), "{image}: {part} is not in {build}");
        }
    }
}

#[test]
fn the_version_is_that_of_the_workspace() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().trim_matches('"');
    for image in IMAGES {
        assert_eq!(all(&dockerfile(image), "ARG"), [format!("VERSION={version}")], "{image}");
    }
}

#[test]
fn archives_are_built_and_started_as_the_images_are() {
    let script = read("tests/kube/images");
    for image in IMAGES {
        let file = dockerfile(image);
        let variables = all(&file, "ENV");
        assert_eq!(variables.len(), 2, "{image}: {variables:?}");
        for variable in variables {
            let variable = variable.replace('"', "'");
            assert!(
                script.contains(&variable),
                "{image}: its Dockerfile says {variable}, and tests/kube/images does not"
            );
        }
        assert!(script.contains(&format!("\nimage {image} proxima-{image} \"${image}\"\n")), "{image}");
    }
    let file = dockerfile("edge");
    let user = all(&file, "USER")[0];
    assert!(script.contains(&format!("--entrypoint \"/$program\" --user {user} ")), "{user}");
}

#[test]
fn continued_lines_are_one_instruction() {
    let file = instructions("# a\nFROM x AS y\nRUN a \\\n    b\n\nCOPY one two three/\n");
    assert_eq!(all(&file, "RUN"), ["a b"]);
    assert_eq!(sources(&file), ["one", "two"]);
}
