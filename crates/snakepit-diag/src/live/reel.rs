//! A file of reports: a header line, then one report per line, in JSON.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{AdminError, Report, untrusted_json};

/// Version of the file's format.
const FORMAT: u32 = 1;

/// Longest line in bytes.
const LINE: u64 = 64 << 20;

/// The header line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    snakepit_looks: u32,
    version: String,
}

/// Writes reports into a file.
#[derive(Debug)]
pub struct ReelWriter {
    file: File,
}

impl ReelWriter {
    /// Creates a file, or truncates an existing one. A new file is readable only by its owner.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut writer = Self {
            file: options.open(path)?,
        };
        let head = Head {
            snakepit_looks: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        writer.line(&head)?;
        Ok(writer)
    }

    /// Appends a report. It is in the file when this returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, report: &Report) -> io::Result<()> {
        self.line(report)
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

/// Reads reports from a file. Nothing in it is trusted.
#[derive(Debug)]
pub struct ReelReader {
    file: BufReader<File>,
    path: PathBuf,
    line: usize,
}

impl ReelReader {
    /// Opens a file.
    ///
    /// # Errors
    /// [`AdminError::Looks`] if it cannot be read, or is not a recording of this format.
    pub fn open(path: &Path) -> Result<Self, AdminError> {
        let mut reader = Self {
            file: BufReader::new(File::open(path).map_err(|error| AdminError::Looks {
                file: path.to_owned(),
                line: 0,
                reason: error.to_string(),
            })?),
            path: path.to_owned(),
            line: 0,
        };
        let head: Option<Head> = reader.parse()?;
        match head {
            Some(head) if head.snakepit_looks == FORMAT => Ok(reader),
            Some(head) => Err(reader.bad(format!(
                "format {} of snakepit {}, not {FORMAT}",
                head.snakepit_looks, head.version
            ))),
            None => Err(reader.bad("it is empty".to_owned())),
        }
    }

    /// Reads the next report. `None` at the end of the file, or if its last line is incomplete.
    ///
    /// # Errors
    /// [`AdminError::Looks`] if a line cannot be read.
    pub fn read(&mut self) -> Result<Option<Report>, AdminError> {
        self.parse()
    }

    fn parse<T: for<'a> Deserialize<'a>>(&mut self) -> Result<Option<T>, AdminError> {
        self.line += 1;
        let mut line = Vec::new();
        let read = (&mut self.file).take(LINE).read_until(b'\n', &mut line);
        read.map_err(|error| self.bad(error.to_string()))?;
        match line.last() {
            Some(b'\n') => {}
            _ if line.len() as u64 >= LINE => return Err(self.bad("it is too long".to_owned())),
            _ => return Ok(None),
        }
        let parsed = untrusted_json::read(&line, untrusted_json::REPORT);
        parsed
            .map(Some)
            .map_err(|error| self.bad(error.to_string()))
    }

    fn bad(&self, reason: String) -> AdminError {
        AdminError::Looks {
            file: self.path.clone(),
            line: self.line,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn reasons(text: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("looks");
        std::fs::write(&path, text).unwrap();
        let mut reader = match ReelReader::open(&path) {
            Ok(reader) => reader,
            Err(error) => return error.to_string(),
        };
        loop {
            match reader.read() {
                Ok(Some(_)) => {}
                Ok(None) => return "the end".to_owned(),
                Err(error) => return error.to_string(),
            }
        }
    }

    #[test]
    fn looks_are_read_as_they_were_written_and_by_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("looks");
        std::fs::write(&path, "something longer than what comes").unwrap();
        let mut writer = ReelWriter::create(&path).unwrap();
        let report = |at| Report {
            at,
            ..Report::default()
        };
        writer.add(&report(1.0)).unwrap();
        writer.add(&report(2.0)).unwrap();
        let mut reader = ReelReader::open(&path).unwrap();
        assert_eq!(reader.read().unwrap(), Some(report(1.0)));
        assert_eq!(reader.read().unwrap(), Some(report(2.0)));
        assert_eq!(reader.read().unwrap(), None);
        let fresh = dir.path().join("fresh");
        ReelWriter::create(&fresh).unwrap();
        let mode = std::fs::metadata(&fresh).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_recording_is_told_with_its_line() {
        let head = r#"{"snakepit_looks":1,"version":"0.1.0"}"#;
        for (text, reason) in [
            (String::new(), "line 1: it is empty"),
            ("hello\n".to_owned(), "line 1: expected value"),
            (
                r#"{"snakepit_looks":2,"version":"9"}"#.to_owned() + "\n",
                "format 2 of snakepit 9",
            ),
            (format!("{head}\n{{}}\n7\n"), "line 3"),
            (format!("{head}\n{{}}\n{{\"at\":1"), "the end"),
        ] {
            let found = reasons(text.as_bytes());
            assert!(found.contains(reason), "{text}: {found}");
        }
        let missing = ReelReader::open(Path::new("nowhere")).unwrap_err();
        assert_eq!(missing.code().as_str(), "SP9008");
        assert!(!missing.help().is_empty());
    }
}
