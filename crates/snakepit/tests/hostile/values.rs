//! Handling of the values of a hostile worker: the host decodes them into types of its own, shows
//! them, and reads their data frames.

use std::fmt::{self, Write};

use serde::de::DeserializeOwned;
use snakepit::{CallOptions, DataFrame, Payload, Snakepit, Value};

use crate::support::LONG;

/// Results that are asked for, at most.
const MANY: usize = 500;

/// The result that is the last one.
const END: &str = "end";

/// Calls the worker until it has no more, and uses each result in every way.
pub(crate) async fn use_all(evil: &Snakepit) {
    let options = CallOptions::new().timeout(LONG);
    let pool = evil.default_pool().raw().clone();
    for number in 0..MANY {
        let nothing = Payload::encode(&()).unwrap();
        let payload = match pool.execute("t", nothing, &options).await {
            Ok(payload) => payload,
            Err(error) => {
                println!("@outcome value {number}: {}", error.code());
                continue;
            }
        };
        // To decode a large one takes its time, and is no work for a thread of the runtime.
        let is_end = |text: String| text == END;
        if payload.bytes.len() < 10 && payload.decode().is_ok_and(is_end) {
            return;
        }
        let told = tokio::task::spawn_blocking(move || use_one(&payload));
        println!("@outcome value {number}: {}", told.await.unwrap());
    }
    panic!("the worker never ended");
}

fn use_one(payload: &Payload) -> String {
    let mut told = Told::default();
    told.decoded::<serde_json::Value>(payload);
    told.decoded::<Vec<f64>>(payload);
    if let Ok(value) = payload.decode::<Value>() {
        told.shown(&value);
    }
    told.0
}

/// The outcome of each way.
#[derive(Default)]
struct Told(String);

impl Told {
    fn tell(&mut self, what: impl fmt::Display) {
        write!(self.0, "{what}, ").unwrap();
    }

    fn decoded<T: DeserializeOwned>(&mut self, payload: &Payload) {
        match payload.decode::<T>() {
            Ok(_) => self.tell("read"),
            Err(error) => self.tell(error.code()),
        }
    }

    fn shown(&mut self, value: &Value) {
        let mut length = Length(0);
        match value.json_text() {
            Ok(text) => write!(length, "{text}").unwrap(),
            Err(error) => self.tell(crate::host::one_line(&error.to_string())),
        }
        write!(length, "{value}").unwrap();
        self.tell(length.0);
        self.tell(value.json_preview(60).len());
        self.tell(value.to_json().is_ok());
        if let Value::DataFrame(frame) = value {
            self.read(frame);
        }
    }

    #[cfg(feature = "arrow")]
    fn read(&mut self, frame: &DataFrame) {
        match frame.batches() {
            Ok(batches) => {
                // As a caller does who wants the whole frame.
                let batches: Vec<_> = batches.collect();
                self.tell(batches.len());
            }
            Err(error) => self.tell(crate::host::one_line(&error.to_string())),
        }
        self.tell(frame.to_records().is_ok());
    }

    #[cfg(not(feature = "arrow"))]
    fn read(&mut self, frame: &DataFrame) {
        self.tell(frame.size());
    }
}

/// A text of which only the length is kept.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}
