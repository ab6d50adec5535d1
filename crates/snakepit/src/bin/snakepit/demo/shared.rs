//! Steps in which Python and Rust work together: a function of this program, a session, an array.

use futures_util::future::try_join_all;
use serde::Deserialize;
use snakepit::{DType, Error, HostTool, NewVariable, Snakepit, Tensor, Value, VariableType, args};

use super::steps::Finding;

#[derive(Deserialize)]
struct Word {
    word: String,
}

/// Returns the host tool that counts the letters of a word, for Python to call.
pub(super) fn points() -> HostTool {
    let points = |_, word: Value| async move {
        let word: Word = snakepit::Payload::encode(&word)?.decode()?;
        Ok(Value::from(letters(&word.word)))
    };
    HostTool::dynamic_asynchronous("points", points)
        .description("Letters of a word")
        .exposed()
}

fn letters(word: &str) -> i64 {
    i64::try_from(word.chars().filter(|c| c.is_alphabetic()).count()).unwrap_or(i64::MAX)
}

/// Has several workers call Rust for each word at the same time and add up the results in a
/// variable of the session.
pub(super) async fn words(snakepit: &Snakepit) -> Result<Finding, Error> {
    const LINES: [&str; 4] = [
        "When in the Course of human events",
        "it becomes necessary for one people",
        "to dissolve the political bands",
        "which have connected them with another",
    ];
    let session = snakepit.session("words");
    let state = session.state()?;
    state.register(NewVariable::new("points", VariableType::Integer, 0))?;
    let calls = LINES.map(|line| session.execute::<i64>("rate_words", args! { "text" => line }));
    let told: i64 = try_join_all(calls).await?.into_iter().sum();
    let kept = state.variable("points")?;
    let expected: i64 = LINES.iter().copied().map(letters).sum();
    let count: usize = LINES.iter().map(|line| line.split(' ').count()).sum();
    Ok(
        if told == expected && *kept.value == Value::from(expected) {
            Ok(format!(
                "Python called Rust for {count} words; the session's variable is at {expected}, version {}",
                kept.version
            ))
        } else {
            Err(format!(
                "{expected} letters expected, got {told} and {kept:?}"
            ))
        },
    )
}

/// Sends a large array to a tool and back, in binary.
pub(super) async fn array(snakepit: &Snakepit) -> Result<Finding, Error> {
    const LENGTH: u32 = 250_000;
    let data: Vec<u8> = (0..LENGTH)
        .flat_map(|n| f64::from(n).to_le_bytes())
        .collect();
    let numbers = match Tensor::new(DType::Float64, [LENGTH as usize], data) {
        Ok(numbers) => numbers,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let halves: Tensor = snakepit
        .execute("halve", args! { "numbers" => &numbers })
        .await?;
    let expected = (0..LENGTH).map(|n| f64::from(n) / 2.0);
    Ok(if halves.to_f64().into_iter().eq(expected) {
        Ok(format!(
            "{LENGTH} numbers there, their halves back, 2 MB each way"
        ))
    } else {
        Err("the numbers changed on the way".to_owned())
    })
}
