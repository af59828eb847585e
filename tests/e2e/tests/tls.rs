//! The tools with ZooKeeper's TLS port.

mod failover;
mod half;
mod refusals;
mod renewal;
mod tools;

use farm_harness::{Authority, Ensemble, Options, Running, Scratch, Server, TlsOptions, Tool};
use std::net::SocketAddr;

/// The names in the servers' certificates.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// Servers with TLS, and the certificates of servers and clients.
struct TlsFixture {
    // Dropped before the scratch, whose files the servers read.
    ensemble: Ensemble,
    scratch: Scratch,
    authority: Authority,
}

impl TlsFixture {
    /// Servers that require client certificates.
    #[track_caller]
    fn strict(servers: usize) -> Self {
        Self::with_protocol("TLSv1.2", servers, true)
    }

    /// A server that requires no client certificate.
    #[track_caller]
    fn open() -> Self {
        Self::with_protocol("TLSv1.3", 1, false)
    }

    #[track_caller]
    fn with_protocol(protocol: &str, servers: usize, needs_certificates: bool) -> Self {
        let (scratch, authority) = (Scratch::new(), Authority::new("farm"));
        write_certificates(&scratch, &authority);
        let secure = TlsOptions {
            identity: scratch.join("server.pem"),
            trusted: scratch.join("ca.pem"),
            needs_certificates,
        };
        let lines = ["ssl.protocol", "ssl.enabledProtocols"];
        let mut lines = lines.map(|key| format!("{key}={protocol}")).to_vec();
        if protocol == "TLSv1.3" {
            // By default the server offers only the cipher suites of TLS 1.2.
            lines.push("ssl.ciphersuites=TLS_AES_128_GCM_SHA256".to_owned());
        }
        let secure = Some(secure);
        let options = Options { servers, heap_mb: 128, secure, lines, ..Options::default() };
        Self { ensemble: Ensemble::with(&options), scratch, authority }
    }

    fn servers(&self) -> String {
        let addrs: Vec<String> =
            self.ensemble.servers().iter().map(|server| server.secure_addr().to_string()).collect();
        addrs.join(",")
    }

    fn server(&self) -> &Server {
        self.ensemble.server(0)
    }

    fn addr(&self) -> SocketAddr {
        self.server().secure_addr()
    }

    /// A tool that trusts the authority and has no certificate.
    fn tool_without_certificate(&self, name: &str) -> Tool {
        Tool::new(name)
            .env("ZKHOST", self.servers())
            .env("ZK_TLS", "1")
            .env("ZK_TIMEOUT", "30s")
            .env("ZK_SESSION_TIMEOUT", "60s")
            .env("ZK_TLS_CA", self.scratch.join("ca.pem"))
    }

    /// A tool that also has a certificate.
    fn tool(&self, name: &str) -> Tool {
        self.tool_without_certificate(name)
            .env("ZK_TLS_CERT", self.scratch.join("client.pem"))
            .env("ZK_TLS_KEY", self.scratch.join("client.key"))
    }

    /// Starts zkjoin with a directory as config.
    #[track_caller]
    fn join(&self, timeout: &str) -> Running {
        self.scratch.write("conf/enabled", "1");
        let running = self
            .tool("zkjoin")
            .args(["--session-timeout", timeout, "--name", "host", "/farm"])
            .arg(self.scratch.join("conf"))
            .spawn();
        running.wait_log("joined; ");
        running
    }
}

/// Writes the certificates and keys of servers and clients, issued by this authority.
fn write_certificates(scratch: &Scratch, authority: &Authority) {
    scratch.write("ca.pem", authority.pem());
    scratch.write("server.pem", authority.issue(&NAMES).both());
    let client = authority.issue(&["client"]);
    scratch.write("client.pem", client.cert);
    scratch.write("client.key", client.key);
}
