//! The page `docs/foreign-workers.md`: its files are written, and its commands are run.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use snakepit::{Snakepit, args};

use super::packages;
use crate::support::root;

/// Returns the blocks of the page with this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let parts = page.split(&fence).skip(1);
    parts
        .map(|part| part.split("\n```").next().unwrap().to_owned() + "\n")
        .collect()
}

/// Runs a command of the page as a shell does. Returns its output.
fn shell(dir: &Path, packages: &Path, line: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_snakepit")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(dir)
        .env("PATH", format!("{}:{path}", program.display()))
        .env("NODE_PATH", packages)
        .env("SNAKEPIT_DATA_DIR", dir.join("state"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {text}{errors}");
    text
}

#[test]
fn every_block_of_the_page_works() {
    let Some(packages) = packages() else { return };
    let page = std::fs::read_to_string(root().join("docs/foreign-workers.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let only = |language| match <[String; 1]>::try_from(blocks(&page, language)) {
        Ok([block]) => block,
        Err(blocks) => panic!("{language}: {blocks:?}"),
    };
    let proto = root().join("proto/snakepit_bridge.proto");
    std::fs::copy(proto, dir.join("snakepit_bridge.proto")).unwrap();
    std::fs::write(dir.join("worker.js"), only("js")).unwrap();
    std::fs::write(dir.join("worker.sh"), only("sh")).unwrap();
    let executable = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(dir.join("worker.sh"), executable).unwrap();
    let mut commands = 0;
    for block in blocks(&page, "console") {
        for command in block.split("$ ").skip(1) {
            let (line, expected) = command.split_once('\n').unwrap();
            let output = shell(dir, &packages, line);
            assert!(output.contains(expected), "{line}: {output}");
            commands += 1;
        }
    }
    assert_eq!(commands, 3, "calls and a check");

    let file = dir.join("snakepit.toml");
    let inherit = format!("inherit_env = [\"NODE_*\"]\nenv = {{ NODE_PATH = {packages:?} }}\n");
    let [own, original] = <[String; 2]>::try_from(blocks(&page, "toml")).unwrap();
    std::fs::write(&file, original).unwrap();
    let config = format!("{:?}", snakepit::Config::load(&file).unwrap());
    assert!(config.contains("runtime: Original"), "{config}");
    std::fs::write(&file, own + &inherit).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let snakepit = Snakepit::builder()
            .config_file(&file)
            .data_dir(dir.join("state"));
        let snakepit = snakepit.start().await.unwrap();
        let sum: i64 = snakepit
            .execute("add", args! { "a" => 1, "b" => 2 })
            .await
            .unwrap();
        assert_eq!((sum, snakepit.workers().len()), (3, 2));
        snakepit.shutdown().await;
    });
}
