//! The modules, items, imports and paths of a Rust file.

use super::lexer::{Token, tokens};

/// The keywords before the name of an item.
const ITEMS: [&str; 7] = ["struct", "enum", "trait", "type", "fn", "const", "static"];
/// What may stand between `const` or `static` and the name of an item.
const QUALIFIERS: [&str; 5] = ["fn", "unsafe", "async", "extern", "mut"];

/// The parts of a file that tidy's rules need.
#[derive(Debug, Default)]
pub(super) struct Outline<'a> {
    pub(super) modules: Vec<Declared<'a>>,
    pub(super) items: Vec<(Place<'a>, &'a str)>,
    pub(super) imports: Vec<Import<'a>>,
    pub(super) mentions: Vec<Mention<'a>>,
}

/// A place in a file.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) line: usize,
    /// The inline modules around it, from the outermost to the innermost.
    pub(super) scope: Vec<&'a str>,
    /// It is part of an item with `#[cfg(test)]`.
    pub(super) is_test: bool,
}

/// A module: `mod name;` or `mod name { ... }`.
#[derive(Debug)]
pub(super) struct Declared<'a> {
    pub(super) place: Place<'a>,
    pub(super) name: &'a str,
    pub(super) is_inline: bool,
    /// The value of `#[path = "..."]`.
    pub(super) file: Option<&'a str>,
}

/// One name that a `use` imports.
#[derive(Debug)]
pub(super) struct Import<'a> {
    pub(super) place: Place<'a>,
    /// The path as it is written. `::name` starts with an empty name.
    pub(super) path: Vec<&'a str>,
    /// The name that it has here; none for `*`.
    pub(super) name: Option<&'a str>,
    /// It has a visibility, such as `pub use` or `pub(super) use`.
    pub(super) is_reexport: bool,
}

/// A path in code, or a single name that may be of a type, function or macro.
#[derive(Debug)]
pub(super) struct Mention<'a> {
    pub(super) place: Place<'a>,
    pub(super) path: Vec<&'a str>,
}

/// Reads a file.
pub(super) fn outline(text: &str) -> Outline<'_> {
    let tokens = tokens(text);
    let mut scanner = Scanner {
        tokens: &tokens,
        at: 0,
        depth: 0,
        scopes: Vec::new(),
        test_end: 0,
        file: None,
        outline: Outline::default(),
    };
    while scanner.at < tokens.len() {
        scanner.step();
    }
    scanner.outline
}

struct Scanner<'t, 'a> {
    tokens: &'t [(usize, Token<'a>)],
    at: usize,
    /// How many braces are open.
    depth: usize,
    /// The open inline modules, each with the depth of its content.
    scopes: Vec<(usize, &'a str)>,
    /// Where the last item with `#[cfg(test)]` ends.
    test_end: usize,
    /// The `#[path]` of the next module.
    file: Option<&'a str>,
    outline: Outline<'a>,
}

