//! The walls between the rooms of the agent: which top-level module may import which.
//!
//! The table below is in the order of the data, the vocabulary first and the verbs last. A room may import only rooms that
//! stand above it in the table, so there is no circle across rooms. The test holds the table against the paths that the
//! source really names, and ARCHITECTURE.md against the table.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A room, and the rooms that it imports, in the order of the table.
struct Room {
    name: &'static str,
    imports: &'static str,
}

const fn room(name: &'static str, imports: &'static str) -> Room {
    Room { name, imports }
}

const ROOMS: &[Room] = &[
    room("error", ""),
    room("time", ""),
    room("go", "time"),
    room("fingerprint", ""),
    room("feature", ""),
    room("text", ""),
    room("back_off", ""),
    room("log_once", "error"),
    // The flags of the log of node-problem-detector's plugins are Go booleans.
    room("process", "go"),
    room("problem", "time"),
    room("component", "time"),
    room("metric", ""),
    room("record", "time fingerprint problem"),
    // A Pod, named by the path of a cgroup, is described as fields of a problem.
    room("node", "problem"),
    room("path_watch", ""),
    // The boot id, and the position of a record: what a restart needs to know.
    room("state", "time fingerprint log_once record node"),
    room("rules", "time go"),
    // Of `rules` only the extractor of a part of a line and its text decoding; of `state` the file of hung tasks.
    room(
        "source",
        "error time go fingerprint feature back_off log_once problem component metric record node path_watch state rules",
    ),
    // A service's log is a journal, which a source reads.
    room("health", "error time go feature process node source"),
    // A config names sources, checks and metrics: it holds their checked settings, and starts none of them.
    room("config", "error time go fingerprint feature problem metric path_watch rules source health"),
    // Readiness is reported by the component itself.
    room("exporter", "error time go fingerprint text back_off log_once problem component metric state"),
    room("detector", "problem exporter"),
    // The edge of the log monitors starts sources and subscribes to them.
    room(
        "monitor",
        "time go fingerprint text process problem component metric record node state rules source health config detector",
    ),
    // Waits for the first attempts of sources.
    room("agent", "time problem component metric state source config detector monitor"),
    // Pages show the recent problems that an exporter keeps.
    room("admin", "time process component exporter"),
    // Flags become the checked options of the parts they are for.
    room("cli", "go feature process node source health config exporter"),
    room(
        "command",
        "error time go feature process problem metric record node state rules source health config exporter detector monitor agent admin cli",
    ),
    room("main", "process cli command"),
];

// === impl Room ===

impl Room {
    fn imports(&self) -> impl Iterator<Item = &'static str> {
        self.imports.split_whitespace()
    }
}

type Arrows = BTreeMap<(String, String), BTreeSet<String>>;

/// The paths in a stream of tokens that begin at the root of the crate, as their first names. Modules of tests are left out.
fn roots(tokens: TokenStream, up_to_root: usize, found: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut i = 0;
    while i < tokens.len() {
        match &tokens[i] {
            TokenTree::Ident(word) if *word == "mod" => {
                let is_test = tokens.get(i + 1).is_some_and(|name| name.to_string() == "tests");
                if is_test && matches!(tokens.get(i + 2), Some(TokenTree::Group(_))) {
                    i += 2;
                }
            }
            TokenTree::Ident(word) if *word == "crate" || *word == "npd_agent" => {
                names_after(&tokens, i + 1, found);
            }
            TokenTree::Ident(word) if *word == "super" => {
                let mut end = i + 1;
                let mut supers = 1;
                while is_path_separator(&tokens, end) && tokens.get(end + 2).is_some_and(|t| t.to_string() == "super") {
                    supers += 1;
                    end += 3;
                }
                if supers == up_to_root {
                    names_after(&tokens, end, found);
                }
                i = end - 1;
            }
            TokenTree::Group(group) => roots(group.stream(), up_to_root, found),
            _ => {}
        }
        i += 1;
    }
}

