//! Who may use whom in the core; the table is that of `docs/architecture.md`.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};

use super::{Source, finding, is_test};

/// Modules that all others may use, and that use only each other.
const GROUND: [&str; 7] =
    ["association", "entropy", "fmt", "identifier", "machine", "profile", "time"];

/// A module, and what it may use besides the ground.
const LAYERS: [(&str, &[&str]); 8] = [
    ("store", &[]),
    ("wire", &[]),
    ("sctp", &[]),
    ("policy", &["store"]),
    ("handlespace", &["policy", "store", "wire"]),
    ("asap", &["handlespace", "policy", "store", "wire"]),
    ("enrp", &["handlespace", "policy", "store", "wire"]),
    ("compute", &["asap"]),
];

/// Checks every path of the core that starts with `crate`.
pub(super) fn check(sources: &[Source], findings: &mut Vec<String>) {
    let layers: BTreeMap<_, _> = LAYERS.into_iter().collect();
    for source in sources {
        let Ok(inside) = source.path.strip_prefix("core/src") else { continue };
        let Some(module) = inside.iter().next().and_then(|name| name.to_str()) else { continue };
        let module = module.trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let mut paths = Paths::default();
        paths.visit_file(&source.syntax);
        for (line, used) in paths.found {
            let allowed = used == module
                || GROUND.contains(&used.as_str())
                || layers.get(module).is_some_and(|layer| layer.contains(&used.as_str()));
            if !allowed {
                let what = format!("`{module}` may not use `{used}` (docs/architecture.md)");
                findings.push(finding(&source.path, line, &what));
            }
        }
        if !GROUND.contains(&module) && !layers.contains_key(module) {
            let what = format!("`{module}` has no place in the table of layers");
            findings.push(finding(&source.path, 1, &what));
        }
    }
}

/// The second segments of all paths that start with `crate`, tests left out.
#[derive(Default)]
struct Paths {
    found: Vec<(usize, String)>,
}

impl Paths {
    fn add_tree(&mut self, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => self.add(&path.ident),
            syn::UseTree::Name(name) => self.add(&name.ident),
            syn::UseTree::Rename(rename) => self.add(&rename.ident),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.add_tree(item)),
            syn::UseTree::Glob(_) => {}
        }
    }

    fn add(&mut self, ident: &syn::Ident) {
        self.found.push((ident.span().start().line, ident.to_string()));
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if let syn::UseTree::Path(path) = &item.tree
            && path.ident == "crate"
            && !is_test(&item.attrs)
        {
            self.add_tree(&path.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if let (Some(first), Some(second)) = (segments.next(), segments.next())
            && first.ident == "crate"
        {
            // A macro or constant of the crate's root stands in no layer.
            if segments.next().is_some() {
                self.add(&second.ident);
            }
        }
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }
}
