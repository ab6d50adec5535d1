//! `codegen [--check]`: generates the committed Rust code from the proto files, without protoc.

use anyhow::Result;

use crate::shell;

#[cfg(feature = "codegen")]
mod shapes;

#[cfg(not(feature = "codegen"))]
pub(crate) fn run(args: &[String]) -> Result<()> {
    shell::only(args, &["--check"])?;
    shell::run(
        shell::cargo([
            "run",
            "--quiet",
            "--package",
            "xtask",
            "--features",
            "codegen",
        ])
        .args(["--", "codegen"])
        .args(args),
    )
}

#[cfg(feature = "codegen")]
pub(crate) fn run(args: &[String]) -> Result<()> {
    use anyhow::Context as _;
    use shell::root;

    shell::only(args, &["--check"])?;
    let check = args.iter().any(|arg| arg == "--check");
    let proto = root().join("proto");
    let fresh = root().join("target/codegen");
    std::fs::create_dir_all(&fresh)?;
    for Source {
        file,
        feature,
        package,
        target,
        shapes,
    } in SOURCES
    {
        let files = protox::compile([proto.join(file)], [&proto])?;
        let mut builder = tonic_prost_build::configure().bytes(".").out_dir(&fresh);
        if let Some(feature) = feature {
            let attribute = format!("#[cfg(feature = \"{feature}\")]");
            builder = builder
                .client_mod_attribute(".", &attribute)
                .server_mod_attribute(".", &attribute);
        }
        builder.compile_fds(files.clone())?;
        let name = format!("{package}.rs");
        let text = std::fs::read_to_string(fresh.join(&name)).context("generated file")?;
        put(&root().join(target).join(name), &text, check)?;
        if shapes {
            let text = self::shapes::of(files, package)?;
            put(&root().join(target).join("shapes.rs"), &text, check)?;
        }
    }
    Ok(())
}

/// Writes a generated file, or checks that it is there.
#[cfg(feature = "codegen")]
fn put(target: &std::path::Path, text: &str, check: bool) -> Result<()> {
    use anyhow::Context as _;

    if check {
        let old = std::fs::read_to_string(target).unwrap_or_default();
        anyhow::ensure!(
            old == text,
            "{} is out of date\n  help: run `cargo xtask codegen` and commit the result",
            target.strip_prefix(shell::root())?.display()
        );
        return Ok(());
    }
    std::fs::create_dir_all(target.parent().context("it has a directory")?)?;
    Ok(std::fs::write(target, text)?)
}

/// One file of messages and services, and the crate for which it is generated.
#[cfg(feature = "codegen")]
struct Source {
    file: &'static str,
    /// Feature of the crate that enables client and server. `None` if they are always there.
    feature: Option<&'static str>,
    package: &'static str,
    target: &'static str,
    /// Also generates the shapes of the requests.
    shapes: bool,
}

#[cfg(feature = "codegen")]
const SOURCES: [Source; 2] = [
    Source {
        file: "snakepit_bridge.proto",
        feature: Some("service"),
        package: "snakepit.bridge",
        target: "crates/snakepit-grpc/src/generated",
        shapes: true,
    },
    Source {
        file: "snakepit_admin.proto",
        feature: None,
        package: "snakepit.admin.v1",
        target: "crates/snakepit-diag/src/generated",
        shapes: false,
    },
];

#[cfg(all(test, feature = "codegen"))]
mod tests {
    #[test]
    fn the_generated_files_are_up_to_date() {
        super::run(&["--check".to_owned()]).unwrap();
    }
}
