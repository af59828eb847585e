//! Conversations in memory, with a server that is not ours.

use super::*;
use crate::session::stream::Closed;
use crate::session::wire::Frames;
use farm_harness::{Authority, Papers, Scratch};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use std::io::{Read, Write};

const NAME: &str = "zk1.example.com";

/// Both ends, and the files of ours.
struct Bench {
    channel: Channel,
    server: ServerConnection,
    frames: Frames,
    heard: Vec<u8>,
    fault: Option<rustls::Error>,
}

fn servers() -> Servers {
    Servers::parse(&format!("{NAME}:2281")).unwrap()
}

fn trusting(scratch: &Scratch, authority: &Authority) -> Tls {
    Tls { ca: Some(scratch.write("ca.pem", authority.pem())), ..Tls::default() }
}

fn server(papers: &Papers, versions: &[&'static SupportedProtocolVersion]) -> ServerConnection {
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

impl Bench {
    fn new(tls: &Tls, server: ServerConnection) -> Self {
        let channel = tls.channel(&servers().list()[0]).unwrap();
        Self { channel, server, frames: Frames::default(), heard: Vec::new(), fault: None }
    }

    /// Carries everything over, so many bytes at a time, until nobody has any.
    fn run(&mut self, step: usize) -> Result<(), Closed> {
        while self.channel.wants_write() || self.server.wants_write() {
            let mut wire = Vec::new();
            while self.channel.wants_write() {
                self.channel.write_to(&mut wire).unwrap();
            }
            for mut piece in wire.chunks(step) {
                while !piece.is_empty() && self.fault.is_none() {
                    self.server.read_tls(&mut piece).unwrap();
                    self.fault = self.server.process_new_packets().err();
                    // Without a word of ours this ends in an error that means just that.
                    drop(self.server.reader().read_to_end(&mut self.heard));
                }
            }
            let mut wire = Vec::new();
            while self.server.wants_write() {
                self.server.write_tls(&mut wire).unwrap();
            }
            for piece in wire.chunks(step) {
                self.channel.open(piece, &mut self.frames)?;
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
            let mut bench = Bench::new(&tls, server(&papers, &[version]));
            bench.run(step).unwrap();
            assert!(bench.channel.is_secure());
            let said = vec![7; 100_000];
            let mut rest = &said[..];
            while !rest.is_empty() {
                let taken = bench.channel.seal(rest);
                assert!(taken > 0);
                rest = &rest[taken..];
                bench.run(step).unwrap();
            }
            assert!(bench.heard == said, "{} bytes", bench.heard.len());
            // A frame of three records, and one that ends in the middle of the last.
            let mut answer = 40_000_i32.to_be_bytes().to_vec();
            answer.extend(vec![9; 40_000]);
            bench.server.set_buffer_limit(None);
            bench.server.writer().write_all(&[&answer[..], &answer[..]].concat()).unwrap();
            bench.run(step).unwrap();
            for _ in 0..2 {
                let frame = bench.frames.next().unwrap().expect("it has all arrived");
                assert!(frame.len() == 40_000 && frame.iter().all(|byte| *byte == 9));
            }
            assert_eq!(bench.frames.next().unwrap(), None);
        }
    }
}

#[test]
fn a_stranger_is_told_nothing() {
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
    for (papers, told) in table {
        for version in [&TLS12, &TLS13] {
            let mut bench = Bench::new(&tls, server(&papers, &[version]));
            assert_eq!(bench.channel.seal(b"the password"), 0);
            assert_eq!(bench.run(1 << 20), Err(Closed), "{told}");
            assert_eq!(bench.channel.seal(b"the password"), 0);
            assert!(bench.channel.why_closed().to_string().starts_with(told), "{told}");
            // The server learns why, and nothing else.
            bench.run(1 << 20).unwrap_or_default();
            assert!(matches!(bench.fault, Some(rustls::Error::AlertReceived(_))));
            assert_eq!(bench.heard, b"");
        }
    }
}

#[test]
fn what_is_no_tls_is_told_as_that() {
    let (scratch, authority) = (Scratch::new(), Authority::new("farm"));
    let tls = trusting(&scratch, &authority);
    let opened = |bytes: &[u8]| {
        let mut channel = tls.channel(&servers().list()[0]).unwrap();
        assert_eq!(channel.open(bytes, &mut Frames::default()), Err(Closed));
        assert!(channel.is_garbled());
        channel.why_closed().to_string()
    };
    assert_eq!(opened(b"SSH-2.0-OpenSSH_9.2\r\n"), "server speaks no TLS");
    assert_eq!(opened(&[0, 0, 0, 8]), "server speaks no TLS");
    assert_eq!(opened(&[22, 3, 3, 0, 2, 9, 9, 9]), "no agreement with the server");
    let channel = tls.channel(&servers().list()[0]).unwrap();
    assert!(channel.why_closed().to_string().starts_with("server hung up in the handshake"));
}

#[test]
fn a_farewell_is_said_and_heard() {
    let (scratch, authority) = (Scratch::new(), Authority::new("farm"));
    let papers = authority.issue(&[NAME]);
    let mut bench = Bench::new(&trusting(&scratch, &authority), server(&papers, &[&TLS13]));
    bench.run(1 << 20).unwrap();
    bench.channel.say_goodbye();
    bench.run(1 << 20).unwrap();
    assert!(bench.server.reader().read(&mut [0; 8]).is_ok_and(|read| read == 0));
    bench.server.send_close_notify();
    assert_eq!(bench.run(1 << 20), Err(Closed));
    assert!(!bench.channel.is_garbled());
}

#[test]
fn files_that_cannot_work_are_named_with_the_reason() {
    let (scratch, authority) = (Scratch::new(), Authority::new("farm"));
    let good = trusting(&scratch, &authority);
    good.check(&servers()).unwrap();
    let told = |tls: Tls| {
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
    let table = [
        (with_ca(&scratch.join("none")), "none: No such file or directory (os error 2)"),
        (with_ca(&scratch.path().to_owned()), ": it is no regular file"),
        (with_ca(&long), "long: it is too long"),
        (with_ca(&key), "key: it holds no certificate that can be used"),
        (with_ca(&nonsense), "nonsense: it is not PEM"),
        (showing(&key, &key), "key: it holds no certificate that can be used"),
        (showing(&cert, &cert), "cert: it holds no private key that is not encrypted"),
        (showing(&cert, &locked), "locked: it holds no private key that is not encrypted"),
        (showing(&cert, &scratch.write("other", &other.key)), "other: it is not the key of the"),
    ];
    for (tls, wanted) in table {
        let told = told(tls);
        assert!(told.starts_with("cannot use ") && told.contains(wanted), "{told}");
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
        let told = check_server_name(name).unwrap_err().to_string();
        assert_eq!(told, format!("no certificate can be for the name {name:?}"));
    }
}
