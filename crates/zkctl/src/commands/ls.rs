//! `zkctl ls`: the children of a znode.

use super::children::Subtree;
use super::field::parse_field;
use super::listing::View;
use crate::connection::Connection;
use crate::format::{HeaderArg, OutputArgs};
use crate::output::Output;
use clap::Args;
use farm_core::cli::{Exit, Failure, FilterArg, ParseArg};
use farm_core::codec::Parse;
use farm_core::model::Selection;
use farm_core::session::ZnodePath;
use farm_core::session::cache::{Contents, Depth};

const EXAMPLES: &str = "\
Examples:
  zkctl ls /services
  zkctl ls /services/db --fields hostname,mysql.replication_delay
  zkctl ls /services/db -F 'enabled=1,mysql.replication_delay<60'
  zkctl ls /services/db --sort mysql.replication_delay -l
  zkctl ls /services/db -o tsv --header --fields hostname,enabled
  zkctl ls /services/db --json | jq '.[].data.hostname'
  zkctl ls /members --parse text --fields text   whatever text the znodes hold
  zkctl ls /services -R -0 | xargs -0 -n1 echo";

/// List the children of a znode, sorted by name
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct LsArgs {
    /// List the children of this znode
    #[arg(value_name = "PATH")]
    path: String,

    /// Show these fields of every child: a,b.c
    #[arg(long, value_name = "FIELDS")]
    fields: Option<String>,

    #[command(flatten)]
    parse: ParseArg,

    #[command(flatten)]
    filter: FilterArg,

    /// Show kind, version, bytes, children and time of change
    #[arg(short, long)]
    long: bool,

    /// List everything below, with relative paths
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Sort by this field (numbers numerically), or by name
    #[arg(long, value_name = "FIELD", default_value = "name")]
    sort: String,

    #[command(flatten)]
    header: HeaderArg,
}

pub(crate) fn ls(
    args: &LsArgs,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let format = output.choose("ls")?;
    let has_header = args.header.with(format)?;
    let path = ZnodePath::parse(&args.path)?;
    let view = View {
        fields: args.fields.as_deref().map(parse_fields).transpose()?,
        filter: args.filter.filter()?,
        sort: (args.sort != "name").then(|| parse_field(&args.sort)).transpose()?,
        is_long: args.long,
        has_header,
    };
    let depth = if args.recursive { Depth::SUBTREE } else { Depth::CHILDREN };
    let parse = args.parse.parse;
    // The metadata of a znode comes with its data.
    let needs_content = match parse {
        Parse::None => view.is_long,
        _ => view.needs_content(format.layout),
    };
    let contents = if needs_content { Contents::Below } else { Contents::Names };
    let children = connection.ask(move |client, _| {
        Subtree::read(client, &path, depth, contents, parse)?.children(client)
    })?;
    let mut output = Output::open();
    view.show(&view.select(children), format, &mut output)?;
    output.finish()?;
    Ok(Exit::Done)
}

fn parse_fields(text: &str) -> Result<Selection, Failure> {
    text.parse::<Selection>()
        .map_err(|error| Failure::from(error).during(format!("wrong fields {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_mistakes_are_wrong_usage() {
        for fields in ["", "a,,b", "a.", ","] {
            assert_eq!(parse_fields(fields).unwrap_err().exit(), Exit::Usage, "{fields:?}");
        }
    }
}
