//! The parts of the demo, in order.

use super::error::DemoError;
use super::files::{has_field, has_hosts, read_text};
use super::sandbox::Sandbox;
use std::time::{Duration, Instant};

const FARM: &str = "/services/db";
const NAMES: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
const FILES: [&str; 2] = ["hosts.php", "hosts.json"];

/// Runs all parts, up to the first outcome that is missing.
pub(super) fn run(sandbox: &mut Sandbox) -> Result<(), DemoError> {
    let start = Instant::now();
    join(sandbox)?;
    export(sandbox)?;
    edit_on_the_host(sandbox)?;
    edit_from_anywhere(sandbox)?;
    kill_a_host(sandbox)?;
    restart(sandbox)?;
    sandbox
        .screen
        .title(&format!("All of it was seen to happen, in {}.", format_duration(start.elapsed())));
    Ok(())
}

fn join(sandbox: &mut Sandbox) -> Result<(), DemoError> {
    for number in 1..=NAMES.len() {
        sandbox.write(&format!("db-0{number}/hostname"), &format!("db-0{number}.example.com\n"));
        sandbox.write(&format!("db-0{number}/enabled"), "0\n");
        sandbox.write(&format!("db-0{number}/mysql/port"), "3306\n");
    }
    sandbox.screen.title("1. Three hosts join a farm");
    sandbox.screen.explain(
        "A host describes itself in a directory: a file is a field, its content the value.\n\
         Here three directories stand for three machines.",
    );
    sandbox.command("grep -r . db-01 | sort")?;
    sandbox.screen.explain(
        "zkjoin keeps a directory and a znode equal. The znode is deleted when the session of\n\
         zkjoin expires, 4 seconds after its last heartbeat. All three run on this machine:\n\
         without --no-hostname, each host would get the hostname of this machine.",
    );
    sandbox.screen.command(&format!("export ZKHOST={}", sandbox.servers()));
    for (name, number) in NAMES.iter().zip(1..) {
        let line =
            format!("zkjoin --name {name} --no-hostname --session-timeout 4s {FARM} db-0{number}");
        sandbox.spawn(&line, &format!("db-0{number}.log"));
    }
    for number in 1..=NAMES.len() {
        let log = sandbox.path(&format!("db-0{number}.log"));
        sandbox.wait("the host joins", || has_text(&read_text(&log)?, "joined"))?;
    }
    let listed = sandbox.command(&format!("zkctl ls {FARM} --fields hostname,enabled"))?;
    let lines = (1..)
        .zip(NAMES)
        .map(|(number, name)| format!("{name:<20} hostname=db-0{number}.example.com, enabled=0\n"));
    expect(&listed, &lines.collect::<String>())
}

fn export(sandbox: &mut Sandbox) -> Result<(), DemoError> {
    sandbox.screen.title("2. Consumers read the farm from a file");
    sandbox.screen.explain(
        "zkexport writes all hosts to one file, and runs a command whenever the file changes.\n\
         Here the command appends a line to a file; usually it would reload a server.",
    );
    let reload = "echo \"$ZK_EVENT: $ZK_COUNT hosts\" >> reloads";
    sandbox.spawn(&format!("zkexport {FARM} hosts.php --changed-cmd '{reload}'"), "php.log");
    sandbox.spawn(&format!("zkexport {FARM} hosts.json"), "json.log");
    for file in FILES {
        let path = sandbox.path(file);
        sandbox.wait(&format!("three hosts in {file}"), || has_hosts(&path, &NAMES, &[]))?;
    }
    sandbox.command("cat hosts.php").map(drop)
}

fn edit_on_the_host(sandbox: &mut Sandbox) -> Result<(), DemoError> {
    sandbox.screen.title("3. A host changes its own record");
    sandbox.command("echo 1 > db-01/enabled")?;
    let took = wait_for_field(sandbox, NAMES[0], "enabled", "1")?;
    sandbox.screen.outcome(&format!("in hosts.php {} after the edit", format_duration(took)));
    sandbox.command("grep -A 3 10.0.0.1 hosts.php").map(drop)
}

fn edit_from_anywhere(sandbox: &mut Sandbox) -> Result<(), DemoError> {
    sandbox.screen.title("4. An operator changes a host from anywhere");
    sandbox.command(&format!("zkctl set {FARM}/10.0.0.2 enabled=1 weight=10"))?;
    let took = wait_for_field(sandbox, NAMES[1], "weight", "10")?;
    let field = sandbox.path("db-02/weight");
    sandbox.wait("the field in the host's directory", || has_text(&read_text(&field)?, "10"))?;
    sandbox.screen.outcome(&format!(
        "in hosts.php {} later, and in the host's directory:",
        format_duration(took)
    ));
    let field = sandbox.command("cat db-02/weight")?;
    expect(field.trim_end(), "10")?;
    sandbox.command("grep -A 7 10.0.0.2 hosts.json")?;
    sandbox.command(&format!("zkctl get {FARM}/10.0.0.2"))?;
    let value = sandbox.command(&format!("zkctl get {FARM}/10.0.0.2 enabled"))?;
    expect(&value, "1\n")?;
    let listed = sandbox.command(&format!("zkctl ls {FARM} -F enabled=1"))?;
    expect(&listed, "10.0.0.1\n10.0.0.2\n")
}

