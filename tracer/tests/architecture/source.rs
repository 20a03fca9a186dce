//! One source file: which modules it names, and what it declares.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path through modules, from the root of the crate.
pub(crate) type ModulePath = Vec<String>;

/// What is known of a file.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root of the repository.
    pub(crate) path: String,
    /// The module that it is.
    pub(crate) module: ModulePath,
    /// How many lines it has.
    pub(crate) lines: usize,
    /// Whether its first line says what it is.
    pub(crate) titled: bool,
    /// Types that it declares, outside of tests.
    pub(crate) types: Vec<(usize, String)>,
    /// Constants that are called just MOST or LEAST.
    pub(crate) limits: Vec<(usize, String)>,
    /// What it names of its own crate, outside of tests.
    named: Vec<Named>,
}

/// A path that is named somewhere.
#[derive(Debug)]
struct Named {
    line: usize,
    path: ModulePath,
    /// What it is called here, if it is imported.
    alias: Option<String>,
    /// Whether it began with `crate`, `self` or `super`; else it may be of another crate.
    anchored: bool,
}

/// Modules that are files, and what each imports under which name.
pub(crate) type Modules = BTreeMap<ModulePath, BTreeMap<String, ModulePath>>;

/// The modules of a crate.
pub(crate) fn modules(sources: &[Source]) -> Modules {
    let mut modules: Modules = BTreeMap::new();
    for source in sources {
        let imports = source.named.iter();
        let imports = imports.filter_map(|one| Some((one.alias.clone()?, one.path.clone())));
        modules
            .entry(source.module.clone())
            .or_default()
            .extend(imports);
    }
    modules
}

impl Source {
    /// Reads a file of the crate whose sources are in `root`.
    pub(crate) fn read(root: &str, path: &str, text: &str) -> Self {
        let name = path
            .strip_prefix(root)
            .unwrap_or(path)
            .trim_start_matches('/');
        let name = name.strip_suffix(".rs").unwrap_or(name);
        let module: ModulePath = match name {
            "lib" | "main" => Vec::new(),
            name => name.split('/').map(str::to_owned).collect(),
        };
        let mut source = Self {
            path: path.to_owned(),
            lines: text.lines().count(),
            titled: text.starts_with("//! "),
            types: Vec::new(),
            limits: Vec::new(),
            named: Vec::new(),
            module: module.clone(),
        };
        let tokens: TokenStream = match text.parse() {
            Ok(tokens) => tokens,
            Err(error) => panic!("{path}: {error}"),
        };
        let tests = module.iter().any(|name| name == "tests");
        source.walk(
            tokens,
            &module,
            Place {
                tests,
                ..Place::default()
            },
        );
        source
    }

