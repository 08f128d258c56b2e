//! What a board's firmware logs, as text.
//!
//! Firmware that logs by defmt sends numbers; the words that they stand for are in its ELF file.
//! Firmware without defmt is taken at its word.

use std::path::Path;

use defmt_decoder::{DecodeError, StreamDecoder, Table};

use crate::error::BenchError;

/// The words of a firmware.
#[derive(Debug)]
pub(crate) struct Words(Option<Table>);

/// A stream of what a board says.
pub(crate) struct Log<'w> {
    decoder: Option<Box<dyn StreamDecoder + Send + Sync + 'w>>,
}

impl Words {
    /// Those in an ELF file.
    ///
    /// # Errors
    ///
    /// If there is no such file, or it has words that we do not understand.
    pub(crate) fn of(firmware: &Path) -> Result<Self, BenchError> {
        let elf = std::fs::read(firmware)
            .map_err(BenchError::system(format!("read {}", firmware.display())))?;
        let table = Table::parse(&elf);
        table.map(Self).map_err(|error| BenchError::Firmware {
            firmware: firmware.to_owned(),
            error: format!("{error:#}"),
        })
    }

    pub(crate) fn log(&self) -> Log<'_> {
        Log { decoder: self.0.as_ref().map(Table::new_stream_decoder) }
    }
}

impl Log<'_> {
    /// The board said more: hands `output` the text of it, whole lines if it logs by defmt.
    pub(crate) fn read(&mut self, bytes: &[u8], mut output: impl FnMut(&[u8])) {
        let Some(decoder) = &mut self.decoder else { return output(bytes) };
        decoder.received(bytes);
        loop {
            match decoder.decode() {
                Ok(frame) => {
                    let time = frame.display_timestamp().map(|it| format!("{it} "));
                    let level = frame.level().map_or("", |level| level.as_str());
                    let message = frame.display_message();
                    let line = format!("{}{level:<5} {message}\n", time.unwrap_or_default());
                    output(line.as_bytes());
                }
                // The decoder has skipped it.
                Err(DecodeError::Malformed) => output(b"a message that cannot be read\n"),
                Err(DecodeError::UnexpectedEof) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_without_defmt_is_taken_at_its_word() {
        // This program is an ELF file that does not log by defmt.
        let words = Words::of(&std::env::current_exe().unwrap()).unwrap();
        let mut said = Vec::new();
        words.log().read(b"hel", |bytes| said.extend_from_slice(bytes));
        words.log().read(b"lo\n", |bytes| said.extend_from_slice(bytes));
        assert_eq!(said, b"hello\n");
    }

    #[test]
    fn what_is_no_firmware_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Words::of(file.path()).unwrap_err().to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
    }
}
