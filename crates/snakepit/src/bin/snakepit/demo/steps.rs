//! The steps of the demo. Each computes something in Python and checks it in Rust.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use serde::Deserialize;
use snakepit::{Bytes, Error, Snakepit, args};
use tokio::time::Instant;

use super::report::{Bar, Board};
use super::shared;
use crate::failure::Failure;

/// The Declaration of Independence of the United States, 1776; in the public domain.
const DECLARATION: &str = include_str!("../../../../demo/declaration.txt");

/// Files of the current directory that are also counted, if they exist.
const LOCAL_FILES: [&str; 2] = ["README.md", "LICENSE"];

type Counts = BTreeMap<String, u64>;

/// The result of a check as a sentence: `Ok` if it passed.
pub(super) type Finding = Result<String, String>;

pub(crate) async fn all(snakepit: &Snakepit, board: &mut Board) -> Result<(), Failure> {
    macro_rules! step {
        ($name:literal, $step:expr) => {{
            let clock = Instant::now();
            let finding = match $step.await {
                Ok(finding) => finding,
                Err(error) => Err(error.to_string()),
            };
            board.step($name, finding, clock.elapsed())?;
        }};
    }
    step!(
        "words",
        words(snakepit, "the Declaration of Independence", DECLARATION)
    );
    for name in LOCAL_FILES {
        if let Ok(text) = std::fs::read_to_string(name) {
            step!("words", words(snakepit, name, &text));
        }
    }
    step!("state", tally(snakepit));
    step!("stream", primes(snakepit));
    step!("bytes", checksum(snakepit));
    step!("crash", crash(snakepit));
    step!("many", squares(snakepit));
    step!("host", shared::words(snakepit));
    step!("array", shared::array(snakepit));
    Ok(())
}

/// Counts the words of a text, with one concurrent call per paragraph.
async fn words(snakepit: &Snakepit, name: &str, text: &str) -> Result<Finding, Error> {
    let paragraphs: Vec<&str> = text
        .split("\n\n")
        .filter(|part| !part.trim().is_empty())
        .collect();
    let calls = paragraphs
        .iter()
        .map(|part| snakepit.execute::<Counts>("count_words", args! { "text" => part }));
    let mut counted = Counts::new();
    for part in try_join_all(calls).await? {
        for (word, count) in part {
            *counted.entry(word).or_default() += count;
        }
    }
    let mut expected = Counts::new();
    let lower = text.to_lowercase();
    for word in lower
        .split(|c: char| !c.is_ascii_lowercase())
        .filter(|word| !word.is_empty())
    {
        *expected.entry(word.to_owned()).or_default() += 1;
    }
    let total: u64 = counted.values().sum();
    if counted != expected {
        let expected: u64 = expected.values().sum();
        return Ok(Err(format!(
            "{name}: Python counts {total} words, Rust counts {expected}"
        )));
    }
    let mut top: Vec<(&String, &u64)> = counted.iter().collect();
    top.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let top: Vec<String> = top
        .iter()
        .take(3)
        .map(|(word, count)| format!("{word} {count}"))
        .collect();
    let (calls, distinct) = (paragraphs.len(), counted.len());
    Ok(Ok(format!(
        "{name}: {total} words, {distinct} distinct, in {calls} parallel calls; most frequent {}",
        top.join(", ")
    )))
}

/// Uses a Python object that lives in its worker between calls.
async fn tally(snakepit: &Snakepit) -> Result<Finding, Error> {
    let pool = snakepit.pool("tally")?.session("demo");
    let mut total = 0_i64;
    for amount in 1..=100_i64 {
        total = pool.execute("add", (amount,)).await?;
    }
    Ok(match total {
        5050 => Ok("an object in its worker added 1 to 100: 5050".to_owned()),
        other => Err(format!("1 to 100 add up to 5050, the worker says {other}")),
    })
}

