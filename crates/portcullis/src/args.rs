//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The gate for an AI chatbot in a paid membership community.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) configured: Configured,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Args)]
pub(crate) struct Configured {
    /// The configuration file.
    #[arg(long, short, global = true, default_value = "portcullis.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Set one value for this run, such as limits.body_bytes=65536; may be given several times.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented configuration and fresh random keys.
    Init {
        /// The folder to write to.
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Start three small communities, guard them, and prove it. Needs nothing.
    Demo(DemoArgs),
    /// Enforce: run the gate.
    Serve,
    /// Prove: judge a deployment's controls, this one's or anyone's.
    Check(CheckArgs),
    /// List the catalogue of controls.
    Controls {
        #[arg(long, value_enum, default_value_t = Format::Human)]
        format: Format,
    },
    /// Explain a control, an error code, or what there is: guards, routes, roles, metrics, events, refusals.
    Explain {
        /// Such as TEN-05, CFG-012, rate_limited, pipeline, routes, roles, metrics, events, refusals.
        what: String,
    },
    /// Read the configuration and say what is wrong with it, or what holds.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Communities of this instance.
    #[command(subcommand)]
    Community(CommunityCommand),
    /// Members of a community.
    #[command(subcommand)]
    Member(MemberCommand),
    /// Plans that members pay for.
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Spaces of a community, closed to all but staff until opened.
    #[command(subcommand)]
    Space(SpaceCommand),
    /// API keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Bring content in.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Send one message the way that members get theirs, to see that mail works.
    Mail {
        /// Who gets it, such as you@example.org.
        #[arg(value_name = "ADDRESS")]
        to: String,
    },
    /// The screen of questions and documents: try it, and tune it.
    #[command(subcommand)]
    Guard(GuardCommand),
    /// The tools that the model may ask for.
    #[command(subcommand)]
    Tool(ToolCommand),
    /// Run WebAssembly that nobody trusts, without network, files and clock
    Sandbox(SandboxArgs),
    /// The audit journal.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Run a test upstream, which is no language model, on a loopback address.
    #[command(hide = true)]
    Upstream(UpstreamArgs),
    /// Write the generated documents, for the project's own build.
    #[command(hide = true)]
    Generate {
        #[arg(long)]
        out: PathBuf,
    },
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// For programs.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Show the scorecard and stop, in the place of serving on.
    #[arg(long)]
    pub(crate) once: bool,
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
    /// Where to listen; the default takes another port if this one is in use.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A target file, or the address of a deployment; without it, the deployment of the configuration file.
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) target: Option<String>,
    /// Write a commented target file for this address to standard output, and judge nothing.
    #[arg(long, value_name = "URL", conflicts_with = "target")]
    pub(crate) init: Option<String>,
    /// Only these checks or areas, such as TEN-05 or tenancy; may be given several times or separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "IDS|AREA")]
    pub(crate) only: Vec<String>,
    /// Which checklist to judge by.
    #[arg(long, default_value = "both", value_name = "launch-ready|deployment|both")]
    pub(crate) profile: String,
    /// What the checks may do to the target beyond reading.
    #[arg(long, value_delimiter = ',', value_name = "writes,load,drills")]
    pub(crate) allow: Vec<String>,
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
    /// Keep the evidence in this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) evidence: Option<PathBuf>,
    /// Exit with success only if nothing critical or high is failed, inconclusive or broken.
    #[arg(long, value_name = "launch")]
    pub(crate) gate: Option<String>,
}

/// What a test upstream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BehaviourName {
    /// Always says the same text.
    Scripted,
    /// Repeats what the user said last.
    Echo,
    /// Recites all it was given and obeys every instruction it reads.
    Gullible,
}

