//! Splits a line as a shell does.

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A word, without its quotes.
    Word(String),
    /// `>`, `>>`, `>|`.
    To,
    /// `<<<`.
    From,
    /// `|`.
    Pipe,
    /// `;`, `&&`, `||`, `&`, brackets: the end of a command.
    End,
}

/// Splits a line. A comment ends it; a quote that is not closed goes on to its end.
pub(super) fn split(line: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars().peekable();
    let finish = |word: &mut Option<String>, pieces: &mut Vec<Piece>| pieces.extend(word.take().map(Piece::Word));
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let own = word.get_or_insert_default();
                own.extend(chars.by_ref().take_while(|&c| c != '\''));
            }
            '"' => {
                let own = word.get_or_insert_default();
                while let Some(c) = chars.next().filter(|&c| c != '"') {
                    match c {
                        '\\' => own.extend(chars.next()),
                        c => own.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            '#' if word.is_none() => break,
            c if c.is_whitespace() => finish(&mut word, &mut pieces),
            '>' => {
                // The number of a file descriptor before it is no word of its own.
                if word.as_deref().is_some_and(|word| word.len() == 1 && word.chars().all(|c| c.is_ascii_digit())) && !line.contains("echo")
                {
                    word = None;
                }
                finish(&mut word, &mut pieces);
                while chars.next_if(|&c| c == '>' || c == '|').is_some() {}
                pieces.push(Piece::To);
            }
            '<' => {
                finish(&mut word, &mut pieces);
                while chars.next_if_eq(&'<').is_some() {}
                pieces.push(Piece::From);
            }
            '|' => {
                finish(&mut word, &mut pieces);
                pieces.push(if chars.next_if_eq(&'|').is_some() { Piece::End } else { Piece::Pipe });
            }
            ';' | '&' | '(' | ')' | '{' | '}' if !(c == '{' && word.as_deref().is_some_and(|word| word.ends_with('$'))) => {
                // `${f}` is a variable.
                if c == '}' && word.as_deref().is_some_and(|word| word.contains("${")) {
                    word.get_or_insert_default().push(c);
                    continue;
                }
                finish(&mut word, &mut pieces);
                pieces.push(Piece::End);
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    finish(&mut word, &mut pieces);
    pieces
}
