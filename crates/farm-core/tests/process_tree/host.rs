//! The host process of a process tree: a loop like that of a daemon, which logs what happens and
//! takes commands from a pipe.

use farm_core::engine::{Inbox, Outbox, Signals, Worker, inbox};
use farm_core::process::command::Finished;
use farm_core::process::hook::Hook;
use farm_core::process::terminal::Terminal;
use farm_core::process::tree::{ExitStatus, News, Pid, ProcessTree, Program, Signal};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

pub(crate) const ROLE: &str = "host";
/// A variable in the environment of the child and its descendants; its value is our directory.
pub(crate) const MARK: &str = "PROCESS_TREE_MARK";
pub(crate) const CONTROL: &str = "control";
pub(crate) const LOG: &str = "log";

const MINUTE: Duration = Duration::from_secs(60);

enum Event {
    Signal(i32),
    Command(String),
    Hook(Finished),
}

struct Host {
    log: File,
    tree: ProcessTree,
    terminal: Terminal,
    program: Program,
    environment: Vec<(OsString, OsString)>,
    hooks: Vec<Hook>,
    outbox: Outbox<Event>,
    /// Whether we end with the child, as a wrapper does.
    ends_with_child: bool,
    status: Option<ExitStatus>,
}

/// `DIR follow|stay (shell LINE | argv WORD...)`
pub(crate) fn run(args: &[String]) -> ExitCode {
    let [dir, mode, kind, words @ ..] = args else { panic!("too few arguments") };
    let dir = PathBuf::from(dir);
    let open = |name| File::options().append(true).create(true).open(dir.join(name)).unwrap();
    log::set_boxed_logger(Box::new(Logger(open(LOG)))).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let program = match kind.as_str() {
        "shell" => Program::Shell(words[0].clone().into()),
        _ => Program::Argv(words.iter().map(OsString::from).collect()),
    };
    let (inbox, outbox) = inbox();
    listen(&dir, &outbox);
    let caught = ["CHLD", "CONT", "TERM", "INT", "HUP", "USR1", "USR2", "QUIT"];
    let caught = caught.map(|name| signal(name) as i32);
    let to_loop = outbox.clone();
    let signals = Signals::forward(&caught, move |number| to_loop.post(Event::Signal(number)));
    let mut host = Host {
        log: open(LOG),
        tree: ProcessTree::new().unwrap(),
        terminal: Terminal::of_stdin(),
        program,
        environment: vec![(MARK.into(), dir.into_os_string())],
        hooks: Vec::new(),
        outbox,
        ends_with_child: mode == "follow",
        status: None,
    };
    let code = host.start().unwrap_or_else(|| host.watch(&inbox));
    drop(signals);
    code
}

/// Posts each line that is written to the pipe.
fn listen(dir: &Path, outbox: &Outbox<Event>) {
    // Open for writing too, so that the pipe has no end of file.
    let control = File::options().read(true).write(true).open(dir.join(CONTROL)).unwrap();
    let outbox = outbox.clone();
    let work = move || {
        for line in BufReader::new(control).lines().map_while(Result::ok) {
            outbox.post(Event::Command(line));
        }
    };
    Worker::start("control", work).unwrap().leave();
}

fn signal(name: &str) -> Signal {
    Signal::from_str(&format!("SIG{name}")).unwrap()
}

