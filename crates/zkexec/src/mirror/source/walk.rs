//! A whole subtree, read znode by znode.
//!
//! **Invariant.** What is read stays within the bounds, whatever the server holds.

use super::Unreadable;
use super::request::{BYTES_MAX, ZNODES_MAX};
use farm_core::session::{SessionError, Znode, ZnodePath};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The znodes of a subtree but its top, with their bytes.
pub(super) type Nodes = BTreeMap<ZnodePath, Arc<[u8]>>;

/// What is there of a znode; `None` if there is no such znode.
pub(super) type Maybe<T> = Result<Option<T>, SessionError>;

/// Reads all znodes below `top`; `None` if that is not there.
///
/// `list` and `get` ask the server. A znode without children is listed as well if
/// `lists_all` is set, for the sake of the watch that this leaves. One that goes
/// meanwhile is left out: its watch, or that of the list it stood in, tells.
pub(super) fn walk(
    top: &ZnodePath,
    lists_all: bool,
    mut list: impl FnMut(&ZnodePath) -> Maybe<Vec<String>>,
    mut get: impl FnMut(&ZnodePath) -> Maybe<Znode>,
) -> Result<Option<Nodes>, Unreadable> {
    let Some(names) = list(top)? else { return Ok(None) };
    let mut walk = Walk { nodes: Nodes::new(), unread: Vec::new() };
    walk.listed(top, &names)?;
    let mut bytes = 0;
    while let Some(path) = walk.unread.pop() {
        let Some(znode) = get(&path)? else { continue };
        bytes += znode.data.len();
        if bytes > BYTES_MAX {
            return Err(Unreadable::TooLarge(BYTES_MAX));
        }
        let is_listed = znode.stat.num_children > 0 || lists_all;
        walk.nodes.insert(path.clone(), znode.data.into());
        if is_listed && let Some(names) = list(&path)? {
            walk.listed(&path, &names)?;
        }
    }
    Ok(Some(walk.nodes))
}

struct Walk {
    nodes: Nodes,
    unread: Vec<ZnodePath>,
}

impl Walk {
    fn listed(&mut self, parent: &ZnodePath, names: &[String]) -> Result<(), Unreadable> {
        if self.nodes.len() + self.unread.len() + names.len() > ZNODES_MAX {
            return Err(Unreadable::TooMany(ZNODES_MAX));
        }
        // A path that is longer than we take is longer than a file's can be.
        self.unread.extend(names.iter().filter_map(|name| parent.child(name).ok()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_core::session::Stat;

    fn top() -> ZnodePath {
        ZnodePath::parse("/t").unwrap()
    }

    fn znode(bytes: usize, num_children: i32) -> Maybe<Znode> {
        let stat = Stat { num_children, ..Stat::default() };
        Ok(Some(Znode { data: vec![0; bytes], stat }))
    }

    #[test]
    fn only_what_has_children_is_listed_if_no_watch_is_wanted() {
        for (lists_all, lists) in
            [(false, vec!["/t", "/t/a"]), (true, vec!["/t", "/t/a", "/t/a/b"])]
        {
            let mut listed = Vec::new();
            let list = |path: &ZnodePath| {
                listed.push(path.to_string());
                let names: &[&str] = match path.as_str() {
                    "/t" => &["a"],
                    "/t/a" => &["b"],
                    _ => &[],
                };
                Ok(Some(names.iter().map(|name| (*name).to_owned()).collect()))
            };
            let get = |path: &ZnodePath| znode(3, i32::from(path.as_str() == "/t/a"));
            let nodes = walk(&top(), lists_all, list, get).unwrap().unwrap();
            assert_eq!(nodes.keys().map(ZnodePath::as_str).collect::<Vec<_>>(), ["/t/a", "/t/a/b"]);
            assert_eq!(listed, lists);
        }
    }

    #[test]
    fn too_many_znodes_end_it_before_they_are_read() {
        let names = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        let read = |count: usize| {
            let mut reads = 0;
            let outcome = walk(
                &top(),
                false,
                |_| Ok(Some(names(count))),
                |_| {
                    reads += 1;
                    znode(0, 0)
                },
            );
            (outcome.map(|nodes| nodes.map(|nodes| nodes.len())), reads)
        };
        let (outcome, reads) = read(ZNODES_MAX);
        assert_eq!((outcome.unwrap(), reads), (Some(ZNODES_MAX), ZNODES_MAX));
        let (outcome, reads) = read(ZNODES_MAX + 1);
        assert!(matches!(outcome, Err(Unreadable::TooMany(ZNODES_MAX))));
        assert_eq!(reads, 0);
    }

    #[test]
    fn one_that_never_ends_is_too_many() {
        let list = |_: &ZnodePath| Ok(Some(vec!["d".to_owned(), "e".to_owned()]));
        let outcome = walk(&top(), false, list, |_| znode(0, 2));
        assert!(matches!(outcome, Err(Unreadable::TooMany(_))), "{outcome:?}");
        // One below the other: a path has its bounds too.
        let list = |_: &ZnodePath| Ok(Some(vec!["d".to_owned()]));
        let nodes = walk(&top(), false, list, |_| znode(0, 1)).unwrap().unwrap();
        assert!(nodes.len() < 2100, "{}", nodes.len());
    }

    #[test]
    fn too_many_bytes_end_it() {
        let list = |path: &ZnodePath| {
            let count = if path.as_str() == "/t" { 100 } else { 0 };
            Ok(Some((0..count).map(|number: i32| number.to_string()).collect()))
        };
        let mut reads = 0;
        let outcome = walk(&top(), false, list, |_| {
            reads += 1;
            znode(1_000_000, 0)
        });
        assert!(matches!(outcome, Err(Unreadable::TooLarge(BYTES_MAX))), "{outcome:?}");
        assert_eq!(reads, BYTES_MAX / 1_000_000 + 1);
    }

    #[test]
    fn what_goes_meanwhile_is_left_out() {
        let list = |path: &ZnodePath| match path.as_str() {
            "/t" => Ok(Some(vec!["a".to_owned(), "b".to_owned()])),
            _ => Ok(None),
        };
        let get = |path: &ZnodePath| match path.as_str() {
            "/t/a" => Ok(None),
            _ => znode(1, 1),
        };
        let nodes = walk(&top(), false, list, get).unwrap().unwrap();
        assert_eq!(nodes.keys().map(ZnodePath::as_str).collect::<Vec<_>>(), ["/t/b"]);
        assert!(walk(&top(), false, |_| Ok(None), |_| znode(0, 0)).unwrap().is_none());
    }
}
