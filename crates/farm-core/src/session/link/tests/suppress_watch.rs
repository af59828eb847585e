use super::*;

/// The body that the server receives if the library reads this path with a watch.
fn read(fixture: &mut Fixture, opcode: i32, path: &str) -> Vec<u8> {
    fixture.sent();
    let frame = content(FrameBuilder::request(7, opcode).text(path).byte(1));
    fixture.link.client_frame(fixture.now, &frame);
    contents(&std::mem::take(&mut fixture.link.out.to_server)).remove(0)[8..].to_vec()
}

fn body(path: &str, watch: u8) -> Vec<u8> {
    content(FrameBuilder::new().text(path).byte(watch))
}

#[test]
fn the_top_of_a_watched_tree_gets_no_watch_of_its_own() {
    let mut fixture = Fixture::up();
    assert_eq!(read(&mut fixture, EXISTS, "/farm"), body("/farm", 1));
    let _answered = fixture.own_watch("/farm");
    // The watch counts as soon as it is sent, and on every later server.
    for is_answered in [false, true] {
        if is_answered {
            fixture.server(reply(1, NO_NODE));
            fixture.server(reply(2, code::OK));
        }
        for opcode in [EXISTS, opcode::GET_DATA] {
            assert_eq!(read(&mut fixture, opcode, "/farm"), body("/farm", 0));
            assert_eq!(read(&mut fixture, opcode, "/farm/a"), body("/farm/a", 1));
            assert_eq!(read(&mut fixture, opcode, "/far"), body("/far", 1));
        }
        // A watch on the list of children does not conflict.
        assert_eq!(read(&mut fixture, opcode::GET_CHILDREN, "/farm"), body("/farm", 1));
    }
}

#[test]
fn other_requests_pass_unchanged() {
    let mut fixture = Fixture::up();
    let _answered = fixture.own_watch("/farm");
    for odd in
        [&b""[..], b"\0", b"\0\0\0\x05/farm", b"\xff\xff\xff\xff\x01", b"\0\0\0\x05/farm\x01\x01"]
    {
        assert_eq!(*suppress_watch(&fixture.link.backlog, EXISTS, odd), *odd);
    }
}
