//! What the commands that change a group's state have in common.
//!
//! **Invariant.** A command that is repeated after a lost answer does what it did first: it never
//! decides anew on what it has changed itself.

use super::look::Look;
use super::target::Target;
use super::wording::control_object;
use crate::commands::znode_stat::object;
use crate::connection::Connection;
use crate::format::{Layout, OutputArgs, OutputFormat};
use crate::output::Output;
use clap::Args;
use farm_core::cli::{Exit, Failure, parse_duration};
use farm_core::engine::{unix_ms, variable};
use farm_core::farm::rollout::{Control, Version, VersionRecord, create_group, retry};
use farm_core::farm::{Absent, Edit, EditError, edit_znode, shortened};
use farm_core::host::identity::host_name;
use farm_core::model::{Record, Value};
use farm_core::session::{Client, SessionError, Stat, Watch};
use std::convert::Infallible;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a change of a version is made again when others are quicker.
const RACES_MAX: usize = 20;

/// Why an operator wants something.
#[derive(Debug, Args)]
pub(super) struct WhyArg {
    /// Tell the other operators why
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// For how long turns are allowed at any hour.
#[derive(Debug, Args)]
struct HoursArg {
    /// Allow turns at any hour for this time, whatever --allowed-hours says
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    ignore_hours: Option<Duration>,
}

/// An order after which turns may begin.
#[derive(Debug, Args)]
pub(super) struct TurnsArg {
    #[command(flatten)]
    hours: HoursArg,

    #[command(flatten)]
    why: WhyArg,
}

/// An order of an operator.
#[derive(Debug)]
pub(super) struct Order {
    target: Target,
    /// The operator.
    by: String,
    at_ms: Option<i64>,
    why: Option<String>,
    any_hour_until_ms: Option<i64>,
    /// An earlier attempt may have changed the control.
    is_maybe_written: AtomicBool,
}

impl Order {
    pub(super) fn new(target: Target, why: &WhyArg) -> Self {
        Self {
            target,
            by: operator(),
            at_ms: unix_ms(),
            why: why.why.as_deref().map(shortened),
            any_hour_until_ms: None,
            is_maybe_written: AtomicBool::new(false),
        }
    }

    /// An order after which turns may begin, at any hour for some time if the operator wants that.
    pub(super) fn for_turns(target: Target, args: &TurnsArg) -> Self {
        let order = Self::new(target, &args.why);
        let until = |duration: Duration| {
            let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            order.at_ms.unwrap_or_default().saturating_add_unsigned(duration_ms)
        };
        Self { any_hour_until_ms: args.hours.ignore_hours.map(until), ..order }
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// Makes a plan from one look at the group, and performs it. An attempt after a lost
    /// connection performs the same plan.
    pub(super) fn carry_out<P: Clone + Send + Sync + 'static>(
        self,
        connection: &Connection,
        look: fn(&Client, &Target) -> Result<Option<Look>, SessionError>,
        make: impl Fn(&Look) -> Result<P, Failure> + Send + Sync + 'static,
        perform: impl Fn(&P, &Self, &Client, Instant) -> Performed + Send + Sync + 'static,
    ) -> Result<(Edited, P), Failure> {
        let plan = OnceLock::new();
        connection.ask(move |client, deadline| {
            let plan: &P = match plan.get() {
                Some(plan) => plan,
                None => {
                    let Some(look) = look(client, &self.target)? else {
                        return Ok(Err(self.target.missing()));
                    };
                    look.warn();
                    match make(&look) {
                        Ok(made) => plan.get_or_init(|| made),
                        Err(failure) => return Ok(Err(failure)),
                    }
                }
            };
            let edited = perform(plan, &self, client, deadline)?;
            Ok(edited.map(|edited| (edited, plan.clone())))
        })?
    }

