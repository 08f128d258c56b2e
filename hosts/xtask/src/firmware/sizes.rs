//! `cargo xtask firmware sizes`: what the images take, beside what they may take.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::build_board;
use super::elf::Sizes;
use crate::process::{cargo, root, run, show};

/// The budgets of all boards: board, role, budget. `firmware/sizes.toml` explains the keys.
type Budgets = BTreeMap<String, BTreeMap<String, Budget>>;

/// What one image, or the difference between two, may take, in bytes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Budget {
    /// Cargo features of the image instead of the default ones.
    features: Option<Vec<String>>,
    /// The roles whose difference this is, the larger one first.
    difference: Option<[String; 2]>,
    flash: Option<u64>,
    static_ram: Option<u64>,
    /// The deepest stack in a life of a pool element, in the emulated board.
    stack: Option<u64>,
    /// Static RAM and that stack together.
    ram: Option<u64>,
    /// What it should take once; missed goals are shown and fail nothing.
    #[serde(default)]
    goal: Goal,
}

/// Goals, by the same keys.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Goal {
    flash: Option<u64>,
    static_ram: Option<u64>,
    stack: Option<u64>,
    ram: Option<u64>,
}

/// One line of the table.
struct Row {
    board: String,
    role: String,
    what: &'static str,
    bytes: u64,
    budget: Option<u64>,
    goal: Option<u64>,
}

impl Row {
    fn exceeds(&self) -> bool {
        self.budget.is_some_and(|budget| self.bytes > budget)
    }
}

/// Builds all images that have a budget, and prints a table of what they take.
///
/// # Errors
///
/// If an image exceeds a budget or does not compile.
pub(crate) fn check(boards: &[String]) -> Result<()> {
    let budgets = read_budgets()?;
    if let Some(unknown) = boards.iter().find(|board| !budgets.contains_key(*board)) {
        bail!("there is no budget for a board `{unknown}` in {FILE}");
    }
    let mut rows = Vec::new();
    for (board, roles) in &budgets {
        if boards.is_empty() || boards.contains(board) {
            measure_board(board, roles, &mut rows)?;
        }
    }
    print!("{}", table(&rows));
    match rows.iter().filter(|row| row.exceeds()).count() {
        0 => Ok(()),
        count => bail!("{count} budgets of {FILE} are exceeded"),
    }
}

fn read_budgets() -> Result<Budgets> {
    let text = fs::read_to_string(root().join(FILE)).with_context(|| format!("no {FILE}"))?;
    toml::from_str(&text).with_context(|| format!("{FILE} is not as it should be"))
}

fn measure_board(
    board: &str,
    roles: &BTreeMap<String, Budget>,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let mut measured = BTreeMap::new();
    let mut stacks = BTreeMap::new();
    for (role, budget) in roles.iter().filter(|(_, budget)| budget.difference.is_none()) {
        let features = budget.features.as_ref().map(|features| features.join(","));
        let mut arguments = Vec::new();
        if let Some(features) = &features {
            arguments.extend(["--no-default-features", "--features", features]);
        }
        let firmware = build_board(board, &arguments)?;
        measured.insert(role.as_str(), Sizes::of(&firmware)?);
        if budget.stack.is_some() || budget.ram.is_some() {
            stacks.insert(role.as_str(), measure_stack(&firmware)?);
        }
    }
    for (role, budget) in roles {
        let sizes = match &budget.difference {
            None => measured[role.as_str()],
            Some([whole, part]) => {
                let of = |role: &str| {
                    let sizes = measured.get(role).copied();
                    sizes.with_context(|| format!("{FILE}: {board} has no image `{role}`"))
                };
                difference(of(whole)?, of(part)?)
            }
        };
        let goal = budget.goal;
        let row = |what, bytes, budget, goal| Row {
            board: board.to_owned(),
            role: role.to_owned(),
            what,
            bytes,
            budget,
            goal,
        };
        rows.push(row("flash", sizes.flash, budget.flash, goal.flash));
        rows.push(row("static RAM", sizes.ram, budget.static_ram, goal.static_ram));
        if let Some(&stack) = stacks.get(role.as_str()) {
            rows.push(row("stack", stack, budget.stack, goal.stack));
            rows.push(row("RAM", sizes.ram + stack, budget.ram, goal.ram));
        }
    }
    Ok(())
}

