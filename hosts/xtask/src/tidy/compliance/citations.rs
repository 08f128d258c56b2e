//! Citations in backquotes, and whether the code has what they name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::super::Source;

/// `path/file.rs: item`, or whatever else stands in backquotes.
pub(super) fn of(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// What stands outside of backquotes.
pub(super) fn prose(cell: &str) -> String {
    cell.split('`').step_by(2).collect()
}

/// The names that the sources have.
pub(super) struct Code<'a> {
    files: BTreeMap<&'a Path, Names>,
}

#[derive(Default)]
struct Names {
    items: BTreeSet<String>,
    tests: BTreeSet<String>,
}

impl<'a> Code<'a> {
    pub(super) fn new(sources: &'a [Source]) -> Self {
        let names = |source: &Source| {
            let mut names = Names::default();
            names.visit_file(&source.syntax);
            names
        };
        Self { files: sources.iter().map(|it| (it.path.as_path(), names(it))).collect() }
    }

    pub(super) fn fault_of_item(&self, citation: &str) -> Option<String> {
        self.fault(citation, |path, names, item| {
            let has = item.split("::").all(|part| names.items.contains(part));
            (!has).then(|| format!("{path} has no item `{item}`"))
        })
    }

    pub(super) fn fault_of_test(&self, citation: &str) -> Option<String> {
        self.fault(citation, |path, names, item| {
            let has = names.tests.contains(item);
            (!has).then(|| format!("`{item}` in {path} is no test"))
        })
    }

    fn fault(
        &self,
        citation: &str,
        check: impl Fn(&str, &Names, &str) -> Option<String>,
    ) -> Option<String> {
        let Some((path, item)) = citation.split_once(".rs: ") else {
            return Some(format!("`{citation}` is not of the form `path/file.rs: item`"));
        };
        let path = format!("{path}.rs");
        match self.files.get(Path::new(&path)) {
            Some(names) => check(&path, names, item),
            None => Some(format!("there is no file {path}")),
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let ident = match item {
            syn::Item::Const(item) => Some(&item.ident),
            syn::Item::Static(item) => Some(&item.ident),
            syn::Item::Enum(item) => Some(&item.ident),
            syn::Item::Struct(item) => Some(&item.ident),
            syn::Item::Trait(item) => Some(&item.ident),
            syn::Item::Type(item) => Some(&item.ident),
            syn::Item::Fn(item) => {
                if is_run_as_test(&item.attrs) {
                    self.tests.insert(item.sig.ident.to_string());
                }
                Some(&item.sig.ident)
            }
            // A test body that a macro runs for several types is named in the macro's call.
            syn::Item::Macro(item) if item.ident.is_none() => {
                idents(item.mac.tokens.clone(), &mut self.tests);
                None
            }
            _ => None,
        };
        self.items.extend(ident.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let ident = match item {
            syn::ImplItem::Const(item) => Some(&item.ident),
            syn::ImplItem::Fn(item) => Some(&item.sig.ident),
            _ => None,
        };
        self.items.extend(ident.map(ToString::to_string));
        visit::visit_impl_item(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.items.insert(item.sig.ident.to_string());
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        self.items.extend(field.ident.as_ref().map(ToString::to_string));
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.items.insert(variant.ident.to_string());
    }
}

/// `#[test]`, `#[tokio::test]` and the like, and not ignored.
fn is_run_as_test(attributes: &[syn::Attribute]) -> bool {
    let is = |name: &str| {
        let last = |it: &syn::Attribute| it.path().segments.last().map(|it| it.ident.to_string());
        attributes.iter().any(|attribute| last(attribute).as_deref() == Some(name))
    };
    is("test") && !is("ignore")
}

fn idents(tokens: TokenStream, into: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                into.insert(ident.to_string());
            }
            TokenTree::Group(group) => idents(group.stream(), into),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_all_kinds_are_found_and_tests_apart() {
        let text = "
            const LIMIT: u8 = 1;
            struct Thing { field: u8 }
            enum State { Idle }
            impl Thing { const ROOM: u8 = 2; fn acts(&self) { let local = 1; } }
            trait Does { fn asked(&self); }
            mod tests {
                #[tokio::test]
                async fn proves() {}
                #[test]
                #[ignore]
                fn sleeps() {}
                fn on_all<S>() {}
            }
            on_each_storage! { on_all }
            macro_rules! defines { () => { fn made() {} } }
        ";
        let syntax = syn::parse_file(text).unwrap();
        let sources = [Source { path: "x/y.rs".into(), text: text.into(), syntax }];
        let code = Code::new(&sources);
        for item in ["LIMIT", "Thing", "field", "State::Idle", "Thing::acts", "ROOM", "asked"] {
            assert_eq!(code.fault_of_item(&format!("x/y.rs: {item}")), None);
        }
        for item in ["local", "made", "Thing::lost", ""] {
            assert!(code.fault_of_item(&format!("x/y.rs: {item}")).is_some(), "{item}");
        }
        assert_eq!(code.fault_of_test("x/y.rs: proves"), None);
        assert_eq!(code.fault_of_test("x/y.rs: on_all"), None);
        for test in ["sleeps", "acts", "made"] {
            assert!(code.fault_of_test(&format!("x/y.rs: {test}")).is_some(), "{test}");
        }
        assert!(code.fault_of_item("x/y: LIMIT").is_some());
    }

    #[test]
    fn citations_stand_in_backquotes() {
        assert_eq!(of("see `a.rs: x`, `b.rs: y` there"), ["a.rs: x", "b.rs: y"]);
        assert_eq!(prose("see `a.rs: x` there"), "see  there");
        assert_eq!(of("none"), [""; 0]);
    }
}