    /// Changes the control, and with it until when any hour is allowed, if the operator wants
    /// that. Nothing is written if nothing changes.
    pub(super) fn edit_control(
        &self,
        client: &Client,
        deadline: Instant,
        change: impl Fn(&mut Control),
    ) -> Performed {
        let paths = &self.target.paths;
        if client.exists(paths.group(), Watch::No)?.is_none() {
            create_group(client, paths)?;
        }
        let mut has_tried = false;
        let edit = |record: &mut Record, _: Option<&Stat>| {
            let before = Control::of(record);
            let mut control = before.clone();
            change(&mut control);
            if let Some(until) = self.any_hour_until_ms {
                control.ignore_hours_until_ms = Some(until);
            }
            if control == before {
                let is_changed = self.is_maybe_written.load(Ordering::Relaxed);
                return Ok::<_, Infallible>(Edit::Leave(Edited { control, is_changed }));
            }
            has_tried = true;
            control.by = Some(self.by.clone());
            control.at_ms = self.at_ms;
            control.why.clone_from(&self.why);
            control.write_to(record);
            Ok(Edit::Write(Edited { control, is_changed: true }))
        };
        match edit_znode(client, paths.control(), deadline, Absent::Create, edit) {
            Err(EditError::Session(error)) => {
                self.is_maybe_written.fetch_or(has_tried, Ordering::Relaxed);
                Err(error)
            }
            other => Ok(other.map_err(Failure::from)),
        }
    }

    /// Forgets the refusal of a version, if it is refused.
    pub(super) fn forget_refusal(
        &self,
        client: &Client,
        version: Version,
    ) -> Result<(), SessionError> {
        // Twelve hex digits are always the name of a znode.
        let Ok(path) = self.target.paths.versions().child(&version.to_string()) else {
            return Ok(());
        };
        for _ in 0..RACES_MAX {
            let znode = match client.get(&path, Watch::No) {
                Ok(znode) => znode,
                Err(SessionError::NoNode(_)) => return Ok(()),
                Err(error) => return Err(error),
            };
            let refused = VersionRecord::read(&znode.data);
            let again = refused.and_then(|found| retry(&found, &self.by, self.at_ms));
            let Some(mut again) = again else { return Ok(()) };
            again.reason = self.why.clone().or(again.reason);
            match client.set(&path, &again.bytes(), Some(znode.stat.version)) {
                Ok(_) => return Ok(()),
                Err(SessionError::BadVersion(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(SessionError::BadVersion(path))
    }
}

/// The end of an attempt to do what an order says.
pub(super) type Performed = Result<Result<Edited, Failure>, SessionError>;

/// The control after a change.
#[derive(Debug)]
pub(super) struct Edited {
    pub(super) control: Control,
    pub(super) is_changed: bool,
}

/// The user and the host, as the other operators know them.
fn operator() -> String {
    let user = variable("USER").map(|user| user.to_string_lossy().into_owned());
    let uid = || std::fs::metadata("/proc/self").map(|process| process.uid().to_string());
    let user = user.or_else(|| uid().ok()).unwrap_or_default();
    format!("{user}@{}", host_name().unwrap_or_default())
}

/// What an order has done.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) command: &'static str,
    pub(super) is_changed: bool,
    pub(super) control: Control,
    /// The versions whose refusal is forgotten.
    pub(super) forgotten: Vec<Version>,
    /// What has changed, for people.
    pub(super) lines: Vec<String>,
    /// What else the operator should know.
    pub(super) notes: Vec<String>,
}

/// The formats of a report.
pub(super) fn format_of(output: OutputArgs, command: &str) -> Result<OutputFormat, Failure> {
    let layouts = [Layout::Text, Layout::Json, Layout::Jsonl, Layout::Yaml];
    output.choose_from(command, &layouts)
}

impl Report {
    /// Prints it; the notes go to the log.
    pub(super) fn print(&self, target: &Target, format: OutputFormat) -> Result<Exit, Failure> {
        for note in &self.notes {
            log::warn!("{note}");
        }
        let mut output = Output::open();
        let end = format.terminator;
        match format.layout {
            Layout::Json => output.json(&self.object(target))?,
            Layout::Jsonl => output.json_line(&self.object(target), end)?,
            Layout::Yaml => output.yaml(&self.object(target))?,
            Layout::Text | Layout::Tsv => {
                self.lines.iter().try_for_each(|line| output.row(line, end))?;
            }
        }
        output.finish()?;
        Ok(Exit::Done)
    }

    fn object(&self, target: &Target) -> Value {
        let forgotten = self.forgotten.iter().map(|version| Value::from(version.to_string()));
        object([
            ("v", Value::from(1)),
            ("group", Value::from(target.group.to_string())),
            ("command", Value::from(self.command)),
            ("changed", Value::from(self.is_changed)),
            ("forgotten", forgotten.collect()),
            ("control", control_object(&self.control)),
        ])
    }
}
