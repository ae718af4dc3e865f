//! `demo`: three small communities, guarded and judged, with nothing prepared.
//!
//! It goes the way a user goes: `init` in a temporary folder, communities and content through the stores and the
//! importer, `serve` on a real socket, `check` against it. The folder is removed when the demo ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use portcullis_check::Options;
use portcullis_check::target::NEWCOMERS;
use portcullis_config::{Config, Environment, Flags};
use portcullis_core::{AbilitySet, KeyAbility, Role, Secret, Tier};
use portcullis_mail::{Mail, Message};
use portcullis_store::{Entitlement, KeyActor, NewCommunity, NewMember, NewSpace, Plan, SpaceAccess};

use super::serve::{self, Stopping};
use super::{check, import, target};
use crate::args::{DemoArgs, Format};
use crate::instance::{Instance, Kept, Wanted};
use crate::out;

/// A text of the demo: its path within the community's folder, and what it says.
type Text = (&'static str, &'static str);

/// A community of the demo. Its first folder is open to members, its second one to the plan `plus`.
struct Demo {
    slug: &'static str,
    name: &'static str,
    folders: [&'static str; 2],
    texts: &'static [Text],
    /// Something that the texts of the first folder answer, and something that only the second does.
    questions: [&'static str; 2],
}

macro_rules! texts {
    ($community:literal: $($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../demo/", $community, "/", $path)))),+]
    };
}

const DEMOS: [Demo; 3] = [
    Demo {
        slug: "harbour-sailors",
        name: "The Harbour Sailors",
        folders: ["harbour", "skippers"],
        texts: texts!("harbour-sailors": "harbour/mooring.md", "harbour/checklist.md", "skippers/night-passage.md"),
        questions: ["How do I pick up a mooring when the tide is strong?", "How do I plan a night passage?"],
    },
    Demo {
        slug: "sourdough-circle",
        name: "The Sourdough Circle",
        folders: ["starters", "bakers-table"],
        texts: texts!("sourdough-circle": "starters/first-starter.md", "starters/hooch.md", "bakers-table/crumb.md"),
        questions: ["Why is there a grey liquid on my starter?", "What does a dense line in the crumb mean?"],
    },
    Demo {
        slug: "night-sky",
        name: "Night Sky",
        folders: ["first-nights", "deep-sky"],
        texts: texts!("night-sky": "first-nights/finding-polaris.md", "first-nights/dark-eyes.md", "deep-sky/stacking.md"),
        questions: ["How do I find Polaris?", "How many frames should I stack?"],
    },
];

/// The two people of each community whose keys are shown.
struct People {
    demo: &'static Demo,
    member: Secret<String>,
    payer: Secret<String>,
}

pub(super) async fn run(args: DemoArgs) -> Result<ExitCode> {
    let mut stopping = Stopping::listen()?;
    let folder =
        tempfile::Builder::new().prefix("portcullis-demo-").tempdir().context("no temporary folder")?;
    let config = configure(folder.path(), args.listen)?;
    let shown = args.format == Format::Human && !args.once;
    let instance =
        Instance::with_mail(&config, |outbox| if shown { Arc::new(Announced(outbox)) } else { outbox })?;
    let mut people = Vec::new();
    for demo in &DEMOS {
        people.push(settle(&instance.kept, folder.path(), demo).await?);
    }
    let serving = serve::start(&instance, &config).await?;
    if args.format == Format::Human {
        out::line(format_args!("Three communities are guarded on http://{}.", serving.address));
        out::line("Now the checks run against them; this takes a moment.\n");
    }
    let operator = serving.operator.as_ref().map_or(config.listen.operator, |operator| operator.address);
    let at = target::Listening { member: serving.address, operator };
    let mut options = Options::new(Arc::clone(&instance.kept.clock));
    options.allow = check::everything();
    let report = tokio::select! {
        report = check::judge_self(&instance.kept, &config, at, &options, args.format) => report?,
        // Dropping the folder is what removes the demo's keys and mail.
        () = stopping.asked() => {
            serve::stop(instance, serving).await?;
            return Ok(ExitCode::FAILURE);
        }
    };
    check::print(&report, args.format);
    let judged = ExitCode::from(u8::from(report.summary().fail > 0));
    if args.once {
        serve::stop(instance, serving).await?;
        return Ok(judged);
    }
    if args.format == Format::Human {
        out::print(how_to_try(serving.address, &people));
        if let (Some(operator), Some(token)) = (&serving.operator, &config.secrets.operator_token) {
            out::print(how_to_watch(&operator.url, token));
        }
    }
    stopping.asked().await;
    serve::stop(instance, serving).await?;
    Ok(judged)
}

fn configure(folder: &Path, listen: SocketAddr) -> Result<Config> {
    let made = portcullis_config::init(folder)?;
    let listen = free(listen)?;
    let flags = Flags::none()
        .with("--listen", "listen.member", listen.to_string())
        .with("--listen", "listen.operator", SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0).to_string())
        .with("--listen", "public_url", format!("http://{listen}"))
        .with("demo", "mail.kind", "outbox")
        .with("demo", "mail.outbox", "outbox")
        .with("demo", "mail.from", "no-reply@demo.example")
        // One of the demo's communities lets strangers join, and so does the one that the checks make for themselves.
        .with("demo", "sign_in.open", format!("harbour-sailors, {}", target::OPEN_TO_STRANGERS));
    let loaded = portcullis_config::load(&made.config, &Environment::of::<&str, &str>([]), &flags)
        .map_err(|problems| anyhow::anyhow!("{problems}"))
        .context("the demo's own configuration is not valid")?;
    Ok(loaded.config)
}

/// The address, or one with a free port: somebody else may be listening there already, and any other does as well.
/// The port is known before anything listens, since links are made from it.
fn free(listen: SocketAddr) -> Result<SocketAddr> {
    let bound = std::net::TcpListener::bind(listen)
        .or_else(|_| std::net::TcpListener::bind(SocketAddr::new(listen.ip(), 0)));
    Ok(bound.with_context(|| format!("cannot listen on {}", listen.ip()))?.local_addr()?)
}

/// Shows each mail's link where the demo was started, since its members' mailboxes do not exist. The checks read those of
/// their own new members themselves.
#[derive(Debug)]
struct Announced(Arc<dyn Mail>);

#[async_trait]
impl Mail for Announced {
    async fn send(&self, message: Message) -> Result<(), portcullis_mail::Error> {
        let shown = announcement(&message);
        self.0.send(message).await?;
        if let Some(shown) = shown {
            out::line(shown);
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), portcullis_mail::Error> {
        self.0.ping().await
    }
}

/// What is shown of a mail: its link, if it has one and is for somebody else than a new member of the checks.
fn announcement(message: &Message) -> Option<String> {
    let domain = message.to.rsplit_once('@').map(|(_, domain)| domain);
    if domain == Some(NEWCOMERS) {
        return None;
    }
    let link = message.text.split_whitespace().find(|word| word.starts_with("http"))?;
    Some(format!("\nA mail for {}. Open its link in the browser that asked:\n  {link}", message.to))
}

async fn settle(kept: &Kept, folder: &Path, demo: &'static Demo) -> Result<People> {
    let stores = &kept.stores;
    let new = NewCommunity {
        slug: demo.slug.to_owned(),
        name: demo.name.to_owned(),
        host: None,
        tier: Tier::Standard,
    };
    let community = stores.directory.create(new).await?;
    kept.record(&community, "community.created", vec![community.id.into()], None).await?;
    let scope = Kept::operator(&community);
    let plus = Plan { slug: "plus".to_owned(), name: "Plus".to_owned() };
    stores.spaces.create_plan(&scope, plus).await?;
    let [open, paid] = demo.folders;
    for (slug, access) in [(open, SpaceAccess::Members), (paid, SpaceAccess::Plans(vec!["plus".to_owned()]))]
    {
        let new = NewSpace { slug: slug.to_owned(), name: slug.to_owned(), access };
        stores.spaces.create(&scope, new).await?;
    }
    let texts = folder.join("content").join(demo.slug);
    for (path, text) in demo.texts {
        let file = texts.join(path);
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(file, text)?;
    }
    import::into_community(kept, &community, &texts).await?;

    let mut keys = Vec::new();
    let people =
        [("Mia", Role::Member, None), ("Paul", Role::Member, Some("plus")), ("Olga", Role::Owner, None)];
    for (name, role, plan) in people {
        let email = Some(address(name, demo));
        let new = NewMember { name: name.to_owned(), email, role: Some(role) };
        let member = stores.members.add(&scope, new).await?.id;
        if let Some(plan) = plan {
            let entitlement = Entitlement { plan: plan.to_owned(), until: None };
            stores.members.entitle(&scope, member, entitlement).await?;
        }
        let abilities: AbilitySet =
            [KeyAbility::Chat, KeyAbility::Search, KeyAbility::Personal].into_iter().collect();
        let actor = KeyActor::Member(member);
        let wanted = Wanted { name: "demo", actor, ceiling: None, abilities, expires: None };
        let (text, _) = kept.issue_key(&community, wanted).await?;
        keys.push(text);
    }
    let [member, payer, _] = <[Secret<String>; 3]>::try_from(keys).ok().context("three keys were made")?;
    Ok(People { demo, member, payer })
}

/// Where the demo's people would get their mail.
fn address(name: &str, demo: &Demo) -> String {
    format!("{}@{}.example", name.to_lowercase(), demo.slug)
}

fn how_to_watch(url: &str, token: &Secret<String>) -> String {
    format!(
        "\nWatch it as its operator does, in numbers for Prometheus:\n\n\
         curl {url}/metrics \\\n  -H 'Authorization: Bearer {}'\n",
        token.expose()
    )
}

fn how_to_try(address: SocketAddr, people: &[People]) -> String {
    let mut text = String::from(
        "\nTry it in a browser: sign in with an address below, and its link is shown here.\n\
         Try it with any OpenAI client, or with curl: the keys below are theirs. Stop with Ctrl-C.\n",
    );
    for person in people {
        let [open, paid] = person.demo.questions;
        let demo = person.demo;
        text.push_str(&format!(
            "\n{name}: http://{address}/c/{slug}/login\n  \
             a member               {mia}\n  {:23}{}\n  \
             a member who pays      {paul}\n  {:23}{}\n  \
             the owner              {olga}\n  \
             both get an answer to  {open}\n  \
             only who pays does to  {paid}\n",
            "",
            person.member.expose(),
            "",
            person.payer.expose(),
            name = demo.name,
            slug = demo.slug,
            mia = self::address("Mia", demo),
            paul = self::address("Paul", demo),
            olga = self::address("Olga", demo),
        ));
    }
    if let Some(person) = people.first() {
        let [_, paid] = person.demo.questions;
        text.push_str(&format!(
            "\ncurl http://{address}/v1/chat/completions \\\n  -H 'Authorization: Bearer {}' \\\n  -H 'Content-Type: application/json' \\\n  -d '{{\"model\":\"extracts\",\"messages\":[{{\"role\":\"user\",\"content\":\"{paid}\"}}]}}'\n",
            person.payer.expose(),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use portcullis_mail::Message;

    use super::announcement;

    fn shown(to: &str, text: &str) -> Option<String> {
        announcement(&Message { to: to.to_owned(), subject: "Sign in".to_owned(), text: text.to_owned() })
    }

    #[test]
    fn the_links_of_people_are_shown_and_those_of_the_checks_are_not() {
        let link = "http://127.0.0.1:8080/login/link?token=abc";
        let text = format!("Open this:\n\n{link}\n");
        for to in ["mia@harbour-sailors.example", "somebody@example.org"] {
            let shown = shown(to, &text).expect("it is shown");
            assert!(shown.contains(to) && shown.ends_with(link), "{shown}");
        }
        assert_eq!(shown("check-abcdef@checks.example", &text), None);
        assert_eq!(shown("mia@harbour-sailors.example", "Welcome."), None);
    }
}
