//! `zkctl rollout status --watch`: the status again and again.
//!
//! **Invariant.** A pipe gets whole answers, each of which differs from the one before.

use super::live::Live;
use super::look::Look;
use super::picture::Picture;
use super::summary::{self, Summary};
use crate::format::{Layout, OutputFormat};
use crate::output::Output;
use farm_core::cli::{Failure, check_reader};
use farm_core::engine::unix_ms;
use farm_core::model::Value;
use std::io::{IsTerminal, Write, stdout};
use std::time::Instant;

/// What is watched.
#[derive(Debug)]
pub(super) enum Scene {
    /// One group.
    Group(Box<Look>),
    /// All groups.
    All(Vec<Summary>),
}

/// Prints each scene that differs from the one before, or keeps it on a terminal.
#[derive(Debug)]
pub(super) struct Viewer {
    format: OutputFormat,
    has_header: bool,
    live: Option<Live>,
    printed: Option<Value>,
}

impl Viewer {
    pub(super) fn new(format: OutputFormat, has_header: bool) -> Self {
        let is_live = format.layout == Layout::Text && stdout().is_terminal();
        Self { format, has_header, live: is_live.then(Live::new), printed: None }
    }

    pub(super) fn show(&mut self, scene: &Scene) -> Result<(), Failure> {
        if let Some(live) = &mut self.live {
            let now_ms = unix_ms().unwrap_or_default();
            match scene {
                Scene::Group(look) => live.show_group(look, now_ms, Instant::now()),
                Scene::All(groups) => live.show_all(groups, now_ms, Instant::now()),
            }
            return Ok(());
        }
        let object = scene.object();
        if self.printed.as_ref() == Some(&object) {
            return check_reader().map_err(Failure::of_stdout);
        }
        let mut output = Output::open();
        let is_first = self.printed.is_none();
        match self.format.layout {
            // One line for each, so that a reader knows where it ends.
            Layout::Json | Layout::Jsonl => output.json_line(&object, self.format.terminator)?,
            Layout::Yaml => {
                output.bytes(b"---\n")?;
                output.yaml(&object)?;
            }
            Layout::Text | Layout::Tsv => {
                if !is_first {
                    output.line("", self.format.terminator)?;
                }
                scene.print(self.format, self.has_header, &mut output)?;
            }
        }
        self.printed = Some(object);
        output.finish()
    }
}

impl Scene {
    /// Prints it once.
    pub(super) fn print(
        &self,
        format: OutputFormat,
        has_header: bool,
        output: &mut Output<impl Write>,
    ) -> Result<(), Failure> {
        let now_ms = unix_ms().unwrap_or_default();
        match self {
            Self::Group(look) => Picture::of(look).show(format, has_header, now_ms, output),
            Self::All(groups) => summary::show(groups, format, has_header, now_ms, output),
        }
    }

    /// Logs what is unknown.
    pub(super) fn warn(&self) {
        if let Self::Group(look) = self {
            look.warn();
        }
    }

    fn object(&self) -> Value {
        match self {
            Self::Group(look) => Picture::of(look).object(),
            Self::All(groups) => groups.iter().map(Summary::object).collect(),
        }
    }
}
