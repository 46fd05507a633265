//! `rollcall doctor`.

use rollcall::cluster::redis::{self, RedisSettings};
use rollcall::config::{Config, LogKind};
use rollcall::doctor::{Finding, Status, examine_machine};
use rollcall::log::{CqlOptions, cql};

use super::args::DoctorArguments;
use super::failure::Failure;
use super::output;

/// Looks at everything that a server needs, and prints what it found; a finding where something failed.
pub async fn doctor(arguments: &DoctorArguments) -> Result<(), Failure> {
    let mut worst = Status::Ok;
    let mut report = |findings: Vec<Finding>| {
        findings.iter().try_for_each(|finding| {
            worst = worst.max(finding.status);
            print(finding, arguments.json)
        })
    };
    match arguments.config.load() {
        Err(error) => report(vec![Finding::failed("config", &error)])?,
        Ok(loaded) => {
            let file = loaded.file.as_ref().map_or("there is no file".to_owned(), |path| path.display().to_string());
            report(vec![Finding::ok("config", format!("it can be used ({file})"))])?;
            report(examine_machine(&loaded.config))?;
            report(examine_log(&loaded.config).await)?;
            report(examine_redis(&loaded.config).await)?;
        }
    }
    if !arguments.json {
        output::line(match worst {
            Status::Ok => "all is well",
            Status::Warn => "a server can run, with the warnings above",
            Status::Fail => "a server cannot run as it should: see what failed above",
        })?;
    }
    if worst == Status::Fail { Err(Failure::finding()) } else { Ok(()) }
}

async fn examine_log(config: &Config) -> Vec<Finding> {
    if config.log.kind == LogKind::Embedded {
        return Vec::new();
    }
    match CqlOptions::from_settings(&config.cql) {
        Ok(options) => cql::examine(&options).await,
        Err(error) => vec![Finding::failed("config", &error)],
    }
}

async fn examine_redis(config: &Config) -> Vec<Finding> {
    if config.cluster.node.is_none() {
        return Vec::new();
    }
    match RedisSettings::from_config(&config.redis) {
        Ok(settings) => redis::examine(&settings).await,
        Err(error) => vec![Finding::failed("config", &error)],
    }
}

fn print(finding: &Finding, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(finding);
    }
    let status = match finding.status {
        Status::Ok => "ok",
        Status::Warn => "warn",
        Status::Fail => "FAIL",
    };
    output::line(&format!("{status:<4}  {:<17}  {}", finding.check, finding.text))?;
    match &finding.advice {
        Some(advice) => output::line(&format!("{:<25}→ {advice}", "")),
        None => Ok(()),
    }
}
