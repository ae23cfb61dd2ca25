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

/// Programs that archives of images are told to start, in a script or in a program's list of arguments.
fn archived_entrypoints(text: &str) -> Vec<&str> {
    let mentions = text.split("--entrypoint").skip(1).map(|rest| rest.trim_start_matches(['"', '\'', ',', ' ', '=']));
    let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    let paths = mentions.map(|rest| &rest[..rest.find(|c| !is_path(c)).unwrap_or(rest.len())]);
    paths.filter(|path| path.starts_with("/proxima")).collect()
}

fn scripts_and_programs(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            scripts_and_programs(&path, found);
        } else if !path.starts_with(root().join("tests/charts")) {
            found.extend(fs::read_to_string(path));
        }
    }
}

#[test]
fn archives_of_images_start_the_same_programs() {
    let mut texts = Vec::new();
    scripts_and_programs(&root().join("tests"), &mut texts);
    for entrypoint in texts.iter().flat_map(|text| archived_entrypoints(text)) {
        let image = IMAGES.iter().find(|image| format!("/proxima-{image}") == entrypoint);
        assert!(image.is_some(), "an archive starts {entrypoint}, which no Dockerfile does");
    }
    let sample =
        "mkimage --entrypoint /proxima-edge --user\n.args([\"--entrypoint\", \"/proxima\"]) --entrypoint /pause";
    assert_eq!(archived_entrypoints(sample), ["/proxima-edge", "/proxima"]);
}

#[test]
fn continued_lines_are_one_instruction() {
    let file = instructions("# a\nFROM x AS y\nRUN a \\\n    b\n\nCOPY one two three/\n");
    assert_eq!(all(&file, "RUN"), ["a b"]);
    assert_eq!(sources(&file), ["one", "two"]);
}
