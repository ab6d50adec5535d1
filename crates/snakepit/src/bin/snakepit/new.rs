//! `snakepit new`: creates a small project that runs at once.

mod name;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;
use snakepit::ErrorCode;

use crate::cli::NewOptions;
use crate::failure::Failure;
use crate::output;

/// The files of a project: path and content.
const FILES: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("new/Cargo.toml.txt")),
    ("src/main.rs", include_str!("new/main.rs.txt")),
    ("tests/tools.rs", include_str!("new/tests.rs.txt")),
    ("tools.py", include_str!("new/tools.py.txt")),
    ("snakepit.toml", include_str!("new/snakepit.toml.txt")),
    (
        "snakepit.schema.json",
        include_str!("../../../../../docs/snakepit.schema.json"),
    ),
    (".gitignore", include_str!("new/gitignore.txt")),
];

/// Source directory of the library from which this program was built.
const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

pub(crate) fn run(options: &NewOptions) -> Result<(), Failure> {
    let name = name::check(&options.name)?;
    let dir = PathBuf::from(name);
    let place = dir.display();
    free(&dir).map_err(|why| {
        Failure::usage(
            ErrorCode::WrongUsage,
            format!("{place} {why}"),
            "choose another name, or remove it",
        )
    })?;
    let library = library(options.library.as_deref())?;
    for (file, text) in FILES {
        let text = text.replace("{name}", name).replace("{library}", &library);
        let file = dir.join(file);
        let written = file.parent().map_or(Ok(()), fs::create_dir_all);
        written
            .and_then(|()| fs::write(&file, text))
            .map_err(|error| Failure::unwritten(&file, &error, "snakepit new NAME"))?;
    }
    if options.json {
        let files: Vec<_> = FILES.iter().map(|(file, _)| *file).collect();
        return output::document(&json!({ "directory": dir, "files": files }));
    }
    output::line(&format!(
        "wrote {place}; try: cd {place} && cargo run && cargo test"
    ))
}

/// Returns an error unless the directory is missing or empty.
fn free(dir: &Path) -> Result<(), String> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err("exists already and is not empty".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::symlink_metadata(dir) {
            Ok(_) => Err("exists already: a dangling symbolic link".to_owned()),
            Err(_) => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err("exists already".to_owned())
        }
        Err(error) => Err(format!("cannot be examined: {error}")),
    }
}

/// Returns the dependency: the named directory, else the source of this program if it exists, else
/// the version of this program.
fn library(named: Option<&Path>) -> Result<String, Failure> {
    let is_library =
        |dir: &Path| dir.join("Cargo.toml").is_file() && dir.join("src/lib.rs").is_file();
    let path = match named {
        Some(dir) => {
            let found = fs::canonicalize(dir).ok().filter(|dir| is_library(dir));
            Some(found.ok_or_else(|| {
                Failure::usage(
                    ErrorCode::WrongUsage,
                    format!("{} is not the directory of a library", dir.display()),
                    "name the directory `crates/snakepit` of a checkout",
                )
            })?)
        }
        None => Some(PathBuf::from(SOURCE)).filter(|dir| is_library(dir)),
    };
    Ok(match path {
        // A JSON string is a TOML string.
        Some(dir) => format!("{{ path = {} }}", json!(dir)),
        None => format!("\"{}\"", env!("CARGO_PKG_VERSION")),
    })
}
