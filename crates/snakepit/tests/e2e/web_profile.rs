//! A report with profiles, in a real browser.

use serde_json::json;

use crate::browser::Browser;
use crate::diagnostics::Host;
use crate::web::look;

#[test]
fn a_report_with_a_profile_has_its_flame_graph() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let host = Host::start();
    let written = host.run(&["report", "--html", "report.html", "--profile", "300ms"]);
    assert_eq!(written.status, Some(0), "{written:?}");
    browser.look(1440, false);
    browser.open(&format!(
        "file://{}",
        host.dir().join("report.html").display()
    ));
    let bar = browser.eval("document.querySelector('#flames div').textContent");
    assert_eq!(bar, "wait");
    let state = browser.eval("document.getElementById('flame-state').textContent");
    assert!(state.as_str().unwrap().contains(" samples in "), "{state}");
    let pools =
        browser.eval("[...document.getElementById('flame-pool').options].map((it) => it.value)");
    assert_eq!(pools, json!(["main"]));
    assert_eq!(
        browser.eval("document.getElementById('flame-start').hidden"),
        true
    );
    browser.eval("document.getElementById('flames').focus()");
    browser.key("ArrowRight");
    browser.until("document.getElementById('flame-frame').textContent.includes('tools.py:5')");
    look(&mut browser, "report-profile");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    for refused in [
        &["report", "--profile", "1s"][..],
        &["report", "--html", "none.html", "--profile", "0s"],
    ] {
        let refused = host.run(refused);
        assert_eq!(refused.status, Some(2), "{refused:?}");
        assert!(refused.stderr.contains("`--profile`") || refused.stderr.contains("--html"));
    }
    assert!(!host.dir().join("none.html").exists());
    assert_eq!(host.finish(), "done\n");
}
