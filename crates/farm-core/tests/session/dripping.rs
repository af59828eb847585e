//! An answer that arrives byte by byte and never ends.

use crate::fixture::{Fixture, path, timed};
use farm_core::session::{SESSION_TIMEOUT_LEAST, SessionError, Watch};
use farm_harness::patience;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::Builder;
use std::time::Duration;

/// Far shorter than any timeout for silence.
const DRIP_INTERVAL: Duration = Duration::from_millis(100);

/// A connect response that grants the shortest timeout.
fn connect_response() -> Vec<u8> {
    let timeout_ms = i32::try_from(SESSION_TIMEOUT_LEAST.as_millis()).unwrap();
    let parts: [&[u8]; 6] = [
        &0_i32.to_be_bytes(),
        &timeout_ms.to_be_bytes(),
        &7_i64.to_be_bytes(),
        &[0, 0, 0, 16],
        &[1; 16],
        &[0],
    ];
    let response = parts.concat();
    [&i32::try_from(response.len()).unwrap().to_be_bytes(), &*response].concat()
}

/// Sends a byte of an endless answer whenever nothing has arrived for an interval, until
/// the connection ends.
fn drip(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(DRIP_INTERVAL)).unwrap();
    let endless = (1_i32 << 20).to_be_bytes();
    let mut drops = endless.into_iter().chain(std::iter::repeat(0));
    let mut received = [0; 4096];
    loop {
        match stream.read(&mut received) {
            Ok(1..) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if stream.write_all(&[drops.next().unwrap()]).is_err() {
                    return;
                }
            }
            Ok(0) | Err(_) => return,
        }
    }
}

#[test]
fn a_server_that_drips_is_cut_in_bounded_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fixture = Fixture::open(&[&listener.local_addr().unwrap()]);
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream.write_all(&connect_response()).unwrap();
        timed(|| drip(&mut stream)).1
    };
    let server = Builder::new().name("dripper".to_owned()).spawn(serve).unwrap();
    fixture.connected_anew();
    let (read, took) = timed(|| fixture.run(|client| client.get(&path("/a"), Watch::No)));
    assert!(matches!(read, Err(SessionError::Disconnected)), "{read:?}");
    fixture.suspended();
    // For a session timeout of 4 s an answer may take a second, a whole one three.
    assert!(took >= Duration::from_millis(2900), "{took:?}");
    assert!(server.join().unwrap() < patience(Duration::from_secs(6)), "{took:?}");
    fixture.session.abandon();
}
