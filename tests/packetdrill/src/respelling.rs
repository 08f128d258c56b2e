//! Scripts that say the same in other words. Each must end as the script does that it is made of.

use rserpool_core::entropy::{Entropy, SplitMix64};

use crate::chunk::{Body, Content, Tlv, kinds};
use crate::lexer::{self, Kind};
use crate::mutations::{passing, scripts};
use crate::runner::Runner;
use crate::script::{Action, PacketBody, Script};
use crate::{System, seed};

const SEED: u64 = 4_960;

#[test]
fn a_script_with_other_tags_and_tsns_passes_as_before() {
    // The last two make the peer's TSNs wrap within the first packets.
    let names = [
        Names { tag: 1, tsn: 1, peer_tag: 5, peer_tsn: 1_000 },
        Names { tag: 0xffff_fff0, tsn: 0xffff_ffff, peer_tag: 0x7fff_ffff, peer_tsn: 0x7fff_fffd },
        Names { tag: 0x1234, tsn: 0xffff_fffd, peer_tag: 0x8000_0000, peer_tsn: 0xffff_fffb },
        Names { tag: 7, tsn: 0xffff_fffe, peer_tag: 0x0102_0304, peer_tsn: 0xffff_fffc },
    ];
    let mut failures = Vec::new();
    for (name, text) in scripts() {
        let Some(script) = passing(&name, &text) else { continue };
        for names in &names {
            if let Err(error) = Runner::run(&names.rename(&script), seed(&name), false) {
                failures.push(format!("{name} {names:?}: {error}"));
            }
        }
    }
    assert_eq!(failures, [""; 0]);
}

/// How much is added to the numbers of a script.
#[derive(Debug)]
struct Names {
    tag: u32,
    tsn: u32,
    peer_tag: u32,
    peer_tsn: u32,
}

impl Names {
    fn rename(&self, script: &Script) -> Script {
        let mut script = script.clone();
        // What a tag that is reflected is named by.
        let mut answered_by = self.tag;
        for event in &mut script.events {
            let (packet, is_sent) = match &mut event.action {
                Action::Expect(packet) => (packet, true),
                Action::Inject(packet) => (packet, false),
                Action::Call(_) | Action::Shell => continue,
            };
            let PacketBody::Chunks(chunks) = &mut packet.body else { continue };
            let is_reflected = chunks.iter().any(crate::chunk::Chunk::has_t_bit);
            // A tag in front of the chunks is the endpoint's if it is injected.
            let by = match (is_sent, is_reflected) {
                (true, true) => answered_by,
                (true, false) | (false, true) => self.peer_tag,
                (false, false) => self.tag,
            };
            if !is_sent {
                answered_by = by;
            }
            packet.tag = packet.tag.map(|tag| if tag == 0 { 0 } else { tag.wrapping_add(by) });
            for chunk in chunks {
                self.rename_chunk(&mut chunk.body, is_sent);
                // The names of the cause's TSN are those of who it is sent to.
                if let (true, Body::Tlvs(Some(causes))) = (is_sent, &mut chunk.body) {
                    causes.iter_mut().for_each(|cause| self.rename_cause(chunk.kind, cause));
                }
            }
        }
        script
    }

    fn rename_chunk(&self, body: &mut Body, is_sent: bool) {
        let (tag, tsn) = match is_sent {
            true => (self.tag, self.tsn),
            false => (self.peer_tag, self.peer_tsn),
        };
        let others_tsn = if is_sent { self.peer_tsn } else { self.tsn };
        match body {
            Body::Data { tsn: of, .. } => *of = of.map(|of| of.wrapping_add(tsn)),
            Body::Init(init) => {
                init.tsn = init.tsn.map(|of| of.wrapping_add(tsn));
                // Tag 0 is no name but wrong, and 2^32 is 0.
                let renamed = |of: u32| match of {
                    0 => 0,
                    of => of.wrapping_add(tag).max(1),
                };
                init.tag = init.tag.map(renamed);
            }
            Body::Sack(sack) => {
                sack.cumulative = sack.cumulative.map(|of| of.wrapping_add(others_tsn));
                for of in sack.duplicates.iter_mut().flatten() {
                    *of = of.wrapping_add(others_tsn);
                }
            }
            Body::Cumulative(of) => *of = of.map(|of| of.wrapping_add(others_tsn)),
            Body::Tlvs(_) | Body::Bytes(_) | Body::Nothing => {}
        }
    }

    fn rename_cause(&self, kind: u8, cause: &mut Tlv) {
        const NO_USER_DATA: u16 = 9;
        if !matches!(kind, kinds::ABORT | kinds::ERROR) || cause.kind != Some(NO_USER_DATA) {
            return;
        }
        if let Content::Bytes(Some(bytes)) = &mut cause.content
            && let Some(tsn) = bytes.first_chunk_mut()
        {
            *tsn = u32::from_be_bytes(*tsn).wrapping_add(self.peer_tsn).to_be_bytes();
        }
    }
}

