//! The tests that are in an ELF file of the crate embedded-test.
//!
//! Its section `.embedded_test` has a record for each test: three words of 32 bits, the address of
//! the test, and address and length of the path of the module that it is in. The name of the
//! record's symbol is JSON and says the rest.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use object::elf::FileHeader32;
use object::read::elf::ElfFile;
use object::{Endianness, Object, ObjectSection, ObjectSymbol};
use serde::Deserialize;

/// One test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetTest {
    /// Module and function, as libtest shows it.
    pub(crate) name: String,
    /// Where it starts; the image wants to be told.
    pub(crate) address: u32,
    pub(crate) ignored: bool,
    pub(crate) should_panic: bool,
    pub(crate) timeout: Duration,
}

/// What the name of a record's symbol says.
#[derive(Debug, Deserialize)]
struct Label {
    name: String,
    ignored: bool,
    should_panic: bool,
    /// In seconds.
    timeout: Option<u64>,
}

const SECTION: &str = ".embedded_test";
const RECORD_LEN: usize = 12;
/// That of embedded-test.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

type File<'a> = ElfFile<'a, FileHeader32<Endianness>>;

impl TargetTest {
    /// All tests in an ELF file, sorted by name.
    ///
    /// # Errors
    ///
    /// If it is no ELF file of 32 bits, or has no such tests.
    pub(crate) fn list(elf: &[u8]) -> Result<Vec<Self>> {
        let file = File::parse(elf).context("no ELF file of 32 bits")?;
        let section = file.section_by_name(SECTION).context("no section `.embedded_test`")?;
        let records = section.data().context("the section of tests has no bytes")?;
        let mut tests = Vec::new();
        for symbol in file.symbols() {
            let is_record = symbol.section_index() == Some(section.index());
            let name = symbol.name().unwrap_or_default();
            if is_record && name.starts_with('{') {
                let offset = usize::try_from(symbol.address().saturating_sub(section.address()));
                let record = offset.ok().and_then(|at| records.get(at..at + RECORD_LEN));
                let record = record.with_context(|| format!("`{name}` is outside its section"))?;
                tests.push(Self::read(&file, name, record)?);
            }
        }
        if tests.is_empty() {
            bail!("there is no test in it");
        }
        tests.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tests)
    }

    fn read(file: &File<'_>, label: &str, record: &[u8]) -> Result<Self> {
        let label: Label =
            serde_json::from_str(label).with_context(|| format!("cannot read `{label}`"))?;
        let (words, _) = record.as_chunks::<4>();
        let word = |index: usize| match file.endian() {
            Endianness::Little => u32::from_le_bytes(words[index]),
            Endianness::Big => u32::from_be_bytes(words[index]),
        };
        let module = bytes_at(file, word(1), word(2));
        let module = module.with_context(|| format!("`{}` is in no module", label.name))?;
        Ok(Self {
            name: full_name(&String::from_utf8_lossy(module), &label.name),
            address: word(0),
            ignored: label.ignored,
            should_panic: label.should_panic,
            timeout: label.timeout.map_or(TIMEOUT_DEFAULT, Duration::from_secs),
        })
    }
}

/// The bytes that the image has at an address.
fn bytes_at<'a>(file: &File<'a>, address: u32, len: u32) -> Option<&'a [u8]> {
    file.sections().find_map(|section| {
        // Sections that are not loaded have addresses without meaning.
        let object::SectionFlags::Elf { sh_flags } = section.flags() else { return None };
        let is_loaded = sh_flags & u64::from(object::elf::SHF_ALLOC) != 0;
        let bytes = section.data_range(address.into(), len.into()).ok().flatten();
        bytes.filter(|_| is_loaded)
    })
}

