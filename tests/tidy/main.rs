//! Rules of this repository that neither the compiler nor clippy checks.
//!
//! Each rule is a pure function from sources to complaints, so that beside the check of the real tree there is one of a
//! bad sample: a rule that cannot fail is no rule.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod dependencies;
mod modules;
mod outcomes;
mod support;
mod text;
mod tree;

use tree::Tree;

fn demand_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n  {}", complaints.len(), complaints.join("\n  "));
}

#[test]
fn every_source_file_is_reached_by_a_module_declaration() {
    demand_none(modules::orphans(&Tree::read()));
}

#[test]
fn modules_are_named_after_their_file() {
    demand_none(modules::mod_files(&Tree::read()));
}

#[test]
fn no_source_file_is_longer_than_a_reader_can_hold() {
    demand_none(text::long_files(&Tree::read()));
}

#[test]
fn nothing_is_left_for_later_in_a_comment() {
    demand_none(text::postponed_work(&Tree::read()));
}

#[test]
fn names_of_tests_state_behaviour_without_a_prefix() {
    demand_none(text::prefixed_tests(&Tree::read()));
}

#[test]
fn ignored_tests_say_why() {
    demand_none(text::ignored_without_reason(&Tree::read()));
}

#[test]
fn no_file_names_a_package_registry_or_a_path_of_one_machine() {
    demand_none(text::foreign_places(&Tree::read()));
}

#[test]
fn every_document_that_is_named_exists() {
    demand_none(text::missing_documents(&Tree::read()));
}

#[test]
fn every_row_of_the_support_tables_names_what_shows_it() {
    demand_none(support::unproven(&Tree::read()));
}

#[test]
fn crates_reach_only_what_their_place_allows() {
    demand_none(dependencies::forbidden(&dependencies::closure));
}

#[test]
fn one_library_for_cryptography_and_none_for_openssl() {
    demand_none(dependencies::forbidden_anywhere(&dependencies::workspace_closure()));
}

/// `PROXIMA_UPDATE_GOLDEN=1` writes it anew.
#[test]
fn every_outcome_is_explained_in_the_edges_readme() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../edge/README.md");
    let document = std::fs::read_to_string(path).unwrap();
    let renewed = outcomes::renewed(&document).expect("edge/README.md has a place for the tables");
    if std::env::var_os("PROXIMA_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &renewed).unwrap();
        return;
    }
    assert!(document == renewed, "edge/README.md is behind the code: set PROXIMA_UPDATE_GOLDEN=1 and run this test");
    assert_eq!(outcomes::renewed("without a place"), None);
}
