use super::*;
use farm_harness::{Scratch, eventually};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

const NAME: &str = "FARM_TEST_LOCK";
const HOW: &str = "FARM_TEST_LOCK_HOW";
const NOBODY: u32 = 65534;

fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// The error of a lock that is not to be had.
fn refusal(name: &str) -> LockError {
    HostLock::take(name).expect_err("another process has the name")
}

/// Starts `test`, which must be the caller, as a process of its own that has the name in one of
/// the ways of [`hold`]; root starts it as another user if `is_foreign` is set.
fn start_holder(scratch: &Scratch, test: &str, name: &str, how: &str, is_foreign: bool) -> Child {
    let mut program = std::env::current_exe().unwrap();
    if is_foreign {
        // The other user may not be able to enter the directory of the test program.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(scratch.path(), open).unwrap();
        program = scratch.program(&program, "program");
    }
    let mut command = Command::new(program);
    if is_foreign {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut holder = command
        .args(["--exact", &format!("host::lock::tests::{test}"), "--nocapture"])
        .env(NAME, name)
        .env(HOW, how)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "held"));
    holder
}

/// Has the name until standard input ends, if this process is a holder.
fn hold() -> bool {
    let Ok(name) = std::env::var(NAME) else { return false };
    let address = address_of(&name);
    let how = std::env::var(HOW).unwrap();
    let _lock = (how != "is bound").then(|| HostLock::take(&name).unwrap());
    let bound =
        socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    match how.as_str() {
        "is bound" => {
            let address = UnixAddr::new_abstract(&address).unwrap();
            nix::sys::socket::bind(bound.as_raw_fd(), &address).unwrap();
        }
        "has a full queue" => while connect_to_holder(&address).is_ok() {},
        _ => {}
    }
    let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
    std::io::stderr().write_all(b"held\n").unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    true
}

fn pid_of(child: &Child) -> Option<i32> {
    Some(i32::try_from(child.id()).unwrap())
}

#[test]
fn a_taken_lock_names_its_holder_until_it_is_dropped() {
    let name = unique("/services/db/10.0.0.1");
    let lock = HostLock::take(&name).unwrap();
    let own = i32::try_from(std::process::id()).unwrap();
    for _ in 0..10 {
        assert_eq!(refusal(&name).to_string(), format!("held by process {own}"));
    }
    drop(lock);
    // A child that another test has just forked keeps the lock until its exec.
    drop(eventually("the lock is free", || HostLock::take(&name)));
}

#[test]
fn a_holder_that_ends_is_waited_for_and_one_that_lives_on_is_not_for_long() {
    let name = unique("dying");
    let lock = HostLock::take(&name).unwrap();
    let soon = Instant::now() + Duration::from_millis(50);
    assert!(matches!(HostLock::take_by(&name, soon), Err(LockError::Held(_))));
    assert!(Instant::now() >= soon);
    let (waiting, is_waiting) = std::sync::mpsc::channel();
    let ending = std::thread::Builder::new().spawn(move || {
        is_waiting.recv().unwrap();
        drop(lock);
    });
    let later = Instant::now() + Duration::from_secs(20);
    waiting.send(()).unwrap();
    drop(HostLock::take_by(&name, later).unwrap());
    assert!(Instant::now() < later);
    ending.unwrap().join().unwrap();
}

#[test]
fn asking_a_thousand_times_never_blocks() {
    let name = unique("crowded");
    let lock = HostLock::take(&name).unwrap();
    // More than the queue of a listener holds; later callers are not told who it is.
    for _ in 0..5000 {
        refusal(&name);
    }
    assert!(matches!(refusal(&name), LockError::Foreign(Holder { pid: None, uid: None })));
    lock.forget_askers();
    lock.forget_askers();
    assert!(matches!(refusal(&name), LockError::Held(Holder { pid: Some(_), uid: None })));
}

#[test]
fn long_names_that_differ_at_the_end_are_two_locks() {
    let long = "x".repeat(500);
    let _one = HostLock::take(&unique(&format!("{long}1"))).unwrap();
    let _two = HostLock::take(&unique(&format!("{long}2"))).unwrap();
    assert!(address_of(&"\u{1f600}".repeat(100)).len() <= 107);
    assert_eq!(digest(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    assert_eq!(digest(b"foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
}

#[test]
fn a_lock_does_not_outlive_a_holder_that_was_killed() {
    if hold() {
        return;
    }
    let (scratch, name) = (Scratch::new(), unique("killed"));
    let test = "a_lock_does_not_outlive_a_holder_that_was_killed";
    let mut holder = start_holder(&scratch, test, &name, "listens", false);
    let expected = Holder { pid: pid_of(&holder), uid: None };
    assert!(matches!(refusal(&name), LockError::Held(is) if is == expected));
    holder.kill().unwrap();
    holder.wait().unwrap();
    // Its child lives on, and does not hold the lock.
    drop(eventually("the lock is free", || HostLock::take(&name)));
}

#[test]
fn another_user_with_the_name_does_not_hold_the_lock() {
    if hold() {
        return;
    }
    let is_root = geteuid().is_root();
    let scratch = Scratch::new();
    let test = "another_user_with_the_name_does_not_hold_the_lock";
    for how in ["listens", "has a full queue", "is bound"] {
        let name = unique(how);
        let mut holder = start_holder(&scratch, test, &name, how, is_root);
        let until = Instant::now() + Duration::from_millis(50);
        let refusal = HostLock::take_by(&name, until).expect_err("the name is taken");
        let expected = match (how, is_root) {
            ("listens", true) => {
                format!("its name is taken by process {} of user {NOBODY}", holder.id())
            }
            ("listens", false) => format!("held by process {}", holder.id()),
            _ => "its name is taken by another process".to_owned(),
        };
        assert_eq!(refusal.to_string(), expected, "{how}");
        // Closing its standard input ends it.
        drop(holder.stdin.take());
        drop(HostLock::take_by(&name, Instant::now() + Duration::from_secs(20)).or_else(|_| {
            Ok::<_, LockError>(eventually("the name is free", || HostLock::take(&name)))
        }));
        holder.wait().unwrap();
    }
}
