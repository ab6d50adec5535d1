//! The masking of secrets in the texts of a worker's errors, where they are decoded.

use std::fmt;

use crate::pb;

/// Masks the secrets of one worker.
pub trait Mask: fmt::Debug + Send + Sync {
    /// Masks the secrets in a text.
    fn text(&self, text: &mut String);

    /// Masks the secrets in a name that programs compare, such as that of a type.
    fn name(&self, name: &mut String);
}

/// Masks the secrets in all texts of an error and of its causes.
pub(super) fn error(mut error: &mut pb::ToolError, mask: &dyn Mask) {
    loop {
        // All fields: the next one will not be forgotten.
        let pb::ToolError {
            code: _,
            r#type,
            module,
            message,
            traceback,
            notes,
            cause,
            file,
            line: _,
            source,
            help,
            path,
            span: _,
        } = error;
        mask.name(r#type);
        mask.name(module);
        for text in [message, traceback, file, source, help, path] {
            mask.text(text);
        }
        notes.iter_mut().for_each(|note| mask.text(note));
        match cause {
            Some(cause) => error = cause,
            None => return,
        }
    }
}
