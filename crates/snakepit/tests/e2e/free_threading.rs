//! The host's knowledge of its workers' GIL, on ordinary and on free-threaded interpreters.

use std::path::Path;
use std::process::Command;

use snakepit::{Snakepit, args};

use crate::support::{LONG, pool_of};

/// `load` imports an extension module that does not declare support for running without the GIL.
const ADAPTER: &str = "\
import sys

from snakepit_bridge import tool


@tool
def starts_with_gil() -> bool:
    return getattr(sys, '_is_gil_enabled', lambda: True)()


@tool
def load(folder: str) -> bool:
    sys.path.insert(0, folder)
    import loud

    return getattr(sys, '_is_gil_enabled', lambda: True)()


@tool
def compiler() -> list[str]:
    import sysconfig

    suffix = sysconfig.get_config_var('EXT_SUFFIX')
    return [sysconfig.get_path('include'), f'loud{suffix}']
";

const LOUD: &str = "\
#include <Python.h>
static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = \"loud\"};
PyMODINIT_FUNC PyInit_loud(void) { return PyModuleDef_Init(&module); }
";

async fn compile(snakepit: &Snakepit, dir: &Path) {
    let words: Vec<String> = snakepit.execute("compiler", ()).await.unwrap();
    let [include, file] = &words[..] else {
        panic!("{words:?}");
    };
    std::fs::write(dir.join("loud.c"), LOUD).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(dir.join(file))
        .arg(format!("-I{include}"))
        .arg(dir.join("loud.c"))
        .status()
        .unwrap();
    assert!(compiled.success());
}

#[tokio::test]
async fn an_import_that_switches_the_gil_on_is_told_with_the_name_of_the_module() {
    let dir = tempfile::tempdir().unwrap();
    let adapter = dir.path().join("adapter.py");
    std::fs::write(&adapter, ADAPTER).unwrap();
    let pool = pool_of("main", adapter.to_str().unwrap());
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let with_gil: bool = snakepit.execute("starts_with_gil", ()).await.unwrap();
    let status = &snakepit.workers()[0];
    assert_eq!(status.gil_enabled, Some(with_gil));
    assert_eq!(status.gil_reenabled_by, None);

    compile(&snakepit, dir.path()).await;
    let folder = dir.path().to_str().unwrap();
    let then: bool = snakepit
        .execute("load", args! { "folder" => folder })
        .await
        .unwrap();
    assert!(then);
    // The report arrives on another connection than the result of the call.
    let told = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(2));
        while !with_gil && snakepit.workers()[0].gil_reenabled_by.is_none() {
            tick.tick().await;
        }
    };
    tokio::time::timeout(LONG, told).await.unwrap();
    let status = &snakepit.workers()[0];
    assert_eq!(status.gil_enabled, Some(true));
    let expected = (!with_gil).then_some("loud");
    assert_eq!(status.gil_reenabled_by.as_deref(), expected);
    assert!(snakepit.shutdown().await.leftover.is_empty());
}