#[derive(Debug, Args)]
pub(crate) struct UpstreamArgs {
    #[arg(long, value_enum, default_value_t = BehaviourName::Scripted)]
    pub(crate) behaviour: BehaviourName,
    /// Where to listen; a loopback address. Port 0 takes any that is free, and the address is printed.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// What `scripted` says; a stream sends it in frames of four characters.
    #[arg(long, default_value = "This is what the test upstream was told to say.")]
    pub(crate) text: String,
    /// The pause between two frames of a stream, in milliseconds.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub(crate) pause_ms: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say everything that is wrong with it.
    Check,
    /// Print every value and where it comes from. Secrets are not shown.
    Show,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CommunityCommand {
    /// Create a community, or many.
    Create {
        /// Its short name: a-z, 0-9 and -.
        #[arg(required_unless_present = "from_file")]
        slug: Option<String>,
        /// Create one community for each line of this file, which is its short name. Those that exist are left alone.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["slug", "name", "host"])]
        from_file: Option<PathBuf>,
        /// Its name as people read it; the short name if left out.
        #[arg(long)]
        name: Option<String>,
        /// Its class of limits.
        #[arg(long, default_value = "standard", value_name = "standard|enhanced|dedicated")]
        tier: String,
        /// The host name that its pages answer on.
        #[arg(long)]
        host: Option<String>,
    },
    /// List the communities.
    List,
    /// Put a community into another class of limits. It holds from its next request on.
    Tier {
        /// The community, by its short name.
        slug: String,
        /// Its class of limits.
        #[arg(value_name = "standard|enhanced|dedicated")]
        tier: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct InCommunity {
    /// The community, by its short name.
    #[arg(long, value_name = "SLUG")]
    pub(crate) community: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// Add a member.
    Add {
        #[command(flatten)]
        at: InCommunity,
        /// How the member is shown.
        name: String,
        /// Where sign-in links go.
        #[arg(long)]
        email: Option<String>,
        /// The role; `member` if left out.
        #[arg(long, value_name = "member|moderator|admin|owner")]
        role: Option<String>,
        /// Plans they pay for, each with an optional end: `plus` or `plus=2027-01-31T00:00:00Z`.
        #[arg(long, value_name = "PLAN[=UNTIL]")]
        plan: Vec<String>,
    },
    /// List the members.
    List {
        #[command(flatten)]
        at: InCommunity,
    },
    /// Give a member another role.
    Role {
        #[command(flatten)]
        at: InCommunity,
        /// The member's id.
        member: String,
        /// The role.
        role: String,
    },
    /// Refuse every credential of a member from the next request on.
    Suspend {
        #[command(flatten)]
        at: InCommunity,
        /// The member's id.
        member: String,
    },
    /// Let a suspended member in again.
    Restore {
        #[command(flatten)]
        at: InCommunity,
        /// The member's id.
        member: String,
    },
    /// Give a member a plan.
    Entitle {
        #[command(flatten)]
        at: InCommunity,
        /// The member's id.
        member: String,
        /// The plan, with an optional end.
        #[arg(value_name = "PLAN[=UNTIL]")]
        plan: String,
    },
    /// End a member's plan now.
    Lapse {
        #[command(flatten)]
        at: InCommunity,
        /// The member's id.
        member: String,
        /// The plan.
        plan: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Create a plan.
    Create {
        #[command(flatten)]
        at: InCommunity,
        /// Its short name.
        slug: String,
        /// Its name as people read it.
        #[arg(long)]
        name: Option<String>,
    },
    /// List the plans.
    List {
        #[command(flatten)]
        at: InCommunity,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SpaceCommand {
    /// Create a space.
    Create {
        #[command(flatten)]
        at: InCommunity,
        /// Its short name.
        slug: String,
        /// Its name as people read it.
        #[arg(long)]
        name: Option<String>,
        /// Who may read it.
        #[arg(long, default_value = "staff", value_name = "staff|members|PLAN,…")]
        access: String,
    },
    /// List the spaces and who may read them.
    List {
        #[command(flatten)]
        at: InCommunity,
    },
    /// Change who may read a space.
    Open {
        #[command(flatten)]
        at: InCommunity,
        /// The space, by its short name.
        slug: String,
        /// Who may read it.
        #[arg(value_name = "staff|members|PLAN,…")]
        access: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create a key and show it, this once.
    Create {
        #[command(flatten)]
        at: InCommunity,
        /// What the key is called in lists.
        name: String,
        /// The member it acts for; without one it acts for a builder's own back end.
        #[arg(long, value_name = "ID")]
        member: Option<String>,
        /// What it may be used for.
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "chat,search",
            value_name = "chat,own-request,search,personal,manage"
        )]
        ability: Vec<String>,
        /// The highest role that a member's key acts with, whatever they become; theirs of today when nothing is said.
        #[arg(long, value_name = "ROLE", requires = "member")]
        ceiling: Option<String>,
        /// The role that a back end's key acts with.
        #[arg(long, default_value = "member", conflicts_with = "member")]
        role: String,
        /// The plans whose spaces a back end's key may read.
        #[arg(long, value_delimiter = ',', conflicts_with = "member")]
        plan: Vec<String>,
        /// When it stops working, such as 2027-01-31T00:00:00Z, or a number of days such as 90d.
        #[arg(long, value_name = "TIME|DAYS")]
        expires: Option<String>,
    },
    /// List the keys, without their secrets.
    List {
        #[command(flatten)]
        at: InCommunity,
    },
    /// Revoke a key for good.
    Revoke {
        #[command(flatten)]
        at: InCommunity,
        /// The key's id.
        key: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) at: InCommunity,
    /// The folder to read.
    pub(crate) dir: PathBuf,
    /// Which category or folder becomes which space, and who may read it: TOML, as docs/importing.md shows.
    #[arg(long, value_name = "FILE", conflicts_with = "open")]
    pub(crate) space_map: Option<PathBuf>,
    /// Let every member read everything that this import creates a space for.
    #[arg(long)]
    pub(crate) open: bool,
    /// Tells two imports of the same kind into one community apart.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The address of the forum, so that links within it are recognised.
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// Let the category in a page's front matter choose its space, in the place of its folder.
    #[arg(long)]
    pub(crate) by_category: bool,
    /// Remove what is gone from the folder even if that is more than half of what was imported.
    #[arg(long)]
    pub(crate) allow_mass_removal: bool,
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Topics of a Discourse forum, one JSON file each.
    Discourse(ImportArgs),
    /// Markdown, reStructuredText, HTML and plain text.
    Folder(ImportArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Recompute the whole journal and compare it with its signed checkpoints.
    Verify {
        /// A size and root that were kept elsewhere, as `/status` tells them: the journal must begin with these records.
        #[arg(long, value_name = "SIZE:ROOT")]
        anchor: Vec<String>,
    },
    /// Print records as JSON lines.
    Query {
        /// Only this community's, by its short name.
        #[arg(long)]
        community: Option<String>,
        /// Only this turn's.
        #[arg(long)]
        turn: Option<String>,
    },
}

/// A program for the sandbox, which reads the standard input and what it says is printed; or an API for many.
#[derive(Debug, clap::Args)]
pub(crate) struct SandboxArgs {
    /// The program, a module in the binary form.
    #[arg(required_unless_present = "api")]
    pub(crate) program: Option<PathBuf>,
    /// Serve the sandbox API on this loopback address, until asked to stop.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "program", requires = "key_file")]
    pub(crate) api: Option<SocketAddr>,
    /// The file that holds the key which callers of the API send.
    #[arg(long, value_name = "FILE", requires = "api")]
    pub(crate) key_file: Option<PathBuf>,
    /// How many jobs of the API run at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) at_once: u16,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
    /// How many seconds it may run.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// How many MiB of memory it may take.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub(crate) memory: u16,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ToolCommand {
    /// List every tool: for whom, whether it stands as it was approved, and the pin of what it says now. MCP servers are
    /// asked.
    List,
    /// Show what the model would be told of one tool, so that it can be read before its pin is set.
    Show {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum GuardCommand {
    /// Judge JSON lines {"text", "channel": "question" or "document"} from standard input; one line {"score", "ruling",
    /// "micros"} for each, and {"handover"} where a person should see the question. Thresholds are those of the configuration file
    /// if there is one.
    Score,
    /// Find thresholds for this instance from a file of its own harmless messages: one a line, as text or as JSON like
    /// that of `score`. Nothing of them is kept or shown.
    Tune {
        /// The messages.
        file: PathBuf,
        /// Of harmless messages, so many in 10,000 may be flagged.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        flagged: u32,
        /// And so many blocked.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000))]
        blocked: u32,
    },
}
