//! `codegen [--check]`: proto to committed Rust, without protoc.

use anyhow::Result;

use crate::shell;

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
    let committed = root().join("crates/snakepit-grpc/src/generated");
    let fresh = root().join("target/codegen");
    std::fs::create_dir_all(&fresh)?;

    let files = protox::compile([proto.join("snakepit_bridge.proto")], [&proto])?;
    tonic_prost_build::configure()
        .bytes(".")
        .client_mod_attribute(".", "#[cfg(feature = \"service\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"service\")]")
        .out_dir(&fresh)
        .compile_fds(files)?;

    let name = "snakepit.bridge.rs";
    let text = std::fs::read_to_string(fresh.join(name)).context("generated file")?;
    let target = committed.join(name);
    if check {
        let old = std::fs::read_to_string(&target).unwrap_or_default();
        anyhow::ensure!(
            old == text,
            "{} is out of date\n  help: run `cargo xtask codegen` and commit the result",
            target.strip_prefix(root())?.display()
        );
        return Ok(());
    }
    std::fs::create_dir_all(&committed)?;
    std::fs::write(&target, text)?;
    Ok(())
}
