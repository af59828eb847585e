//! The scenes, in their order.

use super::error::DemoError;
use super::sight::{has_field, has_hosts, text_of};
use super::stage::Stage;
use std::time::{Duration, Instant};

const FARM: &str = "/services/db";
const NAMES: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
const FILES: [&str; 2] = ["hosts.php", "hosts.json"];

/// Plays all scenes; the first outcome that is missing ends it.
pub(super) fn tell(stage: &mut Stage) -> Result<(), DemoError> {
    let start = Instant::now();
    join(stage)?;
    export(stage)?;
    edit_here(stage)?;
    edit_from_anywhere(stage)?;
    lose_a_host(stage)?;
    restart(stage)?;
    stage.screen.title(&format!("All of it was seen to happen, in {}.", shown(start.elapsed())));
    Ok(())
}

fn join(stage: &mut Stage) -> Result<(), DemoError> {
    for number in 1..=NAMES.len() {
        stage.write(&format!("db-0{number}/hostname"), &format!("db-0{number}.example.com\n"));
        stage.write(&format!("db-0{number}/enabled"), "0\n");
        stage.write(&format!("db-0{number}/mysql/port"), "3306\n");
    }
    stage.screen.title("1. Three hosts join a farm");
    stage.screen.explain(
        "A host describes itself in a directory: a file is a field, its content the value.\n\
         Here three directories stand for three machines.",
    );
    stage.command("grep -r . db-01 | sort")?;
    stage.screen.explain(
        "zkjoin keeps a directory and a znode equal. The znode lives as long as the session\n\
         of zkjoin: 4 seconds without a sign of life, and it is gone. All three run on this\n\
         machine; without --no-hostname its name would be the hostname of each.",
    );
    stage.screen.command(&format!("export ZKHOST={}", stage.servers()));
    for (name, number) in NAMES.iter().zip(1..) {
        let line =
            format!("zkjoin --name {name} --no-hostname --session-timeout 4s {FARM} db-0{number}");
        stage.start(&line, &format!("db-0{number}.log"));
    }
    for number in 1..=NAMES.len() {
        let log = stage.join(&format!("db-0{number}.log"));
        stage.wait("the host joins", || has_text(&text_of(&log)?, "joined"))?;
    }
    let listed = stage.command(&format!("zkctl ls {FARM} --fields hostname,enabled"))?;
    let lines = (1..)
        .zip(NAMES)
        .map(|(number, name)| format!("{name:<20} hostname=db-0{number}.example.com, enabled=0\n"));
    expect(&listed, &lines.collect::<String>())
}

fn export(stage: &mut Stage) -> Result<(), DemoError> {
    stage.screen.title("2. Consumers have the farm as a file");
    stage.screen.explain(
        "zkexport writes all hosts to one file, and runs a command whenever the file changed.\n\
         Here it adds a line to a file; a real one would reload a server.",
    );
    let reload = "echo \"$ZK_EVENT: $ZK_COUNT hosts\" >> reloads";
    stage.start(&format!("zkexport {FARM} hosts.php --changed-cmd '{reload}'"), "php.log");
    stage.start(&format!("zkexport {FARM} hosts.json"), "json.log");
    for file in FILES {
        let path = stage.join(file);
        stage.wait(&format!("three hosts in {file}"), || has_hosts(&path, &NAMES, &[]))?;
    }
    stage.command("cat hosts.php").map(drop)
}

fn edit_here(stage: &mut Stage) -> Result<(), DemoError> {
    stage.screen.title("3. A host changes its own record");
    stage.command("echo 1 > db-01/enabled")?;
    let took = appears(stage, NAMES[0], "enabled", "1")?;
    stage.screen.fact(&format!("in hosts.php {} after the edit", shown(took)));
    stage.command("grep -A 3 10.0.0.1 hosts.php").map(drop)
}

fn edit_from_anywhere(stage: &mut Stage) -> Result<(), DemoError> {
    stage.screen.title("4. An operator changes a host from anywhere");
    stage.command(&format!("zkctl set {FARM}/10.0.0.2 enabled=1 weight=10"))?;
    let took = appears(stage, NAMES[1], "weight", "10")?;
    let field = stage.join("db-02/weight");
    stage.wait("the field in the host's directory", || has_text(&text_of(&field)?, "10"))?;
    stage.screen.fact(&format!("in hosts.php {} later, and in the host's directory:", shown(took)));
    let field = stage.command("cat db-02/weight")?;
    expect(field.trim_end(), "10")?;
    stage.command("grep -A 7 10.0.0.2 hosts.json")?;
    stage.command(&format!("zkctl get {FARM}/10.0.0.2"))?;
    let value = stage.command(&format!("zkctl get {FARM}/10.0.0.2 enabled"))?;
    expect(&value, "1\n")?;
    let listed = stage.command(&format!("zkctl ls {FARM} -F enabled=1"))?;
    expect(&listed, "10.0.0.1\n10.0.0.2\n")
}

