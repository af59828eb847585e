use super::*;
use crate::engine::{Inbox, inbox};
use farm_harness::{Scratch, eventually};
use std::fs;

struct Fixture {
    hook: Hook,
    inbox: Inbox<Finished>,
}

impl Fixture {
    fn new(command: &str, limit: Duration) -> Self {
        let (inbox, outbox) = inbox();
        Self { hook: Hook::new(command.to_owned(), limit, move |end| outbox.post(end)), inbox }
    }

    fn request(&mut self, reason: &str) {
        let environment = vec![("ZK_EVENT", reason.to_owned())];
        self.hook.request(Instant::now(), environment);
    }

    /// Runs the loop of a daemon until a run has ended; returns whether it succeeded.
    fn next_end(&mut self) -> bool {
        let patience = Instant::now() + farm_harness::patience(Duration::from_secs(20));
        loop {
            assert!(Instant::now() < patience, "no run ended: {:?}", self.hook);
            let deadline = self.hook.deadline().unwrap_or(patience).min(patience);
            if let Some(end) = self.inbox.next(Some(deadline)) {
                return self.hook.finished(Instant::now(), &end).expect("the run is ours");
            }
            self.hook.tick(Instant::now());
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

fn is_alive(pid: &str) -> bool {
    // A zombie that init has not reaped yet counts as gone.
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn wait_until_gone(scratch: &Scratch, name: &str) {
    let pid = scratch.read(name).unwrap();
    eventually("the process is gone", || if is_alive(&pid) { Err(pid.clone()) } else { Ok(()) });
}

#[test]
fn a_command_runs_in_a_shell_of_its_own_group_with_its_environment() {
    let scratch = Scratch::new();
    let out = scratch.join("out");
    let command = format!(
        "{{ echo \"$ZK_EVENT\"; cat; echo ${{NOTIFY_SOCKET-unset}} ${{WATCHDOG_USEC-unset}}; \
         test $(ps -o pgid= -p $$) = $$ && echo own group; }} > {}",
        out.display()
    );
    let mut fixture = Fixture::new(&command, MINUTE);
    fixture.request("change; echo injected");
    assert!(fixture.next_end());
    let wanted = "change; echo injected\nunset unset\nown group\n";
    assert_eq!(scratch.read("out").unwrap(), wanted);
    assert!(!fixture.hook.is_busy());
}

#[test]
fn changes_during_a_run_are_one_further_run() {
    let scratch = Scratch::new();
    let log = scratch.join("log");
    let gate = scratch.join("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let command = format!("echo $ZK_EVENT >> {}; read x < {}", log.display(), gate.display());
    let mut fixture = Fixture::new(&command, MINUTE);
    fixture.request("start");
    for n in 1..=5 {
        fixture.request(&format!("change{n}"));
    }
    for _ in 0..2 {
        fs::OpenOptions::new().write(true).open(&gate).unwrap().write_line();
        assert!(fixture.next_end());
    }
    assert_eq!(scratch.read("log").unwrap(), "start\nchange5\n");
    assert!(!fixture.hook.is_busy());
}

trait WriteLine {
    fn write_line(self);
}

impl WriteLine for fs::File {
    fn write_line(mut self) {
        std::io::Write::write_all(&mut self, b"go\n").unwrap();
    }
}

#[test]
fn a_failed_command_is_tried_again_until_it_succeeds() {
    let scratch = Scratch::new();
    let (flag, log) = (scratch.join("flag"), scratch.join("log"));
    let (flag, log) = (flag.display(), log.display());
    let command = format!("echo $ZK_EVENT >> {log}; test -e {flag} || {{ touch {flag}; exit 3; }}");
    let mut fixture = Fixture::new(&command, MINUTE);
    fixture.request("change");
    assert!(!fixture.next_end());
    assert!(fixture.hook.is_busy());
    assert!(fixture.next_end());
    assert_eq!(scratch.read("log").unwrap(), "change\nretry\n");
}

#[test]
fn a_command_over_its_limit_ends_with_its_children() {
    let scratch = Scratch::new();
    let (one, two) = (scratch.join("one"), scratch.join("two"));
    // The child ignores TERM; the shell does not.
    let command = format!(
        "sh -c 'trap \"\" TERM; echo $$ > {}; exec sleep 100' & echo $$ > {}; wait",
        one.display(),
        two.display()
    );
    let mut fixture = Fixture::new(&command, Duration::from_secs(2));
    fixture.request("change");
    assert!(!fixture.next_end());
    wait_until_gone(&scratch, "one");
    wait_until_gone(&scratch, "two");
}

#[test]
fn a_command_over_its_limit_is_tried_again_whatever_its_exit_status() {
    let mut fixture =
        Fixture::new("trap 'exit 0' TERM; sleep 100 & wait", Duration::from_millis(200));
    fixture.request("change");
    fixture.next_end();
    assert!(fixture.hook.is_busy());
    assert!(fixture.hook.deadline().is_some());
}

#[test]
fn a_background_child_that_holds_the_output_open_delays_nothing() {
    let scratch = Scratch::new();
    let pid = scratch.join("pid");
    let mut fixture = Fixture::new(&format!("sleep 100 & echo $! > {}", pid.display()), MINUTE);
    let start = Instant::now();
    fixture.request("change");
    assert!(fixture.next_end());
    assert!(start.elapsed() < Duration::from_secs(50));
    let pid = scratch.read("pid").unwrap();
    // A service that the hook has started goes on.
    assert!(is_alive(&pid));
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn dropping_the_hook_ends_the_whole_group_in_bounded_time() {
    let scratch = Scratch::new();
    let (one, two) = (scratch.join("one"), scratch.join("two"));
    let command = format!(
        "trap '' TERM; echo $$ > {}; sh -c 'echo $$ > {}; exec sleep 100'; sleep 100",
        one.display(),
        two.display()
    );
    let mut fixture = Fixture::new(&command, MINUTE);
    fixture.request("change");
    let started = || match scratch.read("two") {
        Ok(text) if text.ends_with('\n') => Ok(()),
        other => Err(format!("{other:?}")),
    };
    eventually("started", started);
    let start = Instant::now();
    drop(fixture);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    wait_until_gone(&scratch, "one");
    wait_until_gone(&scratch, "two");
}

#[test]
fn the_end_of_an_unknown_run_is_ignored() {
    let mut fixture = Fixture::new("exit 0", MINUTE);
    assert_eq!(fixture.hook.finished(Instant::now(), &Finished { run: 5 }), None);
    fixture.request("change");
    assert_eq!(fixture.hook.finished(Instant::now(), &Finished { run: 5 }), None);
    assert!(fixture.next_end());
}

#[test]
fn a_nul_in_the_environment_is_a_failed_run_and_no_panic() {
    let mut fixture = Fixture::new("exit 0", MINUTE);
    fixture.request("nul\0");
    assert!(!fixture.next_end());
    assert!(fixture.hook.is_busy());
    assert!(fixture.hook.deadline().is_some());
}
