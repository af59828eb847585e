//! Pipelined requests.

use super::reply::{head, malformed};
use super::{Acl, Zk, ZkError, Znode, stat, with_acl};
use crate::wire::{Pack, Unpack, op, read_frame};
use std::collections::VecDeque;
use std::io::{self, BufReader, Write};

/// The maximum number of unanswered requests. A server whose answers are not read stops
/// reading, and this client reads nothing while it writes: more could deadlock.
const WINDOW: usize = 1000;

impl Zk {
    /// Reads many znodes with pipelined `multiRead` requests, which servers know from 3.6 on.
    ///
    /// # Errors
    ///
    /// The first error: `NoNode`, `NoAuth`.
    pub fn get_all(&mut self, paths: &[String]) -> Result<Vec<Znode>, ZkError> {
        const READS_PER_REQUEST: usize = 100;
        let groups: Vec<&[String]> = paths.chunks(READS_PER_REQUEST).collect();
        let request = |zk: &mut Self, group: &&[String]| {
            let (xid, request) = zk.bare_request(op::MULTI_READ);
            let parts = group.iter().fold(request, |request, path| {
                request.int(op::GET_DATA).flag(false).int(-1).string(&zk.full(path)).flag(false)
            });
            (xid, parts.int(op::ERROR).flag(true).int(-1))
        };
        let read = self.pipeline(&groups, request, |reply| {
            let mut znodes = Vec::new();
            while let Some(read) = part(reply).ok_or_else(malformed)? {
                znodes.push(read.map_err(ZkError::from_code)?);
            }
            Ok(znodes)
        })?;
        Ok(read.into_iter().flatten().collect())
    }

    /// Creates many persistent znodes that are open to everybody, in this order.
    ///
    /// # Errors
    ///
    /// The first error: `NodeExists`, `NoNode` (no parent), `NoAuth`.
    pub fn create_each(&mut self, znodes: &[(String, String)]) -> Result<(), ZkError> {
        let create = |zk: &mut Self, (path, data): &(String, String)| {
            let (xid, request) = zk.request(op::CREATE, path);
            (xid, with_acl(request.buffer(data.as_bytes()), Acl::Open).int(0))
        };
        self.pipeline(znodes, create, |_| Ok(())).map(drop)
    }

    /// Sends the requests for all items and reads their answers. The session must have no
    /// watches: an event would be taken for an answer.
    fn pipeline<I, T>(
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
            // Half a window stays unanswered while the next half is written.
            while asked.len() > if is_last { 0 } else { WINDOW / 2 } {
                let frame = read_frame(&mut reader)?;
                let mut reply = Unpack::new(&frame);
                let (answered, code) = head(&mut reply).ok_or_else(malformed)?;
                let xid = asked.pop_front();
                if xid != Some(answered) {
                    let what = format!("request {xid:?} got answer {answered}");
                    return Err(io::Error::other(what).into());
                }
                if code != 0 {
                    return Err(ZkError::from_code(code));
                }
                answers.push(read(&mut reply)?);
            }
            if is_last {
                return Ok(answers);
            }
        }
    }
}

/// One part of the answer to a `multiRead`: a znode or an error code, or `None` at the end.
fn part(reply: &mut Unpack<'_>) -> Option<Option<Result<Znode, i32>>> {
    let (opcode, is_end, _code) = (reply.int()?, reply.flag()?, reply.int()?);
    Some(match opcode {
        _ if is_end => None,
        op::GET_DATA => Some(Ok(Znode { data: reply.buffer()?, stat: stat(reply)? })),
        _ => Some(Err(reply.int()?)),
    })
}