/// `::name` or `::{name, …}` at `at`.
fn names_after(tokens: &[TokenTree], at: usize, found: &mut BTreeSet<String>) {
    if !is_path_separator(tokens, at) {
        return;
    }
    match tokens.get(at + 2) {
        Some(TokenTree::Ident(name)) => {
            found.insert(name.to_string());
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let mut is_first = true;
            for token in group.stream() {
                match token {
                    TokenTree::Ident(name) if is_first => {
                        found.insert(name.to_string());
                        is_first = false;
                    }
                    TokenTree::Punct(punct) if punct.as_char() == ',' => is_first = true,
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    is_colon(at) && is_colon(at + 1)
}

/// All arrows between rooms, each with the files that draw it.
fn arrows(src: &Path) -> Arrows {
    let mut arrows = Arrows::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be listed") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let module = path.strip_prefix(src).expect("it lies in src").with_extension("");
            let parts: Vec<_> = module.iter().map(|part| part.to_str().expect("names are ASCII")).collect();
            if parts.contains(&"tests") {
                continue;
            }
            let room = match parts[..] {
                // Declares the rooms and imports none.
                ["lib"] => continue,
                ["main"] | ["bin", ..] => "main",
                [first, ..] => first,
                [] => unreachable!("a file has a name"),
            };
            let text = fs::read_to_string(&path).expect("a source file can be read");
            let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut found = BTreeSet::new();
            roots(tokens, parts.len(), &mut found);
            for name in found.into_iter().filter(|name| name != room && name != "self") {
                arrows.entry((room.to_owned(), name)).or_default().insert(module.display().to_string());
            }
        }
    }
    arrows
}

fn src() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

#[test]
fn rooms_import_only_what_stands_above_them() {
    for (index, room) in ROOMS.iter().enumerate() {
        let name = room.name;
        for import in room.imports() {
            let is_above = ROOMS[..index].iter().any(|above| above.name == import);
            assert!(is_above, "{name} → {import}: {import} must stand above {name} in the table");
        }
    }
}

#[test]
fn every_arrow_is_in_the_table_and_every_row_is_true() {
    let arrows = arrows(src());
    let mut wrong = Vec::new();
    for ((from, to), files) in &arrows {
        if !ROOMS.iter().any(|room| room.name == from && room.imports().any(|import| import == to)) {
            wrong.push(format!("{from} → {to} is not allowed: {files:?}"));
        }
    }
    for room in ROOMS {
        for import in room.imports() {
            if !arrows.contains_key(&(room.name.to_owned(), import.to_owned())) {
                wrong.push(format!("{} → {import} is in the table, but no file draws it", room.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn architecture_draws_the_same_rooms() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md")).unwrap();
    let row = |room: &Room| {
        let imports: Vec<_> = room.imports().map(|import| format!("`{import}`")).collect();
        format!("| `{}` | {} |", room.name, if imports.is_empty() { "–".to_owned() } else { imports.join(", ") })
    };
    let expected: Vec<_> = ROOMS.iter().map(row).collect();
    let begin = page.find("| room | imports |").expect("ARCHITECTURE.md has a table `| room | imports |`");
    let drawn: Vec<_> = page[begin..].lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert_eq!(drawn, expected, "the table should be:\n{}", expected.join("\n"));
}

#[test]
fn a_path_is_found_in_every_form_it_can_be_written_in() {
    let text = r#"
        //! [`crate::in_a_comment`]
        use crate::{alpha, beta::{self, not_a_room}, gamma as other};
        use super::super::delta::x;
        use super::sibling;
        fn f() { info!(value = crate::epsilon::f(), "crate::in_a_string"); npd_agent::zeta::run() }
        mod tests { use crate::only_in_tests; }
    "#;
    let mut found = BTreeSet::new();
    roots(text.parse().unwrap(), 2, &mut found);
    let expected = ["alpha", "beta", "delta", "epsilon", "gamma", "zeta"];
    assert!(found.iter().eq(expected), "{found:?}");
}
