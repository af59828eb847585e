//! Several operations in one request: a replacement, and many reads.
//!
//! Such a request is a list of parts, each with a head of its own, and so is its answer.
//!
//! **Invariant.** As in [`wire`](super::wire), nothing here trusts a length or a count:
//! what is decoded from an answer is never larger than the answer.

use super::wire::{Fields, FrameBuilder, Garbled, code, opcode};
use super::{Acl, Stat, Znode};

/// In place of an opcode: in a part that failed, and in the end marker.
const NO_OPCODE: i32 = -1;

/// The body of a `multi` request that deletes a znode of this version and creates it as
/// an ephemeral one of ours with this access list, in one transaction.
pub(super) fn replace_body(path: &str, version: i32, data: &[u8], acl: &Acl) -> Vec<u8> {
    const EPHEMERAL: i32 = 1;
    let builder = part(FrameBuilder::new(), opcode::DELETE).text(path).int(version);
    let builder = part(builder, opcode::CREATE).text(path).buffer(data);
    let entries = acl.entries();
    let builder = builder.int(i32::try_from(entries.len()).unwrap_or(i32::MAX));
    let builder = entries.iter().fold(builder, |builder, entry| {
        builder.int(entry.permissions).text(&entry.scheme).text(&entry.id)
    });
    end(builder.int(EPHEMERAL))
}

/// The code of the part that made a `multi` fail, or zero.
pub(super) fn multi_code(body: &[u8]) -> Result<i32, Garbled> {
    // After a failure every part is answered by an error: zero for the parts before the
    // one that failed, its own code, and this code for those after it.
    const NOT_TRIED: i32 = -2;
    let mut fields = Fields::of(body);
    let mut failed_code = code::OK;
    loop {
        let kind = fields.int()?;
        let is_done = fields.byte()? != 0;
        let code = fields.int()?;
        match kind {
            _ if is_done => return Ok(failed_code),
            NO_OPCODE => {
                let code_again = fields.int()?;
                let code = if code == 0 { code_again } else { code };
                if code != code::OK && (failed_code == code::OK || failed_code == NOT_TRIED) {
                    failed_code = code;
                }
            }
            opcode::CREATE => drop(fields.buffer()?),
            opcode::DELETE => {}
            _ => return Err(Garbled("an answer of an unknown kind in a multi")),
        }
    }
}

/// The body of a `multiRead` request for the data of all these znodes.
pub(super) fn read_body<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    const NO_WATCH: u8 = 0;
    let parts = paths.into_iter().fold(FrameBuilder::new(), |builder, path| {
        part(builder, opcode::GET_DATA).text(path).byte(NO_WATCH)
    });
    end(parts)
}

/// The outcome of each read, in the order of the request: a znode, or an error code.
pub(super) fn read_answers(body: &[u8], count: usize) -> Result<Vec<Result<Znode, i32>>, Garbled> {
    let mut fields = Fields::of(body);
    let mut answers = Vec::with_capacity(count);
    loop {
        let kind = fields.int()?;
        let is_done = fields.byte()? != 0;
        let code = fields.int()?;
        match kind {
            _ if is_done && answers.len() == count && fields.left() == 0 => return Ok(answers),
            _ if is_done || answers.len() == count => {
                return Err(Garbled("a wrong number of answers in a multiRead"));
            }
            opcode::GET_DATA if code == code::OK => {
                let data = fields.buffer()?.to_vec();
                answers.push(Ok(Znode { data, stat: stat(&mut fields)? }));
            }
            NO_OPCODE => match (fields.int()?, code) {
                (code::OK, code::OK) => return Err(Garbled("an error without a code")),
                (code::OK, code) | (code, _) => answers.push(Err(code)),
            },
            _ => return Err(Garbled("an answer of an unknown kind in a multiRead")),
        }
    }
}

fn stat(fields: &mut Fields<'_>) -> Result<Stat, Garbled> {
    let (czxid, mzxid) = (fields.long()?, fields.long()?);
    let (ctime_ms, mtime_ms) = (fields.long()?, fields.long()?);
    let version = fields.int()?;
    let (_children_version, _acl_version) = (fields.int()?, fields.int()?);
    let ephemeral_owner = fields.long()?;
    let (data_length, num_children) = (fields.int()?, fields.int()?);
    let _children_zxid = fields.long()?;
    Ok(Stat {
        czxid,
        mzxid,
        ctime_ms,
        mtime_ms,
        version,
        ephemeral_owner,
        data_length,
        num_children,
    })
}

/// The head of one part of a request.
fn part(builder: FrameBuilder, opcode: i32) -> FrameBuilder {
    builder.int(opcode).byte(0).int(-1)
}

