//! Processes that may have hardly any memory: they may end, also by abort, and none hangs.

use farm_harness::{Ensemble, Scratch, Signal, Tool, eventually, patience};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

/// The limits of the address space, in MiB. With the least, no tool can be loaded.
const LIMITS: [u32; 14] = [2, 6, 8, 12, 20, 32, 48, 64, 96, 160, 256, 512, 1024, 2048];

const TOOLS: [(&str, &str); 5] = [
    ("zkjoin", "--name host /farm host.json"),
    ("zkexport", "/farm farm.json"),
    ("zkexec", "-m conf=/farm/a -- sleep 1000"),
    ("zkctl", "-t 1s get /farm/a"),
    ("zkexport", "--once --timeout 1s /farm once.json"),
];

/// What a tool logs or prints when it has done its work.
const DONE: [&str; 4] = ["joined; ", "the file is current", "forked ", "\"n\": 1"];

#[test]
fn a_process_without_memory_ends_or_works_and_writes_nothing_by_halves() {
    let chroot = Ensemble::shared().chroot("a_process_without_memory");
    chroot.zk().create_all("/farm/a", "{\"n\":1}").unwrap();
    for (name, args) in TOOLS {
        for limit in LIMITS {
            let scratch = Scratch::new();
            let what = format!("{name} {args} with {limit} MiB");
            let mut running = Tool::program("prlimit")
                .arg(format!("--as={}", limit << 20))
                .arg(Tool::path_of(name))
                .args(args.split(' '))
                .cwd(scratch.path())
                .env("ZKHOST", chroot.connect_string())
                // As operators run them. While a thread prints a backtrace, Rust's library can wait
                // for itself when it gets no memory.
                .env("RUST_BACKTRACE", "0")
                .spawn();
            let is_done = |seen: &str| DONE.iter().any(|done| seen.contains(done));
            eventually(&what, || {
                let seen = running.stderr();
                let is_over = is_done(&seen) || seen.contains("retrying") || !running.is_running();
                if is_over { Ok(()) } else { Err(seen) }
            });
            if running.is_running() {
                running.signal(Signal::SIGTERM);
            }
            let asked_at = Instant::now();
            let output = running.wait_exit();
            assert!(asked_at.elapsed() < patience(Duration::from_secs(2)), "{what}\n{output}");
            let has_written = scratch.join("once.json").exists();
            let has_worked = has_written || is_done(&(output.text() + &output.stderr));
            assert!(has_worked || limit < 2048, "{what}\n{output}");
            for name in ["host.json", "farm.json", "once.json", "conf"] {
                let Ok(text) = fs::read(scratch.join(name)) else { continue };
                let is_whole = serde_json::from_slice::<Value>(&text).is_ok();
                assert!(is_whole, "{what}\n{}\n{output}", text.escape_ascii());
            }
        }
    }
}
