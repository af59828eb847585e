//! `test`: every check and test that a change has to pass.
//!
//! **Invariant.** No check is skipped silently: one that can't run is a failure.

use crate::command::{CommandError, line_of, run as run_command};
use crate::failure::Failure;
use crate::provision::{self, Need};
use crate::step::{eprint_line, step};
use crate::{tidy, workspace};
use farm_harness::toolbox::{self, Toolbox};
use std::process::{Command, Stdio};

/// The released tools.
const TOOLS: [&str; 4] = ["zkctl", "zkexec", "zkexport", "zkjoin"];
/// The tool that changes nothing on its host.
const LEAN_TOOL: &str = "zkctl";
/// What the lean tool must not be built with, as `cargo tree` shows it.
const EXCESS: [&str; 5] = [
    "farm-core feature \"files\"",
    "farm-core feature \"process\"",
    "farm-core feature \"watch\"",
    "farm-core feature \"turn\"",
    "notify ",
];

#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// Skip the end-to-end tests
    #[arg(long, conflicts_with = "only")]
    quick: bool,
    /// Run only the end-to-end tests whose names contain NAME, and no other checks
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Run the end-to-end tests (with --quick: all other tests) N times, and no other checks,
    /// and count the failures
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,
    /// Arguments for the test programs
    #[arg(last = true)]
    extra: Vec<String>,
}

pub(crate) fn run(test: &Test) -> Result<(), Failure> {
    let toolbox = step("provision", || provision::ensure(Need::Tests))?;
    if test.only.is_none() && test.repeat.is_none() {
        step("fmt", || cargo(&["fmt", "--all", "--check"]))?;
        step("clippy", || {
            cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
        })?;
        step("each tool alone", || {
            TOOLS.into_iter().try_for_each(check_alone)?;
            check_lean()
        })?;
        step("tidy", tidy::run)?;
    }
    step("build", || cargo(&["build", "--workspace", "--bins"]))?;
    if let Some(name) = &test.only {
        let mut command = test_command(test, &toolbox);
        command.arg("--list");
        if !lists_tests(command)? {
            return Err(Failure::NoSuchTest { name: name.clone() });
        }
    }
    let once = || run_command(&mut test_command(test, &toolbox)).map_err(Failure::Command);
    match test.repeat {
        Some(runs) => repeat(runs, once),
        None => step("tests", once),
    }
}

/// The command that runs the selected tests.
fn test_command(test: &Test, toolbox: &Toolbox) -> Command {
    let mut command = cargo_test(toolbox);
    if test.quick {
        command.args(["--workspace", "--exclude", "farm-e2e"]);
    } else if test.only.is_some() || test.repeat.is_some() {
        command.args(["--package", "farm-e2e", "--test", "e2e"]);
    } else {
        command.arg("--workspace");
    }
    if test.repeat.is_some() {
        // Each run reports all failures instead of stopping at the first test program that fails.
        command.arg("--no-fail-fast");
    }
    command.arg("--").args(&test.only).args(&test.extra);
    command
}

fn repeat(runs: u32, once: impl Fn() -> Result<(), Failure>) -> Result<(), Failure> {
    let mut failed = 0;
    for number in 1..=runs {
        if let Err(failure) = step(&format!("run {number} of {runs}"), &once) {
            eprint_line(&failure.to_string());
            failed += 1;
        }
    }
    eprint_line(&format!("{} passed, {failed} failed", runs - failed));
    if failed == 0 { Ok(()) } else { Err(Failure::Flaky { failed, runs }) }
}

/// Checks a tool and the library with the features that this tool enables. In a build of the
/// whole workspace, the library has the features of all tools.
fn check_alone(tool: &str) -> Result<(), Failure> {
    cargo(&["clippy", "--package", tool, "--package", "farm-core", "--", "-D", "warnings"])
}

/// Fails if the lean tool is built with a crate or a feature that it must not need.
fn check_lean() -> Result<(), Failure> {
    let tree = ["tree", "--package", LEAN_TOOL, "--edges", "normal,features", "--prefix", "none"];
    let mut command = workspace::cargo();
    let output = command.args(tree).stderr(Stdio::inherit()).output();
    let output = output.map_err(CommandError::not_started(&command))?;
    if !output.status.success() {
        let (line, code) = (line_of(&command), output.status.code());
        return Err(CommandError::Failed { line, code }.into());
    }
    match excess(&String::from_utf8_lossy(&output.stdout)) {
        Some(excess) => Err(Failure::NotLean { tool: LEAN_TOOL, excess: excess.to_owned() }),
        None => Ok(()),
    }
}

/// The first line of a `cargo tree` that names something the lean tool must not need.
fn excess(tree: &str) -> Option<&str> {
    tree.lines().find(|line| EXCESS.iter().any(|excess| line.starts_with(excess)))
}

fn cargo(arguments: &[&str]) -> Result<(), Failure> {
    Ok(run_command(workspace::cargo().args(arguments))?)
}

/// `cargo test` with the environment that the tests need.
fn cargo_test(toolbox: &Toolbox) -> Command {
    let mut command = workspace::cargo();
    if toolbox::in_path("setpriv").is_some() {
        // The test programs are killed with cargo, as cargo is with this process, and their
        // servers with them: a killed run leaves nothing behind.
        let runner = r#"target."cfg(unix)".runner=["setpriv", "--pdeathsig", "KILL", "--"]"#;
        command.args(["--config", runner]);
    }
    command
        .arg("test")
        .env("FARM_BIN_DIR", workspace::bin_dir())
        .env("FARM_JAVA", &toolbox.java)
        .env("FARM_ZOOKEEPER_CLASSPATH", &toolbox.zookeeper_classpath)
        .envs(toolbox.php.iter().map(|php| ("FARM_PHP", php)));
    command
}

/// True if the test program lists at least one test.
fn lists_tests(mut command: Command) -> Result<bool, Failure> {
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(CommandError::not_started(&command))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().any(|line| line.ends_with(": test")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lean_tool_must_not_need_is_found_in_its_tree() {
        let lean = "zkctl v0.1.0 (/src)\nrustls feature \"tls12\"\nnix feature \"process\"\n";
        assert_eq!(excess(lean), None);
        for line in
            ["farm-core feature \"files\"", "notify v8.2.0", "farm-core feature \"watch\" (*)"]
        {
            assert_eq!(excess(&format!("{lean}{line}\nserde v1.0.0\n")), Some(line));
        }
    }
}
