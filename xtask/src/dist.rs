//! The program as it is shipped: built once to see which of its code works and which hardly ever does, and once more by
//! what was seen.
//!
//! A request touches a little of very much code. A compiler that knows which lays that out side by side, and saves a tenth of
//! the processor time (`docs/benchmarks.md`). What is seen is `cargo xtask bench serve` on the first build: whole answers and streams,
//! as a gate and as full turns. The profile is kept, so that the program can be built by it again.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::workspace::Workspace;
use crate::{bench, process};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Features of the program, such as `sandbox`
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    features: Vec<String>,
    /// Build by this profile, which an earlier build kept, instead of making one
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

/// Builds what is shipped and says where it is.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let profile = match &options.profile {
        Some(profile) => std::path::absolute(profile)?,
        None => make_profile(workspace, &options.features)?,
    };
    let program = by_profile(workspace, &options.features, &profile)?;
    println!("{}, built by the profile {}", program.display(), profile.display());
    Ok(())
}

/// Builds the program to see what it does, puts it under load, and returns where what was seen is kept.
///
/// # Errors
/// The toolchain's `llvm-profdata` is not there; a build or the load failed.
pub(crate) fn make_profile(workspace: &Workspace, features: &[String]) -> Result<PathBuf> {
    let profdata = Profdata::find(workspace)?;
    let folder = workspace.metadata.target_directory.join("profile");
    let seen = folder.join("seen");
    // What an earlier build saw is not about this one.
    if seen.exists() {
        std::fs::remove_dir_all(&seen).with_context(|| format!("`{}` cannot be emptied", seen.display()))?;
    }
    let program = build(workspace, features, "make", &flag("-Cprofile-generate=", &seen))?;
    bench::train(workspace, &program)?;
    let kept = folder.join("portcullis.profdata");
    process::run_quietly(Command::new(&profdata.0).args(["merge", "-o"]).arg(&kept).arg(&seen))?;
    Ok(kept)
}

/// Builds the program by a profile. What changed since the profile was made is built as without one.
pub(crate) fn by_profile(workspace: &Workspace, features: &[String], profile: &Path) -> Result<PathBuf> {
    let bytes = std::fs::read(profile)
        .with_context(|| format!("the profile `{}` cannot be read", profile.display()))?;
    // Cargo looks at the flag and not into the file, so another profile has to be another name.
    let mut hash = DefaultHasher::new();
    hash.write(&bytes);
    let folder = workspace.metadata.target_directory.join("profile");
    let named = folder.join(format!("{:016x}.profdata", hash.finish()));
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&named, &bytes))
        .with_context(|| format!("`{}` cannot be written", named.display()))?;
    build(workspace, features, "use", &flag("-Cprofile-use=", &named))
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(path);
    flag
}

/// Builds with one more flag, in a target folder of its own: another flag builds everything anew.
fn build(workspace: &Workspace, features: &[String], purpose: &str, flag: &OsString) -> Result<PathBuf> {
    let folder = workspace.metadata.target_directory.join("profile").join(purpose);
    let host = Compiler::ask(workspace)?.host;
    let mut cargo = process::cargo(workspace.root());
    cargo.args(["build", "--locked", "--profile", "dist", "--package", "portcullis"]);
    cargo.args(features.iter().flat_map(|feature| ["--features", feature.as_str()]));
    // With a target named, the flag is for the program and not for what builds it.
    cargo.args(["--target", &host, "--target-dir"]).arg(&folder).env("CARGO_ENCODED_RUSTFLAGS", flag);
    eprintln!("dist: building the program to {purpose} a profile");
    process::run_quietly(&mut cargo)?;
    Ok(folder.join(host).join("dist").join("portcullis"))
}

/// What `rustc` says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Compiler {
    host: String,
    /// The first number of its LLVM's version, which profiles are written for.
    llvm: String,
}

impl Compiler {
    fn ask(workspace: &Workspace) -> Result<Self> {
        let told = process::capture(Command::new("rustc").arg("-vV").current_dir(workspace.root()))?;
        Self::parse(&told).context("`rustc -vV` answered in an unknown form")
    }

    fn parse(told: &str) -> Option<Self> {
        let field = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let llvm = field("LLVM version:")?.split('.').next()?;
        Some(Self { host: field("host:")?.to_owned(), llvm: llvm.to_owned() })
    }
}

/// The program that joins what several processes saw.
#[derive(Debug)]
struct Profdata(PathBuf);

impl Profdata {
    /// That of the toolchain, or of the system if it is of the same LLVM.
    fn find(workspace: &Workspace) -> Result<Self> {
        let Compiler { host, llvm } = Compiler::ask(workspace)?;
        let sysroot = process::capture(
            Command::new("rustc").args(["--print", "sysroot"]).current_dir(workspace.root()),
        )?;
        let own = Path::new(sysroot.trim()).join("lib/rustlib").join(&host).join("bin/llvm-profdata");
        let of_system = PathBuf::from(format!("llvm-profdata-{llvm}"));
        Self::first([own, of_system], &llvm)
    }

    /// The first that runs.
    fn first(paths: [PathBuf; 2], llvm: &str) -> Result<Self> {
        let found = paths.into_iter().find(|path| process::succeeds(path, &["merge", "--help"]));
        found.map(Self).with_context(|| {
            format!(
                "there is no `llvm-profdata` of LLVM {llvm}, which joins what was seen: `rustup component add llvm-tools` \
                 brings it, and on Debian the package `llvm-{llvm}`"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_tells_its_host_and_the_llvm_that_profiles_are_for() {
        let told = "rustc 1.95.0 (5980761 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n\
                    LLVM version: 22.1.2\n";
        let compiler = Compiler { host: "x86_64-unknown-linux-gnu".to_owned(), llvm: "22".to_owned() };
        assert_eq!(Compiler::parse(told), Some(compiler));
        assert_eq!(Compiler::parse("rustc 1.95.0\nhost: x\n"), None);
    }

    #[test]
    fn where_nothing_joins_what_was_seen_it_is_said_what_brings_it() {
        let paths = ["/nowhere/llvm-profdata", "llvm-profdata-of-nowhere"].map(PathBuf::from);
        let error = Profdata::first(paths, "22").expect_err("neither is there").to_string();
        assert!(error.contains("rustup component add llvm-tools") && error.contains("`llvm-22`"), "{error}");
        // Any program that takes these words and ends well.
        let present = Profdata::first(["/nowhere/llvm-profdata", "true"].map(PathBuf::from), "22");
        assert_eq!(present.expect("the second is there").0, Path::new("true"));
    }

    #[test]
    fn a_profile_that_is_not_there_is_named_before_anything_is_built() {
        let workspace = Workspace::load().expect("the workspace");
        let error = by_profile(&workspace, &[], Path::new("/nowhere/portcullis.profdata")).expect_err("none");
        assert!(error.to_string().contains("/nowhere/portcullis.profdata"), "{error}");
    }
}