impl Host {
    fn note(&mut self, line: &str) {
        self.log.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn start(&mut self) -> Option<ExitCode> {
        match self.tree.start(&self.program, &self.environment, &self.terminal) {
            Ok(pid) => self.note(&format!("up {pid}")),
            Err(e) => {
                let cause = std::error::Error::source(&e).map(ToString::to_string);
                self.note(&format!("cannot {} {e}: {}", e.exit(), cause.unwrap_or_default()));
                return self.ends_with_child.then(|| ExitCode::from(e.exit()));
            }
        }
        None
    }

    fn watch(&mut self, inbox: &Inbox<Event>) -> ExitCode {
        loop {
            let event = inbox.next(self.deadline());
            let now = Instant::now();
            let mut news = Vec::new();
            match event {
                None => {
                    self.hooks.iter_mut().for_each(|hook| hook.tick(now));
                    news = self.tree.tick(now, &self.others());
                }
                Some(Event::Hook(finished)) => {
                    let ends = self.hooks.iter_mut().find_map(|hook| hook.finished(now, &finished));
                    self.note(&format!("hook {}", ends.unwrap()));
                }
                Some(Event::Command(line)) if line == "quit" => return ExitCode::SUCCESS,
                Some(Event::Command(line)) => self.execute(now, &line),
                Some(Event::Signal(number)) => news = self.take_signal(now, number),
            }
            for news in news {
                if let Some(code) = self.take_news(now, news) {
                    return code;
                }
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let hooks = self.hooks.iter().filter_map(Hook::deadline);
        hooks.chain(self.tree.deadline()).min()
    }

    fn others(&self) -> Vec<Pid> {
        self.hooks.iter().filter_map(Hook::pid).collect()
    }

    fn take_signal(&mut self, now: Instant, number: i32) -> Vec<News> {
        match Signal::try_from(number).unwrap() {
            Signal::SIGCHLD => return self.tree.reap(&self.others()),
            Signal::SIGCONT => drop(self.terminal.resume()),
            Signal::SIGINT if self.terminal.resume() => self.tree.signal(Signal::SIGINT),
            Signal::SIGTERM | Signal::SIGINT => {
                self.note(&format!("asked to end by {number}"));
                self.tree.stop(now, Signal::SIGTERM, MINUTE);
            }
            forwarded => self.tree.signal(forwarded),
        }
        Vec::new()
    }

    fn execute(&mut self, now: Instant, line: &str) {
        match *line.split(' ').collect::<Vec<_>>() {
            ["start"] => drop(self.start()),
            ["stop", name, millis] => {
                let kill_timeout = Duration::from_millis(millis.parse().unwrap());
                self.tree.stop(now, signal(name), kill_timeout);
            }
            ["kill"] => self.tree.kill(now),
            ["signal", name] => self.tree.signal(signal(name)),
            ["hook", ..] => {
                let outbox = self.outbox.clone();
                let command = line.trim_start_matches("hook ").to_owned();
                let mut hook = Hook::new(command, MINUTE, move |end| outbox.post(Event::Hook(end)));
                hook.request(now, Vec::new());
                self.hooks.push(hook);
            }
            ["due"] => {
                let is_due = self.tree.deadline().is_some();
                self.note(&format!("due {is_due}"));
            }
            ["panic"] => panic!("a test asks for a panic"),
            _ => panic!("unknown command {line:?}"),
        }
        self.note(&format!("done {line}"));
    }

    fn take_news(&mut self, now: Instant, news: News) -> Option<ExitCode> {
        match news {
            News::Ended(status) => {
                self.terminal.take_back();
                self.status = Some(status);
                self.note(&format!("ended {} {status}", status.exit_code()));
                if self.ends_with_child {
                    self.tree.stop(now, Signal::SIGTERM, MINUTE);
                }
            }
            News::Stopped(signal) => {
                self.note(&format!("stopped {signal}"));
                if self.terminal.is_for_us(signal) {
                    self.note("suspending");
                    self.terminal.suspend_ourselves();
                    self.note("resumed");
                }
            }
            News::Continued => self.note("continued"),
            News::Gone => {
                assert!(self.tree.is_gone() && self.tree.deadline().is_none());
                self.note("gone");
                let code = self.status.and_then(|status| u8::try_from(status.exit_code()).ok());
                return code.filter(|_| self.ends_with_child).map(ExitCode::from);
            }
        }
        None
    }
}

struct Logger(File);

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        drop(
            (&self.0)
                .write_all(format!("log {}\n", farm_core::engine::log_text(record)).as_bytes()),
        );
    }

    fn flush(&self) {}
}