/// Reads a stream of progress. There are 78498 primes below a million.
async fn primes(snakepit: &Snakepit) -> Result<Finding, Error> {
    #[derive(Deserialize)]
    struct Progress {
        below: u64,
        primes: u64,
    }
    const STEPS: usize = 20;
    let arguments = args! { "limit" => 1_000_000, "steps" => STEPS };
    let mut stream = snakepit
        .execute_stream::<Progress>("primes", arguments)
        .await?;
    let (bar, mut chunks, mut last) = (Bar::new(), 0, 0);
    while let Some(progress) = stream.next().await {
        let progress = progress?;
        (chunks, last) = (chunks + 1, progress.primes);
        bar.show(
            chunks,
            STEPS,
            &format!("{last} primes below {}", progress.below),
        );
    }
    drop(bar);
    Ok(match (chunks, last) {
        (STEPS, 78_498) => Ok(format!("{chunks} chunks; 78498 primes below 1000000")),
        _ => Err(format!(
            "20 chunks and 78498 primes expected, got {chunks} and {last}"
        )),
    })
}

/// Sends large bytes to a tool and back.
async fn checksum(snakepit: &Snakepit) -> Result<Finding, Error> {
    #[derive(Deserialize)]
    struct Checked {
        adler32: u32,
        data: Bytes,
    }
    const SIZE: usize = 16 << 20;
    let data: Vec<u8> = (0..SIZE as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let data = Bytes::from(data);
    let checked: Checked = snakepit
        .execute("checksum", args! { "data" => &data })
        .await?;
    let expected = adler32(&data);
    Ok(if checked.adler32 == expected && checked.data == data {
        Ok(format!(
            "16 MiB there and back unchanged, checksum {expected:08x} on both sides"
        ))
    } else {
        Err(format!(
            "the bytes changed: checksum {:08x}, expected {expected:08x}",
            checked.adler32
        ))
    })
}

/// Computes the Adler-32 checksum of RFC 1950.
fn adler32(data: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    // The most bytes whose sums cannot overflow before they are reduced.
    for part in data.chunks(5552) {
        for byte in part {
            a += u32::from(*byte);
            b += a;
        }
        (a, b) = (a % 65_521, b % 65_521);
    }
    b << 16 | a
}

/// Kills a worker during a call. That call fails, concurrent calls succeed, and the pool recovers.
async fn crash(snakepit: &Snakepit) -> Result<Finding, Error> {
    let beside = (0..20_i64).map(|n| snakepit.execute::<i64>("square", (n,)));
    let (died, beside) = tokio::join!(snakepit.execute::<()>("crash", ()), try_join_all(beside));
    let reason = match died {
        Err(Error::WorkerDied {
            reason,
            ambiguous: true,
            ..
        }) => reason,
        other => {
            return Ok(Err(format!(
                "an ambiguous worker death was expected, got {other:?}"
            )));
        }
    };
    let sum: i64 = beside?.iter().sum();
    let after: i64 = snakepit.execute("square", (12,)).await?;
    Ok(match (sum, after) {
        (2470, 144) => Ok(format!(
            "a worker was {reason}; 20 calls beside it and the next one were fine"
        )),
        _ => Err(format!("2470 and 144 expected, got {sum} and {after}")),
    })
}

/// Makes many small calls at once.
async fn squares(snakepit: &Snakepit) -> Result<Finding, Error> {
    const ITEMS: u64 = 100_000;
    let clock = Instant::now();
    let mut results = snakepit.execute_many::<u64, _>("square", (0..ITEMS).map(|n| (n,)));
    let (bar, mut count, mut sum) = (Bar::new(), 0_u64, 0_u64);
    while let Some(square) = results.next().await {
        let square = square?;
        if square != count * count {
            return Ok(Err(format!("the square of {count} is not {square}")));
        }
        (count, sum) = (count + 1, sum + square);
        if count % 5_000 == 0 {
            bar.show(count as usize, ITEMS as usize, &format!("{count} calls"));
        }
    }
    drop(bar);
    let rate = count as f64 / clock.elapsed().as_secs_f64();
    let expected = (ITEMS - 1) * ITEMS * (2 * ITEMS - 1) / 6;
    Ok(if (count, sum) == (ITEMS, expected) {
        Ok(format!(
            "{count} calls, {rate:.0} per second; sum of squares {sum}"
        ))
    } else {
        Err(format!(
            "{ITEMS} results with sum {expected} expected, got {count} with sum {sum}"
        ))
    })
}
