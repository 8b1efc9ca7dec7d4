//! The walls of the house: who uses whom in `src/` and `crates/*/src`.
//!
//! [`ROOMS`] lists the rooms of each crate. A room is a file or a folder directly in the crate's
//! `src`, and uses only rooms that stand before it. Inside a room no file and no folder may come
//! back to itself by way of others.
//!
//! A use is a path in a `use` line or in the code. It leads to the file that *defines* the name,
//! through as many `pub use` as there are. Three rules follow for a `mod.rs` and its children:
//!
//! - `mod child;` and `pub use child::Item;` are the folder's map, and no use, as long as the
//!   `mod.rs` does not name `Item` elsewhere;
//! - `use super::Item` is a use of the `mod.rs` if `Item` is defined there, otherwise of the
//!   sibling that defines it;
//! - `impl` blocks of one type may lie in several files: calling a method takes no path.
//!
//! `lib.rs` and `main.rs` may use everything, and `#[cfg(test)]` is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Rooms of each crate, in the order of who may be used.
const ROOMS: [(&str, &str); 6] = [
    (
        "crates/meshsniff/src",
        "time escape packet number piece names tcp kernel protocol mesh dns exchange analyzer conversation condition statistics \
         event redacted assertion relay compare pcapng report compression capture pipeline stream testing",
    ),
    (
        "crates/meshsniff-agent/src",
        "clock ignore_outgoing sockets kernel compressed queue redact rights talk oom target interfaces namespace \
         own_stream ending live args hold setup capture report",
    ),
    (
        "crates/meshsniff-contract/src",
        "times signals arguments ending environment stderr stdin",
    ),
    ("crates/meshsniff-loader/src", ""),
    (
        "crates/meshsniff-oci/src",
        "program elf name json packing image",
    ),
    ("src", "carried stderr signals cluster watch cli"),
];

#[test]
fn rooms_use_only_those_before_them_and_nothing_goes_in_circles() {
    let mut found = BTreeSet::new();
    for folder in sources() {
        let known = ROOMS.iter().find(|(name, _)| *name == folder);
        let (_, rooms) = known.unwrap_or_else(|| panic!("{folder} has no list of rooms in ROOMS"));
        let all = Crate::read(&folder);
        let here: BTreeSet<_> = all.0.keys().filter_map(|module| module.first()).collect();
        let listed: Vec<_> = rooms.split_whitespace().map(str::to_owned).collect();
        assert_eq!(
            here,
            listed.iter().collect(),
            "rooms of {folder}, and of its list in ROOMS"
        );
        let uses = all.uses();
        let mut offend = |what: &str, offences: BTreeSet<Use>| {
            let lines = offences.iter().map(|(from, to)| {
                format!("{folder}: {what}: {} -> {}", from.join("::"), to.join("::"))
            });
            found.extend(lines);
        };
        let place = |module: &[String]| listed.iter().position(|room| *room == module[0]);
        offend(
            "upwards",
            uses.iter()
                .filter(|(from, to)| place(from) < place(to))
                .cloned()
                .collect(),
        );
        let files = circular(&uses);
        offend("circle of folders", &between_parts(&uses) - &files);
        offend("circle", files);
    }
    let found: Vec<_> = found.into_iter().collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn paths_are_found_however_they_are_written() {
    let text = r##"
        use crate::{a::b, c::{self, d as e, f::*}}; // use comment::no;
        pub(crate) use super::g::{H, I};
        #[cfg(test)]
        use crate::testing::{a, b};
        mod child;
        #[cfg(test)]
        #[path = "x.rs"]
        mod tests;
        pub(in crate::room) fn of<'a>(x: &'a str) -> impl Fn() + use<'a> { child::call("use quoted::no; \"", 'x', '"', '\'') }
        const J: &str = r#"crate::no"no"#;
        /* crate::no /* */
        #[cfg(test)]
        mod more { fn x() { crate::no::no() } }
        type K = <L as crate::m::N>::O;
    "##;
    let module = Module::parse(&tokens(text));
    let imports = module.imports.iter();
    let imports =
        imports.map(|(name, path, public)| format!("{name} {} {public}", path.join("::")));
    let wanted = [
        "b crate::a::b false",
        "c crate::c false",
        "e crate::c::d false",
        "* crate::c::f::* false",
        "H super::g::H true",
        "I super::g::I true",
    ];
    assert_eq!(imports.collect::<Vec<_>>(), wanted);
    assert_eq!(module.children, BTreeSet::from(["child".to_owned()]));
    assert_eq!(module.defined, ["of", "J", "K"].map(str::to_owned).into());
    let paths: Vec<_> = module.paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["child::call", "crate::m::N"]);
}

