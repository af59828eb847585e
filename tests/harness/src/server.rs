//! A real ZooKeeper server.

use crate::patience::{eventually_within, patience, until};
use crate::spawner::{self, die_with_parent};
use crate::toolbox::Toolbox;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long servers may take to start or to elect a leader: a bound for what hangs, not for what
/// is slow. Three Java virtual machines took half a minute on two cores with a load of twenty.
pub(crate) const START_WAIT: Duration = Duration::from_secs(120);
// A starting server may never answer a connection that it accepted early. The next attempt
// is answered at once.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
const MAIN_CLASS: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Conf {
    /// Java and ZooKeeper.
    pub toolbox: Toolbox,
    /// The server's own directory: data, configuration, log.
    pub dir: PathBuf,
    /// The loopback port for clients.
    pub port: u16,
    /// The loopback port for TLS clients, if any.
    pub secure_port: Option<u16>,
    /// The maximum heap size.
    pub heap_mb: u32,
    /// Additional lines of the configuration.
    pub lines: Vec<String>,
}

impl Conf {
    /// The address for clients.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The server's log file.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Writes the configuration, and the file `myid` of an ensemble member.
    ///
    /// # Errors
    ///
    /// When the directory can't be written.
    pub fn write(&self, myid: Option<usize>) -> io::Result<()> {
        let data = self.dir.join("data");
        fs::create_dir_all(&data)?;
        let mut conf = format!(
            "dataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n\
             4lw.commands.whitelist=*\nmaxSessionTimeout=60000\n",
            data.display(),
            self.port
        );
        if let Some(port) = self.secure_port {
            conf.push_str(&format!("secureClientPort={port}\nsecureClientPortAddress=127.0.0.1\n"));
        }
        for line in &self.lines {
            conf.push_str(line);
            conf.push('\n');
        }
        File::create(self.dir.join("zoo.cfg"))?.write_all(conf.as_bytes())?;
        myid.map_or(Ok(()), |id| {
            File::create(data.join("myid"))?.write_all(id.to_string().as_bytes())
        })
    }