/// Lets the emulated board live a small life of a pool element, with real processes for the
/// registrar and the user, and reads how much of the painted stack is not painted any more.
fn measure_stack(firmware: &Path) -> Result<u64> {
    run(cargo(None, &["build", "-q", "-p", "rsp", "-p", "rserpool-qemu", "--bins"]))?;
    // Where this program is, those that were just built are, too.
    let folder = std::env::current_exe().context("cannot tell where this program is")?;
    let sibling = |name| folder.with_file_name(name);
    let mut command = Command::new(sibling("board-stack"));
    command.arg(firmware).arg("--rsp").arg(sibling("rsp")).stderr(Stdio::inherit());
    println!("$ {}", show(&command));
    let output = command.output().context("cannot start board-stack")?;
    if !output.status.success() {
        bail!("the stack could not be measured: {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("board-stack says `{text}`"))
}

fn difference(whole: Sizes, part: Sizes) -> Sizes {
    Sizes {
        flash: whole.flash.saturating_sub(part.flash),
        ram: whole.ram.saturating_sub(part.ram),
    }
}

/// The rows under each other, in columns.
fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "\n{:<16} {:<12} {:<12} {:>8} {:>8} {:>7}\n",
        "board", "image", "memory", "bytes", "budget", "left"
    );
    for row in rows {
        let (budget, left) = match row.budget {
            Some(budget) => {
                let left = i128::from(budget) - i128::from(row.bytes);
                (budget.to_string(), left.to_string())
            }
            None => ("-".into(), String::new()),
        };
        let mark = if row.exceeds() { "  EXCEEDED" } else { "" };
        let goal = match row.goal {
            Some(goal) if row.bytes > goal => format!("  goal {goal}: missed"),
            Some(goal) => format!("  goal {goal}: met"),
            None => String::new(),
        };
        text += &format!(
            "{:<16} {:<12} {:<12} {:>8} {budget:>8} {left:>7}{mark}{goal}\n",
            row.board, row.role, row.what, row.bytes
        );
    }
    text
}

const FILE: &str = "firmware/sizes.toml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budgets_can_be_read_and_name_images_that_exist() {
        for (board, roles) in read_budgets().unwrap() {
            for (role, budget) in &roles {
                assert!(budget.features.is_none() || budget.difference.is_none());
                for part in budget.difference.iter().flatten() {
                    assert!(roles.contains_key(part), "{board}.{role}: no image `{part}`");
                }
            }
        }
    }

    #[test]
    fn a_budget_is_exceeded_by_one_byte_and_not_by_none() {
        let row = |bytes, budget| Row {
            board: "b".into(),
            role: "r".into(),
            what: "flash",
            bytes,
            budget,
            goal: Some(100),
        };
        assert!(!row(100, Some(100)).exceeds());
        assert!(row(101, Some(100)).exceeds());
        assert!(!row(101, None).exceeds());
        let text = table(&[row(101, Some(100)), row(101, None)]);
        let words = |index| -> Vec<&str> {
            let line = text.lines().nth(index).unwrap();
            line.split_whitespace().collect()
        };
        assert_eq!(words(2)[..7], ["b", "r", "flash", "101", "100", "-1", "EXCEEDED"]);
        assert_eq!(words(2)[7..], ["goal", "100:", "missed"]);
        assert_eq!(words(3), ["b", "r", "flash", "101", "-", "goal", "100:", "missed"]);
    }

    #[test]
    fn a_part_weighs_what_the_whole_weighs_more() {
        let whole = Sizes { flash: 60, ram: 30 };
        let part = Sizes { flash: 40, ram: 30 };
        assert_eq!(difference(whole, part), Sizes { flash: 20, ram: 0 });
    }
}
