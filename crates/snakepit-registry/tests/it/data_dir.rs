//! Data directories that must not be used, and data directories that vanish.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use snakepit_registry::{DirProblem, Error, Registry, RegistryConfig};

use crate::support::{close, data_dir, is_root, open, skip};

#[track_caller]
fn refused(path: &Path) -> DirProblem {
    match Registry::open(RegistryConfig::new(path)) {
        Err(error @ Error::DataDir { .. }) => {
            assert_eq!(error.code(), "SP6001");
            assert!(!error.help().is_empty() && error.to_string().contains("data directory"));
            let Error::DataDir { problem, .. } = error else {
                unreachable!("matched above")
            };
            problem
        }
        other => panic!("not refused: {other:?}"),
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

#[test]
fn it_is_created_for_its_owner_alone() {
    let (dir, _) = data_dir();
    let data = dir.path().join("a/b/c");
    let registry = open(&data);
    let run = data.join("runs").join(registry.run_id().to_string());
    for path in [
        &data,
        &data.join("runs"),
        &data.join("quarantine"),
        &run,
        &registry.socket_dir(),
    ] {
        assert_eq!(
            fs::metadata(path).expect("it is there").mode() & 0o777,
            0o700,
            "{path:?}"
        );
    }
    for file in ["lock", "meta.json", "db/data.mdb"] {
        assert_eq!(
            fs::metadata(run.join(file)).expect(file).mode() & 0o077,
            0,
            "{file}"
        );
    }
    assert!(registry.socket_dir().is_absolute());
    close(&registry);
}

#[test]
fn row_80_links_files_and_open_directories_are_refused() {
    let (dir, data) = data_dir();
    let target = dir.path().join("target");
    fs::create_dir(&target).expect("mkdir");
    symlink(&target, &data).expect("symlink");
    assert_eq!(refused(&data), DirProblem::Symlink);
    fs::remove_file(&data).expect("remove");

    fs::write(&data, b"").expect("write");
    assert_eq!(refused(&data), DirProblem::NotADirectory);
    fs::remove_file(&data).expect("remove");

    fs::create_dir(&data).expect("mkdir");
    for open_mode in [0o777, 0o1777, 0o770, 0o720] {
        mode(&data, open_mode);
        assert_eq!(refused(&data), DirProblem::WorldWritable, "{open_mode:o}");
    }
    mode(&data, 0o755);
    close(&open(&data));
    mode(&data, 0o700);

    // Planted beforehand in a directory of this user.
    fs::remove_dir_all(data.join("runs")).expect("remove");
    symlink(&target, data.join("runs")).expect("symlink");
    assert_eq!(refused(&data), DirProblem::Symlink);
    assert_eq!(
        fs::read_dir(&target).expect("read").count(),
        0,
        "nothing was followed"
    );

    let planted = dir.path().join("planted");
    fs::create_dir(&planted).expect("mkdir");
    symlink(&target, planted.join("sweep.lock")).expect("symlink");
    let registry = open(&planted);
    let error = registry.sweep().expect_err("the lock is a link");
    assert_eq!(error.code(), "SP6012");
    close(&registry);
}

#[test]
fn long_paths_are_refused() {
    let (dir, _) = data_dir();
    let data = dir.path().join("x".repeat(90));
    assert!(matches!(
        refused(&data),
        DirProblem::TooLong { limit: 107, .. }
    ));
}

#[test]
fn directories_of_others_and_those_without_permission_are_refused() {
    if !is_root() {
        skip("only root can give files away");
        return;
    }
    let (_dir, data) = data_dir();
    fs::create_dir(&data).expect("mkdir");
    std::os::unix::fs::chown(&data, Some(65534), None).expect("chown");
    assert_eq!(
        refused(&data),
        DirProblem::ForeignOwner {
            owner: 65534,
            us: 0
        }
    );
    assert!(Registry::inspect(&data).is_err());
    // Not even root can write here.
    assert!(matches!(
        refused(Path::new("/proc/snakepit")),
        DirProblem::NotWritable(_)
    ));
    assert!(matches!(
        refused(Path::new("/proc")),
        DirProblem::NotWritable(_)
    ));
}

#[test]
fn a_missing_data_directory_cannot_be_inspected() {
    let (_dir, data) = data_dir();
    assert_eq!(
        Registry::inspect(&data).expect_err("it is missing").code(),
        "SP6002"
    );
    assert!(!data.exists());
}
