//! The environment of a worker: an allow-list, never all of this process's.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use snakepit_redact::Known;

use crate::PythonConfig;
use crate::variables::{STRICT_HINTS, UNSERIALIZABLE, WORKER_PREFIX, WORKER_SETTINGS};

/// The variables of one worker.
pub(crate) type Environment = BTreeMap<OsString, OsString>;

/// Names and prefixes that are passed on.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "PYTHON*",
    "VIRTUAL_ENV",
    "CUDA_*",
    "HF_*",
    "XDG_*",
    "SSL_CERT_*",
    "LD_LIBRARY_PATH",
];

/// Names that are not passed on although a prefix above covers them: they change the interpreter's
/// identity or its behaviour at exit, and the search path is assembled separately.
const HELD_BACK: &[&str] = &["PYTHONHOME", "PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONPATH"];

/// Names that are passed on only if set explicitly. Settings with which another host has started
/// this process are not passed on either: they concern only this process.
const NEVER: &[&str] = &["LD_PRELOAD"];

/// Variables that limit the threads of numeric libraries.
const THREADS: &[&str] = &[
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
];

const SEARCH_PATH: &str = "PYTHONPATH";

/// Assembles the environment of a program of which nothing is known.
pub(crate) fn plain(
    parent: impl IntoIterator<Item = (OsString, OsString)>,
    inherit: &[String],
    own: &BTreeMap<String, String>,
) -> Environment {
    let inherited = parent.into_iter().filter(|(name, _)| passes(name, inherit));
    let mut environment: Environment = inherited.collect();
    // A worker that runs Python would otherwise keep its last lines for itself.
    environment.insert("PYTHONUNBUFFERED".into(), "1".into());
    environment.extend(own.iter().map(|(name, value)| (name.into(), value.into())));
    environment
}

/// Assembles the environment from `parent`, the settings, and the directory of the worker runtime,
/// if the interpreter does not find that itself.
pub(crate) fn build(
    parent: impl IntoIterator<Item = (OsString, OsString)>,
    config: &PythonConfig,
    bridge: Option<&PathBuf>,
) -> Environment {
    let mut environment = Environment::new();
    let mut inherited_path = None;
    let mut threads = BTreeMap::new();
    for (name, value) in parent {
        if name == SEARCH_PATH {
            inherited_path = Some(value);
        } else if THREADS.iter().any(|known| name == *known) {
            threads.insert(name, value);
        } else if passes(&name, &config.inherit_env) {
            environment.insert(name, value);
        }
    }
    for name in THREADS {
        let limit = || OsString::from(config.threads.to_string());
        let value = threads.remove(OsStr::new(name)).unwrap_or_else(limit);
        environment.insert(OsString::from(name), value);
    }
    environment.insert("PYTHONUNBUFFERED".into(), "1".into());
    environment.extend(
        config
            .env
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    // A search path in the settings replaces the inherited one, but not ours: without it the worker
    // runtime would not be found.
    let rest = environment
        .remove(OsStr::new(SEARCH_PATH))
        .or(inherited_path);
    let search_path = join(bridge, &config.python_path, rest.as_deref());
    if !search_path.is_empty() {
        environment.insert(SEARCH_PATH.into(), search_path);
    }
    environment
}

/// Logs the worker settings with invalid values, which a worker ignores.
pub(crate) fn warn_of_ignored(environment: &Environment) {
    for name in WORKER_SETTINGS {
        let Some(value) = environment.get(OsStr::new(name)) else {
            continue;
        };
        if let Some(expected) = expected(name, &value.to_string_lossy()) {
            let value = value.to_string_lossy();
            tracing::warn!(name, %value, expected, "ignored an invalid setting of workers");
        }
    }
}

/// Returns the values in the environment that are known to be secret by their names. Logs a warning
/// if there are more than can be masked.
pub(crate) fn secrets(environment: &Environment) -> Known {
    let variables = environment.iter();
    let known = Known::of_variables(
        variables.filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?))),
    );
    if known.left_out() > 0 {
        tracing::warn!(
            variables = known.left_out(),
            "too many variables with names of secrets: the values of some are not masked wherever \
             workers print them; pass fewer in `inherit_env` and `env`"
        );
    }
    known
}

