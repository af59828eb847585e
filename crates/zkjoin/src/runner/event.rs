//! The events that reach the runner's inbox.

use crate::entry::Answer;
use farm_core::engine::Signal;
use farm_core::farm::Size;
use farm_core::files::look::Look;
use farm_core::files::watch::Hint as FileHint;
use farm_core::process::command::Finished;
use farm_core::session::{self, SessionError, Znode};

pub(super) enum Event {
    Session(session::Event),
    Signal(Signal),
    File(FileHint),
    /// What the path of the config names now.
    Looked(Look),
    /// The znode before the first claim.
    Found(Result<Option<Znode>, SessionError>),
    Answer {
        request_id: u64,
        answer: Answer,
    },
    SizeKept(Result<Size, SessionError>),
    Hook(Finished),
}
