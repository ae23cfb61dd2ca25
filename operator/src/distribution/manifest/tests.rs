use serde_json::json;

use super::*;

fn problem(text: &str) -> Problem {
    parse_documents("shop.yaml", text).expect_err(text)
}

#[test]
fn documents_know_where_they_stand() {
    let text = "# a note\na: 1\n---\n---\nb: 2\n--- # another\nc: |\n  --- not a marker\n";
    let documents = parse_documents("shop.yaml", text).unwrap();
    let found: Vec<_> =
        documents.iter().map(|document| (document.source.document, document.source.line, &document.value)).collect();
    assert_eq!(
        found,
        [(1, 1, &json!({"a": 1})), (3, 4, &json!({"b": 2})), (4, 6, &json!({"c": "--- not a marker\n"}))]
    );
    assert!(documents.iter().all(|document| document.source.file == "shop.yaml"));
}

#[test]
fn a_file_without_content_has_no_documents() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "---\n---\n# nothing\n---\n"] {
        assert_eq!(parse_documents("shop.yaml", text), Ok(vec![]), "{text:?}");
    }
}

#[test]
fn windows_line_ends_and_directives_are_read() {
    let documents = parse_documents("shop.yaml", "%YAML 1.2\r\n---\r\na: 1\r\n---\r\nb: 2\r\n").unwrap();
    assert_eq!(
        documents.iter().map(|document| &document.value).collect::<Vec<_>>(),
        [&json!({"a": 1}), &json!({"b": 2})]
    );
    assert_eq!(documents[1].source.line, 4);
}

#[test]
fn syntax_errors_name_file_line_and_column() {
    for (text, place) in [
        ("a: 1\nb: [1, 2\nc: 3\n", "shop.yaml:"),
        ("a: 1\n---\nb: 2\n  c: 3\n", "shop.yaml:4:"),
        ("a: \"open\n", "shop.yaml:"),
        ("a:\n\tb: 1\n", "shop.yaml:2:"),
    ] {
        let problem = problem(text);
        assert_eq!(problem.reason, Reason::SyntaxError);
        assert!(problem.message.starts_with(&format!("cannot read {place}")), "{text:?}: {}", problem.message);
        assert!(problem.line.is_some(), "{text:?}");
        assert!(!problem.message.contains('\n'), "{}", problem.message);
    }
}

#[test]
fn a_key_that_is_there_twice_is_refused_at_its_line() {
    let problem = problem("---\nspec:\n  enabled: true\n  comment: hello\n  enabled: false\n");
    assert!(problem.message.contains("shop.yaml:5:") && problem.message.contains("enabled"), "{}", problem.message);
    assert_eq!(problem.line, Some(5));
}

#[test]
fn aliases_stand_for_what_they_name() {
    let documents = parse_documents("shop.yaml", "a: &x {b: 1}\nc: *x\n").unwrap();
    assert_eq!(documents[0].value, json!({"a": {"b": 1}, "c": {"b": 1}}));
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("a{level}: &a{level} [{below}]\n");
    }
    assert_eq!(problem(&text).reason, Reason::SyntaxError);
}

#[test]
fn deep_nesting_is_refused() {
    assert_eq!(problem(&format!("a: {}{}\n", "[".repeat(5_000), "]".repeat(5_000))).reason, Reason::SyntaxError);
}

#[test]
fn too_many_documents_are_refused() {
    let problem = problem(&"---\na: 1\n".repeat(1_025));
    assert!(problem.message.contains("1024 documents"), "{}", problem.message);
}

#[test]
fn lines_of_fields_are_found() {
    let text = "---\n\
                metadata: {name: shop}\n\
                spec:\n\
                \x20 # a note\n\
                \x20 origins:\n\
                \x20   - name: site\n\
                \x20     http:\n\
                \x20       host: site.example.com\n\
                \x20   -\n\
                \x20     name: api\n\
                \x20 aliases: [a,\n\
                \x20   b]\n";
    let lines = Lines::of(text);
    for (field, line) in [
        ("metadata.name", Some(2)),
        ("spec", Some(3)),
        ("spec.origins", Some(5)),
        ("spec.origins[0]", Some(6)),
        ("spec.origins[0].http", Some(7)),
        ("spec.origins[0].http.host", Some(8)),
        ("spec.origins[0].http.httpPort", Some(7)),
        ("spec.origins[1].name", Some(10)),
        ("spec.aliases[0]", Some(11)),
        ("spec.aliases[1]", Some(12)),
        ("spec.aliases[2]", Some(11)),
        ("status", None),
        ("", None),
    ] {
        assert_eq!(lines.find(field), line, "{field}");
    }
}

#[test]
fn text_that_cannot_be_read_has_no_lines() {
    assert_eq!(Lines::of("a: [").find("a"), None);
}
