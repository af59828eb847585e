//! TLS in memory, with a server of the rustls library.

use super::*;
use crate::session::closed::Closed;
use crate::session::wire::Frames;
use farm_harness::{Authority, IssuedCertificate, Scratch};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use std::io::{Read, Write};

const NAME: &str = "zk1.example.com";

/// Both ends of a connection.
struct Fixture {
    channel: Channel,
    server: ServerConnection,
    frames: Frames,
    /// The plain text that the server received.
    received: Vec<u8>,
    error: Option<rustls::Error>,
}

fn servers() -> Servers {
    Servers::parse(&format!("{NAME}:2281")).unwrap()
}

fn trusting(scratch: &Scratch, authority: &Authority) -> Tls {
    Tls { ca: Some(scratch.write("ca.pem", authority.pem())), ..Tls::default() }
}

fn server(
    papers: &IssuedCertificate,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConnection {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(papers.cert.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(papers.key.as_bytes()).unwrap(),
        )
        .unwrap();
    ServerConnection::new(Arc::new(config)).unwrap()
}

impl Fixture {
    fn new(tls: &Tls, server: ServerConnection) -> Self {
        let channel = tls.channel(&servers().list()[0]).unwrap();
        Self { channel, server, frames: Frames::default(), received: Vec::new(), error: None }
    }

    /// Transfers all bytes in both directions, `step` at a time, until none are left.
    fn run(&mut self, step: usize) -> Result<(), Closed> {
        while self.channel.wants_write() || self.server.wants_write() {
            let mut wire = Vec::new();
            while self.channel.wants_write() {
                self.channel.write_to(&mut wire).unwrap();
            }
            for mut piece in wire.chunks(step) {
                while !piece.is_empty() && self.error.is_none() {
                    self.server.read_tls(&mut piece).unwrap();
                    self.error = self.server.process_new_packets().err();
                    // This is an error as long as no plain text has arrived.
                    drop(self.server.reader().read_to_end(&mut self.received));
                }
            }
            let mut wire = Vec::new();
            while self.server.wants_write() {
                self.server.write_tls(&mut wire).unwrap();
            }
            for piece in wire.chunks(step) {
                self.channel.decrypt(piece, &mut self.frames)?;
            }
        }
        Ok(())
    }
}

#[test]
fn frames_pass_both_ways_in_pieces_of_any_size() {
    let (scratch, authority) = (Scratch::new(), Authority::new("farm"));
    let tls = trusting(&scratch, &authority);
    for version in [&TLS12, &TLS13] {
        for step in [1, 3, 1000, 1 << 20] {
            let papers = authority.issue(&[NAME]);
            let mut fixture = Fixture::new(&tls, server(&papers, &[version]));
            fixture.run(step).unwrap();
            assert!(fixture.channel.is_secure());
            let sent = vec![7; 100_000];
            let mut rest = &sent[..];
            while !rest.is_empty() {
                let taken = fixture.channel.encrypt(rest);
                assert!(taken > 0);
                rest = &rest[taken..];
                fixture.run(step).unwrap();
            }
            assert!(fixture.received == sent, "{} bytes", fixture.received.len());
            // A frame of three records, and one that ends in the middle of the last.
            let mut answer = 40_000_i32.to_be_bytes().to_vec();
            answer.extend(vec![9; 40_000]);
            fixture.server.set_buffer_limit(None);
            fixture.server.writer().write_all(&[&answer[..], &answer[..]].concat()).unwrap();
            fixture.run(step).unwrap();
            for _ in 0..2 {
                let frame = fixture.frames.next().unwrap().expect("it has all arrived");
                assert!(frame.len() == 40_000 && frame.iter().all(|byte| *byte == 9));
            }
            assert_eq!(fixture.frames.next().unwrap(), None);
        }
    }
}

#[test]
fn an_impostor_gets_no_plain_text() {
    let (scratch, authority) = (Scratch::new(), Authority::new("farm"));
    let tls = trusting(&scratch, &authority);
    let table = [
        (
            authority.issue(&["zk2.example.com", "::1"]),
            "certificate is for another name: not \
           zk1.example.com but zk2.example.com, ",
        ),
        (authority.issue(&[]), "certificate is for another name: not zk1.example.com, it names"),
        (authority.issue_expired(&[NAME]), "certificate has expired"),
        (Authority::new("other").issue(&[NAME]), "certificate has an unknown issuer"),
        // A new authority that has the name of the old one.
        (Authority::new("farm").issue(&[NAME]), "certificate has an unknown issuer"),
    ];
    for (papers, message) in table {
        for version in [&TLS12, &TLS13] {
            let mut fixture = Fixture::new(&tls, server(&papers, &[version]));
            assert_eq!(fixture.channel.encrypt(b"the password"), 0);
            assert_eq!(fixture.run(1 << 20), Err(Closed), "{message}");
            assert_eq!(fixture.channel.encrypt(b"the password"), 0);
            assert!(fixture.channel.close_reason().to_string().starts_with(message), "{message}");
            // The server gets an alert and nothing else.
            fixture.run(1 << 20).unwrap_or_default();
            assert!(matches!(fixture.error, Some(rustls::Error::AlertReceived(_))));
            assert_eq!(fixture.received, b"");
        }
    }
}

#[test]
fn what_is_no_tls_is_named_so() {
    let (scratch, authority) = (Scratch::new(), Authority::new("farm"));
    let tls = trusting(&scratch, &authority);
    let opened = |bytes: &[u8]| {
        let mut channel = tls.channel(&servers().list()[0]).unwrap();
        assert_eq!(channel.decrypt(bytes, &mut Frames::default()), Err(Closed));
        assert!(channel.is_garbled());
        channel.close_reason().to_string()
    };
    assert_eq!(opened(b"SSH-2.0-OpenSSH_9.2\r\n"), "server does not speak TLS");
    assert_eq!(opened(&[0, 0, 0, 8]), "server does not speak TLS");
    assert_eq!(opened(&[22, 3, 3, 0, 2, 9, 9, 9]), "protocol error");
    let channel = tls.channel(&servers().list()[0]).unwrap();
    let reason = channel.close_reason().to_string();
    assert!(reason.starts_with("server closed the connection during the handshake"));
}

#[test]
fn a_close_is_sent_and_received() {
    let (scratch, authority) = (Scratch::new(), Authority::new("farm"));
    let papers = authority.issue(&[NAME]);
    let mut fixture = Fixture::new(&trusting(&scratch, &authority), server(&papers, &[&TLS13]));
    fixture.run(1 << 20).unwrap();
    fixture.channel.send_close_notify();
    fixture.run(1 << 20).unwrap();
    assert!(fixture.server.reader().read(&mut [0; 8]).is_ok_and(|read| read == 0));
    fixture.server.send_close_notify();
    assert_eq!(fixture.run(1 << 20), Err(Closed));
    assert!(!fixture.channel.is_garbled());
}

#[test]
fn files_that_cannot_work_are_named_with_the_reason() {
    let (scratch, authority) = (Scratch::new(), Authority::new("farm"));
    let good = trusting(&scratch, &authority);
    good.check(&servers()).unwrap();
    let message = |tls: Tls| {
        let error = tls.check(&servers()).unwrap_err();
        format!("{error}: {}", std::error::Error::source(&error).unwrap())
    };
    let (one, other) = (authority.issue(&[]), authority.issue(&[]));
    let cert = scratch.write("cert", &one.cert);
    let nonsense = scratch.write("nonsense", "-----BEGIN CERTIFICATE-----\n!\n");
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let locked = scratch.write("locked", locked);
    let long = scratch.write("long", vec![b'#'; (4 << 20) + 1]);
    let with_ca = |ca: &PathBuf| Tls { ca: Some(ca.clone()), ..good.clone() };
    let showing = |cert: &PathBuf, key: &PathBuf| Tls {
        identity: Some(Identity { cert: cert.clone(), key: key.clone() }),
        ..good.clone()
    };
    let key = scratch.write("key", &one.key);
    showing(&cert, &key).check(&servers()).unwrap();
    let both = scratch.write("both", one.both());
    showing(&both, &both).check(&servers()).unwrap();
    // With the byte order mark of an editor.
    let marked = scratch.write("marked", format!("\u{feff}{}", one.both()));
    showing(&marked, &marked).check(&servers()).unwrap();
    let marked_key = scratch.write("marked-key", format!("\u{feff}{}", one.key));
    showing(&cert, &marked_key).check(&servers()).unwrap();
    let marked_ca = scratch.write("marked-ca", format!("\u{feff}{}", authority.pem()));
    with_ca(&marked_ca).check(&servers()).unwrap();
    let table = [
        (with_ca(&scratch.join("none")), "none: No such file or directory (os error 2)"),
        (with_ca(&scratch.path().to_owned()), ": it is not a regular file"),
        (with_ca(&long), "long: it is too large"),
        (with_ca(&key), "key: it holds no usable certificate"),
        (with_ca(&nonsense), "nonsense: it is not PEM"),
        (showing(&key, &key), "key: it holds no usable certificate"),
        (showing(&cert, &cert), "cert: it holds no unencrypted private key"),
        (showing(&cert, &locked), "locked: it holds no unencrypted private key"),
        (showing(&cert, &scratch.write("other", &other.key)), "other: it is not the key of the"),
    ];
    for (tls, wanted) in table {
        let message = message(tls);
        assert!(message.starts_with("cannot use ") && message.contains(wanted), "{message}");
    }
}

#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let scratch = Scratch::new();
    let pipe = scratch.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let error = Tls { ca: Some(pipe), ..Tls::default() }.check(&servers()).unwrap_err();
    assert!(matches!(error, TlsError::File { fault: FileFault::NoFile, .. }), "{error:?}");
}

#[test]
fn names_are_those_that_certificates_can_be_for() {
    for name in ["zk1", "zk_1.example.com", "zk1.example.com.", "10.0.0.1", "::1", "fe80::1%eth0"] {
        check_server_name(name).unwrap();
    }
    for name in ["", "zk 1", "zk1:2281", "zürich", ".", "-"] {
        let message = check_server_name(name).unwrap_err().to_string();
        assert_eq!(message, format!("no certificate can be for the name {name:?}"));
    }
}