#[test]
fn a_script_with_other_blanks_comments_and_digits_is_the_same_script() {
    let mut random = SplitMix64::new(SEED);
    for (name, text) in scripts() {
        for system in [System::Linux, System::FreeBsd] {
            let symbol = system.symbol();
            let (kept, _) = lexer::preprocess(&text, |name| name == symbol).unwrap();
            let respelt = respell(&kept, &mut random);
            let events = |text: &str| {
                let script = Script::parse(text, symbol).unwrap();
                let events = script.events.iter();
                let events = events.map(|event| format!("{:?} {:?}", event.time, event.action));
                // Where a chunk stands is no part of it.
                (script.tolerance_us, events.collect::<Vec<_>>())
            };
            assert_eq!(events(&text), events(&respelt), "{name}, seed {SEED}: {respelt}");
        }
    }
}

/// The tokens of a text, with other blanks and comments between them, and numbers in other digits.
fn respell(text: &str, random: &mut SplitMix64) -> String {
    let mut respelt = String::new();
    for token in lexer::tokens(text).unwrap() {
        let blank = match random.below(6) {
            0 => "\n",
            1 => "  \t ",
            2 => " // it says: \"[`< > sctp\n",
            3 => "\r\n\r\n",
            _ => " ",
        };
        respelt += blank;
        respelt += &match token.kind {
            Kind::Word(word) => word,
            Kind::Number(number) if random.below(2) == 0 => format!("{number:#x}"),
            Kind::Number(number) => number.to_string(),
            Kind::Seconds(micros) => {
                format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
            }
            Kind::V4(address) => address.to_string(),
            Kind::V6(address) => address.to_string(),
            Kind::Text(text) => format!("\"{text}\""),
            Kind::Shell => "`true; echo '+0.0 >' \n`".into(),
            Kind::Option(option) => format!("--{option}"),
            Kind::Ellipsis => "...".into(),
            Kind::Mark(mark) => mark.to_string(),
        };
    }
    respelt
}

#[test]
fn a_word_that_the_language_does_not_have_is_an_error_with_line_and_column() {
    let mut count = 0;
    for (name, text) in scripts() {
        let Some(system) = [System::Linux, System::FreeBsd].into_iter().find(|system| {
            let script = Script::parse(&text, system.symbol());
            script.is_ok_and(|script| Runner::run(&script, seed(&name), false).is_ok())
        }) else {
            continue;
        };
        let (kept, _) = lexer::preprocess(&text, |name| name == system.symbol()).unwrap();
        let events = format!("{:?}", Script::parse(&kept, system.symbol()).unwrap().events);
        for token in lexer::tokens(&kept).unwrap() {
            let Kind::Word(word) = &token.kind else { continue };
            let wrong = replace(&kept, token.at, word, "Nonsense");
            count += 1;
            match Script::parse(&wrong, system.symbol()) {
                Err(error) => {
                    let at = (error.line, error.column > 0);
                    assert_eq!(at, (token.at.line, true), "{name}: {word}: {error}");
                }
                // What stands in parentheses behind a result is decoration.
                Ok(script) if format!("{:?}", script.events) == events => {}
                // A name that stands for a value: it is not the one that there is.
                Ok(script) => {
                    let result = Runner::run(&script, seed(&name), false);
                    let error = result.expect_err(&format!("{name}: {:?} {word}", token.at));
                    assert!(error.line >= token.at.line, "{name}: {word}: {error}");
                }
            }
        }
    }
    assert!(count > 5_000, "{count} words");
}

fn replace(text: &str, at: crate::error::At, word: &str, by: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let line = &mut lines[at.line as usize - 1];
    let start = at.column as usize - 1;
    line.replace_range(start..start + word.len(), by);
    lines.join("\n")
}

#[test]
fn no_text_makes_the_runner_panic() {
    let mut random = SplitMix64::new(SEED);
    let scripts = scripts();
    for (name, text) in &scripts {
        for round in 0..12 {
            let mut lines: Vec<String> = text.lines().map(String::from).collect();
            for _ in 0..=random.below(3) {
                spoil(&mut lines, &mut random);
            }
            let text = lines.join("\n");
            // Whatever comes of it, something does; and an error has a line of the text.
            let verdict = crate::run_script(name, &text, crate::Options::default());
            if let crate::Verdict::Fail(error) = verdict {
                let line_count = text.lines().count().max(1);
                assert!(
                    (1..=line_count).contains(&(error.line as usize)),
                    "{name} {round}: {error}"
                );
            }
        }
    }
    let deep = format!("0 < sctp: DATA{}", "[".repeat(100_000));
    assert!(Script::parse(&deep, "Linux").is_err());
}

/// Changes a line, or moves one elsewhere.
fn spoil(lines: &mut Vec<String>, random: &mut SplitMix64) {
    let mut place = |len: usize| random.below(len.max(1) as u64) as usize;
    let (from, to) = (place(lines.len()), place(lines.len()));
    let kind = place(5);
    let Some(line) = lines.get_mut(from) else { return };
    let at = place(line.len());
    match (kind, line.is_char_boundary(at) && line.is_char_boundary(at + 1)) {
        (0, true) => drop(line.remove(at)),
        (1, true) => line.insert(at, b"0123456789[]{}()=.,;:<>+-*|\"`"[place(28)].into()),
        (2, true) => {
            let digit = char::from(b'0' + place(10) as u8);
            let digits = |c: char| c.is_ascii_digit();
            if let Some(found) = line[at..].find(digits) {
                line.replace_range(
                    at + found..=at + found,
                    &digit.to_string().repeat(1 + place(4)),
                );
            }
        }
        (3, _) => lines.swap(from, to),
        _ => lines.insert(to, lines[from].clone()),
    }
}
