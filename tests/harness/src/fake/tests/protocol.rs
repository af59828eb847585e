use crate::raw_client::{RawClient, create_request};
use crate::wire::{Pack, Unpack, code, op};
use crate::{FakeServer, RecordedRequest};

fn server_and_client() -> (FakeServer, RawClient) {
    let server = FakeServer::start();
    let client = RawClient::connect(server.addr()).unwrap();
    (server, client)
}

fn part(pack: Pack, opcode: i32, request: Pack) -> Pack {
    pack.int(opcode).flag(false).int(-1).bytes(&request.body())
}

fn end(pack: Pack) -> Pack {
    pack.int(-1).flag(true).int(-1)
}

#[test]
fn requests_find_their_answers() {
    let (server, mut client) = server_and_client();
    assert_eq!(client.create("/a", b"1", 0), Ok("/a".to_owned()));
    assert_eq!(client.create("/a", b"1", 0), Err(code::NODE_EXISTS));
    assert_eq!(client.create("/a/s-", b"", 2), Ok("/a/s-0000000000".to_owned()));
    assert_eq!(client.get("/a", false), Ok(b"1".to_vec()));
    assert_eq!(client.get("/b", false), Err(code::NO_NODE));
    assert_eq!(client.set("/a", b"22"), Ok(()));
    assert_eq!(server.get("/a"), Some(b"22".to_vec()));
    assert_eq!(server.version("/a"), Some(1));
    assert_eq!(client.children("/", false), Ok(vec!["a".to_owned(), "zookeeper".to_owned()]));
    let delete = |path: &str, version| Pack::new().string(path).int(version);
    assert_eq!(client.ask(op::DELETE, delete("/a", -1)), Err(code::NOT_EMPTY));
    assert_eq!(client.ask(op::DELETE, delete("/a/s-0000000000", 5)), Err(code::BAD_VERSION));
    assert_eq!(client.ask(op::DELETE, delete("/a/s-0000000000", 0)), Ok(Vec::new()));
    assert_eq!(client.ask(op::SYNC, Pack::new().string("/")), Ok(Pack::new().string("/").body()));
    assert_eq!(client.ask(op::GET_DATA, Pack::new().int(99)), Err(code::MARSHALLING_ERROR));
    client.ping();
    assert_eq!(server.pings(), 1);
}

#[test]
fn stat_tells_versions_owner_and_sizes() {
    let (server, mut client) = server_and_client();
    client.create("/a", b"12345", 0).unwrap();
    client.create("/a/e", b"", 1).unwrap();
    client.set("/a", b"123").unwrap();
    server.put("/a/p", b"");
    server.delete("/a/p");
    let stat = |client: &mut RawClient, path: &str| {
        let body = client.ask(op::EXISTS, Pack::new().string(path).flag(false)).unwrap();
        assert_eq!(body.len(), 68);
        let mut unpack = Unpack::new(&body);
        let (created, modified) = (unpack.long().unwrap(), unpack.long().unwrap());
        let (ctime, mtime) = (unpack.long().unwrap(), unpack.long().unwrap());
        assert!(created <= modified && ctime <= mtime && ctime > 1_600_000_000_000);
        let versions = [unpack.int().unwrap(), unpack.int().unwrap(), unpack.int().unwrap()];
        let owner = unpack.long().unwrap();
        let counts = [unpack.int().unwrap(), unpack.int().unwrap()];
        assert!(unpack.long().unwrap() >= created);
        (versions, owner, counts)
    };
    // cversion is 3: two children were created, one was deleted.
    assert_eq!(stat(&mut client, "/a"), ([1, 3, 0], 0, [3, 1]));
    assert_eq!(stat(&mut client, "/a/e"), ([0, 0, 0], client.session, [0, 0]));
    assert_eq!(server.owner("/a/e"), Some(client.session));
}

#[test]
fn multi_does_all_or_nothing() {
    let (server, mut client) = server_and_client();
    server.put("/a", b"old");
    let replace = |version| {
        let deleted = part(Pack::new(), op::DELETE, Pack::new().string("/a").int(version));
        end(part(deleted, op::CREATE, create_request("/a", b"new", 1)))
    };
    let refused = client.ask(op::MULTI, replace(7)).unwrap();
    let error = |pack: Pack, error| pack.int(-1).flag(false).int(error).int(error);
    let expected = end(error(error(Pack::new(), code::BAD_VERSION), code::RUNTIME_INCONSISTENCY));
    assert_eq!(refused, expected.body());
    assert_eq!(server.get("/a"), Some(b"old".to_vec()));
    let done = client.ask(op::MULTI, replace(0)).unwrap();
    let deleted = Pack::new().int(op::DELETE).flag(false).int(0);
    let expected = end(deleted.int(op::CREATE).flag(false).int(0).string("/a"));
    assert_eq!(done, expected.body());
    assert_eq!(server.get("/a"), Some(b"new".to_vec()));
    assert_eq!(server.owner("/a"), Some(client.session));
    let seen: Vec<RecordedRequest> = server.requests();
    assert_eq!(
        seen.iter().map(|seen| (seen.opcode, seen.path.as_deref())).collect::<Vec<_>>(),
        [(op::MULTI, Some("/a")), (op::MULTI, Some("/a"))]
    );
    assert!(seen.iter().all(|seen| seen.session == client.session));
}

