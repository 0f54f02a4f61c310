//! docs/architecture.md: which module of a crate may use which ("Floors"), and the path of a connect, as the code has
//! them; and that files are short.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenTree};
use underpass_tests::artifacts::workspace;

use crate::sources::{self, PACKAGES, begins, bodies, files, group, ident, text, walk};
use underpass_tests::markdown::{code, rows, section};

const DOCUMENT: &str = "docs/architecture.md";

/// Which modules each module names by `crate::…`.
type Uses = BTreeMap<String, BTreeSet<String>>;

fn uses(package: &str) -> Uses {
    let mut uses = Uses::new();
    for source in sources::of(package) {
        let Some(module) = source.module().map(str::to_owned) else { continue };
        let named = uses.entry(module.clone()).or_default();
        walk(&source.tokens, &mut |tokens| {
            if begins(tokens, &["crate", ":", ":"]) {
                named.extend(first_words(&tokens[3..]).into_iter().filter(|used| *used != module));
            }
        });
    }
    let all: BTreeSet<String> = uses.keys().cloned().collect();
    // What else the root of a crate has is no module.
    uses.values_mut().for_each(|named| named.retain(|used| all.contains(used)));
    uses
}

/// `a` of `a::b`, `a` and `c` of `{a::b, c}`.
fn first_words(path: &[TokenTree]) -> Vec<String> {
    if let Some(several) = group(path.first(), Delimiter::Brace) {
        let inner: Vec<TokenTree> = several.stream().into_iter().collect();
        let parts = inner.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ','));
        return parts.filter_map(|part| ident(part.first())).collect();
    }
    ident(path.first()).into_iter().collect()
}

/// Whether each of these leads to each other.
fn is_ring(ring: &[String], uses: &Uses) -> bool {
    let reaches = |start: &String| {
        let mut seen = BTreeSet::from([start]);
        let mut next = vec![start];
        while let Some(module) = next.pop() {
            next.extend(uses[module].iter().filter(|used| ring.contains(used) && seen.insert(used)));
        }
        seen.len() == ring.len()
    };
    ring.iter().all(reaches)
}

#[test]
fn a_module_uses_what_is_on_floors_below_it() {
    for package in PACKAGES {
        let uses = uses(package);
        let table = section(DOCUMENT, &format!("### Floors of `{package}/`"));
        let mut floors: BTreeMap<String, usize> = BTreeMap::new();
        let mut rings: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (floor, row) in rows(&table).iter().enumerate() {
            let [modules, why] = &row[..] else { panic!("{DOCUMENT}: not two cells: {row:?}") };
            let modules = code(modules);
            for module in &modules {
                assert!(uses.contains_key(module), "{DOCUMENT}: {package} has no module {module}");
                let before = floors.insert(module.clone(), floor);
                assert!(before.is_none(), "{DOCUMENT}: {package}: {module} is on two floors");
            }
            if why.starts_with("ring: ") {
                assert!(
                    modules.len() > 1 && is_ring(&modules, &uses),
                    "{DOCUMENT}: {package}: {modules:?} is no ring"
                );
                rings.insert(floor, modules);
            }
        }
        for (module, named) in &uses {
            let Some(floor) = floors.get(module) else {
                panic!("{DOCUMENT}: {package}: {module} is on no floor; it uses {named:?}")
            };
            for used in named {
                let below = floors
                    .get(used)
                    .unwrap_or_else(|| panic!("{DOCUMENT}: {package}: {used} is on no floor"));
                let in_a_ring = below == floor && rings.contains_key(floor);
                assert!(below < floor || in_a_ring, "{package}: {module} uses {used}, which is not below it");
            }
        }
    }
}

/// Each line of the list is `FILE`, `FUNCTION`; the body of the one that it is indented under names it.
#[test]
fn the_path_of_a_connect_is_that_of_the_code() {
    let all: Vec<sources::Source> = PACKAGES.into_iter().flat_map(sources::of).collect();
    let list = section(DOCUMENT, "### The same by functions");
    let mut above: Vec<(usize, String, Vec<Vec<TokenTree>>)> = Vec::new();
    let mut steps = 0;
    for line in list.lines().filter(|line| line.trim_start().starts_with("- ")) {
        let indent = line.len() - line.trim_start().len();
        let named = code(line);
        let [file, function, ..] = &named[..] else { panic!("{DOCUMENT}: no file and function: {line}") };
        let source = all.iter().find(|source| source.path == *file);
        let source = source.unwrap_or_else(|| panic!("{DOCUMENT}: {file}: no such file"));
        let bodies = bodies(source, function);
        assert!(!bodies.is_empty(), "{DOCUMENT}: {file} has no function {function}");
        above.retain(|(outer, ..)| *outer < indent);
        if let Some((_, by, callers)) = above.last() {
            let mut is_named = false;
            for body in callers {
                walk(body, &mut |tokens| is_named |= begins(tokens, &[function]));
            }
            assert!(is_named, "{DOCUMENT}: {by} does not name {function}");
        }
        above.push((indent, format!("{function} of {file}"), bodies));
        steps += 1;
    }
    assert!(steps >= 20, "{DOCUMENT}: only {steps} steps");
}

#[test]
fn no_file_is_longer_than_400_lines_without_a_reason() {
    // What cargo writes is no file of ours, and an archive has no lines.
    let is_text = |path: &String| !path.ends_with(".lock") && !path.ends_with(".tar.gz");
    let folders = PACKAGES.into_iter().chain(["tests", "docs", ".ci"]);
    for path in folders.flat_map(|folder| files(folder, "")).filter(is_text) {
        let bytes = std::fs::read(workspace().join(&path)).expect("the file can be read");
        let text = String::from_utf8_lossy(&bytes);
        let has_reason = text.lines().take(30).any(|line| line.contains("Longer than 400 lines: "));
        assert!(text.lines().count() <= 400 || has_reason, "{path}: {} lines", text.lines().count());
    }
}

/// A file that no module names is not compiled: its tests would not run, and nobody would notice.
#[test]
fn each_file_is_of_a_module() {
    let folders = PACKAGES.map(|package| format!("{package}/src")).into_iter();
    let all: Vec<String> =
        folders.chain(["tests".to_owned()]).flat_map(|folder| files(&folder, ".rs")).collect();
    assert!(all.len() > 300, "only {} files", all.len());
    for path in &all {
        let (folder, name) = path.rsplit_once('/').expect("it lies in a folder");
        // Cargo knows these by their places, and tests compile programs themselves.
        let by_place = ["main.rs", "lib.rs", "build.rs"].contains(&name);
        if by_place || ["tests/tests", "tests/src/bin", "tests/benches", "tests/programs"].contains(&folder) {
            continue;
        }
        let (folder, module) = match name {
            "mod.rs" => folder.rsplit_once('/').expect("modules lie in src"),
            _ => (folder, name.trim_end_matches(".rs")),
        };
        let above = [
            format!("{folder}.rs"),
            format!("{folder}/mod.rs"),
            format!("{folder}/main.rs"),
            format!("{folder}/lib.rs"),
        ];
        let declared = |above: &String| {
            all.contains(above)
                && text(above).split([';', '{', '}']).any(|item| item.ends_with(&format!("mod {module}")))
        };
        assert!(above.iter().any(declared), "{path} is named by no module: it is not compiled");
    }
}
