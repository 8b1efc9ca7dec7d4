//! Lines of a relay, from a target that may say anything, to all three reports.

use super::choices::Choices;
use super::{json, lines};
use meshsniff::condition::Filter;
use meshsniff::event::Many;
use meshsniff::event::Report;
use meshsniff::relay::{FORMAT, Gathered, Receiver};
use meshsniff::report::json::{JsonReport, Style};
use meshsniff::report::text::{TextOptions, TextReport};
use std::borrow::Cow;

/// Lines that begin with this are the second target's.
const OTHER: u8 = b'~';

/// Every report.
type All<'a> = Many<Box<dyn Report + 'a>>;

/// A relay whose form is told already.
fn receiver(index: u16, gathered: &mut Gathered, report: &mut All<'_>) -> Receiver {
    let mut receiver = Receiver::new(index);
    let form = format!("{{\"Format\":{FORMAT}}}");
    let heard = receiver.line(form.as_bytes(), gathered, report);
    heard.expect("the form of today");
    receiver
}

/// Lines as they are, if they begin like one, or else made of choices.
fn said(data: &[u8]) -> Cow<'_, [u8]> {
    match data {
        [b'{', ..] => Cow::Borrowed(data),
        _ => Cow::Owned(lines::of(&mut Choices(data), OTHER)),
    }
}

/// Reports that parse, whatever the lines say.
pub fn check(data: &[u8]) {
    let data = &*said(data);
    let (mut document, mut lines, mut text) = (Vec::new(), Vec::new(), Vec::new());
    {
        let json = |out, style| JsonReport::new(out, style, Filter::default(), true);
        let all = TextOptions {
            all: true,
            drawing: true,
            probes: true,
            ..TextOptions::default()
        };
        let mut report: All<'_> = Many(vec![
            Box::new(json(&mut document, Style::Document)),
            Box::new(json(&mut lines, Style::Lines { live: true })),
            Box::new(TextReport::new(&mut text, all)),
        ]);
        let mut gathered = Gathered::new(vec![String::new(); 2]);
        let mut receivers = [0, 1].map(|index| receiver(index, &mut gathered, &mut report));
        for line in data.split(|&byte| byte == b'\n') {
            let other = line.first() == Some(&OTHER);
            let line = if other { &line[1..] } else { line };
            let index = usize::from(other);
            if receivers[index]
                .line(line, &mut gathered, &mut report)
                .is_err()
            {
                // Another one, so that what follows is looked at too.
                let next = receiver(index as u16, &mut gathered, &mut report);
                std::mem::replace(&mut receivers[index], next).close(&mut gathered);
            }
        }
        for receiver in receivers {
            receiver.close(&mut gathered);
        }
        gathered
            .finish(&mut report)
            .expect("memory can be written to");
    }
    let document = json::read(&document);
    assert_eq!(document.sources, Some(2));
    let lines = String::from_utf8(lines).expect("lines of text");
    let told = lines.lines().map(|line| json::read(line.as_bytes()));
    let told = told.filter(|line| line.of_exchange).count();
    assert_eq!(document.exchanges, Some(told as u64));
    let text = String::from_utf8(text).expect("a report of text");
    let control = text.chars().find(|&c| c.is_control() && c != '\n');
    assert_eq!(control, None, "a control character reaches the terminal");
}