/// Every folder of sources, relative to the checkout.
fn sources() -> Vec<String> {
    let crates = fs::read_dir(root().join("crates")).expect("the crates");
    let names = crates.map(|entry| {
        entry
            .expect("a crate")
            .file_name()
            .into_string()
            .expect("its name")
    });
    let mut folders: Vec<_> = names.map(|name| format!("crates/{name}/src")).collect();
    folders.push("src".to_owned());
    folders
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A use: the module that names and the module that defines, as paths from the root of the crate.
type Use = (Vec<String>, Vec<String>);

/// The uses that come back to where they began.
fn circular(uses: &BTreeSet<Use>) -> BTreeSet<Use> {
    let mut used_by = BTreeMap::<_, Vec<_>>::new();
    uses.iter()
        .for_each(|(from, to)| used_by.entry(from).or_default().push(to));
    let comes_back = |(from, to): &&Use| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![to]);
        while let Some(module) = next.pop() {
            if seen.insert(module) {
                next.extend(used_by.get(module).into_iter().flatten());
            }
        }
        seen.contains(from)
    };
    uses.iter().filter(comes_back).cloned().collect()
}

/// The uses that come back between the parts of each folder: its files, and its folders as wholes.
/// The folder's own `mod.rs` is their map and no part.
fn between_parts(uses: &BTreeSet<Use>) -> BTreeSet<Use> {
    let depth = uses.iter().map(|(from, _)| from.len()).max().unwrap_or(0);
    let level = |level: usize| {
        let same = |(from, to): &&Use| {
            from.len().min(to.len()) > level
                && from[..level] == to[..level]
                && from[level] != to[level]
        };
        let part = |module: &Vec<String>| module[..=level].to_vec();
        uses.iter()
            .filter(same)
            .map(|(from, to)| (part(from), part(to)))
            .collect()
    };
    (1..depth)
        .flat_map(|depth| circular(&level(depth)))
        .collect()
}

/// The modules of a crate by their paths; the root's is empty.
struct Crate(BTreeMap<Vec<String>, Module>);

#[derive(Default)]
struct Module {
    /// Modules that it declares, each with a file of its own.
    children: BTreeSet<String>,
    /// What it imports: name, path, and whether it is handed on. The name of a glob is `*`.
    imports: Vec<(String, Vec<String>, bool)>,
    /// Paths in its code.
    paths: BTreeSet<Vec<String>>,
    /// Names in its code.
    names: BTreeSet<String>,
    /// Names of what it defines.
    defined: BTreeSet<String>,
}

impl Crate {
    fn read(folder: &str) -> Self {
        let mut all = Self(BTreeMap::new());
        let folder = root().join(folder);
        let top = ["lib.rs", "main.rs"]
            .map(|name| folder.join(name))
            .into_iter()
            .find(|file| file.exists());
        all.add(&top.expect("lib.rs or main.rs"), &folder, Vec::new());
        all
    }

    fn add(&mut self, file: &Path, folder: &Path, path: Vec<String>) {
        let text =
            fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let module = Module::parse(&tokens(&text));
        for name in &module.children {
            let (file, below) = (folder.join(format!("{name}.rs")), folder.join(name));
            let file = if file.exists() {
                file
            } else {
                below.join("mod.rs")
            };
            self.add(&file, &below, [path.clone(), vec![name.clone()]].concat());
        }
        self.0.insert(path, module);
    }