    /// The topmost module that it is in.
    pub(crate) fn room(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    /// Which modules of its crate it uses, and in which line: where a name only stands for
    /// what another module declares, that other one.
    pub(crate) fn uses(&self, modules: &Modules) -> Vec<(usize, ModulePath)> {
        let of = |named: &Named| {
            let first = named.path.get(..=self.module.len());
            // `use child::Name` begins with a module of this one, or with another crate.
            let ours = named.anchored || first.is_some_and(|first| modules.contains_key(first));
            ours.then(|| (named.line, declared_in(&named.path, modules)))
        };
        self.named.iter().filter_map(of).collect()
    }

    fn walk(&mut self, tokens: TokenStream, module: &[String], place: Place) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        // Whether the next braces hold associated items.
        let mut associated = false;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let mut next = at + 1;
            match token {
                TokenTree::Ident(word) => {
                    let word = word.to_string();
                    let line = token.span().start().line;
                    match (word.as_str(), tokens.get(at + 1), tokens.get(at + 2)) {
                        ("mod", Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) => {
                            let inner = [module, &[name.to_string()]].concat();
                            let tests = place.tests || name == "tests";
                            self.walk(body.stream(), &inner, Place { tests, ..place });
                            next = at + 3;
                        }
                        ("use", _, _) => {
                            let end = tokens[at..].iter().position(|one| is(one, ';'));
                            next = end.map_or(tokens.len(), |length| at + length);
                            self.name(&tokens[at + 1..next], module, true, place);
                        }
                        ("crate" | "super" | "self", Some(colon), _) if is(colon, ':') => {
                            self.name(&tokens[at..], module, false, place);
                        }
                        ("impl", _, _) => associated = true,
                        ("const", Some(TokenTree::Ident(name)), _)
                            if name == "MOST" || name == "LEAST" =>
                        {
                            self.limits.push((line, name.to_string()));
                        }
                        (
                            "struct" | "enum" | "union" | "trait" | "type",
                            Some(TokenTree::Ident(name)),
                            _,
                        ) => {
                            let declared = word != "type" || !place.associated;
                            if declared && !place.tests {
                                self.types.push((line, name.to_string()));
                            }
                            associated |= word == "trait";
                        }
                        _ => {}
                    }
                }
                TokenTree::Group(group) => {
                    let braces = group.delimiter() == Delimiter::Brace;
                    let inner = Place {
                        associated: braces && associated,
                        ..place
                    };
                    associated &= !braces;
                    self.walk(group.stream(), module, inner);
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at = next;
        }
    }

    /// Notes the paths that begin here.
    fn name(&mut self, tokens: &[TokenTree], module: &[String], import: bool, place: Place) {
        if place.tests {
            return;
        }
        for mut one in paths(tokens, &Vec::new()) {
            let upward = one.path.iter().take_while(|part| *part == "super").count();
            let first = one.path.first().map(String::as_str);
            let (above, rest) = match first {
                Some("crate") => (0, 1),
                Some("self") => (module.len(), 1),
                Some("super") => (module.len().saturating_sub(upward), upward),
                _ => (module.len(), 0),
            };
            one.anchored = rest > 0;
            one.path = [&module[..above], &one.path[rest..]].concat();
            one.alias = one.alias.filter(|_| import);
            self.named.push(one);
        }
    }
}

/// What surrounds a token.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    tests: bool,
    /// The braces of an `impl` or a `trait`.
    associated: bool,
}

fn is(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(one) if one.as_char() == character)
}

/// The paths of a tree: `a::{b, c::d as e}` has two.
fn paths(tokens: &[TokenTree], before: &[String]) -> Vec<Named> {
    let mut path = before.to_vec();
    let mut line = 0;
    let mut at = tokens.iter().take_while(|one| is(one, ':')).count();
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Ident(name) => {
                line = name.span().start().line;
                // `a::{self, b}`
                if name != "self" || path.is_empty() {
                    path.push(name.to_string());
                }
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let parts = inner.split(|one| is(one, ','));
                let parts = parts.filter(|part| !part.is_empty());
                return parts.flat_map(|part| paths(part, &path)).collect();
            }
            _ => break,
        }
        let colons = tokens[at + 1..].iter().take_while(|one| is(one, ':'));
        match colons.count() {
            2 => at += 3,
            _ => break,
        }
    }
    let renamed = match (tokens.get(at + 1), tokens.get(at + 2)) {
        (Some(TokenTree::Ident(word)), Some(TokenTree::Ident(name))) if word == "as" => {
            Some(name.to_string())
        }
        _ => None,
    };
    vec![Named {
        line,
        alias: renamed.or_else(|| path.last().cloned()),
        path,
        anchored: false,
    }]
}

/// The module that declares what a path leads to, as far as imports tell.
fn declared_in(path: &[String], modules: &Modules) -> ModulePath {
    let mut path = path.to_vec();
    // Imports that lead to each other would have no end.
    for _ in 0..8 {
        let depth = (0..=path.len()).rev();
        let mut prefixes = depth.map(|length| &path[..length]);
        let module = prefixes.find(|prefix| modules.contains_key(*prefix));
        let module = module.unwrap_or_default().to_vec();
        let imports = modules.get(&module);
        let name = path.get(module.len());
        match name.and_then(|name| imports?.get(name)) {
            Some(import) if import[..] != path[..] => {
                path = [import, &path[module.len() + 1..]].concat();
            }
            _ => return module,
        }
    }
    path
}
