//! Rules about module files.

use std::collections::BTreeSet;

use crate::tree::Tree;

/// Source files that no module declaration reaches: they are never compiled, so nothing ever says that they are wrong.
pub(crate) fn orphans(tree: &Tree) -> Vec<String> {
    let mut reached = BTreeSet::new();
    let mut queue = roots(tree);
    while let Some(path) = queue.pop() {
        let Some(text) = tree.0.get(&path) else { continue };
        if !reached.insert(path.clone()) {
            continue;
        }
        let folder = children_folder(&path, tree);
        queue.extend(declared(text).map(|name| format!("{folder}/{name}.rs")));
    }
    tree.rust()
        .filter(|(path, _)| !reached.contains(*path))
        .map(|(path, _)| format!("{path}: no `mod` line leads here"))
        .collect()
}

/// `mod.rs` files: many files of one name are hard to tell apart.
pub(crate) fn mod_files(tree: &Tree) -> Vec<String> {
    tree.rust()
        .filter(|(path, _)| path.ends_with("/mod.rs"))
        .map(|(path, _)| format!("{path}: name it after its folder, beside the folder"))
        .collect()
}

/// Files that Cargo compiles without being told by a `mod` line.
fn roots(tree: &Tree) -> Vec<String> {
    let mut roots = Vec::new();
    for (manifest, text) in tree.all().filter(|(path, _)| path.ends_with("Cargo.toml")) {
        let folder = manifest.strip_suffix("Cargo.toml").expect("the filter says so");
        roots.extend(["src/lib.rs", "src/main.rs", "build.rs"].map(|file| format!("{folder}{file}")));
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("path = \"").and_then(|rest| rest.strip_suffix('"')) {
                roots.push(format!("{folder}{path}"));
            }
        }
        for targets in ["tests/", "benches/", "examples/", "src/bin/"] {
            let inside = format!("{folder}{targets}");
            let direct = |path: &&str| path.strip_prefix(&inside).is_some_and(|rest| !rest.contains('/'));
            roots.extend(tree.rust().map(|(path, _)| path).filter(direct).map(str::to_owned));
        }
    }
    roots
}

/// Where the modules declared in a file live. A crate's root file (`lib.rs`, `main.rs`) has them beside it.
fn children_folder(path: &str, tree: &Tree) -> String {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let (folder, name) = stem.rsplit_once('/').unwrap_or((".", stem));
    let is_root = matches!(name, "lib" | "main" | "mod") || roots(tree).iter().any(|root| root == path);
    if is_root { folder.to_owned() } else { stem.to_owned() }
}

fn declared(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let line = match line.strip_prefix("pub") {
            Some(rest) => rest.trim_start_matches(|c: char| c != ' '),
            None => line,
        };
        line.trim_start().strip_prefix("mod ")?.strip_suffix(';')
    })
}

#[test]
fn a_file_without_declaration_is_an_orphan() {
    let tree = Tree::sample(&[
        ("a/Cargo.toml", "[[test]]\npath = \"suite/main.rs\""),
        ("a/src/lib.rs", "pub mod one;\npub(crate) mod two;"),
        ("a/src/one.rs", "mod inner;"),
        ("a/src/one/inner.rs", ""),
        ("a/src/two.rs", "// mod three;"),
        ("a/src/two/three.rs", ""),
        ("a/src/lost.rs", ""),
        ("a/suite/main.rs", "mod part;"),
        ("a/suite/part.rs", ""),
    ]);
    let orphans: Vec<_> = orphans(&tree).iter().map(|line| line.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(orphans, ["a/src/lost.rs", "a/src/two/three.rs"]);
}

#[test]
fn a_mod_file_is_refused() {
    assert_eq!(mod_files(&Tree::sample(&[("a/src/one/mod.rs", ""), ("a/src/mode.rs", "")])).len(), 1);
}
