//! Rules about what is written in files.

use std::collections::BTreeSet;

use crate::tree::Tree;

/// Most lines of production code in one file.
const PRODUCTION_LINES: usize = 500;

/// Files whose code before `mod tests` is longer than [`PRODUCTION_LINES`].
pub(crate) fn long_files(tree: &Tree) -> Vec<String> {
    tree.rust()
        .filter(|(path, _)| !path.ends_with("/tests.rs") && !path.contains("/tests/"))
        .map(|(path, text)| (path, production_lines(text)))
        .filter(|(_, lines)| *lines > PRODUCTION_LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines of production code, {PRODUCTION_LINES} allowed: split it"))
        .collect()
}

fn production_lines(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0].trim_end() == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].trim_end().ends_with('{')
    });
    tests.unwrap_or(lines.len())
}

/// Marks of work put off. An issue has readers; a comment has none.
pub(crate) fn postponed_work(tree: &Tree) -> Vec<String> {
    // Written in two parts, since this file is under the rule too.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    lines(tree, |line| {
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.any(|word| marks.contains(&word)).then_some("do it now, or file an issue")
    })
}

/// Tests named `test_…`: the attribute says that already.
pub(crate) fn prefixed_tests(tree: &Tree) -> Vec<String> {
    let prefix = concat!("fn te", "st_");
    lines(tree, |line| line.contains(prefix).then_some("name the behaviour, without the prefix"))
}

/// Ignored tests without a reason.
pub(crate) fn ignored_without_reason(tree: &Tree) -> Vec<String> {
    let bare = concat!("#[ign", "ore]");
    lines(tree, |line| line.contains(bare).then_some("say why: #[ignore = \"reason\"]"))
}

/// Package registries, which the clients know, and paths that exist on one machine only. Lock files are the clients' own.
pub(crate) fn foreign_places(tree: &Tree) -> Vec<String> {
    let places = [
        concat!("crates", ".io"),
        concat!("registry.npm", "js"),
        concat!("pypi", ".org"),
        concat!("pythonhosted", ".org"),
        concat!("proxy.golang", ".org"),
        concat!("maven", ".org"),
        concat!("deb.debian", ".org"),
        concat!("\"/wo", "rk/"),
        concat!(" /wo", "rk/"),
        concat!("`/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
    ];
    lines(tree, |line| places.iter().any(|place| line.contains(place)).then_some("holds on one machine only"))
}

/// Markdown files that are named somewhere and are not in the tree.
pub(crate) fn missing_documents(tree: &Tree) -> Vec<String> {
    let present: BTreeSet<_> = tree.all().map(|(path, _)| path.rsplit('/').next().unwrap_or(path)).collect();
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    lines(tree, |line| {
        let mut names = line.split(|c: char| !is_part(c)).map(|word| word.trim_end_matches('.'));
        let missing = names.find(|word| word.len() > 3 && word.ends_with(".md") && !present.contains(word));
        missing.map(|_| "names a document that is not in this repository")
    })
}

/// Complaints of `judge` about the lines of every file that people write.
fn lines(tree: &Tree, judge: impl Fn(&str) -> Option<&'static str>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in tree.all().filter(|(path, _)| !path.ends_with(".lock") && !path.ends_with("-lock.json")) {
        for (number, line) in text.lines().enumerate() {
            if let Some(complaint) = judge(line) {
                complaints.push(format!("{path}:{}: {complaint}: {}", number + 1, line.trim()));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod samples {
    use super::*;

    fn check(rule: fn(&Tree) -> Vec<String>, good: &str, bad: &str) {
        assert_eq!(rule(&Tree::sample(&[("a.rs", good), ("Cargo.lock", bad)])), Vec::<String>::new(), "good sample");
        assert_eq!(rule(&Tree::sample(&[("a.rs", bad)])).len(), 1, "bad sample");
    }

    #[test]
    fn length_counts_up_to_the_tests() {
        let code = "x\n".repeat(PRODUCTION_LINES);
        check(long_files, &format!("{code}#[cfg(test)]\nmod tests {{\n{code}}}"), &format!("{code}x\n"));
        let beside = Tree::sample(&[("a/tests.rs", &"x\n".repeat(PRODUCTION_LINES + 1))]);
        assert_eq!(long_files(&beside), Vec::<String>::new(), "a file of tests is no production code");
    }

    #[test]
    fn marks_of_postponed_work_are_found_as_whole_words() {
        check(postponed_work, concat!("// TO", "DOS_LEFT"), concat!("// TO", "DO: later"));
    }

    #[test]
    fn prefixes_are_found() {
        check(prefixed_tests, "fn tested_well() {}", concat!("fn te", "st_it() {}"));
    }

    #[test]
    fn bare_ignore_is_found() {
        check(ignored_without_reason, "#[ignore = \"slow\"]", concat!("#[ign", "ore]"));
    }

    #[test]
    fn foreign_places_are_found() {
        check(foreign_places, "cargo add kube", concat!("https://index.crates", ".io/"));
        check(foreign_places, "/workers/", concat!("see `/wo", "rk/here`"));
    }

    #[test]
    fn a_named_document_must_exist() {
        check(missing_documents, "only *.md files", concat!("see PLAN", ".md for more"));
        let present = Tree::sample(&[("a.rs", concat!("see NOTES", ".md.")), (concat!("b/NOTES", ".md"), "")]);
        assert_eq!(missing_documents(&present), Vec::<String>::new());
    }
}