    /// Every use of one file by another, those of the root left out.
    fn uses(&self) -> BTreeSet<Use> {
        let mut uses = BTreeSet::new();
        for (from, module) in self.0.iter().filter(|(from, _)| !from.is_empty()) {
            let imports = module.imports.iter();
            let named = imports.filter(|(name, _, public)| !public || module.names.contains(name));
            let imported = named.map(|(_, path, _)| self.imported(from, path));
            let in_code = module.paths.iter().map(|path| self.named(from, path));
            for place in imported.chain(in_code).flatten() {
                // A module by itself is no use: what is taken from it, by its name, is.
                if place.item && place.module != *from && !place.module.is_empty() {
                    uses.insert((from.clone(), place.module));
                }
            }
        }
        uses
    }

    /// Where a path in the code of a module leads, unless into another crate.
    fn named(&self, from: &[String], path: &[String]) -> Option<Place> {
        let known = |name: &String| self.0[from].imports.iter().any(|(known, ..)| known == name);
        if known(&path[0]) {
            self.walk(from.to_vec(), path)
        } else {
            self.imported(from, path)
        }
    }

    /// Where the path of a `use` leads, unless into another crate.
    fn imported(&self, from: &[String], path: &[String]) -> Option<Place> {
        let mut at = from.to_vec();
        let rest = match path[0].as_str() {
            "crate" => &path[1..],
            "self" => return self.walk(at, &path[1..]),
            "super" => path,
            child if self.0[from].children.contains(child) => return self.walk(at, path),
            _ => return None,
        };
        let up = rest.iter().take_while(|name| *name == "super").count();
        at.truncate(if up == 0 { 0 } else { from.len() - up });
        self.walk(at, &rest[up..])
    }

    /// Where names lead, one after another, from a module on.
    fn walk(&self, mut at: Vec<String>, names: &[String]) -> Option<Place> {
        for (index, name) in names.iter().enumerate() {
            let module = &self.0[&at];
            if module.children.contains(name) {
                at.push(name.clone());
                continue;
            }
            let mut imports = module.imports.iter();
            if let Some((_, path, _)) = imports.find(|(known, ..)| known == name && name != "*") {
                return self.imported(&at, &[path, &names[index + 1..]].concat());
            }
            let globs = module.imports.iter().filter(|(known, ..)| known == "*");
            let mut globs = globs.filter_map(|(_, path, _)| self.imported(&at, path));
            let from_glob = globs.find(|place| self.0[&place.module].defined.contains(name));
            return Some(from_glob.unwrap_or(Place {
                module: at,
                item: true,
            }));
        }
        Some(Place {
            module: at,
            item: false,
        })
    }
}

/// Where a path ends: in which module, and whether at something that it defines.
struct Place {
    module: Vec<String>,
    item: bool,
}

impl Module {
    fn parse(tokens: &[String]) -> Self {
        let mut module = Self::default();
        let is = |at: usize, wanted: &[&str]| {
            (at..)
                .zip(wanted)
                .all(|(at, wanted)| tokens.get(at).is_some_and(|token| token == wanted))
        };
        let until = |at: usize, sign: &str| {
            let mut places = at..tokens.len();
            places
                .find(|at| tokens[*at] == sign)
                .unwrap_or(tokens.len())
        };
        let mut at = 0;
        while at < tokens.len() {
            if is(at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
                at = after_item(tokens, at + 7);
            } else if is(at, &["use"]) && !is(at + 1, &["<"]) {
                let public = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
                let end = until(at, ";");
                import(&tokens[at + 1..end], &[], &mut |name, path| {
                    module.imports.push((name, path, public))
                });
                at = end;
            } else if is(at, &["mod"]) && is(at + 2, &[";"]) {
                module.children.insert(tokens[at + 1].clone());
                at += 3;
            } else if is_name(&tokens[at]) {
                if [
                    "struct", "enum", "trait", "type", "fn", "const", "static", "union",
                ]
                .contains(&tokens[at].as_str())
                {
                    module.defined.insert(tokens[at + 1].clone());
                }
                let mut path = vec![tokens[at].clone()];
                while is(at + 1, &["::"]) && tokens.get(at + 2).is_some_and(|token| is_name(token))
                {
                    path.push(tokens[at + 2].clone());
                    at += 2;
                }
                module.names.insert(path[0].clone());
                if path.len() > 1 {
                    module.paths.insert(path);
                }
                at += 1;
            } else {
                // Neither `Y` of `<T as X>::Y` nor the room of `pub(in crate::room)` is a use.
                at = if is(at, &["("]) && is(at + 1, &["in"]) {
                    until(at, ")")
                } else {
                    at + 1 + usize::from(is(at, &["::"]))
                };
            }
        }
        module
    }
}

