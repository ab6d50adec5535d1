//! The data file is well-formed, and the suitability of libraries follows from it.

use super::*;
use crate::installed::Installed;
use crate::validate::tests::interpreter;
use crate::version::at_least;
use crate::{Interpreter, ProfileKind};

const THREAD: ProfileKind = ProfileKind::Thread;

fn gil() -> Interpreter {
    interpreter((3, 12, 4), false, true)
}

fn free() -> Interpreter {
    interpreter((3, 14, 1), true, false)
}

#[test]
fn every_entry_is_complete() {
    let known = Compatibility::known();
    assert!(known.list().len() >= 30 && !known.sources().is_empty());
    assert_eq!(known.checked().len(), 7);
    for entry in known.list() {
        let name = &entry.name;
        assert!(entry.notes.ends_with('.'), "{name}: notes are sentences");
        let part_of_python = entry.distributions.is_empty();
        assert_eq!(entry.minimum.is_none(), part_of_python, "{name}");
        for version in [&entry.minimum, &entry.free_threaded_since]
            .into_iter()
            .flatten()
        {
            assert_eq!(at_least(version, version), Some(true), "{name}: {version}");
        }
        let both_safe = entry.gil == Safety::Safe && entry.free_threaded == Safety::Safe;
        let helped = entry
            .workaround
            .as_ref()
            .is_some_and(|it| it.ends_with('.'));
        assert!(both_safe || helped, "{name}: what is to be done?");
        let import = entry.import.split('.');
        let plain = |part: &str| part.chars().all(|c| c.is_alphanumeric() || c == '_');
        assert!(import.clone().all(plain), "{name}: {}", entry.import);
        // `Unsupported` has no meaning with a GIL, and a supported library has a first version.
        assert_ne!(entry.gil, Safety::Unsupported, "{name}");
        let supported = matches!(entry.free_threaded, Safety::Safe | Safety::Conditional);
        let since = entry.free_threaded_since.is_some();
        assert!(since || !supported, "{name}: since when?");
        let unsupported = matches!(entry.free_threaded, Safety::Unsupported | Safety::Unknown);
        assert!(!(since && unsupported), "{name}: since when?");
    }
}

#[test]
fn the_entries_are_sorted_and_no_name_is_there_twice() {
    let known = Compatibility::known();
    assert!(known.list().is_sorted_by(|a, b| a.name < b.name));
    let mut names: Vec<String> = Vec::new();
    for entry in known.list() {
        let mut own = vec![normal(&entry.name), normal(&entry.import)];
        own.extend(entry.distributions.iter().map(|name| normal(name)));
        own.sort();
        own.dedup();
        names.extend(own);
    }
    let n_names = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), n_names, "a name stands for two libraries");
}

#[test]
fn all_libraries_that_the_original_knew_are_there() {
    let known = Compatibility::known();
    for name in [
        "aiohttp",
        "celery",
        "cupy",
        "faiss",
        "fasttext",
        "grpcio",
        "httpx",
        "jax",
        "lightgbm",
        "matplotlib",
        "numexpr",
        "numpy",
        "onnxruntime",
        "opencv-python",
        "pandas",
        "pillow",
        "plotly",
        "polars",
        "psycopg2",
        "pytorch",
        "ray",
        "requests",
        "scikit-learn",
        "scipy",
        "spacy",
        "sqlalchemy",
        "sqlite3",
        "tensorflow",
        "torch",
        "transformers",
        "xgboost",
    ] {
        assert!(known.info(name).is_some(), "{name}");
    }
}

#[test]
fn a_library_is_found_by_any_of_its_names() {
    let known = Compatibility::known();
    for name in ["scikit-learn", "sklearn", "Scikit_Learn"] {
        assert_eq!(known.info(name).unwrap().import, "sklearn", "{name}");
    }
    assert_eq!(known.info("psycopg2-binary").unwrap().name, "psycopg2");
    assert_eq!(known.info("cv2").unwrap().name, "opencv-python");
    assert_eq!(known.info("no-such-library"), None);
}

#[test]
fn verdicts_follow_profile_and_interpreter() {
    let known = Compatibility::known();
    for (name, on_gil, on_free) in [
        ("numpy", Suitability::Ok, Suitability::Care),
        ("cryptography", Suitability::Ok, Suitability::Ok),
        ("torch", Suitability::Care, Suitability::Care),
        ("pandas", Suitability::Unsafe, Suitability::Unsafe),
        ("matplotlib", Suitability::Unsafe, Suitability::Unsafe),
        // Importing it enables the GIL, so that it is as safe as with a GIL.
        ("grpcio", Suitability::Ok, Suitability::Care),
        ("spacy", Suitability::Unsafe, Suitability::Unsafe),
        ("httpx", Suitability::Ok, Suitability::Unknown),
        (
            "no-such-library",
            Suitability::Unknown,
            Suitability::Unknown,
        ),
    ] {
        for (interpreter, expected) in [(gil(), on_gil), (free(), on_free)] {
            let check = known.check(name, THREAD, &interpreter);
            assert_eq!(check.suitability, expected, "{name}: {check:?}");
            assert_eq!(
                check.advice.is_some(),
                expected != Suitability::Ok,
                "{check:?}"
            );
            let alone = known.check(name, ProfileKind::Process, &interpreter);
            assert_eq!(
                (alone.suitability, alone.advice),
                (Suitability::Ok, None),
                "{name}"
            );
        }
    }
    let check = known.check("grpcio", THREAD, &free());
    assert!(check.reason.contains("GIL back on"), "{check:?}");
}

#[test]
fn a_report_knows_the_versions() {
    let known = Compatibility::known();
    let installed = Installed::default()
        .with("numpy", "2.0.2")
        .with("opencv-python-headless", "4.10.0.84")
        .with("scipy", "1.6.3")
        .with("Pandas", "3.1.0");
    let libraries = ["numpy", "cv2", "scipy", "pandas", "sqlite3", "requests"];
    let report = known.report(libraries, THREAD, &free(), &installed);
    let versions: Vec<_> = report
        .checks
        .iter()
        .map(|it| it.installed.as_deref())
        .collect();
    let python = Some("3.14.1");
    let expected = [
        Some("2.0.2"),
        Some("4.10.0.84"),
        Some("1.6.3"),
        Some("3.1.0"),
        python,
        None,
    ];
    assert_eq!(versions, expected);
    // The first numpy that supports free threading is 2.1.
    assert_eq!(report.checks[0].suitability, Suitability::Care);
    assert_eq!(
        report.checks[0].advice.as_deref(),
        Some("upgrade it to 2.1.0 or newer")
    );
    assert!(
        report.checks[0].reason.contains("GIL back on"),
        "{report:?}"
    );
    // Older than the versions that the entry covers.
    assert_eq!(report.checks[2].suitability, Suitability::Unknown);
    assert_eq!(report.worst(), Suitability::Unsafe);
    let names: Vec<_> = report
        .with(Suitability::Unsafe)
        .map(|it| it.library.as_str())
        .collect();
    assert_eq!(names, ["pandas", "sqlite3"]);
    let none: [&str; 0] = [];
    assert_eq!(
        known.report(none, THREAD, &gil(), &installed).worst(),
        Suitability::Ok
    );
}
