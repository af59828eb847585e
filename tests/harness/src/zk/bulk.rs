//! Many requests on their way at once.

use super::{Acl, Zk, ZkError, Znode, makes_no_sense, reply_head, stat, with_acl};
use crate::wire::{Pack, Unpack, op, read_frame};
use std::collections::VecDeque;
use std::io::{self, BufReader, Write};

/// The most requests that wait for their answers: a server that can't get
/// rid of its answers stops reading, and we read nothing while we write.
const WINDOW: usize = 1000;

impl Zk {
    /// Reads many znodes by as few requests as make sense (`multiRead`, of servers from
    /// 3.6 on), without waiting for one answer before the next request.
    ///
    /// # Errors
    ///
    /// The first refusal: `NoNode`, `NoAuth`.
    pub fn get_all(&mut self, paths: &[String]) -> Result<Vec<Znode>, ZkError> {
        const TOGETHER: usize = 100;
        let groups: Vec<&[String]> = paths.chunks(TOGETHER).collect();
        let request = |zk: &mut Self, group: &&[String]| {
            let (xid, request) = zk.bare_request(op::MULTI_READ);
            let parts = group.iter().fold(request, |request, path| {
                request.int(op::GET_DATA).flag(false).int(-1).string(&zk.full(path)).flag(false)
            });
            (xid, parts.int(op::ERROR).flag(true).int(-1))
        };
        let read = self.stream_of(&groups, request, |reply| {
            let mut znodes = Vec::new();
            while let Some(read) = part(reply).ok_or_else(makes_no_sense)? {
                znodes.push(read.map_err(ZkError::of_code)?);
            }
            Ok(znodes)
        })?;
        Ok(read.into_iter().flatten().collect())
    }

    /// Creates many persistent znodes that are open to everybody, in this order.
    ///
    /// # Errors
    ///
    /// The first refusal: `NodeExists`, `NoNode` (no parent), `NoAuth`.
    pub fn create_each(&mut self, znodes: &[(String, String)]) -> Result<(), ZkError> {
        let create = |zk: &mut Self, (path, data): &(String, String)| {
            let (xid, request) = zk.request(op::CREATE, path);
            (xid, with_acl(request.buffer(data.as_bytes()), Acl::Open).int(0))
        };
        self.stream_of(znodes, create, |_| Ok(())).map(drop)
    }

    /// Watches must not be set on this session: what they tell is no answer.
    fn stream_of<I, T>(
        &mut self,
        items: &[I],
        request: impl Fn(&mut Self, &I) -> (i32, Pack),
        read: impl Fn(&mut Unpack<'_>) -> Result<T, ZkError>,
    ) -> Result<Vec<T>, ZkError> {
        let mut answers = Vec::with_capacity(items.len());
        let mut reader = BufReader::with_capacity(64 << 10, self.stream.try_clone()?);
        let mut asked = VecDeque::new();
        let mut batches = items.chunks(WINDOW / 2);
        loop {
            let mut bytes = Vec::new();
            for item in batches.next().unwrap_or_default() {
                let (xid, request) = request(self, item);
                asked.push_back(xid);
                bytes.extend(request.frame());
            }
            self.stream.write_all(&bytes)?;
            let is_last = bytes.is_empty();
            // Half a window stays on its way while the next half is written.
            while asked.len() > if is_last { 0 } else { WINDOW / 2 } {
                let frame = read_frame(&mut reader)?;
                let mut reply = Unpack::new(&frame);
                let (answered, code) = reply_head(&mut reply).ok_or_else(makes_no_sense)?;
                let xid = asked.pop_front();
                if xid != Some(answered) {
                    let what = format!("request {xid:?} got answer {answered}");
                    return Err(io::Error::other(what).into());
                }
                if code != 0 {
                    return Err(ZkError::of_code(code));
                }
                answers.push(read(&mut reply)?);
            }
            if is_last {
                return Ok(answers);
            }
        }
    }
}

/// One part of an answer to many reads: a znode or the code of a refusal, or the end.
fn part(reply: &mut Unpack<'_>) -> Option<Option<Result<Znode, i32>>> {
    let (opcode, is_end, _code) = (reply.int()?, reply.flag()?, reply.int()?);
    Some(match opcode {
        _ if is_end => None,
        op::GET_DATA => Some(Ok(Znode { data: reply.buffer()?, stat: stat(reply)? })),
        _ => Some(Err(reply.int()?)),
    })
}