/// The tokens of a `use`, as names with their paths.
fn import(tokens: &[String], prefix: &[String], each: &mut impl FnMut(String, Vec<String>)) {
    let mut path = prefix.to_vec();
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "::" => (),
            "{" => {
                let inside = &tokens[at + 1..tokens.len() - 1];
                let mut depth = 0;
                let parts = inside.split(|token| {
                    depth += i32::from(token == "{") - i32::from(token == "}");
                    token == "," && depth == 0
                });
                parts
                    .filter(|part| !part.is_empty())
                    .for_each(|part| import(part, &path, each));
                return;
            }
            "as" => return each(tokens[at + 1].clone(), path),
            "self" if !path.is_empty() => (),
            _ => path.push(token.clone()),
        }
    }
    each(path.last().cloned().unwrap_or_default(), path);
}

/// The place after the item, and the attributes before it, that begin at `at`.
fn after_item(tokens: &[String], mut at: usize) -> usize {
    let (mut depth, mut attribute) = (0, false);
    let is_use = tokens[at] == "use";
    while at < tokens.len() {
        match tokens[at].as_str() {
            "#" if depth == 0 => attribute = true,
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth -= 1;
                if depth == 0 && tokens[at] == "}" && !is_use || depth < 0 {
                    return at + 1;
                }
                if depth == 0 && attribute && tokens[at] == "]" {
                    attribute = false;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => (),
        }
        at += 1;
    }
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Names, `::` and single signs; neither comments nor what is in quotes.
fn tokens(text: &str) -> Vec<String> {
    let text: Vec<char> = text.chars().collect();
    let starts = |at: usize, with: &str| {
        with.chars()
            .enumerate()
            .all(|(index, one)| text.get(at + index) == Some(&one))
    };
    let find = |at: usize, what: &str| {
        (at..text.len())
            .find(|at| starts(*at, what))
            .unwrap_or(text.len())
    };
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let one = text[at];
        if starts(at, "//") {
            at = find(at, "\n");
        } else if starts(at, "/*") {
            at = find(at, "*/") + 2;
        } else if one == '"' {
            at += 1;
            while at < text.len() && text[at] != '"' {
                at += if text[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if one == '\'' {
            // A lifetime has no end.
            at = match (text.get(at + 1), text.get(at + 2)) {
                (Some('\\'), _) => find(at + 3, "'") + 1,
                (_, Some('\'')) => at + 3,
                _ => at + 1,
            };
        } else if one.is_alphanumeric() || one == '_' {
            let end = (at..text.len())
                .find(|at| !(text[*at].is_alphanumeric() || text[*at] == '_'))
                .unwrap_or(text.len());
            let name: String = text[at..end].iter().collect();
            at = end;
            let hashes = (at..text.len()).take_while(|at| text[*at] == '#').count();
            if ["r", "br"].contains(&name.as_str()) && text.get(at + hashes) == Some(&'"') {
                at = find(at + hashes + 1, &format!("\"{}", "#".repeat(hashes))) + hashes + 1;
            } else {
                tokens.push(name);
            }
        } else if starts(at, "::") {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !one.is_whitespace() {
                tokens.push(one.to_string());
            }
            at += 1;
        }
    }
    tokens
}
