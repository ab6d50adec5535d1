//! The settings of all sources together, and the place of each.

use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider as _};
use serde::de::DeserializeOwned;

use super::env::Variables;
use super::{position, problem, reader};
use crate::BuildError;

/// The settings of a file and of variables.
pub(super) struct Settings {
    figment: Figment,
    tree: Dict,
    file: Option<PathBuf>,
    /// The text of the file.
    text: String,
}

impl Settings {
    /// Reads the sources. Variables override the file.
    pub(super) fn new(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, BuildError> {
        let mut settings = Self {
            figment: Figment::new(),
            tree: Dict::new(),
            file: file.map(Path::to_owned),
            text: String::new(),
        };
        if let Some(file) = file {
            settings.text = std::fs::read_to_string(file).map_err(|error| BuildError::File {
                path: file.to_owned(),
                reason: error.to_string(),
            })?;
            problem::check_syntax(file, &settings.text)?;
            settings.figment = settings.figment.merge(Toml::file_exact(file));
        }
        settings.figment = settings.figment.merge(Variables::new(variables));
        let mut trees = settings
            .figment
            .data()
            .map_err(|error| settings.error(&[], &error))?;
        settings.tree = trees.remove(&Profile::Default).unwrap_or_default();
        Ok(settings)
    }

    /// Returns all settings.
    pub(super) const fn root(&self) -> &Dict {
        &self.tree
    }

    /// Returns the table at a path; without entries if there is none.
    pub(super) fn table(&self, path: &[&str]) -> Dict {
        let table = find(&self.tree, path).and_then(Value::as_dict);
        table.cloned().unwrap_or_default()
    }

    /// Reads a table that stands at a path.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        path: &[&str],
        table: Dict,
    ) -> Result<T, BuildError> {
        reader::read(table).map_err(|error| self.error(path, &error))
    }

    /// Resolves the path that a value names: one from the file is relative to the file.
    pub(super) fn resolve(&self, value: Option<&Value>, path: PathBuf) -> PathBuf {
        match self.dir_of(value) {
            Some(dir) => dir.join(path),
            None => path,
        }
    }

    /// Returns the directory of the file that a value comes from. `None` if it comes from a
    /// variable.
    pub(super) fn dir_of(&self, value: Option<&Value>) -> Option<&Path> {
        let metadata = self.figment.get_metadata(value?.tag())?;
        metadata.source.as_ref()?.file_path()?.parent()
    }

    /// Converts the error of a value below a path.
    pub(super) fn error(&self, path: &[&str], error: &figment::Error) -> BuildError {
        let (mut keys, error) = problem::explain(error);
        keys.splice(0..0, path.iter().map(|&key| key.to_owned()));
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let location = self.place(&keys);
        let error = crate::ConfigError {
            key: keys.join("."),
            ..error
        };
        BuildError::Config { error, location }
    }

    /// Adds the place of its key, which stands below `path`, to an error.
    pub(super) fn locate(&self, path: &[&str], error: BuildError) -> BuildError {
        match error {
            BuildError::Config { error, .. } => {
                let start = path.join(".");
                let below = error.key.strip_prefix(&start).unwrap_or(&error.key);
                let below = below.split('.').filter(|key| !key.is_empty());
                let keys: Vec<&str> = path.iter().copied().chain(below).collect();
                let location = self.place(&keys);
                BuildError::Config { error, location }
            }
            other => other,
        }
    }

    /// Returns the place of a setting: file, line and column, or a variable. A setting that a pool
    /// has from the defaults has its place there, and a missing one that of the table around it.
    pub(super) fn place(&self, keys: &[&str]) -> Option<String> {
        let of_defaults = match keys {
            ["pools", _, rest @ ..] => [&["defaults"], rest].concat(),
            _ => Vec::new(),
        };
        let around = (1..keys.len()).rev().map(|end| &keys[..end]);
        let mut candidates = [keys, &*of_defaults].into_iter().chain(around);
        let found = candidates.find_map(|keys| Some((keys, find(&self.tree, keys)?)));
        match found {
            Some((keys, value)) if self.dir_of(Some(value)).is_none() => {
                let metadata = self.figment.get_metadata(value.tag())?;
                Some(metadata.interpolate(&Profile::Default, keys))
            }
            found => {
                let file = self.file.as_ref()?.display();
                let keys = found.map(|(keys, _)| keys)?;
                let (line, column) = position::find(&self.text, keys)?;
                Some(format!("{file}:{line}:{column}"))
            }
        }
    }
}

fn find<'a>(tree: &'a Dict, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = tree.get(*first)?;
    match (rest, value) {
        ([], value) => Some(value),
        (rest, Value::Dict(_, tree)) => find(tree, rest),
        ([index], Value::Array(_, items)) => items.get(index.parse::<usize>().ok()?),
        _ => None,
    }
}