    /// Adds the arguments that start the server to `java` (or to a wrapper of it). They favour a
    /// quick start, and turn off fsync because the data need not survive a crash.
    ///
    /// # Errors
    ///
    /// When the log can't be opened.
    pub fn complete(&self, mut java: Command) -> io::Result<Command> {
        let log = File::options().create(true).append(true).open(self.log())?;
        java.arg(format!("-Xmx{}m", self.heap_mb))
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"])
            .args([
                "-XX:-UsePerfData",
                "-Djava.awt.headless=true",
                "-Dzookeeper.jmx.log4j.disable=true",
            ])
            .args(["-Dzookeeper.admin.enableServer=false", "-Dzookeeper.forceSync=no"])
            .args(["-Dzookeeper.preAllocSize=256", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"])
            .arg("-cp")
            .arg(&self.toolbox.zookeeper_classpath)
            .arg(MAIN_CLASS)
            .arg(self.dir.join("zoo.cfg"))
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(java)
    }

    /// The end of the server's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(8 << 10)..]).into_owned()
    }
}

/// Sends a four-letter command.
///
/// # Errors
///
/// When the server can't be reached or does not answer.
pub fn four_letter(addr: SocketAddr, command: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, patience(ANSWER_WAIT))?;
    stream.set_read_timeout(Some(patience(ANSWER_WAIT)))?;
    stream.write_all(command.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The mode of a server (`standalone`, `leader`, `follower`).
///
/// # Errors
///
/// When it does not serve clients.
pub fn mode(addr: SocketAddr) -> io::Result<String> {
    let answer = four_letter(addr, "srvr")?;
    let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
    mode.map(str::to_owned).ok_or_else(|| io::Error::other(answer.trim().to_owned()))
}

/// A server of an ensemble, killed on drop.
#[derive(Debug)]
pub struct Server {
    conf: Conf,
    // Tests that share a server call its methods from several threads.
    child: Mutex<Option<Child>>,
}

impl Server {
    pub(crate) fn start(conf: Conf) -> io::Result<Self> {
        let child = spawner::spawn(conf.complete(die_with_parent(conf.toolbox.java.as_os_str()))?)?;
        Ok(Self { conf, child: Mutex::new(Some(child)) })
    }

    /// The address for clients.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.conf.addr()
    }

    /// The address for TLS clients.
    ///
    /// # Panics
    ///
    /// When the server has no secure port.
    #[must_use]
    #[track_caller]
    pub fn secure_addr(&self) -> SocketAddr {
        let Some(port) = self.conf.secure_port else { panic!("no secure port was asked for") };
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// Kills the server with SIGKILL and keeps its data.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Freezes the server with SIGSTOP: connections stay open, and nothing is answered.
    ///
    /// # Panics
    ///
    /// When the server does not run.
    #[track_caller]
    pub fn pause(&self) {
        let id = self.signal(Signal::SIGSTOP);
        // The threads of the process stop one by one.
        eventually_within(START_WAIT, "every thread of the server is stopped", || {
            let tasks = fs::read_dir(format!("/proc/{id}/task"))?;
            let is_stopped = |task: fs::DirEntry| {
                let stat = fs::read_to_string(task.path().join("stat"))?;
                Ok::<_, io::Error>(stat.contains(") T "))
            };
            for task in tasks {
                if !is_stopped(task?)? {
                    return Err(io::Error::other("one runs"));
                }
            }
            Ok(())
        });
    }

    /// Resumes a frozen server.
    ///
    /// # Panics
    ///
    /// When the server does not run.
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills the server if it runs, starts it on the same port with the same data, and waits
    /// until it serves clients.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[track_caller]
    pub fn restart(&self) {
        self.start_again();
        self.wait_until_serving();
    }

    /// Like [`Self::restart`], but does not wait: without a quorum, an ensemble member can't
    /// serve clients.
    ///
    /// # Panics
    ///
    /// When the program can't be started.
    #[track_caller]
    pub fn start_again(&self) {
        self.kill();
        let again = Self::start(self.conf.clone())
            .and_then(|server| server.child().take().ok_or_else(|| io::Error::other("no child")));
        match again {
            Ok(child) => *self.child() = Some(child),
            Err(e) => panic!("cannot start ZooKeeper again: {e}"),
        }
    }

    /// Waits until the server serves clients.
    ///
    /// # Panics
    ///
    /// When it does not in time.
    #[track_caller]
    pub fn wait_until_serving(&self) {
        eventually_within(START_WAIT, "the server serves", || {
            self.check_serving()
                .map_err(|e| format!("{e}; its log ends:\n{}", self.conf.log_tail()))
        });
    }

    /// Whether the server is the leader now.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        mode(self.addr()).is_ok_and(|mode| mode == "leader")
    }

    /// Sends a four-letter command such as `mntr`.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    #[must_use]
    #[track_caller]
    pub fn four_letter(&self, command: &str) -> String {
        let what = format!("{} answers {command}", self.addr());
        eventually_within(Duration::from_secs(5), &what, || four_letter(self.addr(), command))
    }

    /// Fails unless all ports are open and the server serves clients.
    fn check_serving(&self) -> io::Result<()> {
        // The secure port opens last.
        if let Some(port) = self.conf.secure_port {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        }
        mode(self.addr()).map(drop)
    }

    /// Waits for the first start. Fails early if the process ends.
    pub(crate) fn wait_started(&self) -> Result<(), String> {
        let deadline = Instant::now() + patience(START_WAIT);
        let mut probe = || {
            let ended = self.child().as_mut().is_none_or(|c| !matches!(c.try_wait(), Ok(None)));
            match self.check_serving() {
                // Another server may answer on the port if ours could not bind it.
                _ if ended => Ok(Err("it ended".to_owned())),
                Ok(()) => Ok(Ok(())),
                Err(e) => Err(e),
            }
        };
        let up = until(deadline, &mut probe).unwrap_or_else(|e| Err(e.to_string()));
        up.map_err(|problem| format!("{problem}; its log ends:\n{}", self.conf.log_tail()))
    }

    #[track_caller]
    fn signal(&self, signal: Signal) -> u32 {
        let id = self.child().as_ref().map(Child::id);
        let Some(id) = id else { panic!("the server at {} does not run", self.addr()) };
        if let Err(e) = kill(Pid::from_raw(id as i32), signal) {
            panic!("cannot send {signal} to the server at {}: {e}", self.addr());
        }
        id
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
