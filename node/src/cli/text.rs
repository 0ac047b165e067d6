//! How facts are laid out for people: aligned columns, grouped digits, nothing that could steer a terminal.

use crate::settings::founding::LATTICE_NAME_DEFAULT;

/// Columns between two cells of a table.
const GAP: &str = "  ";

/// Lays out rows as a table; the last column is not padded.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let padded = row.iter().zip(widths).map(|(cell, width_max)| {
        let padding = width_max - width(cell);
        format!("{cell}{}", " ".repeat(padding))
    });
    format!("{}\n", padded.collect::<Vec<_>>().join(GAP).trim_end())
}

/// Characters, which are columns for most scripts.
fn width(cell: &str) -> usize {
    cell.chars().count()
}

/// A text on one line, with control characters escaped: keys and values come from strangers, and an escape
/// sequence in one must not act on the reader's terminal.
pub fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() || is_direction(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

/// Marks that reorder the text around them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `chars_max` characters of a text made [`visible`].
pub fn excerpt(text: &str, chars_max: usize) -> String {
    let head: String = text.chars().take(chars_max).collect();
    let rest = if head.len() < text.len() { "…" } else { "" };
    format!("{}{rest}", visible(&head))
}

/// A fact as indented JSON with its fields in the order of the API, for `--json`.
pub fn as_json(fact: &impl serde::Serialize) -> String {
    // Facts are structs of text and numbers, which always serialize.
    serde_json::to_string_pretty(fact).unwrap_or_default()
}

/// A whole number with its digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and what it counts, in the form that fits.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A lattice by its name and id; the name alone says nothing if it is the default one.
pub fn named_lattice(name: &str, id: &str) -> String {
    if name == LATTICE_NAME_DEFAULT { visible(id) } else { visible(&format!("{name} {id}")) }
}

/// A span of time in its two largest units.
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// The first digits of an id, enough to tell a few apart.
pub fn short(id: &str) -> String {
    visible(&id.chars().take(8).collect::<String>())
}

/// The last characters of a peer id; its first ones are the same for all.
pub fn short_peer(id: &str) -> String {
    if id.contains("://") {
        return visible(id);
    }
    let skipped = id.chars().count().saturating_sub(8);
    visible(&id.chars().skip(skipped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_end_without_spaces() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let text = table(&[row(&["A", "BB", "C"]), row(&["äöü", "", "x"]), row(&["1", "2"])]);
        assert_eq!(text, "A    BB  C\näöü      x\n1    2\n");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn numbers_and_spans() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        for (seconds, text) in [(59, "59 s"), (60, "1 min 0 s"), (3_725, "1 h 2 min"), (90_000, "1 d 1 h")] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn what_could_steer_a_terminal_is_escaped() {
        assert_eq!(visible("a\u{1b}[2Jb\nä"), "a\\u{1b}[2Jb\\nä");
        assert_eq!(visible("\u{202e}x"), "\\u{202e}x");
        assert_eq!(excerpt("abcdef", 3), "abc…");
        assert_eq!(excerpt("abc", 3), "abc");
    }
}
