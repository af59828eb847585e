//! The child has zkexec's standard input, output and error, also after restarts.

use super::fixture::{ExecFixture, stop};
use super::processes::children;
use farm_harness::{Signal, Tool, eventually};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::File;
use std::io::Write;

#[test]
fn a_pipe_keeps_its_bytes_over_restarts() {
    let mut fixture = ExecFixture::with_conf("a_pipe", "1");
    mkfifo(&fixture.scratch.join("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
    let child = "read -r line; echo \"$$ $(cat conf) $line\" >> starts; exec sleep 1000";
    let args = ["-w", "0", "-m", "conf=/conf", "-e", child];
    // Opened for reading and writing, so that opening does not block and the pipe stays open.
    let running = fixture.by_shell("exec \"$@\" <>pipe", &args).spawn();
    let mut pipe = File::options().write(true).open(fixture.scratch.join("pipe")).unwrap();
    pipe.write_all(b"one\ntwo\n\xff\0three\n").unwrap();
    assert_eq!(fixture.wait_starts(1).1, "1 one");
    fixture.zk.set("/conf", "2").unwrap();
    assert_eq!(fixture.wait_starts(2).1, "2 two");
    // A child that waits for a line is replaced, and the next child gets the line.
    pipe.write_all(b"four\n").unwrap();
    fixture.zk.set("/conf", "3").unwrap();
    fixture.zk.set("/conf", "4").unwrap();
    stop(running);
}

#[test]
fn stdin_that_ends_ends_a_child_that_reads() {
    let fixture = ExecFixture::new("stdin_that_ends");
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    fixture.zkexec(&["--", "cat"]).stdin(&bytes).run().ok().stdout_is(&bytes);
    fixture.zkexec(&["--", "cat"]).run().ok().stdout_is("");
}

#[test]
fn megabytes_come_through_as_they_are_and_nothing_between_them() {
    let mut fixture = ExecFixture::with_conf("megabytes", "a");
    let child = "cat conf; head -c 3000000 /dev/zero; head -c 3000000 /dev/zero | tr '\\0' e >&2; \
                 touch done; exec sleep 1000";
    let running = fixture.zkexec(&["-s", "-w", "0", "-m", "conf=/conf", "-e", child]).spawn();
    fixture.wait_file("done", "");
    std::fs::remove_file(fixture.scratch.join("done")).unwrap();
    fixture.zk.set("/conf", "b").unwrap();
    fixture.wait_file("done", "");
    let output = stop(running);
    let half = [&[b'a'][..], &vec![0; 3_000_000]].concat();
    let other = [&[b'b'][..], &vec![0; 3_000_000]].concat();
    assert!(output.stdout == [half, other].concat(), "{} bytes", output.stdout.len());
    assert!(output.stderr == "e".repeat(6_000_000), "{} bytes", output.stderr.len());
}

#[test]
fn a_child_that_prints_for_ever_is_stopped_and_replaced() {
    let mut fixture = ExecFixture::with_conf("prints_for_ever", "a");
    let child = "echo \"$$ $(cat conf)\" >> starts; exec yes";
    let line = "{ \"$@\"; echo $? > code; } | head -c 50000000 > /dev/null";
    let args = ["-w", "0", "-m", "conf=/conf", "-e", child];
    let mut running = fixture.by_shell(line, &args).spawn();
    fixture.wait_starts(1);
    fixture.zk.set("/conf", "b").unwrap();
    running.wait_exit().ok();
    // Without a reader the child ends by SIGPIPE, as it would without zkexec.
    fixture.wait_file("code", "141\n");
}

#[test]
fn a_reader_that_hangs_keeps_neither_a_restart_nor_the_end() {
    let mut fixture = ExecFixture::with_conf("a_reader_that_hangs", "a");
    mkfifo(&fixture.scratch.join("full"), Mode::from_bits_truncate(0o600)).unwrap();
    // Opened for reading and writing, so that it always has a reader, which never reads.
    let child = "echo \"$$ $(cat conf)\" >> starts; exec yes";
    let args = ["-w", "0", "-m", "conf=/conf", "-e", child];
    let running = fixture.by_shell("exec \"$@\" 1<>full", &args).spawn();
    fixture.wait_starts(1);
    fixture.zk.set("/conf", "b").unwrap();
    fixture.wait_starts(2);
    stop(running);
}

#[test]
fn closed_streams_are_no_reason_not_to_work() {
    let mut fixture = ExecFixture::with_conf("closed_streams", "a");
    let args = ["-w", "0", "-m", "conf=/conf", "-e", super::fixture::RECORDING_CHILD];
    let mut running = fixture.by_shell("exec \"$@\" <&- >&- 2>&-", &args).spawn();
    fixture.wait_starts(1);
    fixture.zk.set("/conf", "b").unwrap();
    fixture.wait_starts(2);
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(143).stderr_is("");
    // The same for standard error without a reader.
    let mut running = fixture.by_shell("\"$@\" 2>&1 | true", &args).spawn();
    fixture.wait_starts(3);
    fixture.zk.set("/conf", "c").unwrap();
    fixture.wait_starts(4);
    let shell = running.pid().cast_signed();
    let tool = eventually("zkexec alone", || match &children(shell)[..] {
        [tool] => Ok(tool.pid),
        others => Err(format!("{others:?}")),
    });
    super::processes::send(tool, Signal::SIGTERM);
    running.wait_exit();
}

#[test]
fn the_child_inherits_nothing_else() {
    let fixture = ExecFixture::new("inherits_nothing_else");
    // The descriptors that the test passes on, and the one that `ls` opens.
    let without = fixture.configure(Tool::program("ls")).arg("/proc/self/fd").run();
    fixture.zkexec(&["--", "ls", "/proc/self/fd"]).run().ok().stdout_is(without.stdout);
    // The last seven hex digits, without the real-time signals that the C library uses.
    let status = "sed -nE 's/^(Sig(Blk|Ign|Cgt)):.*(.{7})$/\\1 \\3/p' /proc/self/status";
    // The test process may have been started with ignored signals.
    let clean = Tool::program("env").args(["--default-signal", "sh", "-c", status]);
    let without = fixture.configure(clean).run();
    without.ok().stdout_has("SigBlk 0000000\n");
    fixture.zkexec(&["-e", status]).run().ok().stdout_is(without.stdout);
    let output = fixture
        .zkexec(&["--", "env"])
        .env("NOTIFY_SOCKET", "/nowhere")
        .env("WATCHDOG_PID", "1")
        .env("WATCHDOG_USEC", "1")
        .env("ODD", "a\nb")
        .run();
    output.ok().stdout_has("ODD=a\nb\n").stdout_has("PATH=");
    assert!(!output.text().contains("NOTIFY") && !output.text().contains("WATCHDOG"), "{output}");
}

#[test]
fn the_child_leads_a_group_of_its_own() {
    let fixture = ExecFixture::new("a_group_of_its_own");
    let running = fixture.zkexec(&["--", "sleep", "1000"]).spawn();
    let tool = running.pid().cast_signed();
    let child = super::processes::wait_children(tool, 1).remove(0);
    eventually("its group", || match super::processes::process(child.pid) {
        Some(child) if child.group == child.pid => Ok(()),
        other => Err(format!("{other:?}")),
    });
    stop(running);
}
