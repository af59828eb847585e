//! Looks at the path of the config in a thread of its own.
//!
//! **Invariant.** A file system that does not answer holds up the looks, and nothing else.

use farm_core::engine::Worker;
use farm_core::files::look::Look;
use std::io;
use std::sync::mpsc::{Sender, channel};

#[derive(Debug)]
pub(crate) struct Looker {
    requests: Sender<Look>,
    thread: Option<Worker>,
}

impl Looker {
    /// Starts the thread; it posts each look.
    pub(crate) fn start(post: impl Fn(Look) + Send + 'static) -> io::Result<Self> {
        let (requests, received) = channel::<Look>();
        let thread = Worker::start("look", move || {
            for look in received {
                post(look.again());
            }
        })?;
        Ok(Self { requests, thread: Some(thread) })
    }

    /// Looks once more at what was looked at.
    pub(crate) fn look_again(&self, look: &Look) {
        // The thread lives as long as we do.
        drop(self.requests.send(look.clone()));
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        // A look may never end.
        if let Some(thread) = self.thread.take() {
            thread.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_core::codec::{ConfFormat, ConfText};
    use farm_core::files::conf::Conf;
    use farm_harness::{Scratch, eventually};
    use std::fs;

    #[test]
    fn each_look_is_posted() {
        let scratch = Scratch::new();
        let path = scratch.write("conf.json", "{}");
        let mut conf = Conf::new(path.clone(), ConfFormat::Text(ConfText::Json));
        conf.load().unwrap();
        let read = conf.last_look().unwrap();
        let (post, posted) = channel();
        let looker = Looker::start(move |look| post.send(look).unwrap_or(())).unwrap();
        for is_same in [true, false] {
            looker.look_again(read);
            let look = eventually("a look", || posted.try_recv());
            assert_eq!(look == *read, is_same);
            fs::remove_file(&path).unwrap_or(());
        }
    }
}
