//! How commands are run and ended.

use super::*;

/// Prints what a command inherits.
const SURROUNDINGS: &str = "{ readlink /proc/self/fd/0; test $(ps -o pgid= -p $$) = $$ && echo own; \
                            echo ${NOTIFY_SOCKET-none} ${WATCHDOG_USEC-none} ${WATCHDOG_PID-none}; }";

fn is_alive(pid: &str) -> bool {
    // A zombie counts as ended.
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[track_caller]
fn wait_until_gone(fixture: &ExportFixture, file: &str) {
    let pid = fixture.scratch.read(file).unwrap();
    eventually(&format!("the process of {file} gone"), || match is_alive(&pid) {
        true => Err(pid.clone()),
        false => Ok(()),
    });
}

#[test]
fn commands_have_a_group_of_their_own_and_nothing_of_ours() {
    let fixture = ExportFixture::with_farm("commands_have_a_group");
    let (hook, check) = (format!("{SURROUNDINGS} > hook"), format!("{SURROUNDINGS} > check"));
    let running = fixture
        .tool(&["db.json", "-c", &hook, "--check-cmd", &check])
        .env("NOTIFY_SOCKET", fixture.scratch.join("nowhere"))
        .env("WATCHDOG_USEC", "10000000")
        .env("WATCHDOG_PID", "1")
        .spawn();
    fixture.wait_for_text("hook", "/dev/null\nown\nnone none none\n");
    fixture.wait_for_text("check", "/dev/null\nown\nnone none none\n");
    stop(running);
}

#[test]
fn a_limit_of_zero_is_no_limit() {
    let fixture = ExportFixture::with_farm("a_limit_of_zero");
    let slow = |file: &str| format!("sleep 0.3; echo done > {file}");
    let args = ["db.json", "--once", "--timeout", "0", "--cmd-timeout", "0"];
    let commands = ["-c", &slow("hook"), "--check-cmd", &slow("check")];
    let output = fixture.tool(&[&args[..], &commands].concat()).run();
    output.ok();
    assert!(!output.stderr.contains("failed"), "{output}");
    for file in ["hook", "check"] {
        assert_eq!(fixture.scratch.read(file).unwrap(), "done\n", "{output}");
    }
}

#[test]
fn a_burst_of_changes_is_one_run() {
    let mut fixture = ExportFixture::with_farm("a_burst_of_changes");
    let command = "echo $ZK_EVENT $ZK_COUNT >> ran";
    let running = fixture.start(&["db.json", "-w", "1s:20s", "-c", command]);
    for n in 0..50 {
        fixture.host(&format!("h{n}"), &json!({"n": n}));
    }
    // The first change at once, the others together.
    fixture.wait_for_text("ran", "start 2\nchange 3\nchange 52\n");
    stop(running);
}

#[test]
fn a_command_is_tried_again_until_it_succeeds() {
    let fixture = ExportFixture::with_farm("a_command_is_tried_again");
    let command = "echo $ZK_EVENT +$ZK_ADDED >> ran; test $(wc -l < ran) -ge 3";
    let running = fixture.start(&["db.json", "-c", command]);
    let all = "start +1.2.3.4 1.2.3.5\nretry +1.2.3.4 1.2.3.5\nretry +1.2.3.4 1.2.3.5\n";
    fixture.wait_for_text("ran", all);
    holds_for(QUIET_TIME, "no further run", || match fixture.scratch.read("ran") {
        Ok(text) if text == all => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let log = stop(running);
    assert_eq!(log.matches("command failed: exit status 1").count(), 2, "{log}");
}

#[test]
fn a_command_over_its_limit_is_told_and_then_killed_with_all_it_started() {
    let fixture = ExportFixture::with_farm("a_command_over_its_limit");
    let command = "trap 'echo told >> told' TERM; echo $$ > shell; \
                   (trap '' TERM; sh -c 'echo $$ > grandchild; exec sleep 100') & \
                   while :; do sleep 0.1; done";
    let start = Instant::now();
    let running = fixture.start(&["db.json", "-c", command, "--cmd-timeout", "2s"]);
    running.wait_log("command takes too long, ending it");
    fixture.wait_for_text("told", "told\n");
    running.wait_log("command failed: killed by signal 9");
    assert!(start.elapsed() >= Duration::from_secs(5), "{:?}", start.elapsed());
    wait_until_gone(&fixture, "shell");
    wait_until_gone(&fixture, "grandchild");
    stop(running);
}

#[test]
fn commands_end_with_the_exporter() {
    for option in ["-c", "--check-cmd"] {
        let fixture =
            ExportFixture::with_farm(&format!("commands_end{}", option.replace('-', "_")));
        let command = "(trap '' TERM; sh -c 'echo $$ > grandchild; exec sleep 100') & \
                       echo $$ > shell; wait";
        let running = fixture.tool(&["db.json", option, command]).spawn();
        for file in ["shell", "grandchild"] {
            eventually(file, || match fixture.scratch.read(file)?.ends_with('\n') {
                true => Ok(()),
                false => Err("not yet whole".to_owned()),
            });
        }
        stop(running);
        wait_until_gone(&fixture, "shell");
        wait_until_gone(&fixture, "grandchild");
    }
}

#[test]
fn runs_keep_their_distance() {
    let mut fixture = ExportFixture::with_farm("runs_keep_their_distance");
    let command = "echo $ZK_EVENT $ZK_COUNT $(date +%s%N) >> ran";
    let args = ["db.json", "-w", "0", "-c", command, "--min-interval", "1s", "--splay", "100ms"];
    let running = fixture.start(&args);
    let wait_for = |fixture: &ExportFixture, line: &str| {
        eventually(line, || match fixture.scratch.read("ran")? {
            ran if ran.contains(line) && ran.ends_with('\n') => Ok(ran),
            ran => Err(ran),
        })
    };
    wait_for(&fixture, "start 2 ");
    for n in 0..20 {
        fixture.host(&format!("h{n}"), &json!({}));
    }
    let ran = wait_for(&fixture, "change 22 ");
    stop(running);
    let at: Vec<u64> =
        ran.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(ran.starts_with("start "), "{ran}");
    for pair in at.windows(2) {
        // The shell takes its time stamp a little after its start.
        assert!(pair[1] - pair[0] > 900_000_000, "{ran}");
    }
}
