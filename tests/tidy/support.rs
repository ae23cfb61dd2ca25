//! The tables that say what Proxima can do.
//!
//! A claim without a test is a hope, and a test that was renamed proves nothing any more. So each row names files or
//! folders that show it, and they exist.

use crate::tree::Tree;

/// The document, and the heading that the tables are under.
const DOCUMENT: &str = "README.md";
const HEADING: &str = "## CloudFront, row by row";

/// Rows that name nothing, or what is not there. A row whose second cell is `no` claims nothing.
pub(crate) fn unproven(tree: &Tree) -> Vec<String> {
    let rows = rows(tree.all().find(|(path, _)| *path == DOCUMENT).map_or("", |(_, text)| text));
    if rows.is_empty() {
        return vec![format!("{DOCUMENT}: there is no table under {HEADING:?}")];
    }
    let mut complaints = Vec::new();
    for (number, cells) in rows {
        let [claim, state, .., proof] = &cells[..] else {
            complaints.push(format!("{DOCUMENT}:{number}: a row of fewer than three cells"));
            continue;
        };
        let named: Vec<_> = proof.split('`').skip(1).step_by(2).collect();
        if named.is_empty() && *state != "no" {
            complaints.push(format!("{DOCUMENT}:{number}: nothing shows {claim:?}"));
        }
        let missing = named.iter().filter(|name| !exists(tree, name));
        complaints.extend(missing.map(|name| format!("{DOCUMENT}:{number}: {name} is not in this repository")));
    }
    complaints
}

/// The rows of all tables under the heading, without their first two lines, with the number of their line.
fn rows(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut lines = (1..).zip(text.lines()).skip_while(|(_, line)| *line != HEADING).skip(1);
    let section = std::iter::from_fn(|| lines.next().filter(|(_, line)| !line.starts_with("## ")));
    let mut rows = Vec::new();
    let mut in_table = false;
    for (number, line) in section {
        let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
            in_table = false;
            continue;
        };
        if row.starts_with("---") {
            in_table = true;
        } else if in_table {
            rows.push((number, row.split('|').map(str::trim).collect()));
        }
    }
    rows
}

/// Whether a path from the root of the repository names a file, or a folder with files.
fn exists(tree: &Tree, name: &str) -> bool {
    tree.all().any(|(path, _)| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

#[cfg(test)]
mod samples {
    use super::*;

    fn complaints(rows: &str) -> Vec<String> {
        let document =
            format!("| a |\n\n{HEADING}\n\n| What | State | Shown by |\n|---|---|---|\n{rows}\n\n## Next\n| x |\n");
        unproven(&Tree::sample(&[(DOCUMENT, &document), ("tests/cases/age/one.yaml", ""), ("tests/a.rs", "")]))
    }

    #[test]
    fn a_file_or_a_folder_shows_a_row() {
        let good =
            "| a | yes | `tests/cases/age` |\n| b | partly | `tests/a.rs` `tests/cases/age/one.yaml` |\n| c | no | |";
        assert_eq!(complaints(good), Vec::<String>::new());
    }

    #[test]
    fn a_row_without_proof_or_with_a_wrong_one_is_found() {
        for bad in [
            "| a | yes | |",
            "| a | yes | tests/a.rs |",
            "| a | partly | `tests/a.rs` `tests/b.rs` |",
            "| a | yes | `tests/cases/ag` |",
            "| a | `tests/a.rs` |\n| b | no | |",
            "| a | no | `tests/cases/none` |",
        ] {
            assert_eq!(complaints(bad).len(), 1, "{bad}: {:?}", complaints(bad));
        }
        assert_eq!(unproven(&Tree::sample(&[(DOCUMENT, "nothing")])).len(), 1);
    }
}
