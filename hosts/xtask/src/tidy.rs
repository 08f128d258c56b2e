//! `cargo xtask tidy`: what neither the compiler nor clippy checks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use crate::process::{command, output, root};

mod compliance;
mod layers;
mod wire;

/// The most lines of a function, its signature included.
const FUNCTION_LINES_MAX: usize = 70;
/// The most lines of a file before its tests.
const FILE_LINES_MAX: usize = 600;
/// The most columns of a line.
const LINE_COLUMNS_MAX: usize = 99;

/// A Rust file of the workspace, parsed.
struct Source {
    /// Relative to the root.
    path: PathBuf,
    text: String,
    syntax: syn::File,
}

/// Runs all checks and prints each finding as `file:line: what`.
///
/// # Errors
///
/// If there are findings, or a file cannot be read.
pub(crate) fn check() -> Result<()> {
    let sources = read_sources()?;
    let mut findings = Vec::new();
    for source in &sources {
        check_lengths(source, &mut findings);
    }
    layers::check(&sources, &mut findings);
    wire::check(&sources, &mut findings)?;
    compliance::check(&sources, &mut findings)?;
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    println!("{} files are tidy", sources.len());
    Ok(())
}

fn read_sources() -> Result<Vec<Source>> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"];
    let list = output(command("git", list));
    let names: BTreeSet<&str> = list.lines().collect();
    let mut sources = Vec::new();
    for name in names {
        let path = root().join(name);
        if !path.exists() {
            continue; // Deleted, but not yet in the index.
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
        let syntax = syn::parse_file(&text).with_context(|| format!("cannot parse {name}"))?;
        sources.push(Source { path: name.into(), text, syntax });
    }
    if sources.is_empty() {
        bail!("git lists no Rust files here");
    }
    Ok(sources)
}

fn finding(path: &Path, line: usize, what: &str) -> String {
    format!("{}:{line}: {what}", path.display())
}

fn check_lengths(source: &Source, findings: &mut Vec<String>) {
    let before_tests = test_module_line(&source.syntax).unwrap_or(source.text.lines().count());
    if before_tests > FILE_LINES_MAX {
        let what = format!("{before_tests} lines before the tests, at most {FILE_LINES_MAX}");
        findings.push(finding(&source.path, before_tests, &what));
    }
    for (index, line) in source.text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > LINE_COLUMNS_MAX {
            let what = format!("{columns} columns, at most {LINE_COLUMNS_MAX}");
            findings.push(finding(&source.path, index + 1, &what));
        }
    }
    let mut functions = Functions { path: &source.path, findings };
    functions.visit_file(&source.syntax);
}

/// The line of the first item that is compiled for tests only.
fn test_module_line(syntax: &syn::File) -> Option<usize> {
    syntax.items.iter().find_map(|item| match item {
        syn::Item::Mod(module) if is_test(&module.attrs) => Some(module.span().start().line),
        _ => None,
    })
}

/// Whether the attributes say `cfg(test)`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

struct Functions<'a> {
    path: &'a Path,
    findings: &'a mut Vec<String>,
}

impl Functions<'_> {
    fn check(&mut self, name: &syn::Ident, span: Span) {
        let lines = span.end().line + 1 - name.span().start().line;
        if lines > FUNCTION_LINES_MAX {
            let what = format!("`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}");
            self.findings.push(finding(self.path, name.span().start().line, &what));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.check(&function.sig.ident, function.span());
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.check(&function.sig.ident, function.span());
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        // Tests are tables as often as code.
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }
}
