//! Tables for people: columns as wide as they need to be, numbers to the right.

/// A table.
pub(crate) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heads: &[&'static str]) -> Self {
        Self {
            heads: heads.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as text; a sentence instead when it has no rows.
    pub(crate) fn written(&self, if_empty: &str) -> String {
        if self.rows.is_empty() {
            return if_empty.to_owned();
        }
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            longest.max(self.heads.get(column).map_or(0, |head| head.chars().count()))
        };
        let is_number = |column: usize| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.all(|cell| {
                !cell.is_empty()
                    && cell
                        .chars()
                        .all(|letter| letter.is_ascii_digit() || ",-".contains(letter))
            })
        };
        let line = |cells: &[String]| {
            let padded: Vec<String> = cells
                .iter()
                .enumerate()
                .map(|(column, cell)| {
                    let width = width(column);
                    if is_number(column) {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:<width$}")
                    }
                })
                .collect();
            padded.join("  ").trim_end().to_owned()
        };
        let heads: Vec<String> = self.heads.iter().map(|head| (*head).to_owned()).collect();
        let lines = std::iter::once(line(&heads)).chain(self.rows.iter().map(|row| line(row)));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A number with a comma after each three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The beginning of an id, enough to tell it from others on a screen.
pub(crate) fn short(id: impl ToString) -> String {
    let text = id.to_string();
    let head: String = text.chars().take(12).collect();
    if head.len() < text.len() {
        format!("{head}…")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let mut table = Table::new(&["channel", "sat"]);
        table.row(vec!["a".to_owned(), grouped(1_234_567)]);
        table.row(vec!["longer name".to_owned(), grouped(9)]);
        let expected = "channel            sat\na            1,234,567\nlonger name          9";
        assert_eq!(table.written("none"), expected);
        assert_eq!(Table::new(&["x"]).written("no channels yet"), "no channels yet");
    }

    #[test]
    fn numbers_are_grouped() {
        let grouped: Vec<_> = [0, 999, 1_000, 123_456, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(grouped, ["0", "999", "1,000", "123,456", "1,234,567"]);
    }
}