/// Returns the accepted values of a worker setting if `value` is none of them.
fn expected(name: &str, value: &str) -> Option<&'static str> {
    let value = value.trim();
    let (accepted, expected) = if name == UNSERIALIZABLE {
        (matches!(value, "error" | "marker"), "error or marker")
    } else if name == STRICT_HINTS {
        let lower = value.to_lowercase();
        let accepted = matches!(lower.as_str(), "0" | "1" | "false" | "true");
        (accepted, "1 or 0, true or false")
    } else if name.ends_with("_DETAIL") {
        const DETAILS: [&str; 4] = ["none", "type", "repr_truncated", "repr_redacted_truncated"];
        let lower = value.to_lowercase();
        (
            DETAILS.contains(&lower.as_str()),
            "none, type, repr_truncated or repr_redacted_truncated",
        )
    } else {
        (value.parse::<i64>().is_ok(), "a whole number")
    };
    (!accepted && !value.is_empty()).then_some(expected)
}

fn passes(name: &OsStr, extra: &[String]) -> bool {
    let matches = |pattern: &str| match pattern.strip_suffix('*') {
        Some(prefix) => name.as_encoded_bytes().starts_with(prefix.as_bytes()),
        None => name == pattern,
    };
    let of_a_worker = name
        .as_encoded_bytes()
        .starts_with(WORKER_PREFIX.as_bytes());
    if of_a_worker || NEVER.iter().any(|never| name == *never) {
        return false;
    }
    let held_back = HELD_BACK.iter().any(|held| name == *held);
    let mut passed = PASSED.iter().chain(&WORKER_SETTINGS);
    // All variables are all that do no harm; the others can be named.
    (!held_back && passed.any(|pattern| matches(pattern)))
        || extra
            .iter()
            .any(|pattern| matches(pattern) && !(held_back && pattern == "*"))
}