#[test]
fn multi_read_answers_each_part_by_itself() {
    let (server, mut client) = server_and_client();
    server.put("/a/b", b"x");
    let ask = |path: &str| Pack::new().string(path).flag(false);
    let parts = part(Pack::new(), op::GET_CHILDREN, ask("/a"));
    let parts = end(part(parts, op::GET_DATA, ask("/none")));
    let body = client.ask(op::MULTI_READ, parts).unwrap();
    let expected = Pack::new().int(op::GET_CHILDREN).flag(false).int(0).strings(&["b".to_owned()]);
    let expected = expected.int(-1).flag(false).int(code::NO_NODE).int(code::NO_NODE);
    assert_eq!(body, end(expected).body());
}

#[test]
fn watches_tell_what_others_do() {
    let (server, mut client) = server_and_client();
    server.put("/a", b"");
    client.get("/a", true).unwrap();
    client.children("/a", true).unwrap();
    assert_eq!(
        client.ask(op::EXISTS, Pack::new().string("/n").flag(true)),
        Err(code::NO_NODE),
        "and waits all the same"
    );
    server.put("/a", b"1");
    assert_eq!(client.event(), (3, "/a".to_owned()));
    server.put("/a", b"2");
    server.put("/a/b", b"");
    assert_eq!(client.event(), (4, "/a".to_owned()), "one-shot: the second put sends no event");
    server.put("/n", b"");
    assert_eq!(client.event(), (1, "/n".to_owned()));
    for (path, mode) in [("/a", 0), ("/", 1)] {
        let added = client.ask(op::ADD_WATCH, Pack::new().string(path).int(mode));
        assert_eq!(added, Ok(Pack::new().int(0).body()));
    }
    for _ in 0..2 {
        server.put("/a/c", b"");
        assert_eq!(client.event(), (1, "/a/c".to_owned()));
        assert_eq!(client.event(), (4, "/a".to_owned()));
        server.delete("/a/c");
        assert_eq!(client.event(), (2, "/a/c".to_owned()));
        assert_eq!(client.event(), (4, "/a".to_owned()));
    }
    assert!(client.receives_nothing());
}

#[test]
fn own_write_is_told_before_it_is_answered() {
    let (_server, mut client) = server_and_client();
    client.create("/a", b"", 0).unwrap();
    client.get("/a", true).unwrap();
    let xid = client.send(op::SET_DATA, Pack::new().string("/a").buffer(b"1").int(-1));
    assert_eq!(client.event(), (3, "/a".to_owned()));
    assert_eq!(client.receive().unwrap().xid, xid);
}

#[test]
fn set_watches_tells_what_was_missed_and_waits_for_the_rest() {
    let (server, mut client) = server_and_client();
    server.put("/a", b"");
    server.put("/same", b"");
    client.get("/a", true).unwrap();
    server.cut();
    let body = client.resume(server.addr());
    let mut again = body.unwrap();
    let zxid = 4;
    server.put("/a", b"1");
    let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let request = Pack::new()
        .long(zxid)
        .strings(&list(&["/a", "/gone", "/same"]))
        .strings(&list(&["/same", "/never"]))
        .strings(&list(&["/same"]));
    let xid = again.send(op::SET_WATCHES, request);
    assert_eq!(again.event(), (3, "/a".to_owned()));
    assert_eq!(again.event(), (2, "/gone".to_owned()));
    assert_eq!(again.event(), (1, "/same".to_owned()));
    assert_eq!(again.receive().unwrap().xid, xid);
    server.put("/same", b"1");
    assert_eq!(again.event(), (3, "/same".to_owned()));
    server.put("/same/child", b"");
    assert_eq!(again.event(), (4, "/same".to_owned()));
    server.put("/never", b"");
    assert_eq!(again.event(), (1, "/never".to_owned()));
}

#[test]
fn locked_node_opens_to_its_credentials_only() {
    let (server, mut client) = server_and_client();
    server.put("/a", b"secret");
    server.lock("/a", "digest", b"me:pw");
    assert_eq!(client.get("/a", false), Err(code::NO_AUTH));
    assert_eq!(client.create("/a/b", b"", 0), Err(code::NO_AUTH));
    let auth = |secret: &[u8]| Pack::new().int(0).string("digest").buffer(secret);
    assert_eq!(client.ask(op::AUTH, auth(b"me:wrong")), Ok(Vec::new()));
    assert_eq!(client.get("/a", false), Err(code::NO_AUTH));
    assert_eq!(client.ask(op::AUTH, auth(b"me:pw")), Ok(Vec::new()));
    assert_eq!(client.get("/a", false), Ok(b"secret".to_vec()));
    let acl = client.ask(op::GET_ACL, Pack::new().string("/a")).unwrap();
    let open = Pack::new().int(1).int(31).string("world").string("anyone").body();
    assert_eq!(acl[..open.len()], open);
}
