//! Values that cannot be sent: an error, or a marker if the tool requested one.

use snakepit::{ErrorCode, PoolBuilder, Snakepit, Value};

use crate::support::pool_of;

fn pool() -> PoolBuilder {
    let adapter = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/session_tools.py");
    pool_of("main", adapter)
}

async fn opaque(pool: PoolBuilder) -> Result<Value, snakepit::Error> {
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let result = snakepit.execute("opaque", ()).await;
    snakepit.shutdown().await;
    result
}

#[tokio::test]
async fn it_is_an_error_unless_a_marker_is_asked_for() {
    let error = opaque(pool()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnsendableResult);
    let value = opaque(pool().env("SNAKEPIT_UNSERIALIZABLE", "marker"))
        .await
        .unwrap();
    assert_eq!(value.get("fine"), Some(&Value::from(1)));
    let marker = value
        .get("opaque")
        .and_then(Value::as_unserializable)
        .unwrap();
    assert!(marker.type_name.ends_with(".Opaque"), "{marker:?}");
    assert_eq!(marker.repr, None);
}

#[tokio::test]
async fn its_text_comes_without_secrets() {
    let pool = pool()
        .env("SNAKEPIT_UNSERIALIZABLE", "marker")
        .env("SNAKEPIT_UNSERIALIZABLE_DETAIL", "repr_redacted_truncated");
    let value = opaque(pool).await.unwrap();
    let marker = value
        .get("opaque")
        .and_then(Value::as_unserializable)
        .unwrap();
    let repr = marker.repr.unwrap();
    assert!(
        repr.starts_with("Opaque(") && !repr.contains("0123456789"),
        "{repr}"
    );
}
