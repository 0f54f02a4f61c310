//! The sources as tokens, without what is compiled for tests alone, without comments and attributes.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
pub(crate) use underpass_tests::artifacts::text;
use underpass_tests::artifacts::workspace;

/// The packages that are the product, by their folders.
pub(crate) const PACKAGES: [&str; 4] = ["core", "preload", "launcher", "tunnel-agent"];

/// One file.
pub(crate) struct Source {
    /// From the root of the repository.
    pub(crate) path: String,
    pub(crate) tokens: Vec<TokenTree>,
}

impl Source {
    /// The module of its crate that it belongs to: `upstream` for `src/upstream/chain/kind.rs`; `None` for the root.
    pub(crate) fn module(&self) -> Option<&str> {
        let within = self.path.split_once("/src/")?.1;
        let first = within.split('/').next()?.trim_end_matches(".rs");
        (!["lib", "main"].contains(&first)).then_some(first)
    }
}

/// Files below a folder of the repository whose names end so, from its root, sorted. Not what was built, nor found
/// by fuzzing.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![workspace().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("the folder is readable").path();
            if path.is_dir() {
                let made = ["target", "corpus", "artifacts"].map(Path::new);
                let name = path.file_name().map(Path::new).expect("it has a name");
                folders.extend((!made.contains(&name)).then_some(path));
            } else if path.to_str().is_some_and(|path| path.ends_with(ending)) {
                let path = path.strip_prefix(workspace()).expect("it is below");
                found.push(path.to_str().expect("names are ASCII").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// All of a package but its tests.
pub(crate) fn of(package: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut for_tests: Vec<PathBuf> = Vec::new();
    for path in files(&format!("{package}/src"), ".rs") {
        let parsed: TokenStream = text(&path).parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let parsed: Vec<TokenTree> = parsed.into_iter().collect();
        for module in outline_test_modules(&parsed) {
            for_tests.push(beside(&path, &format!("{module}.rs")));
            for_tests.push(beside(&path, &module));
        }
        sources.push(Source { path, tokens: plain(parsed) });
    }
    sources.retain(|source| !for_tests.iter().any(|path| Path::new(&source.path).starts_with(path)));
    assert!(!sources.is_empty(), "{package} has no sources");
    sources
}

/// Where the module that this file declares lies.
fn beside(path: &str, module: &str) -> PathBuf {
    let path = Path::new(path);
    let folder = path.parent().expect("it lies in src");
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") | None => folder.join(module),
        Some(stem) => folder.join(stem).join(module),
    }
}

fn is(token: Option<&TokenTree>, text: &str) -> bool {
    match token {
        Some(TokenTree::Ident(ident)) => ident == text,
        Some(TokenTree::Punct(punct)) => text.len() == 1 && text.starts_with(punct.as_char()),
        _ => false,
    }
}

/// The group that stands here, if it has this delimiter.
pub(crate) fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<&Group> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

/// The name that stands here.
pub(crate) fn ident(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

/// The attribute that begins at `at`, and the place after it.
fn attribute(tokens: &[TokenTree], at: usize) -> Option<(&Group, usize)> {
    if !is(tokens.get(at), "#") {
        return None;
    }
    let at = at + 1 + usize::from(is(tokens.get(at + 1), "!"));
    group(tokens.get(at), Delimiter::Bracket).map(|group| (group, at + 1))
}

fn is_for_tests(attribute: &Group) -> bool {
    attribute.to_string().split_whitespace().collect::<String>() == "[cfg(test)]"
}

/// Names of `#[cfg(test)] mod NAME;`.
fn outline_test_modules(tokens: &[TokenTree]) -> Vec<String> {
    let mut names = Vec::new();
    for at in 0..tokens.len() {
        let Some((cfg, mut next)) = attribute(tokens, at) else { continue };
        while let Some((_, after)) = attribute(tokens, next) {
            next = after;
        }
        if is_for_tests(cfg) {
            let item: Vec<&TokenTree> =
                tokens[next..].iter().take_while(|token| !is(Some(token), ";")).collect();
            let place = item.iter().position(|token| is(Some(token), "mod"));
            names.extend(place.and_then(|place| ident(item.get(place + 1).copied())));
        }
    }
    names
}

/// Without attributes, which comments of documentation are as well, and without the items that `cfg(test)` is said of.
fn plain(tokens: Vec<TokenTree>) -> Vec<TokenTree> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if let Some((first, mut next)) = attribute(&tokens, at) {
            let mut tests = is_for_tests(first);
            while let Some((another, after)) = attribute(&tokens, next) {
                tests |= is_for_tests(another);
                next = after;
            }
            if tests {
                let ends = |token: &TokenTree| {
                    is(Some(token), ";")
                        || is(Some(token), ",")
                        || group(Some(token), Delimiter::Brace).is_some()
                };
                next += tokens[next..].iter().position(ends).map_or(tokens.len() - next, |end| end + 1);
            }
            at = next;
            continue;
        }
        kept.push(match &tokens[at] {
            TokenTree::Group(group) => {
                let inner = plain(group.stream().into_iter().collect());
                let mut fresh = Group::new(group.delimiter(), inner.into_iter().collect());
                fresh.set_span(group.span());
                TokenTree::Group(fresh)
            }
            other => other.clone(),
        });
        at += 1;
    }
    kept
}

/// Visits each token, at every depth, with those that follow it.
pub(crate) fn walk(tokens: &[TokenTree], visit: &mut impl FnMut(&[TokenTree])) {
    for at in 0..tokens.len() {
        visit(&tokens[at..]);
        if let TokenTree::Group(group) = &tokens[at] {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            walk(&inner, visit);
        }
    }
}

/// Whether these tokens begin with this text, token by token: `&["unsafe", "impl"]`.
pub(crate) fn begins(tokens: &[TokenTree], words: &[&str]) -> bool {
    words.iter().enumerate().all(|(at, word)| is(tokens.get(at), word))
}

/// The bodies of the functions of this name.
pub(crate) fn bodies(source: &Source, function: &str) -> Vec<Vec<TokenTree>> {
    let mut found = Vec::new();
    walk(&source.tokens, &mut |tokens| {
        if begins(tokens, &["fn", function]) {
            let body = tokens.iter().find_map(|token| group(Some(token), Delimiter::Brace));
            found.extend(body.map(|body| body.stream().into_iter().collect()));
        }
    });
    found
}
/// What a string literal holds; `None` for any other literal, byte strings among them.
pub(crate) fn string(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else { return None };
    let written = literal.to_string();
    if let Some(raw) = written.strip_prefix('r') {
        return raw.trim_matches('#').strip_prefix('"')?.strip_suffix('"').map(str::to_owned);
    }
    Some(unescaped(written.strip_prefix('"')?.strip_suffix('"')?))
}

/// The Rust Reference, "Quote escapes" and "String continuation escapes"; an escape by number is left as it is.
fn unescaped(written: &str) -> String {
    let mut text = String::new();
    let mut rest = written.chars().peekable();
    while let Some(next) = rest.next() {
        match (next, rest.peek().copied()) {
            ('\\', Some('\n')) => while rest.next_if(|c| c.is_whitespace()).is_some() {},
            ('\\', Some('n')) => {
                rest.next();
                text.push('\n');
            }
            ('\\', Some('t' | 'r')) => {
                rest.next();
                text.push(' ');
            }
            ('\\', Some(quoted @ ('"' | '\\' | '\''))) => {
                rest.next();
                text.push(quoted);
            }
            (other, _) => text.push(other),
        }
    }
    text
}