/// Libtest leaves out the crate.
fn full_name(module: &str, function: &str) -> String {
    match module.split_once("::") {
        Some((_, module)) => format!("{module}::{function}"),
        None => function.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A little-endian ELF file with the section of tests, a section of text, and symbols.
    fn elf(records: &[u8], text_at: u32, text: &[u8], symbols: &[(&str, u32)]) -> Vec<u8> {
        let mut names = vec![0];
        let mut table = vec![0; 16];
        for (name, at) in symbols {
            let name_at = u32::try_from(names.len()).unwrap();
            names.extend(name.bytes().chain([0]));
            for word in [name_at, *at, 12] {
                table.extend(word.to_le_bytes());
            }
            // A global object in section 1.
            table.extend([0x11, 0, 1, 0]);
        }
        let section_names = b"\0.embedded_test\0.text\0.symtab\0.strtab\0";
        let bodies: [&[u8]; 5] = [records, text, &table, &names, section_names];
        // Name, type, flags, address, link, entry length.
        let heads = [
            [1, 1, 0, 0, 0, 0],
            [16, 1, 2, text_at, 0, 0],
            [22, 2, 0, 0, 4, 16],
            [30, 3, 0, 0, 0, 0],
            [30, 3, 0, 0, 0, 0],
        ];
        let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1];
        file.resize(16, 0);
        file.extend([2, 0, 40, 0, 1, 0, 0, 0]);
        for word in [1_u32, 0, 52, 0] {
            file.extend(word.to_le_bytes());
        }
        for half in [52_u16, 0, 0, 40, 6, 5] {
            file.extend(half.to_le_bytes());
        }
        file.extend([0; 40]);
        let mut at = 52 + 6 * 40;
        for ([name, kind, flags, address, link, entry_len], body) in heads.into_iter().zip(bodies)
        {
            let len = u32::try_from(body.len()).unwrap();
            let info = u32::from(kind == 2);
            for word in [name, kind, flags, address, at, len, link, info, 4, entry_len] {
                file.extend(word.to_le_bytes());
            }
            at += len;
        }
        file.extend(bodies.concat());
        file
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    const PLAIN: &str = r#"{"disambiguator":1,"name":"b","ignored":false,"should_panic":false}"#;
    const FULL: &str = concat!(
        r#"{"disambiguator":18446744073709551615,"name":"a","ignored":true,"#,
        r#""should_panic":true,"timeout":7}"#,
    );

    #[test]
    fn tests_are_read_and_sorted() {
        let records = words(&[0x0101, 0x4002, 7, 0x0201, 0x4002, 1]);
        let file = elf(&records, 0x4000, b"..mine::x", &[(PLAIN, 0), ("other", 0), (FULL, 12)]);
        let plain = TargetTest {
            name: "x::b".into(),
            address: 0x0101,
            ignored: false,
            should_panic: false,
            timeout: TIMEOUT_DEFAULT,
        };
        let full = TargetTest {
            name: "a".into(),
            address: 0x0201,
            ignored: true,
            should_panic: true,
            timeout: Duration::from_secs(7),
        };
        assert_eq!(TargetTest::list(&file).unwrap(), [full, plain]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let failure = |file: &[u8]| format!("{:#}", TargetTest::list(file).unwrap_err());
        assert!(failure(b"no ELF file at all").contains("no ELF file"));
        let empty = elf(&[], 0, b"", &[]);
        assert!(failure(&empty).contains("no test"));
        let records = words(&[1, 0x4000, 1]);
        let cut = elf(&records[..8], 0x4000, b"x", &[(PLAIN, 0)]);
        assert!(failure(&cut).contains("outside its section"));
        let lost = elf(&records, 0x5000, b"x", &[(PLAIN, 0)]);
        assert!(failure(&lost).contains("is in no module"));
        let garbled = elf(&records, 0x4000, b"x", &[("{", 0)]);
        assert!(failure(&garbled).contains("cannot read"));
    }

    #[test]
    fn a_cut_file_is_refused_at_each_length() {
        let file = elf(&words(&[1, 0x4000, 1]), 0x4000, b"x", &[(PLAIN, 0)]);
        let needed = file.len() - b".symtab\0.strtab\0".len();
        for len in 0..needed {
            assert!(TargetTest::list(&file[..len]).is_err(), "{len}");
        }
        assert_eq!(TargetTest::list(&file).unwrap().len(), 1);
    }

    #[test]
    fn the_crate_is_left_out() {
        assert_eq!(full_name("target::checks", "crc32c"), "checks::crc32c");
        assert_eq!(full_name("target", "crc32c"), "crc32c");
        assert_eq!(full_name("a::b::c", "d"), "b::c::d");
    }
}
