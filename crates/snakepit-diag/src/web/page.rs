//! The page: a skeleton, a style, a script, and data.

use super::WebError;
use super::document::Document;
use super::guard::random;

const SKELETON: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: [&str; 6] = [
    include_str!("page/data.js"),
    include_str!("page/parts.js"),
    include_str!("page/stream.js"),
    include_str!("page/tables.js"),
    include_str!("page/flame.js"),
    include_str!("page/main.js"),
];

/// Data of the live page, which loads everything else from the server.
const LIVE: &str = r#"{"live":true}"#;

/// Returns the content security policy: the page may run its own script, use its own style and, if
/// live, connect to its server.
pub(super) fn policy(nonce: &str, live: bool) -> String {
    let connect = if live { "connect-src 'self'; " } else { "" };
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; {connect}base-uri 'none'; form-action 'none'"
    )
}

/// Renders a document as a self-contained HTML file.
///
/// # Errors
/// [`WebError::Random`].
pub fn report_page(document: &Document) -> Result<String, WebError> {
    let nonce = random().map_err(WebError::Random)?;
    Ok(page(&document.json(), &nonce, false))
}

/// Renders the page that the server delivers.
pub(super) fn live_page(nonce: &str) -> String {
    page(LIVE, nonce, true)
}

fn page(data: &str, nonce: &str, live: bool) -> String {
    let mut page = String::with_capacity(data.len() + 64 * 1024);
    let mut rest = SKELETON;
    while let Some((text, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page.push_str(text);
        match name {
            "policy" => page.push_str(&policy(nonce, live)),
            "nonce" => page.push_str(nonce),
            "style" => page.push_str(STYLE),
            "script" => SCRIPTS.iter().for_each(|script| page.push_str(script)),
            "data" => page.push_str(data),
            _ => {}
        }
        rest = after;
    }
    page.push_str(rest);
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RecordedCall, Recording};

    /// With `SNAKEPIT_TEST_PAGE=FILE`, writes the page to that file.
    #[test]
    fn a_report_of_a_hundred_thousand_calls_has_five_megabytes() {
        let calls = (0..100_000_u64).map(|n| {
            // Figures as in a real host: of different lengths, without an order.
            let scatter = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            let queued = u32::try_from(scatter % 20_000).unwrap();
            RecordedCall {
                call: n + 1,
                caller: None,
                tool: format!("tool_{}", scatter % 20),
                worker: format!("main-{}", scatter % 64),
                slot: u16::try_from(scatter % 4).unwrap(),
                at: 1.7e9 + n as f64 * 1e-3 + (scatter % 900) as f64 * 1e-6,
                outcome: if scatter % 50 == 0 { "error" } else { "ok" },
                code: (scatter % 50 == 0).then(|| "SP3001".to_owned()),
                queued_us: queued,
                sent_us: queued + 30,
                duration_us: Some(u64::from(queued) + scatter % 500_000),
                attempts: 1,
                items: 1,
                bytes_in: u32::try_from(scatter % 5000).unwrap(),
                bytes_out: u32::try_from(scatter % 9000).unwrap(),
            }
        });
        let recording = Recording {
            pool: "main".to_owned(),
            host_pid: 1,
            began: 1.7e9,
            damaged: 0,
            missing_bytes: 0,
            calls: calls.collect(),
            deaths: Vec::new(),
        };
        let page = report_page(&Document::of_recordings(
            "run".to_owned(),
            1.7e9,
            vec![recording],
        ));
        let page = page.unwrap();
        assert!(page.len() <= 5 << 20, "{}", page.len());
        if let Some(file) = std::env::var_os("SNAKEPIT_TEST_PAGE") {
            std::fs::write(file, page).unwrap();
        }
    }

    #[test]
    fn a_page_is_whole_and_asks_nobody() {
        let page = report_page(&Document::default()).unwrap();
        assert!(page.ends_with("</html>\n"));
        assert!(!page.contains("{{"), "each part has its text");
        for outside in ["http:", "https:", "//cdn", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        for raw in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
        ] {
            assert!(!page.contains(raw), "{raw}");
        }
        assert!(
            !policy("n", false).contains("connect-src")
                && policy("n", true).contains("connect-src 'self'")
        );
    }
}