/// The finished body, with the end marker.
fn end(builder: FrameBuilder) -> Vec<u8> {
    builder.int(NO_OPCODE).byte(1).int(-1).finish().split_off(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_NODE: i32 = -101;
    const BAD_VERSION: i32 = -103;
    const NODE_EXISTS: i32 = -110;

    #[test]
    fn a_failed_multi_names_the_part_that_failed() {
        let error = |b: FrameBuilder, code| b.int(-1).byte(0).int(code).int(code);
        let body = error(error(FrameBuilder::new(), BAD_VERSION), -2);
        let body = body.int(-1).byte(1).int(-1).finish();
        assert_eq!(multi_code(&body[4..]), Ok(BAD_VERSION));
        let body = error(error(FrameBuilder::new(), 0), NODE_EXISTS);
        let body = body.int(-1).byte(1).int(-1).finish();
        assert_eq!(multi_code(&body[4..]), Ok(NODE_EXISTS));
    }

    #[test]
    fn a_replacement_gets_the_access_list() {
        let acl = Acl::parse("auth::rw,ip:::1:c").unwrap();
        let body = replace_body("/a", 3, b"x", &acl);
        let mut fields = Fields::of(&body);
        let part = |fields: &mut Fields<'_>| (fields.int(), fields.byte(), fields.int());
        assert_eq!(part(&mut fields), (Ok(opcode::DELETE), Ok(0), Ok(-1)));
        assert_eq!((fields.text(), fields.int()), (Ok("/a"), Ok(3)));
        assert_eq!(part(&mut fields), (Ok(opcode::CREATE), Ok(0), Ok(-1)));
        assert_eq!((fields.text(), fields.text(), fields.int()), (Ok("/a"), Ok("x"), Ok(2)));
        assert_eq!((fields.int(), fields.text(), fields.text()), (Ok(3), Ok("auth"), Ok("")));
        assert_eq!((fields.int(), fields.text(), fields.text()), (Ok(4), Ok("ip"), Ok("::1")));
        assert_eq!(fields.int(), Ok(1));
        assert_eq!(part(&mut fields), (Ok(-1), Ok(1), Ok(-1)));
        assert!(fields.byte().is_err());
    }

    /// A znode as a server sends it: its data and the numbers 1 to 11.
    fn good(builder: FrameBuilder, data: &[u8]) -> FrameBuilder {
        let builder = builder.int(opcode::GET_DATA).byte(0).int(0).buffer(data);
        let builder = builder.long(1).long(2).long(3).long(4).int(5).int(6).int(7);
        builder.long(8).int(9).int(10).long(11)
    }

    fn bad(builder: FrameBuilder, code: i32) -> FrameBuilder {
        builder.int(NO_OPCODE).byte(0).int(code).int(code)
    }

    #[test]
    fn many_reads_are_answered_one_by_one() {
        let body = end(bad(good(good(FrameBuilder::new(), b"x"), b""), NO_NODE));
        let answers = read_answers(&body, 3).unwrap();
        let znode = answers[0].as_ref().unwrap();
        let stat = Stat {
            czxid: 1,
            mzxid: 2,
            ctime_ms: 3,
            mtime_ms: 4,
            version: 5,
            ephemeral_owner: 8,
            data_length: 9,
            num_children: 10,
        };
        assert_eq!((&*znode.data, znode.stat), (&b"x"[..], stat));
        assert_eq!(answers[1].as_ref().unwrap().data, b"");
        assert_eq!(answers[2], Err(NO_NODE));
        assert_eq!(read_answers(&end(FrameBuilder::new()), 0), Ok(vec![]));
    }

    #[test]
    fn an_answer_that_is_not_one_to_each_read_is_refused() {
        let body = end(good(good(FrameBuilder::new(), b"x"), b"y"));
        assert!(read_answers(&body, 2).is_ok());
        for count in [0, 1, 3] {
            assert!(read_answers(&body, count).is_err(), "{count}");
        }
        for length in 0..body.len() {
            assert!(read_answers(&body[..length], 2).is_err(), "{length} bytes");
        }
        assert!(read_answers(&[&body[..], b"!"].concat(), 2).is_err());
        for odd in [
            bad(FrameBuilder::new(), 0),
            good(FrameBuilder::new(), b"x").int(opcode::CREATE).byte(0).int(0),
            FrameBuilder::new().int(opcode::GET_DATA).byte(0).int(0).int(i32::MAX),
            FrameBuilder::new().int(opcode::GET_DATA).byte(0).int(NO_NODE),
        ] {
            assert!(read_answers(&end(odd), 1).is_err());
        }
    }

    #[test]
    fn a_request_for_many_reads_names_each_path() {
        let body = read_body(["/a", "/b"]);
        let mut fields = Fields::of(&body);
        let head = |fields: &mut Fields<'_>| (fields.int(), fields.byte(), fields.int());
        for path in ["/a", "/b"] {
            assert_eq!(head(&mut fields), (Ok(opcode::GET_DATA), Ok(0), Ok(-1)));
            assert_eq!((fields.text(), fields.byte()), (Ok(path), Ok(0)));
        }
        assert_eq!((head(&mut fields), fields.left()), ((Ok(-1), Ok(1), Ok(-1)), 0));
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut bytes = end(bad(good(FrameBuilder::new(), b"data"), NO_NODE));
            for _ in 0..rng.usize(1..5) {
                let at = rng.usize(..bytes.len());
                bytes[at] = rng.u8(..);
            }
            bytes.truncate(rng.usize(..=bytes.len()));
            let _code = multi_code(&bytes);
            let _answers = read_answers(&bytes, 2);
        }
    }
}