impl<'a> Scanner<'_, 'a> {
    fn token(&self, at: usize) -> Option<Token<'a>> {
        self.tokens.get(at).map(|(_, token)| *token)
    }

    fn word(&self, at: usize) -> Option<&'a str> {
        match self.token(at)? {
            Token::Word(word) => Some(word),
            Token::Separator | Token::Mark(_) | Token::Text(_) => None,
        }
    }

    fn is_mark(&self, at: usize, mark: char) -> bool {
        self.token(at) == Some(Token::Mark(mark))
    }

    fn place(&self) -> Place<'a> {
        Place {
            line: self.tokens[self.at].0,
            scope: self.scopes.iter().map(|(_, name)| *name).collect(),
            is_test: self.at < self.test_end,
        }
    }

    fn step(&mut self) {
        match self.tokens[self.at].1 {
            Token::Mark('#') => self.attribute(),
            Token::Mark('{') => {
                self.depth += 1;
                self.at += 1;
            }
            Token::Mark('}') => {
                self.scopes.retain(|(depth, _)| *depth < self.depth);
                self.depth = self.depth.saturating_sub(1);
                self.at += 1;
            }
            Token::Word("pub") => {
                // The path in `pub(in path)` is no import.
                self.at = if self.is_mark(self.at + 1, '(') {
                    self.after_group(self.at + 1)
                } else {
                    self.at + 1
                };
                if self.word(self.at) == Some("use") {
                    self.imports(true);
                }
            }
            // `use<'a>` is a bound.
            Token::Word("use") if !self.is_mark(self.at + 1, '<') => self.imports(false),
            Token::Word("mod") => self.module(),
            Token::Word(word) if ITEMS.contains(&word) => self.item(),
            Token::Word(_) => self.mention(),
            Token::Separator | Token::Mark(_) | Token::Text(_) => self.at += 1,
        }
    }

    fn attribute(&mut self) {
        let rest: Vec<_> = self.tokens[self.at..].iter().map(|(_, token)| *token).take(7).collect();
        if let [
            _,
            Token::Mark('['),
            Token::Word("cfg"),
            Token::Mark('('),
            Token::Word("test"),
            Token::Mark(')'),
            Token::Mark(']'),
        ] = *rest
        {
            self.test_end = self.test_end.max(self.after_item(self.at + rest.len()));
        }
        if let [_, Token::Mark('['), Token::Word("path"), Token::Mark('='), Token::Text(file), ..] =
            *rest
        {
            self.file = Some(file);
        }
        // The paths in an attribute count like any others.
        self.at += 1;
    }

    /// Where the group ends whose opening bracket is at `start`.
    fn after_group(&self, start: usize) -> usize {
        let mut nesting = 0_usize;
        for at in start..self.tokens.len() {
            match self.tokens[at].1 {
                Token::Mark('(' | '[' | '{') => nesting += 1,
                Token::Mark(')' | ']' | '}') => nesting = nesting.saturating_sub(1),
                _ => {}
            }
            if nesting == 0 {
                return at + 1;
            }
        }
        self.tokens.len()
    }

    /// Where the item ends that starts at `start`, perhaps with more attributes.
    fn after_item(&self, start: usize) -> usize {
        let mut at = start;
        while let Some(token) = self.token(at) {
            match token {
                Token::Mark(';') => return at + 1,
                Token::Mark('{') => return self.after_group(at),
                Token::Mark('(' | '[') => at = self.after_group(at),
                _ => at += 1,
            }
        }
        at
    }

    fn module(&mut self) {
        let place = self.place();
        let file = self.file.take();
        self.at += 1;
        let Some(name) = self.word(self.at) else { return };
        self.at += 1;
        let is_inline = self.is_mark(self.at, '{');
        if is_inline {
            self.scopes.push((self.depth + 1, name));
        }
        self.outline.modules.push(Declared { place, name, is_inline, file });
    }

    fn item(&mut self) {
        let place = self.place();
        self.at += 1;
        while self.word(self.at).is_some_and(|word| QUALIFIERS.contains(&word)) {
            self.at += 1;
        }
        if let Some(name) = self.word(self.at) {
            self.outline.items.push((place, name));
            self.at += 1;
        }
    }

    fn mention(&mut self) {
        let place = self.place();
        let before = |distance| self.at.checked_sub(distance).and_then(|at| self.token(at));
        let is_field = before(1) == Some(Token::Mark('.')) && before(2) != Some(Token::Mark('.'));
        let is_rest = before(1) == Some(Token::Separator) || is_field;
        let mut path: Vec<_> = self.word(self.at).into_iter().collect();
        self.at += 1;
        while self.token(self.at) == Some(Token::Separator)
            && let Some(name) = self.word(self.at + 1)
        {
            path.push(name);
            self.at += 2;
        }
        // A single name in lower case is a variable, unless it is called.
        let is_item = path.len() > 1
            || path.iter().any(|name| name.starts_with(|c: char| c.is_uppercase()))
            || self.is_mark(self.at, '(')
            || self.is_mark(self.at, '!');
        if is_item && !is_rest {
            self.outline.mentions.push(Mention { place, path });
        }
    }

    fn imports(&mut self, is_reexport: bool) {
        self.at += 1;
        self.import_tree(&[], is_reexport);
    }

    fn import_tree(&mut self, prefix: &[&'a str], is_reexport: bool) {
        let mut path = prefix.to_vec();
        while let Some(token) = self.token(self.at) {
            let place = self.place();
            self.at += 1;
            match token {
                Token::Separator if path.is_empty() => path.push(""),
                Token::Separator => {}
                Token::Word(word) => {
                    // In a group, `self` is the module whose group it is.
                    if word != "self" || prefix.is_empty() {
                        path.push(word);
                    }
                    if self.token(self.at) == Some(Token::Separator) {
                        continue;
                    }
                    let mut name = path.last().copied();
                    if self.word(self.at) == Some("as") {
                        name = self.word(self.at + 1);
                        self.at += 2;
                    }
                    self.outline.imports.push(Import { place, path, name, is_reexport });
                    return;
                }
                Token::Mark('*') => {
                    self.outline.imports.push(Import { place, path, name: None, is_reexport });
                    return;
                }
                Token::Mark('{') => {
                    while self.at < self.tokens.len() && !self.is_mark(self.at, '}') {
                        if self.is_mark(self.at, ',') {
                            self.at += 1;
                        } else {
                            self.import_tree(&path, is_reexport);
                        }
                    }
                    self.at += 1;
                    return;
                }
                Token::Mark(_) | Token::Text(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(text: &str) -> Vec<String> {
        let shown = |import: Import<'_>| {
            let (path, name) = (import.path.join("::"), import.name.unwrap_or("*"));
            format!("{}{path} as {name}", if import.is_reexport { "pub " } else { "" })
        };
        outline(text).imports.into_iter().map(shown).collect()
    }

    fn mentioned(text: &str) -> Vec<String> {
        outline(text).mentions.into_iter().map(|mention| mention.path.join("::")).collect()
    }

    #[test]
    fn every_name_of_an_import_is_found() {
        assert_eq!(imported("use a::b;"), ["a::b as b"]);
        assert_eq!(
            imported("use {a, b::{self, c as e, f::{g}, h::*,},\n};"),
            ["a as a", "b as b", "b::c as e", "b::f::g as g", "b::h as *"]
        );
        assert_eq!(
            imported("pub use a::B; pub(super) use self::c; pub(in crate::d) use ::e as _;"),
            ["pub a::B as B", "pub self::c as c", "pub ::e as _"]
        );
        assert_eq!(imported("fn f() -> impl A + use<'a> { use super::super::b; }").len(), 1);
    }

    #[test]
    fn paths_in_code_are_found() {
        let text = "fn f(a: crate::x::A) -> B { <C as super::D>::e(); 0..g::H; i.j::<k::L>(); }";
        assert_eq!(mentioned(text), ["crate::x::A", "B", "C", "super::D", "g::H", "k::L"]);
        assert_eq!(mentioned("pub(in crate::x) fn f(a: u8) { call(a); }"), ["call"]);
        assert_eq!(mentioned("// a::b\n/* a::b */ \"a::b\""), [""; 0]);
        assert_eq!(mentioned("#[arg(value_parser = a::b)]\nx: y"), ["arg", "a::b"]);
    }

    #[test]
    fn test_modules_and_inline_modules_are_marked() {
        let text = "a::a();\n#[cfg(test)]\n#[path = \"x.rs\"]\nmod b;\nmod c {\n  c::c();\n  \
            #[cfg(test)]\n  mod d { d::d(); }\n}\n#[cfg(test)]\nfn e(a: [u8; 2]) { e::e() }\nf::f();";
        let found = outline(text);
        let modules = found.modules.iter();
        let modules: Vec<_> = modules
            .map(|module| (module.name, module.place.is_test, module.is_inline, module.file))
            .collect();
        let expected =
            [("b", true, false, Some("x.rs")), ("c", false, true, None), ("d", true, true, None)];
        assert_eq!(modules, expected);
        let paths = found.mentions.iter().filter(|mention| mention.path.len() > 1);
        let paths: Vec<_> = paths
            .map(|mention| (mention.path[0], mention.place.scope.join("::"), mention.place.is_test))
            .collect();
        let place = |name, scope: &str, is_test| (name, scope.to_owned(), is_test);
        let expected = [
            place("a", "", false),
            place("c", "c", false),
            place("d", "c::d", true),
            place("e", "", true),
            place("f", "", false),
        ];
        assert_eq!(paths, expected);
        let items: Vec<_> = found.items.iter().map(|(_, name)| *name).collect();
        assert_eq!(items, ["e"]);
    }
}
