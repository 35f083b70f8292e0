//! What commands print with: aligned tables, numbers in groups, and text that is safe to print.

use std::fmt;

/// The text with control characters replaced: what labels and servers say must not move a cursor
/// or change a terminal's state.
pub fn printable(text: &str) -> String {
    let is_unsafe = |letter: char| letter.is_control() && letter != '\n';
    text.chars().map(|letter| if is_unsafe(letter) { '\u{fffd}' } else { letter }).collect()
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Rows under a head, columns aligned; numbers stand to the right.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&'static str]) -> Table {
        Table { head: head.to_vec(), rows: Vec::new() }
    }

    /// A row has a cell for each column.
    pub fn push(&mut self, row: impl IntoIterator<Item = String>) {
        let row: Vec<String> =
            row.into_iter().map(|cell| printable(&cell).replace('\n', " ")).collect();
        assert_eq!(row.len(), self.head.len());
        self.rows.push(row);
    }

    fn column(&self, column: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().map(move |row| row[column].as_str())
    }
}

fn is_number(cell: &str) -> bool {
    cell == "-"
        || !cell.is_empty()
            && cell.bytes().all(|byte| byte.is_ascii_digit() || b",.".contains(&byte))
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = 0..self.head.len();
        let width = |cell: &str| cell.chars().count();
        let widths: Vec<usize> = columns
            .clone()
            .map(|at| self.column(at).map(width).max().unwrap_or(0).max(width(self.head[at])))
            .collect();
        let is_right: Vec<bool> = columns
            .map(|at| self.column(at).all(is_number) && self.column(at).any(|cell| cell != "-"))
            .collect();
        let mut line = |cells: &[&str]| {
            let mut text = String::new();
            for ((cell, width), is_right) in cells.iter().zip(&widths).zip(&is_right) {
                text += &match is_right {
                    true => format!("{cell:>width$}  "),
                    false => format!("{cell:<width$}  "),
                };
            }
            writeln!(out, "{}", text.trim_end())
        };
        line(&self.head)?;
        self.rows
            .iter()
            .try_for_each(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>()))
    }
}
