//! How the demo looks: colours where there is a terminal that wants them, and the requests drawn for a person.
//!
//! Everything fits into 80 columns, so that nothing has to know how wide the terminal is.

use std::{
    env,
    io::{IsTerminal, stderr, stdout},
};

use super::{answer::Answer, showcase::Sample};

/// The side of an image, in pixels.
pub const SIDE: usize = 8;

/// The brightest value of a pixel.
const BRIGHTEST: f64 = 16.0;

/// From dark to bright; twice as wide as one character, a pixel is about square.
const SHADES: [&str; 5] = ["  ", "░░", "▒▒", "▓▓", "██"];

/// Columns of a model's name, of a request, and of a class.
const NAME: usize = 11;
const REQUEST: usize = 32;
const CLASS: usize = 11;

/// Columns of a bar that stands for certainty.
const BAR: usize = 10;

/// What the output is written to.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Whether it can show something that moves.
    pub live: bool,
    colour: bool,
}

impl Screen {
    /// Neither moves nor has colours.
    #[cfg(test)]
    pub const fn plain() -> Self {
        Self { live: false, colour: false }
    }

    /// As the process finds it. <https://no-color.org>
    pub fn of_process() -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
        let terminal = stdout().is_terminal();
        Self { live: terminal && stderr().is_terminal() && !dumb, colour: terminal && !refused && !dumb }
    }

    /// What matters most.
    pub fn strong(self, text: impl AsRef<str>) -> String {
        self.paint("1", text.as_ref())
    }

    /// What matters less.
    pub fn faint(self, text: impl AsRef<str>) -> String {
        self.paint("2", text.as_ref())
    }

    /// What is as it should be.
    pub fn good(self, text: impl AsRef<str>) -> String {
        self.paint("32", text.as_ref())
    }

    /// What is not.
    pub fn bad(self, text: impl AsRef<str>) -> String {
        self.paint("1;31", text.as_ref())
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A request beside its answer, which took so many milliseconds.
    pub fn exchange(self, model: &str, sample: &Sample, answer: &Answer, milliseconds: f64) -> String {
        let mut text = String::new();
        let lines = sample.picture.len().max(answer.candidates.len()).max(2);
        for line in 0..lines {
            let name = match line {
                0 => self.strong(format!("{model:NAME$}")),
                1 => self.faint(format!("{:NAME$}", format!("{milliseconds:.1} ms"))),
                _ => " ".repeat(NAME),
            };
            let request = sample.picture.get(line).map_or("", String::as_str);
            let candidate = answer.candidates.get(line).map(|(class, score)| {
                let bar = "━".repeat((score * BAR as f64).round() as usize);
                let line = format!("{class:CLASS$}{:>5.1} %  {bar}", score * 100.0);
                if *class == answer.class { self.good(line) } else { self.faint(line) }
            });
            let row = format!("  {name}{request:REQUEST$}  {}", candidate.unwrap_or_default());
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }
}

/// The four measures of a flower, in centimetres.
pub fn flower(measures: &[f64]) -> Vec<String> {
    let names = ["sepal length", "sepal width", "petal length", "petal width"];
    names.iter().zip(measures).map(|(name, measure)| format!("{name:<14}{measure:.1} cm")).collect()
}

/// A text in lines.
pub fn message(text: &str) -> Vec<String> {
    let mut lines = vec![String::from('"')];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a first line");
        if line.chars().count() + word.chars().count() >= REQUEST {
            lines.push(format!(" {word}"));
        } else {
            let space = if line.len() > 1 { " " } else { "" };
            line.push_str(space);
            line.push_str(word);
        }
    }
    lines.last_mut().expect("there is a first line").push('"');
    lines
}

/// An image of grey values, row by row.
pub fn image(pixels: &[f64]) -> Vec<String> {
    let shade = |value: &f64| {
        let share = (value / BRIGHTEST).clamp(0.0, 1.0);
        SHADES[(share * (SHADES.len() - 1) as f64).round() as usize]
    };
    pixels.chunks(SIDE).map(|row| row.iter().map(shade).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Screen = Screen::plain();

    #[test]
    fn a_text_is_broken_between_words_and_fits_its_column() {
        let lines =
            message("Your invoice is overdue! Avoid legal action, pay £90 immediately at http://win-now.example");
        assert_eq!(lines[0], "\"Your invoice is overdue! Avoid");
        assert_eq!(lines[1], " legal action, pay £90");
        assert!(lines.iter().all(|line| line.chars().count() <= REQUEST), "{lines:#?}");
        assert!(lines.last().unwrap().ends_with('"'));
        assert_eq!(message("short"), ["\"short\""]);
    }

    #[test]
    fn an_image_is_as_dark_as_its_pixels() {
        let mut pixels = [0.0; SIDE * SIDE];
        (pixels[0], pixels[1], pixels[SIDE]) = (16.0, 8.0, 4.0);
        let drawn = image(&pixels);
        assert_eq!(drawn.len(), SIDE);
        assert!(drawn[0].starts_with("██▒▒  ") && drawn[1].starts_with("░░  "), "{drawn:?}");
        assert!(drawn.iter().all(|row| row.chars().count() == 2 * SIDE));
    }

    #[test]
    fn request_and_answer_stand_side_by_side_within_80_columns() {
        let sample =
            Sample { id: "iris-3".to_owned(), body: "", picture: flower(&[5.1, 3.4, 1.5, 0.2]), class: "setosa" };
        let candidates = vec![("setosa".to_owned(), 0.97), ("versicolor".to_owned(), 0.03)];
        let answer = Answer { class: "setosa".to_owned(), candidates };
        let text = PLAIN.exchange("iris", &sample, &answer, 5.25);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "  iris       sepal length  5.1 cm              setosa      97.0 %  ━━━━━━━━━━");
        assert!(lines[1].starts_with("  5.2 ms     sepal width") && lines[1].contains("versicolor   3.0 %"), "{text}");
        assert!(lines.len() == 4 && lines.iter().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn nothing_is_painted_where_colours_are_not_wanted() {
        assert_eq!(PLAIN.strong("a") + &PLAIN.bad("b"), "ab");
        assert_eq!(Screen { live: false, colour: true }.good("a"), "\x1b[32ma\x1b[0m");
    }
}