fn lose_a_host(stage: &mut Stage) -> Result<(), DemoError> {
    stage.screen.title("5. A host is lost");
    stage.kill("db-03.log")?;
    let start = Instant::now();
    for file in FILES {
        let path = stage.join(file);
        stage.wait(&format!("10.0.0.3 is gone from {file}"), || {
            has_hosts(&path, &NAMES[..2], &NAMES[2..])
        })?;
    }
    let took = shown(start.elapsed());
    stage.screen.fact(&format!("gone from both files {took} later; its session had 4 s"));
    let listed = stage.command(&format!("zkctl ls {FARM}"))?;
    expect(&listed, "10.0.0.1\n10.0.0.2\n")?;
    stage.screen.explain("The farm remembers the most hosts that it ever had:");
    let size = format!("zkctl get {FARM} size");
    let silent = stage.shell(&size);
    stage.wait("the farm's size is 3", || has_text(&silent.run().text(), "3"))?;
    let seen = stage.command(&size)?;
    expect(&seen, "3\n")?;
    stage
        .screen
        .explain("And the command of hosts.php ran once at the start, then for each change:");
    let reloads = stage.join("reloads");
    stage.wait("the command runs for the host that is gone", || {
        has_text(&text_of(&reloads)?, "change: 2 hosts")
    })?;
    stage.command("cat reloads").map(drop)
}

fn restart(stage: &mut Stage) -> Result<(), DemoError> {
    stage.screen.title("6. A program has its config in ZooKeeper");
    stage.screen.explain(
        "zkexec writes the file, runs the program, and restarts it when the file changes. Here the\n\
         program is a line of shell that says what it was started with. With --lock NAME, the\n\
         members of a group would take turns, and stop at the first one that does not work.",
    );
    stage.command("zkctl set --create /conf/app workers:=2")?;
    let program = "echo \"started with $(cat app.conf)\" >> app.starts; exec sleep 600";
    stage.start(&format!("zkexec -m app.conf=/conf/app -e '{program}'"), "app.log");
    let starts = stage.join("app.starts");
    stage.wait("the program starts", || has_text(&text_of(&starts)?, "{\"workers\":2}\n"))?;
    stage.command("zkctl set /conf/app workers:=4")?;
    let took = stage
        .wait("the program is restarted", || has_text(&text_of(&starts)?, "{\"workers\":4}\n"))?;
    stage.screen.fact(&format!(
        "restarted {} later; for 100 ms of it zkexec waited for further changes:",
        shown(took)
    ));
    let seen = stage.command("cat app.starts")?;
    expect(&seen, "started with {\"workers\":2}\nstarted with {\"workers\":4}\n")
}

/// Waits until a field is in all files, and tells how long the first one took.
fn appears(stage: &mut Stage, host: &str, field: &str, value: &str) -> Result<Duration, DemoError> {
    let mut took = [Duration::ZERO; FILES.len()];
    for (file, took) in FILES.iter().zip(&mut took) {
        let path = stage.join(file);
        let what = format!("{field}={value} of {host} in {file}");
        *took = stage.wait(&what, || has_field(&path, host, field, value))?;
    }
    Ok(took[0])
}

fn has_text(text: &str, wanted: &str) -> Result<(), String> {
    if text.contains(wanted) { Ok(()) } else { Err(text.to_owned()) }
}

/// What a command printed has to be this.
fn expect(seen: &str, wanted: &str) -> Result<(), DemoError> {
    if seen == wanted {
        return Ok(());
    }
    let (what, seen) = (format!("the answer\n{wanted}"), seen.to_owned());
    Err(DemoError::Unseen { what, seen, logs: String::new() })
}

/// A time as people read it.
fn shown(time: Duration) -> String {
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
    fn times_are_shown_in_the_unit_that_fits() {
        assert_eq!(shown(Duration::from_micros(12_900)), "12 ms");
        assert_eq!(shown(Duration::from_millis(4_440)), "4.4 s");
    }
}