fn join(bridge: Option<&PathBuf>, ours: &[PathBuf], rest: Option<&OsStr>) -> OsString {
    let mut joined = OsString::new();
    let parts = bridge.into_iter().chain(ours).map(|path| path.as_os_str());
    for part in parts.chain(rest).filter(|part| !part.is_empty()) {
        if !joined.is_empty() {
            joined.push(":");
        }
        joined.push(part);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(entries: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        entries
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    fn get<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
        environment
            .get(OsStr::new(name))
            .and_then(|value| value.to_str())
    }

    #[test]
    fn only_the_list_passes() {
        let ours = parent(&[
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("AWS_SECRET", "x"),
            ("LD_PRELOAD", "evil.so"),
            ("PYTHONHOME", "/h"),
            ("PYTHONINSPECT", "1"),
            ("PYTHONHASHSEED", "0"),
            ("MY_A", "1"),
        ]);
        let mut config = PythonConfig::new("t.py");
        config.inherit_env = vec!["MY_*".into(), "LD_*".into()];
        let built = build(ours, &config, None);
        assert_eq!(get(&built, "PATH"), Some("/bin"));
        assert_eq!(get(&built, "LC_ALL"), Some("C"));
        assert_eq!(get(&built, "PYTHONHASHSEED"), Some("0"));
        assert_eq!(get(&built, "MY_A"), Some("1"));
        for absent in [
            "AWS_SECRET",
            "LD_PRELOAD",
            "PYTHONHOME",
            "PYTHONINSPECT",
            "PYTHONPATH",
        ] {
            assert_eq!(get(&built, absent), None, "{absent}");
        }
    }

    #[test]
    fn all_variables_are_those_that_leave_the_interpreter_alone() {
        let ours = parent(&[
            ("AWS_SECRET", "x"),
            ("LD_PRELOAD", "evil.so"),
            ("PYTHONHOME", "/h"),
            ("PYTHONSTARTUP", "s.py"),
            ("SNAKEPIT_WORKER_TOKEN", "t"),
        ]);
        let mut config = PythonConfig::new("t.py");
        config.inherit_env = vec!["*".into(), "PYTHONSTARTUP".into()];
        let built = build(ours, &config, None);
        assert_eq!(get(&built, "AWS_SECRET"), Some("x"));
        assert_eq!(get(&built, "PYTHONSTARTUP"), Some("s.py"), "it is named");
        for absent in ["LD_PRELOAD", "PYTHONHOME", "SNAKEPIT_WORKER_TOKEN"] {
            assert_eq!(get(&built, absent), None, "{absent}");
        }
    }

    #[test]
    fn settings_that_workers_read_pass_and_those_of_an_outer_worker_do_not() {
        let mut ours = parent(&[("SNAKEPIT_POOLS__A__WORKERS", "1")]);
        ours.extend(parent(&WORKER_SETTINGS.map(|name| (name, "7"))));
        ours.push((format!("{WORKER_PREFIX}TOKEN").into(), "7".into()));
        ours.push((format!("{WORKER_PREFIX}SLOTS").into(), "7".into()));
        let mut config = PythonConfig::new("t.py");
        let passed = |config: &PythonConfig| {
            let built = build(ours.clone(), config, None);
            let names = built.keys().filter_map(|name| name.to_str());
            let names = names.filter(|name| name.starts_with("SNAKEPIT_"));
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        let mut expected = WORKER_SETTINGS.to_vec();
        expected.sort_unstable();
        assert_eq!(passed(&config), expected);
        config.inherit_env = vec!["SNAKEPIT_*".into()];
        assert_eq!(passed(&config).len(), WORKER_SETTINGS.len() + 1);
    }

    #[test]
    fn a_setting_that_a_worker_would_not_understand_is_found() {
        for (name, value, accepted) in [
            (UNSERIALIZABLE, "marker", true),
            (UNSERIALIZABLE, "", true),
            (UNSERIALIZABLE, "markers", false),
            (STRICT_HINTS, "True", true),
            (STRICT_HINTS, "yes", false),
            ("SNAKEPIT_UNSERIALIZABLE_DETAIL", "Type", true),
            ("SNAKEPIT_UNSERIALIZABLE_DETAIL", "all", false),
            ("SNAKEPIT_TOLIST_MAX_ELEMENTS", "10", true),
            ("SNAKEPIT_TOLIST_MAX_ELEMENTS", "many", false),
        ] {
            assert_eq!(expected(name, value).is_none(), accepted, "{name}={value}");
        }
    }

    #[test]
    fn one_table_names_the_variables_of_a_worker() {
        use snakepit_grpc::worker_env;
        assert_eq!(snakepit_registry::HOST_PID_VAR, worker_env::HOST_PID);
        assert_eq!(snakepit_registry::COOKIES_VAR, worker_env::COOKIES);
        assert_eq!(snakepit_registry::ORIGIN_VAR, worker_env::ORIGIN);
        assert!(
            WORKER_SETTINGS
                .iter()
                .all(|name| !name.starts_with(WORKER_PREFIX))
        );
    }

    #[test]
    fn threads_are_limited_unless_somebody_said_otherwise() {
        let mut config = PythonConfig::new("t.py");
        config.threads = 2;
        config.env.insert("MKL_NUM_THREADS".into(), "8".into());
        let built = build(parent(&[("OMP_NUM_THREADS", "4")]), &config, None);
        assert_eq!(get(&built, "OMP_NUM_THREADS"), Some("4"));
        assert_eq!(get(&built, "MKL_NUM_THREADS"), Some("8"));
        assert_eq!(get(&built, "OPENBLAS_NUM_THREADS"), Some("2"));
    }

    #[test]
    fn the_search_path_begins_with_the_runtime() {
        let mut config = PythonConfig::new("t.py");
        config.python_path = vec!["/mine".into()];
        let bridge = PathBuf::from("/bridge");
        let ours = parent(&[("PYTHONPATH", "/theirs")]);
        let built = build(ours.clone(), &config, Some(&bridge));
        assert_eq!(get(&built, "PYTHONPATH"), Some("/bridge:/mine:/theirs"));
        config.env.insert("PYTHONPATH".into(), "/entry".into());
        let built = build(ours, &config, None);
        assert_eq!(get(&built, "PYTHONPATH"), Some("/mine:/entry"));
    }
}
