//! Every word of the command line, in one place (contract, 1).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps a psychology study's data complete, decrypted, checked and provable.
#[derive(Debug, Parser)]
#[command(name = "mtdata", version, max_term_width = 100)]
pub struct Arguments {
    #[command(flatten)]
    pub project: ProjectArguments,
    #[command(subcommand)]
    pub command: Command,
}

/// Where the project is.
#[derive(Debug, Clone, Default, Args)]
pub struct ProjectArguments {
    /// The pipeline file; without it, Pipeline.toml is looked for here and in the parent folders
    #[arg(short = 'f', long = "file", value_name = "Pipeline.toml", global = true)]
    pub file: Option<PathBuf>,
    /// Work as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub folder: Option<PathBuf>,
    /// How lines in the log files are written, against Pipeline.toml's [logs]
    #[arg(long, value_name = "FORMAT", global = true, hide = true)]
    pub log_format: Option<LogFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring targets, or Pipeline.toml's default, up to date: what cron calls
    Build(BuildArguments),
    /// build every export of SERVER and SCALE (`.`: deleteable tables, `static`: the others, `all`, or a name)
    Export(VerbArguments),
    /// build every decode of SERVER and SCALE
    Decode(VerbArguments),
    /// build every combine of SERVER and SCALE
    Combine(VerbArguments),
    /// build every score of SERVER and SCALE
    Score(VerbArguments),
    /// build every wide table of SERVER and SCALE
    Wide(VerbArguments),
    /// Build a server's report and print one table of it
    Report(ReportArguments),
    /// Every target with its state and the reason
    List(ListArguments),
    /// Why a target would run now, or why it ran then
    Explain(ExplainArguments),
    /// What a rule of checks.csv means and what to do about it; without RULE, all of them
    ExplainCheck(ExplainCheckArguments),
    /// The dependency graph
    Graph(GraphArguments),
    /// Per server: last good export, oldest undeleted entry, entries, failures, free disk
    Status(JsonArguments),
    /// Look over configuration, keys, pool and mail; writes nothing
    Check(CheckArguments),
    /// Hold the raw archive against its recorded hashes, save what damaged files still have, and make again what was lost
    Recover(RecoverArguments),
    /// Recompute the hashes of outputs and their whole ancestry, and say what differs
    Verify(VerifyArguments),
    /// Past runs; one run's tasks
    Runs(RunsArguments),
    /// Make a project with a synthetic study, serve it on loopback, build it, say where the report is
    Demo(DemoArguments),
    /// Write a commented project
    Init(InitArguments),
    /// Make config/servers.toml from a first-generation server.config, its passwords moved out
    ImportConfig(ImportArguments),
    /// Make key pairs, show fingerprints and what each key opened
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Test the alerts
    #[command(subcommand)]
    Alert(AlertCommand),
    /// JSON Schema of a file people write, for their editors; without NAME, which there are
    Schema(SchemaArguments),
    /// Print a completion script
    Completions(CompletionsArguments),
    /// Print the manual page
    Man(ManArguments),
}

/// How a build is carried out and shown.
#[allow(clippy::struct_excessive_bools)] // each is a switch of its own on the command line
#[derive(Debug, Clone, Default, Args)]
pub struct RunOptions {
    /// How many tasks run at once; the default is one per core
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Say what would be asked and run; ask no server, write nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Run the named targets and all below them even if they are up to date
    #[arg(short = 'B', long)]
    pub force: bool,
    /// Say for each task why it runs
    #[arg(long)]
    pub explain: bool,
    /// Stop at the first failure; the default is to go on with all that does not depend on it
    #[arg(long)]
    pub fail_fast: bool,
    /// Events on stdout, one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Write a Chrome trace of the run
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Only failures
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Every task, the skipped ones too
    #[arg(short, long)]
    pub verbose: bool,
    /// Wait for another run's end, at most DURATION, instead of exiting 75
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "inf")]
    pub wait: Option<String>,
    /// Exit 3 when there are data warnings
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Clone, Args)]
pub struct BuildArguments {
    /// TASK, TASK/SERVER, TASK/SERVER/SCALE, TASK/SERVER/SCALE/DATE, or an output's path; `*` and `?` match
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    #[command(flatten)]
    pub run: RunOptions,
    /// Remove outputs of targets that are no longer there
    #[arg(long)]
    pub prune: bool,
}

