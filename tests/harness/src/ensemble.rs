//! Real ZooKeeper servers on loopback.

use crate::eventually_within;
use crate::port;
use crate::scratch::Scratch;
use crate::server::{Conf, START_WAIT, Server};
use crate::toolbox::{Missing, Toolbox};
use crate::zk::Zk;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

const START_ATTEMPTS_MAX: u32 = 4;

/// The configuration of an ensemble.
#[derive(Debug, Clone)]
pub struct Options {
    /// The number of servers; one is a standalone server.
    pub servers: usize,
    /// The server's tick. A session timeout has at least two ticks.
    pub tick_ms: u32,
    /// How many ticks a follower may take to connect to the leader.
    pub init_limit: u32,
    /// How many ticks a follower may lag behind the leader.
    pub sync_limit: u32,
    /// The maximum number of connections per client address; 0 is no limit.
    pub max_client_cnxns: u32,
    /// The maximum heap size of each server.
    pub heap_mb: u32,
    /// A second port on each server for TLS clients.
    pub secure: Option<TlsOptions>,
    /// Additional lines of the configuration.
    pub lines: Vec<String>,
}

/// The TLS configuration of the servers. They read the files when they start.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// The servers' key and certificate in one PEM file.
    pub identity: PathBuf,
    /// The authorities that may issue clients' certificates.
    pub trusted: PathBuf,
    /// Whether the servers refuse a client without a certificate.
    pub needs_certificates: bool,
}

impl TlsOptions {
    fn lines(&self) -> [String; 6] {
        let auth = if self.needs_certificates { "need" } else { "none" };
        [
            "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory".to_owned(),
            "ssl.keyStore.type=PEM".to_owned(),
            format!("ssl.keyStore.location={}", self.identity.display()),
            "ssl.trustStore.type=PEM".to_owned(),
            format!("ssl.trustStore.location={}", self.trusted.display()),
            format!("ssl.clientAuth={auth}"),
        ]
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            servers: 1,
            tick_ms: 500,
            init_limit: 20,
            sync_limit: 10,
            max_client_cnxns: 0,
            heap_mb: 96,
            secure: None,
            lines: Vec::new(),
        }
    }
}

/// Why an ensemble did not start.
#[derive(Debug)]
pub enum StartError {
    /// A tool is missing on this machine.
    Missing(Missing),
    /// The servers could not be set up.
    Io(io::Error),
    /// A server did not start to serve clients.
    Down {
        /// The server's address.
        addr: SocketAddr,
        /// The end of its log.
        said: String,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(missing) => write!(f, "{missing}: run `cargo xtask test`"),
            Self::Io(_) => f.write_str("cannot set up ZooKeeper"),
            Self::Down { addr, said } => write!(f, "ZooKeeper at {addr} did not come up: {said}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(e) => Some(e),
            Self::Missing(_) | Self::Down { .. } => None,
        }
    }
}

/// One or more ZooKeeper servers, killed on drop.
#[derive(Debug)]
pub struct Ensemble {
    // Dropped before the scratch: a server must end before its directory is removed.
    servers: Vec<Server>,
    _scratch: Scratch,
}

impl Ensemble {
    /// Starts a standalone server (1) or an ensemble (3).
    ///
    /// # Panics
    ///
    /// When it does not start, with the log.
    #[must_use]
    #[track_caller]
    pub fn start(servers: usize) -> Self {
        Self::with(&Options { servers, ..Options::default() })
    }

    /// Starts servers with these options.
    ///
    /// # Panics
    ///
    /// When they do not start, with the log.
    #[must_use]
    #[track_caller]
    pub fn with(options: &Options) -> Self {
        Self::try_with(options).unwrap_or_else(|e| {
            let cause = std::error::Error::source(&e).map(|cause| format!(": {cause}"));
            panic!("{e}{}", cause.unwrap_or_default())
        })
    }

    /// Starts servers, for callers that handle a failure.
    ///
    /// # Errors
    ///
    /// When a tool is missing, or the servers do not start.
    pub fn try_with(options: &Options) -> Result<Self, StartError> {
        let toolbox = Toolbox::find().map_err(StartError::Missing)?;
        let mut attempts_left = START_ATTEMPTS_MAX;
        loop {
            attempts_left -= 1;
            match Self::attempt(options, &toolbox) {
                // Another process bound one of the ports after we found it free.
                Err(StartError::Down { said, .. })
                    if attempts_left > 0 && said.contains("Address already in use") => {}
                answer => return answer,
            }
        }
    }

    fn attempt(options: &Options, toolbox: &Toolbox) -> Result<Self, StartError> {
        let scratch = Scratch::new();
        let confs = confs(options, toolbox, &scratch);
        let mut servers = Vec::new();
        for (index, conf) in confs.into_iter().enumerate() {
            let myid = (options.servers > 1).then_some(index + 1);
            let started = conf.write(myid).and_then(|()| Server::start(conf));
            servers.push(started.map_err(StartError::Io)?);
        }
        let ensemble = Self { servers, _scratch: scratch };
        for server in &ensemble.servers {
            server.wait_started().map_err(|said| StartError::Down { addr: server.addr(), said })?;
        }
        Ok(ensemble)
    }

