//! `snakepit compat`: compatibility of libraries with threads, for the Python that would run them.

use std::path::Path;

use serde_json::json;
use snakepit::StartError;
use snakepit::profiles::{
    Compatibility, CompatibilityReport, Installed, Interpreter, LibraryCheck, ProfileKind,
    Recommendation, Run, Suitability, Validation, recommend_profile,
};

use crate::cli::CompatOptions;
use crate::failure::Failure;
use crate::output;

/// The interpreter and its installed libraries.
struct Environment {
    interpreter: Interpreter,
    validation: Validation,
    installed: Installed,
}

pub(crate) async fn run(options: &CompatOptions) -> Result<(), Failure> {
    let environment = environment(options).await?;
    let known = Compatibility::known();
    let libraries = libraries(options, known, &environment);
    let Environment {
        interpreter,
        installed,
        ..
    } = &environment;
    let report = known.report(&libraries, options.profile, interpreter, installed);
    // Libraries that are not installed are irrelevant to workers here.
    let given = !options.libraries.is_empty();
    let counts =
        |check: &&LibraryCheck| given || check.installed.is_some() && !part_of_python(check);
    let used = report.checks.iter().filter(counts);
    let used = used.map(|check| &check.library);
    let advice = recommend_profile(interpreter, options.workload, used, installed);
    if options.json {
        output::document(&document(options, &environment, &report, &advice))?;
    } else {
        print(options, &environment, &report, &advice)?;
    }
    if report.worst() == Suitability::Unsafe && given {
        return Err(Failure::Checks);
    }
    Ok(())
}

async fn environment(options: &CompatOptions) -> Result<Environment, StartError> {
    let run = Run::open(options.data.data_dir.as_deref())?;
    let asked = ask(options, &run).await;
    // Closing removes the run's directory; the next sweep removes the rest.
    let _ = run.close();
    asked
}

async fn ask(options: &CompatOptions, run: &Run) -> Result<Environment, StartError> {
    let python = options.python.python.as_deref();
    let interpreter = Interpreter::find(run, python, Path::new(".")).await?;
    let validation = interpreter.validate()?;
    let given = options.libraries.iter().map(String::as_str);
    let names = given.chain(Compatibility::known().distributions());
    let installed = Installed::of(&interpreter, run, names).await?;
    Ok(Environment {
        interpreter,
        validation,
        installed,
    })
}

/// Returns the libraries to report on: the given ones, or the known ones that are installed.
fn libraries(
    options: &CompatOptions,
    known: &Compatibility,
    environment: &Environment,
) -> Vec<String> {
    if !options.libraries.is_empty() {
        return options.libraries.clone();
    }
    let there = |name: &str| {
        let (interpreter, installed) = (&environment.interpreter, &environment.installed);
        let version = known.installed_version(name, interpreter, installed);
        options.all || version.is_some()
    };
    let names = known.list().iter().map(|entry| entry.name.clone());
    names.filter(|name| there(name)).collect()
}

/// Returns whether a library comes with Python, so that its presence does not imply use.
fn part_of_python(check: &LibraryCheck) -> bool {
    let entry = Compatibility::known().info(&check.library);
    entry.is_some_and(|entry| entry.distributions.is_empty())
}

fn threads(environment: &Environment) -> &'static str {
    match (
        environment.interpreter.parallel_threads(),
        environment.interpreter.free_threaded,
    ) {
        (true, _) => "free-threaded: threads run in parallel",
        (false, true) => "free-threaded with the GIL switched on: threads take turns",
        (false, false) => "GIL: threads take turns",
    }
}

fn document(
    options: &CompatOptions,
    environment: &Environment,
    report: &CompatibilityReport,
    advice: &Recommendation,
) -> serde_json::Value {
    let python = &environment.interpreter;
    let known = Compatibility::known();
    let check = |check: &LibraryCheck| {
        let mut value = json!(check);
        value["known"] = json!(known.info(&check.library));
        value
    };
    json!({
        "interpreter": {
            "path": python.executable,
            "version": python.version_text(),
            "implementation": python.implementation,
            "platform": python.platform,
            "free_threaded": python.free_threaded,
            "gil_enabled": python.gil_enabled,
            "warnings": environment.validation.warnings,
        },
        "profile": report.profile,
        "workload": options.workload,
        "libraries": report.checks.iter().map(check).collect::<Vec<_>>(),
        "recommendation": advice,
        "checked": known.checked(),
        "sources": known.sources(),
    })
}

fn print(
    options: &CompatOptions,
    environment: &Environment,
    report: &CompatibilityReport,
    advice: &Recommendation,
) -> Result<(), Failure> {
    let python = &environment.interpreter;
    let (name, version) = (&python.implementation, python.version_text());
    output::line(&format!(
        "{name} {version} on {} at {}",
        python.platform,
        python.executable.display()
    ))?;
    output::line(threads(environment))?;
    for warning in &environment.validation.warnings {
        output::line(&format!("warning: {warning}"))?;
    }
    for check in &report.checks {
        output::block(&describe(check))?;
    }
    let slots = match advice.profile {
        ProfileKind::Thread => format!(" with {} threads", advice.threads),
        _ => String::new(),
    };
    output::line(&format!(
        "for {} work: profile {}{slots}: {}",
        options.workload, advice.profile, advice.reason
    ))
}

fn describe(check: &LibraryCheck) -> String {
    let version = check.installed.as_deref().unwrap_or("not installed");
    let name = format!("{} ({version})", check.library);
    let mut text = format!("{:<8} {name:<28} {}", check.suitability, check.reason);
    if let Some(advice) = &check.advice {
        text.push_str("\n         help: ");
        text.push_str(advice);
    }
    text
}
