//! Texts with holes.
//!
//! | in a text | becomes |
//! |---|---|
//! | `{value}` | what the hole stands for |
//! | `{value\|período\|períodos}` | the first where the number of the hole is 1, else the second |
//! | `[estar ]` | its content where the whole is to say "despite", else nothing |
//! | `< de {assigned}>` | its content where everything in it is known, else nothing |
//!
//! Anything that does not read as one of these is text.

/// A parsed text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Hole(String),
    Plural { hole: String, one: String, many: String },
    Despite(Template),
    IfKnown(Template),
}

/// What a hole is filled with: its text, and whether it is the number 1.
pub(super) struct Filling {
    pub text: String,
    pub is_one: bool,
}

impl Template {
    pub fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(['{', '[', '<']) {
            let (before, from) = rest.split_at(start);
            let closing = match &from[..1] {
                "{" => '}',
                "[" => ']',
                _ => '>',
            };
            // holes may stand inside the other two
            let Some(end) = from.find(closing) else { break };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            let inside = &from[1..end];
            pieces.push(match closing {
                ']' => Piece::Despite(Self::parse(inside)),
                '>' => Piece::IfKnown(Self::parse(inside)),
                _ => match inside.split('|').collect::<Vec<_>>()[..] {
                    [hole, one, many] => Piece::Plural {
                        hole: hole.into(),
                        one: one.into(),
                        many: many.into(),
                    },
                    _ => Piece::Hole(inside.into()),
                },
            });
            rest = &from[end + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Self(pieces)
    }

    /// The text with its holes filled; an unknown one leaves a question mark.
    pub fn fill(&self, despite: bool, fill: &dyn Fn(&str) -> Option<Filling>) -> String {
        let mut out = String::new();
        self.write(despite, fill, &mut out);
        out
    }

    /// Whether every hole was known.
    fn write(&self, despite: bool, fill: &dyn Fn(&str) -> Option<Filling>, out: &mut String) -> bool {
        let mut known = true;
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Hole(hole) => match fill(hole) {
                    Some(filling) => out.push_str(&filling.text),
                    None => {
                        known = false;
                        out.push('?');
                    }
                },
                Piece::Plural { hole, one, many } => {
                    let filling = fill(hole);
                    known &= filling.is_some();
                    out.push_str(if filling.is_some_and(|filling| filling.is_one) {
                        one
                    } else {
                        many
                    });
                }
                Piece::Despite(inside) if despite => known &= inside.write(despite, fill, out),
                Piece::Despite(_) => {}
                Piece::IfKnown(inside) => {
                    let before = out.len();
                    if !inside.write(despite, fill, out) {
                        out.truncate(before);
                    }
                }
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, despite: bool) -> String {
        Template::parse(text).fill(despite, &|hole| {
            let number = match hole {
                "one" => 1,
                "many" => 3,
                _ => return None,
            };
            Some(Filling {
                text: number.to_string(),
                is_one: number == 1,
            })
        })
    }

    #[test]
    fn holes_plurals_and_optional_parts_are_filled() {
        assert_eq!(
            filled("sem atividade há {one} {one|período|períodos}", false),
            "sem atividade há 1 período"
        );
        assert_eq!(
            filled("[estar ]há {many} {many|período|períodos}", true),
            "estar há 3 períodos"
        );
        assert_eq!(filled("entregues ({many}< de {one}>)", false), "entregues (3 de 1)");
        assert_eq!(filled("entregues ({many}< de {unknown}>)", false), "entregues (3)");
        assert_eq!(filled("[já {many}]<, {unknown}>", false), "");
    }

    #[test]
    fn what_is_not_closed_or_not_known_stays_readable() {
        assert_eq!(filled("a {many", false), "a {many");
        assert_eq!(filled("a < b, {unknown} c", false), "a < b, {unknown} c");
        assert_eq!(filled("{unknown}", false), "?");
        assert_eq!(filled("", false), "");
        assert_eq!(filled("ação {one}°", false), "ação 1°");
    }
}