#[derive(Debug, Clone, Args)]
pub struct VerbArguments {
    /// A server's name, or `.` for all ready ones
    #[arg(value_name = "SERVER")]
    pub server: Option<String>,
    /// A scale's name, or `.`
    #[arg(value_name = "SCALE")]
    pub scale: Option<String>,
    #[command(flatten)]
    pub run: RunOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportKind {
    /// Percent missing per column of each questionnaire
    Questionnaire,
    /// One row per questionnaire
    Scale,
    /// Percent of due questionnaires that are missing, per participant
    #[value(alias = "client")]
    Participant,
    /// Reached, completed and dropped per session
    Attrition,
}

#[derive(Debug, Clone, Args)]
pub struct ReportArguments {
    pub kind: ReportKind,
    /// A server's name, or `.` for all ready ones
    #[arg(value_name = "SERVER")]
    pub server: Option<String>,
    /// The table as CSV
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    #[command(flatten)]
    pub run: RunOptions,
}

#[derive(Debug, Clone, Args)]
pub struct JsonArguments {
    /// JSON on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ListArguments {
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ExplainArguments {
    pub target: String,
    /// A past run, as `mtdata runs` names it
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    Dot,
    Mermaid,
    Svg,
}

#[derive(Debug, Clone, Args)]
pub struct ExplainCheckArguments {
    /// `R10`, its word `session-order`, or a mark of `_flags`: `no_raw_file`
    pub rule: Option<String>,
}

#[derive(Debug, Args)]
pub struct SchemaArguments {
    /// `pipeline`, `servers`, `alerts` or `scales`
    pub name: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct GraphArguments {
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    #[arg(long, default_value = "dot")]
    pub format: GraphFormat,
}

#[derive(Debug, Clone, Args)]
pub struct CheckArguments {
    /// Ask each server, too
    #[arg(long)]
    pub online: bool,
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct RecoverArguments {
    /// A server's name, or `.` for all ready ones
    #[arg(value_name = "SERVER")]
    pub server: Option<String>,
    /// A scale's name, or `.`
    #[arg(value_name = "SCALE")]
    pub scale: Option<String>,
    /// What was found, as one JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// Only what differs
    #[arg(short, long)]
    pub quiet: bool,
    /// Wait for another run's end, at most DURATION, instead of exiting 75
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "inf")]
    pub wait: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct VerifyArguments {
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct RunsArguments {
    pub id: Option<String>,
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    #[arg(value_name = "DIR", default_value = "./mtdata-demo")]
    pub directory: PathBuf,
    /// Keep the server up until Ctrl-C
    #[arg(long)]
    pub serve: bool,
    #[arg(long, default_value_t = 60)]
    pub participants: u32,
    #[arg(long, default_value_t = 120)]
    pub days: u32,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only failures and where the report is
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Every task
    #[arg(short, long)]
    pub verbose: bool,
}

#[derive(Debug, Clone, Args)]
pub struct InitArguments {
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct ImportArguments {
    /// The old YAML file; it stays as it is
    #[arg(value_name = "FILE")]
    pub old: PathBuf,
    /// The zone of the machine that wrote the old files' names; without it, this machine's
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum KeysCommand {
    /// Make an RSA pair: FILE (0600) and FILE with `.pub`
    Generate {
        #[arg(default_value = "keys/private_key.pem")]
        path: PathBuf,
        #[arg(long, default_value_t = 2048)]
        bits: usize,
    },
    /// Fingerprints of the servers' keys, and what each opened: how many values, of which days
    List {
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum AlertCommand {
    /// Send a test mail to all who are told
    Test,
}

#[derive(Debug, Clone, Args)]
pub struct CompletionsArguments {
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Clone, Args)]
pub struct ManArguments {
    /// Write the manual pages of all commands into DIR instead
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
