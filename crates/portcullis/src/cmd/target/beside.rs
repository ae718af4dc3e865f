//! An instance of this build beside the one that is judged, on which something is tried that would disturb it.
//!
//! It lives in a temporary folder, on loopback ports of its own, and ends with the run. Each module that needs one says how it
//! is set; the communities in it and the people who ask there are made here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use portcullis_check::target::{Credential, Identity, Uri};
use portcullis_config::{Config, Environment, Flags};
use portcullis_core::{AbilitySet, Role, Scope, SpaceId, Tier};
use portcullis_model::upstream::Upstream;
use portcullis_store::{Community, KeyActor, NewCommunity, NewDocument, NewMember, NewSpace, SpaceAccess};
use portcullis_tools::{Standing, Stop};
use tempfile::TempDir;

use super::super::serve::{self, Serving};
use crate::instance::{Instance, Kept, Wanted};
use crate::tools;

/// A limit that nothing reaches.
pub(super) const PLENTY: &str = "1000000";
/// Where limits are for other checks to judge.
pub(super) const NO_LIMITS: [(&str, &str); 5] = [
    ("limits.per_key_per_minute", PLENTY),
    ("limits.per_address_per_minute", PLENTY),
    ("tiers.dedicated_per_minute", PLENTY),
    ("tiers.dedicated_per_hour", PLENTY),
    ("tiers.dedicated_per_day", PLENTY),
];

/// Where an instance is going to be: its folder, and how it is set.
#[derive(Debug)]
pub(super) struct Site {
    folder: TempDir,
    file: PathBuf,
    flags: Flags,
    /// As the settings say. What is changed before it is opened is what it runs with.
    pub(super) config: Config,
}

impl Site {
    /// A new folder, with these settings over those that a new instance has. `what` says in an error which one it is.
    pub(super) fn new<'s>(
        what: &str,
        settings: impl IntoIterator<Item = (&'s str, &'s str)>,
    ) -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("portcullis-check-").tempdir().context("no temporary folder")?;
        let file = portcullis_config::init(folder.path())?.config;
        let free = ["listen.member", "listen.operator"].map(|listener| (listener, "127.0.0.1:0"));
        let flags = free
            .into_iter()
            .chain(settings)
            .fold(Flags::none(), |flags, (key, value)| flags.with("--set", key, value));
        let config = load(what, &file, &flags)?;
        Ok(Self { folder, file, flags, config })
    }

    /// Puts tools into the configuration, approved as they are: written, read, and written once more with the pins that reading
    /// told. `tables` gives what stands in the file, with those pins that are known.
    pub(super) fn approve(
        &mut self,
        what: &str,
        names: &[&str],
        tables: impl Fn(&BTreeMap<&str, String>) -> String,
    ) -> Result<()> {
        let before = std::fs::read_to_string(&self.file).context("the configuration cannot be read")?;
        let mut pins = BTreeMap::new();
        loop {
            std::fs::write(&self.file, format!("{before}\n{}", tables(&pins)))
                .context("the configuration cannot be written")?;
            let config = self.reload(what)?;
            if !pins.is_empty() {
                self.config.tools = config.tools;
                return Ok(());
            }
            let registry = tools::registry(&config)?;
            for name in names {
                let standing = registry.find(name).map(|tool| tool.standing());
                let Some(Standing::Stopped(Stop::NotApproved(pin))) = standing else {
                    return Err(anyhow!("the tool `{name}` says no pin"));
                };
                pins.insert(*name, pin.to_string());
            }
        }
    }

    /// The same settings over the configuration as its file says now.
    fn reload(&self, what: &str) -> Result<Config> {
        load(what, &self.file, &self.flags)
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Serves an instance that was opened here, with the servers that it asks.
    pub(super) async fn serve(self, instance: Instance, asked: Vec<Upstream>) -> Result<Beside> {
        let serving = serve::start(&instance, &self.config).await?;
        Ok(Beside { instance, serving, asked, _folder: self.folder })
    }
}

fn load(what: &str, file: &Path, flags: &Flags) -> Result<Config> {
    let loaded = portcullis_config::load(file, &Environment::of::<&str, &str>([]), flags)
        .map_err(|problems| anyhow::anyhow!("{problems}"))
        .with_context(|| format!("the configuration of the instance {what} is not valid"))?;
    Ok(loaded.config)
}

/// A running instance.
#[derive(Debug)]
pub(super) struct Beside {
    instance: Instance,
    pub(super) serving: Serving,
    asked: Vec<Upstream>,
    _folder: TempDir,
}

impl Beside {
    /// Where it is asked.
    pub(super) fn at(&self) -> Result<Uri> {
        Ok(format!("http://{}", self.serving.address).parse()?)
    }

    /// Ends it, and then the servers that it asks.
    pub(super) async fn stop(self) -> Result<()> {
        serve::stop(self.instance, self.serving).await?;
        for server in self.asked {
            server.stop().await;
        }
        Ok(())
    }
}

/// A community of such an instance.
pub(super) struct Club<'k> {
    kept: &'k Kept,
    pub(super) community: Community,
    scope: Scope,
}

impl<'k> Club<'k> {
    /// A new one, which is in the tier with the widest limits.
    pub(super) async fn new(kept: &'k Kept, slug: &str, name: &str) -> Result<Self> {
        Self::in_tier(kept, slug, name, Tier::Dedicated).await
    }

    /// A new one in that tier.
    pub(super) async fn in_tier(kept: &'k Kept, slug: &str, name: &str, tier: Tier) -> Result<Self> {
        let new = NewCommunity { slug: slug.to_owned(), name: name.to_owned(), host: None, tier };
        let community = kept.stores.directory.create(new).await?;
        let scope = Kept::operator(&community);
        Ok(Self { kept, community, scope })
    }

    /// A new space.
    pub(super) async fn space(&self, slug: &str, access: SpaceAccess) -> Result<SpaceId> {
        let new = NewSpace { slug: slug.to_owned(), name: slug.to_owned(), access };
        Ok(self.kept.stores.spaces.create(&self.scope, new).await?.id)
    }

    /// Stores documents.
    pub(super) async fn put(&self, documents: Vec<NewDocument>) -> Result<()> {
        self.kept.stores.content.put(&self.scope, documents).await?;
        Ok(())
    }

    /// A new member of that role, who asks with a key.
    pub(super) async fn somebody(&self, name: &str, role: Role) -> Result<Identity> {
        let new = NewMember { name: name.to_owned(), email: None, role: Some(role) };
        let member = self.kept.stores.members.add(&self.scope, new).await?.id;
        let wanted = Wanted {
            name: "check run",
            actor: KeyActor::Member(member),
            ceiling: None,
            abilities: AbilitySet::SESSION,
            expires: None,
        };
        let (text, _) = self.kept.issue_key(&self.community, wanted).await?;
        Ok(Identity::new(name, &self.community.slug, Credential::bearer(text.expose().clone())))
    }
}
