use super::*;

/// What the server is asked for when the library reads so, with a watch.
fn read(bench: &mut Bench, opcode: i32, path: &str) -> Vec<u8> {
    bench.sent();
    let frame = content(FrameBuilder::request(7, opcode).text(path).byte(1));
    bench.link.client_frame(bench.now, &frame);
    contents(&std::mem::take(&mut bench.link.out.to_server)).remove(0)[8..].to_vec()
}

fn body(path: &str, watch: u8) -> Vec<u8> {
    content(FrameBuilder::new().text(path).byte(watch))
}

#[test]
fn the_top_of_a_watched_tree_gets_no_watch_of_its_own() {
    let mut bench = Bench::up();
    assert_eq!(read(&mut bench, EXISTS, "/farm"), body("/farm", 1));
    let _answered = bench.own_watch("/farm");
    // It counts as soon as it is on the wire, and on every server after that.
    for is_answered in [false, true] {
        if is_answered {
            bench.server(reply(1, NO_NODE));
            bench.server(reply(2, code::OK));
        }
        for opcode in [EXISTS, opcode::GET_DATA] {
            assert_eq!(read(&mut bench, opcode, "/farm"), body("/farm", 0));
            assert_eq!(read(&mut bench, opcode, "/farm/a"), body("/farm/a", 1));
            assert_eq!(read(&mut bench, opcode, "/far"), body("/far", 1));
        }
        // The tree says which children come and go; this one is about the list.
        assert_eq!(read(&mut bench, opcode::GET_CHILDREN, "/farm"), body("/farm", 1));
    }
}

#[test]
fn what_is_no_such_request_goes_on_as_it_came() {
    let mut bench = Bench::up();
    let _answered = bench.own_watch("/farm");
    for odd in
        [&b""[..], b"\0", b"\0\0\0\x05/farm", b"\xff\xff\xff\xff\x01", b"\0\0\0\x05/farm\x01\x01"]
    {
        assert_eq!(*suppress_watch(&bench.link.backlog, EXISTS, odd), *odd);
    }
}
