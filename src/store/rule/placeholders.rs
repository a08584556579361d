//! Constants in the places of binds.

/// The text with constants in the places that a mark names, with a number or in order, but for what
/// is quoted.
pub(crate) fn with_constants(text: &str, mark: char, constants: &[String]) -> String {
    let mut out = String::new();
    for piece in pieces(text, mark) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Place(number, given) => match constants.get(number) {
                Some(constant) => out.push_str(constant),
                None => out.push_str(given),
            },
        }
    }
    out
}

/// How many places for binds a text has.
#[cfg(feature = "sqlite")]
pub(crate) fn places(text: &str, mark: char) -> usize {
    let is_place = |piece: &Piece<'_>| matches!(piece, Piece::Place(..));
    pieces(text, mark)
        .iter()
        .filter(|piece| is_place(piece))
        .count()
}

enum Piece<'t> {
    Text(&'t str),
    /// The number of the bind, from 0, and how the text names it.
    Place(usize, &'t str),
}

fn pieces(text: &str, mark: char) -> Vec<Piece<'_>> {
    let (mut pieces, mut begin, mut quote, mut place) = (Vec::new(), 0, None, 0);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '\'' | '"' | '`') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (None, _) if c == mark => {
                let behind = &text[at + c.len_utf8()..];
                let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
                let end = at + c.len_utf8() + digits;
                let number = text[end - digits..end].parse::<usize>().ok();
                pieces.push(Piece::Text(&text[begin..at]));
                let number = number.and_then(|number| number.checked_sub(1));
                pieces.push(Piece::Place(number.unwrap_or(place), &text[at..end]));
                (begin, place) = (end, place + 1);
            }
            _ => {}
        }
    }
    pieces.push(Piece::Text(&text[begin..]));
    pieces
}