fn kill_a_host(sandbox: &mut Sandbox) -> Result<(), DemoError> {
    sandbox.screen.title("5. A host fails");
    sandbox.kill("db-03.log")?;
    let start = Instant::now();
    for file in FILES {
        let path = sandbox.path(file);
        sandbox.wait(&format!("10.0.0.3 is gone from {file}"), || {
            has_hosts(&path, &NAMES[..2], &NAMES[2..])
        })?;
    }
    let took = format_duration(start.elapsed());
    sandbox
        .screen
        .outcome(&format!("gone from both files {took} later; the session timeout is 4 s"));
    let listed = sandbox.command(&format!("zkctl ls {FARM}"))?;
    expect(&listed, "10.0.0.1\n10.0.0.2\n")?;
    sandbox.screen.explain("The farm keeps the largest number of hosts that it has ever had:");
    let size = format!("zkctl get {FARM} size");
    let silent = sandbox.shell(&size);
    sandbox.wait("the farm's size is 3", || has_text(&silent.run().text(), "3"))?;
    let seen = sandbox.command(&size)?;
    expect(&seen, "3\n")?;
    sandbox
        .screen
        .explain("The command of hosts.php ran once at the start, and then after each change:");
    let reloads = sandbox.path("reloads");
    sandbox.wait("the command runs after the host is gone", || {
        has_text(&read_text(&reloads)?, "change: 2 hosts")
    })?;
    sandbox.command("cat reloads").map(drop)
}

fn restart(sandbox: &mut Sandbox) -> Result<(), DemoError> {
    sandbox.screen.title("6. A program gets its config from ZooKeeper");
    sandbox.screen.explain(
        "zkexec writes the file, runs the program, and restarts it when the file changes. Here the\n\
         program is a shell command that writes down what it was started with. With --lock NAME,\n\
         the members of a group would restart one at a time, up to the first one that fails.",
    );
    sandbox.command("zkctl set --create /conf/app workers:=2")?;
    let program = "echo \"started with $(cat app.conf)\" >> app.starts; exec sleep 600";
    sandbox.spawn(&format!("zkexec -m app.conf=/conf/app -e '{program}'"), "app.log");
    let starts = sandbox.path("app.starts");
    sandbox.wait("the program starts", || has_text(&read_text(&starts)?, "{\"workers\":2}\n"))?;
    sandbox.command("zkctl set /conf/app workers:=4")?;
    let took = sandbox
        .wait("the program is restarted", || has_text(&read_text(&starts)?, "{\"workers\":4}\n"))?;
    sandbox.screen.outcome(&format!(
        "restarted {} later, of which zkexec waited 100 ms for further changes:",
        format_duration(took)
    ));
    let seen = sandbox.command("cat app.starts")?;
    expect(&seen, "started with {\"workers\":2}\nstarted with {\"workers\":4}\n")
}

/// Waits until a field is in all files, and returns how long the first file took.
fn wait_for_field(
    sandbox: &mut Sandbox,
    host: &str,
    field: &str,
    value: &str,
) -> Result<Duration, DemoError> {
    let mut took = [Duration::ZERO; FILES.len()];
    for (file, took) in FILES.iter().zip(&mut took) {
        let path = sandbox.path(file);
        let what = format!("{field}={value} of {host} in {file}");
        *took = sandbox.wait(&what, || has_field(&path, host, field, value))?;
    }
    Ok(took[0])
}

fn has_text(text: &str, wanted: &str) -> Result<(), String> {
    if text.contains(wanted) { Ok(()) } else { Err(text.to_owned()) }
}

/// Checks the output of a command.
fn expect(seen: &str, wanted: &str) -> Result<(), DemoError> {
    if seen == wanted {
        return Ok(());
    }
    let (expected, seen) = (format!("the output\n{wanted}"), seen.to_owned());
    Err(DemoError::TimedOut { expected, seen, logs: String::new() })
}

/// A duration for people to read.
fn format_duration(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_milliseconds_or_seconds() {
        assert_eq!(format_duration(Duration::from_micros(12_900)), "12 ms");
        assert_eq!(format_duration(Duration::from_millis(4_440)), "4.4 s");
    }
}
