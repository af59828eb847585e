//! One thing at a time is taken from a tool that works, and given back.
//!
//! While it is away, TERM ends the tool in time and nothing is lost. When it is back, the tool
//! catches up by itself; and after an end while it was away, the next start does.

mod rig;
mod thing;

use self::rig::{Kind, Rig};
use self::thing::Thing;
use farm_harness::{Ensemble, Scratch};

/// Runs the whole story with one tool and one thing.
fn is_missed_and_comes_back(kind: Kind, thing: Thing) {
    let scratch = Scratch::new();
    // A server that is killed is nobody else's.
    let own = (thing == Thing::Server).then(|| Ensemble::start(1));
    let ensemble = own.as_ref().unwrap_or_else(|| Ensemble::shared());
    let Some(mut rig) = Rig::prepare(kind, thing, ensemble, &scratch) else { return };
    rig.start();
    rig.change(1);
    rig.wait_change(1);

    rig.take_away();
    rig.change(2);
    rig.wait_noticed(1);
    rig.stay_away();
    rig.give_back();
    rig.wait_change(2);
    rig.change(3);
    rig.wait_change(3);

    rig.take_away();
    rig.change(4);
    rig.wait_noticed(2);
    rig.terminate();
    rig.give_back();
    rig.start();
    rig.wait_change(4);
    rig.change(5);
    rig.wait_change(5);
    rig.terminate();
}

/// Without memory, a tool may end, but leaves its file whole, and another start goes on from there.
fn may_end_without_memory(kind: Kind) {
    let scratch = Scratch::new();
    let ensemble = Ensemble::shared();
    let Some(mut rig) = Rig::prepare(kind, Thing::Memory, ensemble, &scratch) else { return };
    rig.start();
    for number in 1..=5 {
        rig.take_away();
        rig.change(number);
        rig.outlast();
        rig.give_back();
        rig.start_again();
        rig.wait_change(number);
    }
    rig.terminate();
}

macro_rules! stories {
    ($($tool:ident: $kind:expr;)*) => {$(
        mod $tool {
            use super::*;

            #[test]
            fn and_the_reader_of_stderr() {
                is_missed_and_comes_back($kind, Thing::StderrReader);
            }

            #[test]
            fn and_descriptors() {
                is_missed_and_comes_back($kind, Thing::Descriptors);
            }

            #[test]
            fn and_threads() {
                is_missed_and_comes_back($kind, Thing::Threads);
            }

            #[test]
            fn and_memory() {
                may_end_without_memory($kind);
            }

            #[test]
            fn and_the_disk() {
                is_missed_and_comes_back($kind, Thing::Disk);
            }

            #[test]
            fn and_inotify_watches() {
                is_missed_and_comes_back($kind, Thing::InotifyWatches);
            }

            #[test]
            fn and_the_network() {
                is_missed_and_comes_back($kind, Thing::Network);
            }

            #[test]
            fn and_the_server() {
                is_missed_and_comes_back($kind, Thing::Server);
            }

            #[test]
            fn and_the_session() {
                is_missed_and_comes_back($kind, Thing::Session);
            }

            #[test]
            fn and_the_directory() {
                is_missed_and_comes_back($kind, Thing::Directory);
            }

            #[test]
            fn and_the_clock() {
                is_missed_and_comes_back($kind, Thing::Clock);
            }
        }
    )*};
}

stories! {
    zkjoin: Kind::Zkjoin;
    zkexport: Kind::Zkexport;
    zkexec: Kind::Zkexec;
}
