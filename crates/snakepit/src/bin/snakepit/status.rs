//! `snakepit status`: a summary of a running host; `snakepit inspect`: its pools, their problems,
//! and advice.

use serde_json::json;
use snakepit::ErrorCode;
use snakepit::diag::{Finding, Report, render_findings, render_report};

use crate::failure::Failure;
use crate::host_options::{InspectOptions, OutputFormat, StatusOptions};
use crate::hosts::{connect, style};
use crate::output;

pub(crate) async fn run(options: &StatusOptions) -> Result<(), Failure> {
    let report = connect(&options.host).await?.report().await?;
    let findings = report.findings(None);
    show(&report, &findings, options.detailed, options.json)
}

pub(crate) async fn inspect(options: &InspectOptions) -> Result<(), Failure> {
    let mut client = connect(&options.host).await?;
    let mut report = client.report().await?;
    let mut findings = report.findings(None);
    if !options.over.is_zero() {
        tokio::time::sleep(options.over).await;
        let earlier = std::mem::replace(&mut report, client.report().await?);
        findings = report.findings(Some(&earlier));
    }
    if options.recommendations {
        findings.extend(report.recommendations());
    }
    if let Some(name) = &options.pool {
        if report.pool(name).is_none() {
            let names: Vec<_> = report.pools.iter().map(|pool| &*pool.pool).collect();
            return Err(Failure::usage(
                ErrorCode::UnknownPool,
                format!("the host has no pool `{name}`"),
                format!("the pools are: {}", names.join(", ")),
            ));
        }
        report.pools.retain(|pool| pool.pool == *name);
        findings.retain(|finding| finding.pool == *name);
    }
    let json = options.json || options.format == OutputFormat::Json;
    show(&report, &findings, options.detailed, json)
}

fn show(report: &Report, findings: &[Finding], detailed: bool, json: bool) -> Result<(), Failure> {
    if json {
        let mut document = json!(report);
        document["findings"] = json!(findings);
        return output::document(&document);
    }
    let style = style(detailed);
    output::painted(&render_report(report, style))?;
    if findings.is_empty() {
        return Ok(());
    }
    output::painted(&format!("\n{}", render_findings(findings, style)))
}