    /// The server that all tests of this process share, started on first use.
    ///
    /// # Panics
    ///
    /// When it does not start, with the log.
    #[must_use]
    #[track_caller]
    pub fn shared() -> &'static Self {
        // Never dropped: the kernel kills the server with this process, and the next test run
        // removes its directory.
        static SHARED: OnceLock<Ensemble> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(1))
    }

    /// The connect string for clients: `host:port,host:port`.
    #[must_use]
    pub fn connect_string(&self) -> String {
        let addrs: Vec<_> = self.servers.iter().map(|server| server.addr().to_string()).collect();
        addrs.join(",")
    }

    /// One of the servers, counted from 0.
    ///
    /// # Panics
    ///
    /// When there are fewer servers.
    #[must_use]
    #[track_caller]
    pub fn server(&self, index: usize) -> &Server {
        &self.servers[index]
    }

    /// All servers.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Waits for a leader and returns it.
    ///
    /// # Panics
    ///
    /// When no server becomes the leader in time.
    #[must_use]
    #[track_caller]
    pub fn leader(&self) -> &Server {
        eventually_within(START_WAIT, "a server is the leader", || {
            self.servers.iter().find(|server| server.is_leader()).ok_or("none is")
        })
    }

    /// Waits for a follower and returns it.
    ///
    /// # Panics
    ///
    /// When no server becomes a follower in time.
    #[must_use]
    #[track_caller]
    pub fn follower(&self) -> &Server {
        eventually_within(START_WAIT, "a server is a follower", || {
            let follows =
                |server: &&Server| crate::mode(server.addr()).is_ok_and(|mode| mode == "follower");
            self.servers.iter().find(follows).ok_or("none is")
        })
    }

    /// A client of the first server that answers.
    ///
    /// # Panics
    ///
    /// When none answers.
    #[must_use]
    #[track_caller]
    pub fn zk(&self) -> Zk {
        self.zk_below("")
    }

    #[track_caller]
    fn zk_below(&self, root: &str) -> Zk {
        eventually_within(START_WAIT, "a server accepts a client", || {
            let mut last = None;
            for server in &self.servers {
                // A frozen server accepts connections but never answers.
                match crate::mode(server.addr()).map_err(crate::ZkError::from) {
                    Ok(_) => match Zk::connect_below(server.addr(), root) {
                        Ok(zk) => return Ok(zk),
                        Err(e) => last = Some(e),
                    },
                    Err(e) => last = Some(e),
                }
            }
            Err(last.map_or_else(|| "no servers".to_owned(), |e| format!("{e:?}")))
        })
    }

    /// Creates a znode for one test, named after the test.
    ///
    /// # Panics
    ///
    /// When the znode can't be created.
    #[must_use]
    #[track_caller]
    pub fn chroot(&self, test_name: &str) -> Chroot<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = format!("/t/{}-{number}", test_name.replace("::", "-"));
        if let Err(e) = self.zk().create_all(&path, "") {
            panic!("cannot create {path}: {e:?}");
        }
        Chroot { ensemble: self, path }
    }
}

/// A znode that belongs to one test and is the chroot of the tools under test.
#[derive(Debug)]
pub struct Chroot<'a> {
    ensemble: &'a Ensemble,
    path: String,
}

impl Chroot<'_> {
    /// The connect string for the tools: `host:port/t/name-1`.
    #[must_use]
    pub fn connect_string(&self) -> String {
        format!("{}{}", self.ensemble.connect_string(), self.path)
    }

    /// The path of the znode on the server.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A client whose paths are relative to this znode.
    ///
    /// # Panics
    ///
    /// When no server answers.
    #[must_use]
    #[track_caller]
    pub fn zk(&self) -> Zk {
        self.ensemble.zk_below(&self.path)
    }
}

fn confs(options: &Options, toolbox: &Toolbox, scratch: &Scratch) -> Vec<Conf> {
    let mut lines = vec![
        format!("tickTime={}", options.tick_ms),
        format!("initLimit={}", options.init_limit),
        format!("syncLimit={}", options.sync_limit),
        format!("maxClientCnxns={}", options.max_client_cnxns),
    ];
    if options.servers > 1 {
        lines.extend(
            (1..=options.servers)
                .map(|id| format!("server.{id}=127.0.0.1:{}:{}", port::free(), port::free())),
        );
    }
    lines.extend(options.secure.iter().flat_map(TlsOptions::lines));
    lines.extend(options.lines.iter().cloned());
    let conf = |index: usize| Conf {
        toolbox: toolbox.clone(),
        dir: scratch.join(format!("server-{index}")),
        port: port::free(),
        secure_port: options.secure.as_ref().map(|_| port::free()),
        heap_mb: options.heap_mb,
        lines: lines.clone(),
    };
    (0..options.servers).map(conf).collect()
}
