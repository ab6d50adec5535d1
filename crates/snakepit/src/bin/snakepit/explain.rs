//! `snakepit explain`: the explanation of an error code.

use serde_json::json;
use snakepit::ErrorCode;
use snakepit::diag::Explanation;

use crate::failure::Failure;
use crate::host_options::ExplainOptions;
use crate::output;

pub(crate) fn run(options: &ExplainOptions) -> Result<(), Failure> {
    let Some(code) = &options.code else {
        return all(options.json);
    };
    let Some(found) = Explanation::find(code) else {
        return Err(Failure::usage(
            ErrorCode::WrongUsage,
            format!("`{code}` is not an error code"),
            "list all codes: snakepit explain",
        ));
    };
    if options.json {
        return output::document(&json!(found));
    }
    output::block(&format!(
        "{}: {}\n\n  cause    {}\n  example  {}\n  remedy   {}",
        found.code, found.meaning, found.cause, found.example, found.remedy
    ))
}

fn all(json: bool) -> Result<(), Failure> {
    if json {
        return output::document(&Explanation::all().map(|one| json!(one)).collect());
    }
    let lines = Explanation::all().map(|one| format!("{}  {}", one.code, one.meaning));
    output::block(&lines.collect::<Vec<_>>().join("\n"))
}
